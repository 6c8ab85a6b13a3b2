# SPDX-License-Identifier: Apache-2.0
"""The configuration files that Debian's package of Mosquitto brings: the one it is started with, and the example with
each of its commented directives in force in turn. Both are read from the installed package."""
import gzip
import os
import re
import subprocess

from harness import as_me, V5, Child, Raw, free_port, is_smqttd, main, program, skip, wait_until

START = "/etc/mosquitto/mosquitto.conf"
EXAMPLE = "/usr/share/doc/mosquitto/examples/mosquitto.conf"
# What is written behind the name alone, or stands for something.
VALUES = {"persistent_client_expiration": "2m", "socket_domain": "ipv4", "bind_interface": "lo", "mount_point": "m",
          "use_username_as_clientid": "true", "websockets_headers_size": "512", "ciphers": "HIGH", "log_facility": "3",
          "ciphers_tls1.3": "TLS_AES_256_GCM_SHA384", "log_timestamp_format": "%Y", "clientid_prefixes": "plant-",
          "psk_hint": "hint", "connection": "elsewhere", "address": "broker.example:1883", "topic": "# both 0",
          "user": "mosquitto", "bridge_alpn": "mqtt", "bridge_identity": "me", "bridge_psk": "0102",
          "local_clientid": "here", "remote_clientid": "there", "remote_username": "u", "remote_password": "p",
          "notification_topic": "n", "bridge_bind_address": "127.0.0.1", "auth_plugin": "/usr/lib/plugin.so"}
PATHS = ("pid_file", "http_dir", "certfile", "keyfile", "crlfile", "dhparamfile", "cafile", "capath", "psk_file",
         "persistence_location", "bridge_cafile", "bridge_capath", "bridge_certfile", "bridge_keyfile", "include_dir",
         "password_file", "acl_file")
# Without these the listener above would be open to more than the file says.
PROTECT = {"certfile", "keyfile", "ciphers", "ciphers_tls1.3", "crlfile", "dhparamfile", "cafile", "capath", "psk_hint",
           "psk_file"}
# Named, because this version has no TLS, bridges, plugins, websockets.
NAMED = re.compile(r"bridge_|local_|remote_|http_dir|websockets_|connection$|address$|topic$|"
                   r"cleansession|idle_timeout|keepalive_interval|notification|restart_timeout|round_robin|start_type|"
                   r"threshold|try_private")
# In the example with the value that says what is so anyhow.
SILENT = {"websockets_log_level"}
# How sockets are opened: named, too, where they cannot be opened so.
SOCKETS = {"socket_domain", "bind_interface"}


def read(path):
    if os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            return f.read()
    if os.path.exists(path + ".gz"):
        with gzip.open(path + ".gz", "rt", encoding="utf-8") as f:
            return f.read()
    return skip("%s is not installed" % path)


def test_debian_as_installed(helper):
    """pid_file, persistence, a log file and conf.d, with a listener in conf.d."""
    text, folder = read(START), helper.folder
    for path in re.findall(r"^(?:pid_file|persistence_location|log_dest file|include_dir) (\S+)", text, re.M):
        text = text.replace(path, folder + "/start" + path)
        os.makedirs(folder + "/start" + os.path.dirname(path), exist_ok=True)
    conf_d = re.search(r"^include_dir (\S+)", text, re.M).group(1)
    os.makedirs(conf_d, exist_ok=True)
    port = free_port()
    with open(os.path.join(conf_d, "local.conf"), "w", encoding="ascii") as f:
        f.write("listener %d 127.0.0.1\nallow_anonymous true\n" % port)
    with open(os.path.join(conf_d, "README"), "w", encoding="ascii") as f:
        f.write("this is not a configuration\n")
    child = Child([program("smqttd"), "-c", helper.write("start.conf", text + as_me())])
    log = re.search(r"^log_dest file (\S+)", text, re.M).group(1)
    helper.port = port
    wait_until(lambda: os.path.exists(log) and "running" in read(log), 30, "it runs, and says so in its log")
    with Raw(helper) as raw:
        raw.connect(V5)
        raw.is_healthy()
    assert child.stop() == 0
    stored = re.search(r"^persistence_location (\S+)", text, re.M).group(1)
    assert os.path.isdir(os.path.join(stored, "smqtt.store")), os.listdir(stored)


def value_of(name, given, folder):
    if name in PATHS:
        path = os.path.join(folder, name)
        if name == "password_file" and not os.path.exists(path):
            subprocess.run(["mosquitto_passwd", "-b", "-c", path, "alice", "secret"], check=True)
        elif name == "include_dir":
            os.makedirs(path, exist_ok=True)
        elif not os.path.exists(path):
            with open(path, "w", encoding="ascii") as f:
                f.write("topic read #\n" if name == "acl_file" else "")
            os.chmod(path, 0o600)
        return path
    if name == "listener":
        return str(free_port())
    return VALUES.get(name, given)


def examples(folder):
    """(name, the whole example with this directive in force) for each that stands behind a '#'."""
    text = read(EXAMPLE)
    for found in re.finditer(r"^#([a-z_]+(?:1\.3)?)(?: (.*))?$", text, re.M):
        name = found.group(1)
        value = value_of(name, found.group(2) or "", folder)
        yield name, text[:found.start()] + name + " " + value + text[found.end():]


def tried(helper, text, *more):
    path = helper.write("example.conf", text)
    done = subprocess.run([program("smqttd"), "-c", path, "--test-config", *more], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode, done.stdout


def test_example_one_by_one(helper):
    seen = set()
    for name, text in examples(helper.folder):
        head = "" if name == "per_listener_settings" else "listener %d\n" % free_port()
        code, out = tried(helper, head + "listener %d\n" % free_port() + text)
        strict, _ = tried(helper, head + "listener %d\n" % free_port() + text, "--strict")
        what = "%s: %d, %s" % (name, code, out)
        if name == "auth_plugin":
            assert code == 1 and "auth_plugin would protect the broker" in out, what
        elif name in PROTECT:
            assert code == 0 and strict == 1, what
            assert "is not opened because of %s" % name in out, what
            alone, why = tried(helper, "listener %d\n" % free_port() + text)
            assert alone == 1 and "no listener is left" in why, why
        elif name in SOCKETS:
            assert code == 0 or "but this version" in out, what
        elif NAMED.match(name) and name not in SILENT:
            assert code == 0 and strict == 1 and "%s is left out" % name in out, what
        else:
            assert code == 0 and strict == 0 and "Warning" not in out, what
        seen.add(name)
    assert len(seen) > 85, sorted(seen)


def test_example_all_at_once(helper):
    """Every directive of the example that is ours, in force together, and the broker serves."""
    skipped = PROTECT | SILENT | SOCKETS | {"auth_plugin", "listener", "clientid_prefixes", "use_username_as_clientid",
                                  "password_file", "acl_file", "user"}
    lines = []
    for found in re.finditer(r"^#([a-z_]+)(?: (.*))?$", read(EXAMPLE), re.M):
        name = found.group(1)
        again = name != "log_type" and "%s " % name in "\n".join(lines)
        if name not in skipped and not NAMED.match(name) and not again:
            lines.append("%s %s" % (name, value_of(name, found.group(2) or "", helper.folder)))
    first = [line for line in lines if line.startswith("per_listener_settings")]
    text = "\n".join(first + ["listener %d 127.0.0.1" % free_port(), "listener_allow_anonymous true"] +
                     [line for line in lines if line not in first])
    helper.port = int(re.search(r"^listener (\d+)", text, re.M).group(1))
    child = Child([program("smqttd"), "-c", helper.write("all.conf", text)])
    child.wait_line(rb" running$")
    with Raw(helper) as raw:
        raw.connect(V5)
        raw.is_healthy()
    assert child.stop() == 0


if not is_smqttd():
    skip("about smqttd alone")
read(START)
read(EXAMPLE)
main(test_debian_as_installed, test_example_one_by_one, test_example_all_at_once)
