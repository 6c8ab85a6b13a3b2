# SPDX-License-Identifier: Apache-2.0
"""smqttd as a program: how it starts, refuses to start, and ends."""
import os
import signal
import socket
import time

from harness import DISCONNECT, V31, V311, V5, Broker, Child, Raw, free_port, is_smqttd, main, mosquitto_pub, \
    mosquitto_sub, program, skip, wait_messages


def refused(broker_args, *words):
    """smqttd must end with an error whose last line is one sentence that has all the words."""
    # A broker that root starts becomes somebody else, and then the leak sanitizer cannot look at it.
    child = Child([program("smqttd"), *broker_args], env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
    code = child.wait(30)
    assert code not in (0, None) and code > 0, "it ended with %s" % code
    last = child.lines[-1].decode() if child.lines else ""
    assert last.endswith("."), "not a sentence: %r" % last
    for word in words:
        assert word in last, "no %r in: %s" % (word, last)
    return child


def test_signals_end_it():
    for sig in (signal.SIGTERM, signal.SIGINT):
        broker = Broker()
        with Raw(broker) as old, Raw(broker) as new, Raw(broker) as silent:
            old.connect(V31)
            new.connect(V5)
            assert broker.child.stop(sig) == 0, "it ended with %s" % broker.child.process.returncode
            assert old.expect_close() == []
            assert [(p.type, p.body[:1]) for p in new.expect_close()] == [(DISCONNECT, b"\x8b")]
            silent.expect_close()


def test_it_ends_although_a_client_does_not_read():
    broker = Broker()
    with Raw(broker, receive_buffer=4096) as slow, Raw(broker) as pub:
        slow.connect(V5)
        slow.subscribe("s")
        pub.connect(V5)
        for _ in range(50):
            pub.publish("s", bytes(100000))
        pub.is_healthy()
        assert broker.child.stop() == 0


def test_port_in_use(broker):
    port = str(broker.port)
    child = refused(["-p", port], port)
    assert len([line for line in child.lines if port.encode() in line]) == 1, "said more than once"
    mosquitto_pub(broker, "-t", "still", "-m", "served")


def test_port_is_free_again():
    port = free_port()
    for _ in range(3):
        child = Child([program("smqttd"), "-p", str(port)])
        child.wait_line(b"Opening ipv4 listen socket on port %d" % port)
        with socket.create_connection(("127.0.0.1", port), 2) as s:
            assert child.stop() == 0
            try:
                s.recv(1)
            except ConnectionResetError:
                pass  # it was not yet accepted


def test_only_this_machine(broker):
    """Without configuration it listens on the loop-back addresses alone."""
    with open("/proc/net/tcp", encoding="ascii") as f:
        mine = [line.split()[1] for line in f if line.split()[1].endswith(":%04X" % broker.port)
                and line.split()[3] == "0A"]
    assert set(mine) == {"0100007F:%04X" % broker.port}, mine


def test_bad_arguments():
    refused(["--no-such-option"], "no-such-option")
    refused(["-p", "70000"], "70000")
    refused(["-p", "x"], "x")
    refused(["-c", "/no/such/file.conf"], "/no/such/file.conf")
    for option in ("--help", "--version"):
        child = Child([program("smqttd"), option])
        assert child.wait(30) == 0 and "smqttd" in child.text(), option


def test_bad_configurations(broker):
    port = free_port()
    for text, words in (("alow_anonymous true", ("alow_anonymous", "allow_anonymous", ":2")),
                        ("\n\nmax_inflight_mesages 3", ("max_inflight_messages", ":4")),
                        ("max_inflight_messages many", ("max_inflight_messages", "many")),
                        ("max_qos 3", ("max_qos", "3")),
                        ("allow_anonymous perhaps", ("allow_anonymous", "perhaps")),
                        ("listener", ("listener",)),
                        ("listener 99999", ("99999",)),
                        ("password_file /etc/passwd", ("/etc/passwd:1:", "smqtt passwd")),
                        ("certfile x.pem", ("certfile",)),
                        ("plugin x.so", ("plugin",)),
                        ("mount_point a/#", ("mount_point", "a/#")),
                        ("include_dir /no/such/folder", ("/no/such/folder",)),
                        ("smqtt_identity /no/such/file", ("/no/such/file",))):
        path = broker.write("bad.conf", "listener %d 127.0.0.1\n%s\n" % (port, text))
        refused(["-c", path], *words)


def test_configuration(broker):
    """Directives do what they say."""
    folder = os.path.join(broker.folder, "conf.d")
    os.mkdir(folder)
    with open(os.path.join(folder, "more.conf"), "w", encoding="ascii") as f:
        f.write("auto_id_prefix more-\r\nmax_packet_size 1000\r\n")
    log = os.path.join(broker.folder, "log")
    other = Broker("# a comment\n\n  max_qos 1 # not 2\nlog_dest stderr\nlog_dest file %s\ninclude_dir %s" %
                   (log, folder))
    with Raw(other) as raw:
        connack = raw.connect(V5, client_id="")
        assert b"more-" in connack.body, connack
        assert b"\x24\x01" in connack.body, "maximum QoS"
        assert b"\x27\x00\x00\x03\xe8" in connack.body, "maximum packet size"
        raw.publish("t", bytes(1000))
        assert raw.expect_close()[-1].body[:1] == b"\x95"
    assert other.child.stop() == 0
    with open(log, encoding="utf-8") as f:
        assert "more-" in f.read()


def test_anonymous_clients_are_refused():
    port = free_port()
    path = os.path.join(os.environ.get("TMPDIR", "/tmp"), "smqtt-e2e-%d.conf" % port)
    with open(path, "w", encoding="ascii") as f:
        f.write("listener %d 127.0.0.1\n" % port)
    child = Child([program("smqttd"), "-c", path])
    child.wait_line(b"Opening ipv4 listen socket")
    os.unlink(path)
    code = {V311: 5, V5: 0x87}
    for version in (V311, V5):
        class At:
            pass

        At.port = port
        with Raw(At) as raw:
            try:
                raw.connect(version)
                raise RuntimeError("let in")
            except AssertionError:
                pass
            assert raw.expect_close() == []
        mosquitto_pub(At, "-t", "x", "-m", "x", version=version, code=code[version])
    assert child.stop() == 0


def test_reload(broker):
    """SIGHUP does not end it, nor a connection."""
    sub = mosquitto_sub(broker, "-t", "#", version=V5)
    broker.child.process.send_signal(signal.SIGHUP)
    broker.child.wait_line(rb"Nothing was reloaded")
    mosquitto_pub(broker, "-t", "after", "-m", "reload")
    wait_messages(sub, ["after|0|0|reload"])


if not is_smqttd():
    skip("about smqttd alone")
main(test_signals_end_it, test_it_ends_although_a_client_does_not_read, test_port_in_use, test_port_is_free_again,
     test_only_this_machine, test_bad_arguments, test_bad_configurations, test_configuration,
     test_anonymous_clients_are_refused, test_reload)
