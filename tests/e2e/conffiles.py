# SPDX-License-Identifier: Apache-2.0
"""Configuration files as people have them: Home Assistant's, listeners with rights of their own, what Mosquitto 2.1
has, and what is never opened."""
import os
import re
import signal
import socket
import subprocess
import time

from harness import PATIENCE, V5, V31, V311, CONNACK, PUBACK, Child, Raw, as_me, connect_packet, free_port, is_smqttd
from harness import main, program, skip, wait_until


def ports(n):
    found = set()
    while len(found) < n:
        found.add(free_port())
    return sorted(found)


class Served:
    """smqttd with a whole file of its own."""

    def __init__(self, helper, text, *flags):
        self.port = 0
        self.child = Child([program("smqttd"), "-c", helper.write("served.conf", text + "\n" + as_me()), *flags])
        self.child.wait_line(rb" running$")

    def at(self, port):
        self.port = port
        return Raw(self)

    def answer(self, port, version=V311, **fields):
        """The code in CONNACK."""
        fields.setdefault("client_id", "c")
        with self.at(port) as raw:
            raw.send(connect_packet(version, **fields))
            return raw.packet(kind=CONNACK).body[1]

    def stop(self):
        assert self.child.stop() == 0


def until_it_holds(what):
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return what()
        except AssertionError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def is_open(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except ConnectionRefusedError:
        return False


def refused(helper, text, *words, flags=()):
    """It does not start, and says why in one sentence with these words."""
    child = Child([program("smqttd"), "-c", helper.write("refused.conf", text), *flags])
    assert child.wait(30) == 1, child.text()
    last = child.lines[-1].decode()
    for word in words:
        assert word in last, "%s is not in: %s" % (word, last)


# --- Home Assistant -------------------------------------------------------------------------------------------------


def home_assistant(folder, plain, web, tls, web_tls, login):
    """The settings that the Mosquitto add-on of Home Assistant makes."""
    cert = "cafile %s/c.pem\ncertfile %s/c.pem\nkeyfile %s/k.pem\nrequire_certificate false\n" % ((folder,) * 3)
    return ("user root\nlog_dest stdout\nlog_type error\nlog_type warning\nlog_type notice\nlog_type information\n"
            "log_timestamp_format %%Y-%%m-%%d %%H:%%M:%%S\npersistence true\npersistence_location %s/\n"
            "max_queued_messages 8192\n%s\nlistener %d\nprotocol mqtt\n\nlistener %d\nprotocol websockets\n\n"
            "listener %d\nprotocol mqtt\n%s\nlistener %d\nprotocol websockets\n%s\ninclude_dir %s/share\n" %
            (folder, login, plain, web, tls, cert, web_tls, cert, folder))


PLUGIN = ("auth_plugin /usr/share/mosquitto/go-auth.so\nauth_plugin_deny_special_chars false\n"
          "auth_opt_backends files,http\nauth_opt_files_password_path /etc/mosquitto/pw\n"
          "auth_opt_files_acl_path /etc/mosquitto/acl\nauth_opt_http_host 127.0.0.1\nauth_opt_http_port 80\n")


def test_home_assistant(helper):
    plain, web, tls, web_tls = ports(4)
    os.mkdir(helper.folder + "/share")
    passwords = os.path.join(helper.folder, "pw")
    subprocess.run([program("smqtt"), "passwd", "-b", "-c", passwords, "addon", "secret"], check=True)
    # Its plugin decides who may do what: without it nothing is opened.
    refused(helper, home_assistant(helper.folder, plain, web, tls, web_tls, PLUGIN), ":11:", "auth_plugin",
            "password_file")
    served = Served(helper, home_assistant(helper.folder, plain, web, tls, web_tls, "password_file " + passwords))
    said = served.child.text()
    for line in ("listener on port %d is not opened because of protocol websockets" % web,
                 "listener on port %d is not opened because of certfile" % tls,
                 "listener on port %d is not opened because of keyfile" % tls,
                 "listener on port %d is not opened because of protocol websockets" % web_tls):
        assert line in said, "%s: %s" % (line, said)
    assert is_open(plain) and not is_open(web) and not is_open(tls) and not is_open(web_tls)
    assert served.answer(plain, user="addon", password="secret") == 0
    assert served.answer(plain, user="addon", password="wrong") in (4, 5)
    assert served.answer(plain) == 5
    served.stop()


# --- rights of listeners ------------------------------------------------------------------------------------------


def test_listeners_with_rights_of_their_own(helper):
    """One listener for anonymous readers, one for a user who may write; each with its ACL file."""
    passwords = os.path.join(helper.folder, "pw")
    subprocess.run([program("smqtt"), "passwd", "-b", "-c", passwords, "alice", "secret"], check=True)
    readers = helper.write("readers.acl", "topic read plant/#\n")
    writers = helper.write("writers.acl", "user alice\ntopic readwrite plant/#\n")
    for path in (readers, writers):
        os.chmod(path, 0o600)
    inside, outside = ports(2)
    served = Served(helper, "per_listener_settings true\nlistener %d 127.0.0.1\nallow_anonymous true\nacl_file %s\n"
                    "auto_id_prefix reader-\nlistener %d 127.0.0.1\npassword_file %s\nacl_file %s\n"
                    "allow_zero_length_clientid false\n" % (inside, readers, outside, passwords, writers))
    assert served.answer(outside) == 5
    assert served.answer(outside, client_id="", user="alice", password="secret") == 2
    with served.at(inside) as reader, served.at(outside) as writer, served.at(inside) as other:
        assert b"reader-" in reader.connect(V5, client_id="").body
        reader.subscribe("plant/#")
        writer.connect(V311, client_id="w", user="alice", password="secret")
        other.connect(V311, client_id="o")
        other.publish("plant/a", "not allowed", qos=1)
        writer.publish("plant/a", "allowed", qos=1)
        writer.publish("secret/a", "not allowed", qos=1)
        assert reader.packet().publish(V5)[:2] == (b"plant/a", b"allowed")
        reader.expect_nothing()
    served.stop()


def test_retained_messages_go_with_the_right_to_publish_them(helper):
    """check_retain_source: who may not publish any more is not heard of any more."""
    port = free_port()
    acl = helper.write("one.acl", "user alice\ntopic write news/#\ntopic read #\n")
    os.chmod(acl, 0o600)
    passwords = os.path.join(helper.folder, "pw")
    subprocess.run([program("smqtt"), "passwd", "-b", "-c", passwords, "alice", "secret"], check=True)
    subprocess.run([program("smqtt"), "passwd", "-b", passwords, "bob", "secret"], check=True)
    text = "listener %d 127.0.0.1\npassword_file %s\nacl_file %s\n" % (port, passwords, acl)
    served = Served(helper, text)
    with served.at(port) as raw:
        raw.connect(V311, client_id="a", user="alice", password="secret")
        raw.publish("news/1", "kept", qos=1, retain=True)
        raw.packet(kind=PUBACK)

    def is_heard(times):
        with served.at(port) as raw:
            raw.connect(V311, client_id="b", user="alice", password="secret")
            raw.subscribe("news/#")
            if times:
                assert raw.packet().publish(V311)[1] == b"kept"
            raw.expect_nothing()

    is_heard(1)
    helper.write("one.acl", "user alice\ntopic read #\n")
    served.child.process.send_signal(signal.SIGHUP)
    served.child.wait_line(rb"Reloaded")
    is_heard(0)
    helper.write("served.conf", text + "check_retain_source false\n")
    served.child.process.send_signal(signal.SIGHUP)
    served.child.wait_line(rb"Reloaded", count=2)
    is_heard(1)
    served.stop()


# --- Mosquitto 2.1 ------------------------------------------------------------------------------------------------


def test_what_2_1_has(helper):
    new, old, own = ports(3)
    text = ("allow_anonymous false\nglobal_max_connections 3\nglobal_max_clients 4\nretain_expiry_interval 60\n"
            "listener %d 127.0.0.1\nlistener_allow_anonymous true\naccept_protocol_versions 5\nmax_topic_alias 3\n"
            "max_topic_alias_broker 0\nlistener_auto_id_prefix new-\n"
            "listener %d 127.0.0.1\nlistener_allow_anonymous true\naccept_protocol_versions 3, 4\n"
            "listener %d 127.0.0.1\n" % (new, old, own))
    served = Served(helper, text)
    assert served.answer(new, V5) == 0 and served.answer(old, V311) == 0 and served.answer(old, V31) == 0
    assert served.answer(new, V311) == 1 and served.answer(new, V31) == 1 and served.answer(old, V5) == 0x84
    assert served.answer(own, V311) == 5

    def three_and_no_more():
        with served.at(new) as a, served.at(new) as b, served.at(old) as c:
            connack = a.connect(V5, client_id="")
            assert b"\x22\x00\x03" in connack.body and b"new-" in connack.body, connack
            b.connect(V5)
            c.connect(V311)
            with served.at(old) as d:
                d.send(connect_packet(V311, client_id="d"))
                assert not [p for p in d.expect_close() if p.body[1] == 0]

    until_it_holds(three_and_no_more)  # those that were refused count until their worker has let go of them
    served.stop()


def test_clients_that_are_away_count(helper):
    port = free_port()
    served = Served(helper, "listener %d 127.0.0.1\nallow_anonymous true\nglobal_max_clients 2\n" % port)
    with served.at(port) as raw:
        raw.connect(V311, client_id="stays", clean=False)
        raw.disconnect()
    with served.at(port) as raw:
        raw.connect(V311, client_id="second")
        assert served.answer(port, V311, client_id="third") == 3
        assert served.answer(port, V5, client_id="third") == 0x89
        assert served.answer(port, V311, client_id="stays", clean=True) == 0
    # Both are gone as soon as the workers have seen their connections end.
    wait_until(lambda: served.answer(port, V311, client_id="third") == 0, 30, "a third client may come")
    served.stop()


def test_identifiers(helper):
    named, begins = ports(2)
    text = "listener %d 127.0.0.1\nallow_anonymous true\nuse_username_as_clientid true\n" % named
    served = Served(helper, text)
    assert served.answer(named) == 5
    with served.at(named) as first, served.at(named) as second:
        first.connect(V5, client_id="a", user="alice")
        second.connect(V5, client_id="b", user="alice")
        assert first.expect_close()[-1].body[:1] == b"\x8e"
    served.stop()
    served = Served(helper, "clientid_prefixes plant-\nlistener %d 127.0.0.1\nallow_anonymous true\n" % begins)
    assert served.answer(begins, client_id="plant-1") == 0
    assert served.answer(begins, client_id="other-1") == 5
    served.stop()


# --- what is never opened -------------------------------------------------------------------------------------------


def test_less_protection_than_the_file_says(helper):
    plain, closed = ports(2)
    head = "allow_anonymous true\nlistener %d 127.0.0.1\nlistener %d 127.0.0.1\n" % (plain, closed)
    for line in ("certfile /x", "require_certificate true", "psk_hint x", "cafile /x", "enable_proxy_protocol 1",
                 "plugin_use x", "protocol websockets"):
        served = Served(helper, head + line)
        assert is_open(plain) and not is_open(closed), line
        assert "port %d is not opened" % closed in served.child.text(), line
        served.stop()
        refused(helper, "allow_anonymous true\nlistener %d 127.0.0.1\n%s\n" % (closed, line), "no listener is left",
                line.split(" ")[0])
        refused(helper, head + line, ":4:", flags=["--strict"])
        assert not is_open(closed)
    for line in ("plugin /x.so", "auth_plugin /x.so", "global_plugin /x.so"):
        refused(helper, head + line, line.split(" ")[0], "does not start")
    for line in ("password_file", "acl_file", "password_file /no/such/file", "acl_file /no/such/file"):
        refused(helper, head + line, line.split(" ")[-1])


def test_settings_go_with_their_listener(helper):
    """A file of include_dir begins above all listeners, and names are sorted without regard to case."""
    folder = os.path.join(helper.folder, "more")
    os.mkdir(folder)
    first, second = ports(2)
    for name, text in (("b.conf", "listener %d 127.0.0.1\nmax_qos 1\n" % second),
                       ("A.conf", "max_keepalive 10\n"), ("C.conf", "max_keepalive 30\n"),
                       ("a.conf", "max_keepalive 20\n"), ("x.config", "nonsense\n"), ("conf", "nonsense\n")):
        with open(os.path.join(folder, name), "w", encoding="ascii") as f:
            f.write(text)
    served = Served(helper, "allow_anonymous true\nlistener %d 127.0.0.1\ninclude_dir %s\nmax_qos 0\n" %
                    (first, folder))
    said = served.child.text()
    order = re.findall(r"more/(\w\.conf):1: max_keepalive was given before", said)
    assert order == ["a.conf", "C.conf"], said
    with served.at(first) as raw:
        assert b"\x24\x00" in raw.connect(V5).body
    with served.at(second) as raw:
        assert b"\x24\x01" in raw.connect(V5).body
    served.stop()
    with open(os.path.join(folder, "b.conf"), "w", encoding="ascii") as f:
        f.write("mount_point a\n")
    refused(helper, "listener %d\ninclude_dir %s\n" % (first, folder), "b.conf:1: mount_point belongs to a listener")


def test_a_dump_is_the_same_file(helper):
    passwords = helper.write("pw", "")
    os.chmod(passwords, 0o600)
    text = ("per_listener_settings true\nmax_inflight_bytes 64k\nlog_type all\nlog_dest stderr\n"
            "listener 1883\npassword_file %s\naccept_protocol_versions 4, 5\nlistener 0 %s/sock\nmax_qos 1\n"
            "listener 8883\ncertfile x\n" % (passwords, helper.folder))
    path = helper.write("first.conf", text)
    dump = [program("smqttd"), "--dump-config", "-c"]
    first = subprocess.run(dump + [path], check=True, capture_output=True, text=True)
    second = subprocess.run(dump + [helper.write("second.conf", first.stdout)], check=True, capture_output=True,
                            text=True)
    assert first.stdout == second.stdout and second.stderr == ""
    assert "listener 8883" not in first.stdout and "8883 is not opened" in first.stderr
    for line in ("max_inflight_bytes 65536", "listener 0 %s/sock" % helper.folder, "accept_protocol_versions 4, 5",
                 "password_file " + passwords):
        assert line in first.stdout.splitlines(), line


if not is_smqttd():
    skip("about smqttd alone")
main(test_home_assistant, test_listeners_with_rights_of_their_own,
     test_retained_messages_go_with_the_right_to_publish_them, test_what_2_1_has, test_clients_that_are_away_count,
     test_identifiers, test_less_protection_than_the_file_says, test_settings_go_with_their_listener,
     test_a_dump_is_the_same_file)
