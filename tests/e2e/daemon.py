# SPDX-License-Identifier: Apache-2.0
"""smqttd in the hands of an administrator: reload, background, systemd, log files, limits."""
import json
import os
import signal
import socket
import stat
import subprocess
import time

from harness import PATIENCE, PUBACK, V5, V311, Broker, Child, Raw, free_port, is_smqttd, main, mosquitto_pub, \
    program, skip, wait_until


def hup(broker, line):
    broker.child.process.send_signal(signal.SIGHUP)
    broker.child.wait_line(line)


def maximum_qos(broker):
    with Raw(broker) as raw:
        return b"\x24\x01" in raw.connect(V5).body


def rewrite(broker, text):
    broker.write("smqttd.conf", "listener %d\nallow_anonymous true\n%s\n" % (broker.port, text))


def test_reload_takes_the_new_values():
    broker = Broker("# nothing")
    with Raw(broker) as old:
        old.connect(V311, client_id="stays")
        assert not maximum_qos(broker)
        rewrite(broker, "max_qos 1")
        hup(broker, rb"Reloaded .*smqttd.conf")
        assert maximum_qos(broker)
        old.is_healthy()
        broker.write("smqttd.conf", "listener %d\nallow_anonymous false\n" % broker.port)
        broker.child.process.send_signal(signal.SIGHUP)
        broker.child.wait_line(rb"Reloaded", count=2)
        mosquitto_pub(broker, "-t", "x", "-m", "x", code=5)
        old.expect_close()  # who may not be here any more has to go, as with Mosquitto
    assert broker.child.stop() == 0


def test_reload_of_a_bad_file_changes_nothing():
    broker = Broker("max_qos 1")
    rewrite(broker, "max_qos 0\nmax_keepalve 5")
    hup(broker, rb"old configuration stays: .*smqttd.conf:4: .*max_keepalive")
    assert maximum_qos(broker)
    assert broker.child.stop() == 0


def test_log_file_is_opened_anew():
    folder = Broker("# only for its folder")
    log = os.path.join(folder.folder, "log")
    broker = Broker("log_dest stderr\nlog_dest file %s\nlog_timestamp_format [%%Y]" % log)
    os.rename(log, log + ".1")
    hup(broker, rb"Reloaded")
    wait_until(lambda: os.path.exists(log) and os.path.getsize(log) != 0, 30, "the line in the new file")
    with open(log, encoding="utf-8") as f:
        assert f.read().startswith("[%d]: Reloaded" % time.localtime().tm_year)
    with open(log + ".1", encoding="utf-8") as f:
        assert "starting" in f.read()
    assert stat.S_IMODE(os.stat(log).st_mode) & 0o007 == 0
    assert broker.child.stop() == 0 and folder.child.stop() == 0


def test_background(broker):
    port, pid_file = free_port(), os.path.join(broker.folder, "pid")
    path = broker.write("d.conf", "listener %d 127.0.0.1\nallow_anonymous true\npid_file %s\n" % (port, pid_file))
    subprocess.run([program("smqttd"), "-c", path, "-d"], check=True, timeout=PATIENCE, stderr=subprocess.DEVNULL)
    wait_until(lambda: os.path.exists(pid_file), 30, "the process id is written")
    with open(pid_file, encoding="ascii") as f:
        pid = int(f.read())
    try:
        # The port was open before the parent ended.
        socket.create_connection(("127.0.0.1", port), PATIENCE).close()
        assert os.getsid(pid) == pid
    finally:
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not os.path.exists(pid_file), 30, "it ended and removed its file")
    refused = subprocess.run([program("smqttd"), "-p", str(broker.port), "-d"], check=False,
                             timeout=PATIENCE, capture_output=True, text=True)
    assert refused.returncode == 1 and str(broker.port) in refused.stderr, "the parent says what is wrong"


def test_the_log_for_machines():
    broker = Broker("smqtt_log_format json\nlog_type notice\nlog_type information")
    mosquitto_pub(broker, "-i", "one \u00fc", "-u", "joe", "-t", "x", "-m", "x")
    seen = json.loads(broker.child.wait_line(rb'{.*"event":"connected".*').group(0))
    assert seen["level"] == "notice" and seen["client"] == "one \u00fc" and seen["user"] == "joe", seen
    assert seen["peer"].startswith("127.0.0.1:") and seen["message"].startswith("New client connected"), seen
    assert seen["time"].endswith("Z"), seen
    mosquitto_pub(broker, "-t", "x", "-m", "x", "-u", "j\"x\\n")
    assert json.loads(broker.child.wait_line(rb'{.*"user":"j[^o].*').group(0))["user"].startswith('j"x')
    assert broker.child.stop() == 0


def test_systemd_is_told(broker):
    path = os.path.join(broker.folder, "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(path)
        os.chmod(path, 0o777)
        s.settimeout(PATIENCE)
        child = Child([program("smqttd"), "-p", "0"], preexec=lambda: os.environ.update(NOTIFY_SOCKET=path))
        assert s.recv(100) == b"READY=1"
        assert child.stop() == 0
        assert s.recv(100) == b"STOPPING=1"


def test_limits_of_payloads():
    """message_size_limit judges the payload, of wills, too."""
    broker = Broker("message_size_limit 100")
    with Raw(broker) as sub, Raw(broker) as raw:
        sub.connect(V311)
        sub.subscribe("m")
        raw.connect(V5)
        raw.publish("m", bytes(101), qos=1, packet_id=7)
        assert raw.packet(kind=PUBACK).body[:3] == b"\x00\x07\x97"
        raw.publish("m", bytes(101))
        raw.publish("m", bytes(100), qos=1, packet_id=8)
        assert raw.packet(kind=PUBACK).body[:2] == b"\x00\x08"
        assert sub.packet().publish(V311)[1] == bytes(100)
        sub.expect_nothing()
    with Raw(broker) as raw:
        try:
            raw.connect(V5, will=("w", bytes(101), 0, False))
        except AssertionError as refused:
            assert "refused" in str(refused), refused
        else:
            raise AssertionError("its will was taken")
    assert broker.child.stop() == 0


def test_a_quiet_and_a_loud_one():
    port = free_port()
    quiet = Child([program("smqttd"), "-p", str(port), "-q"])
    wait_until(lambda: is_open(port), 30, "it listens")
    assert quiet.stop() == 0
    assert quiet.lines == [], quiet.text()
    both = Child([program("smqttd"), "-q", "-v"])
    assert both.wait(30) == 2 and len(both.lines) == 1, both.text()


def is_open(port):
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE).close()
        return True
    except ConnectionRefusedError:
        return False


def test_config_is_tested_and_dumped(broker):
    good = broker.write("good.conf", "listener 1884\nmax_qos 1\nconnection b\n")
    child = Child([program("smqttd"), "-c", good, "--test-config"])
    assert child.wait(30) == 0 and b"connection is left out" in child.lines[0], child.text()
    dump = subprocess.run([program("smqttd"), "-c", good, "--dump-config"], check=True, capture_output=True).stdout
    again = broker.write("again.conf", dump.decode())
    second = subprocess.run([program("smqttd"), "-c", again, "--dump-config"], check=True, capture_output=True).stdout
    assert dump == second and b"max_qos 1" in dump and b"listener 1884" in dump


def test_reload_opens_and_closes_listeners():
    """A new port and a Unix socket appear, the old port goes, and nobody who is connected is."""
    broker = Broker("# nothing")
    other, path = free_port(), os.path.join(broker.folder, "s.sock")
    with Raw(broker) as old:
        old.connect(V311, client_id="stays")
        broker.write("smqttd.conf", "allow_anonymous true\nlistener %d 127.0.0.1\nlistener 0 %s\n" % (other, path))
        hup(broker, rb"Reloaded")
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
        wait_until(lambda: not is_open(broker.port), 30, "the old port is closed")
        assert is_open(other)
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(path)
            s.sendall(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01u")
            assert s.recv(4) == b"\x20\x02\x00\x00"
        old.is_healthy()
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            broker.write("smqttd.conf", "listener %d 127.0.0.1\n" % taken.getsockname()[1])
            hup(broker, rb"old configuration stays: .*another program uses it")
        assert is_open(other)
        old.is_healthy()
    assert broker.child.stop() == 0 and not os.path.exists(path)


def test_signals_for_numbers():
    broker = Broker("pid_file %s" % os.path.join("/tmp", "smqtt-e2e-%d.pid" % os.getpid()))
    with open("/tmp/smqtt-e2e-%d.pid" % os.getpid(), encoding="ascii") as f:
        assert int(f.read()) == broker.child.process.pid
    broker.child.process.send_signal(signal.SIGUSR1)
    broker.child.wait_line(rb"nothing to write")
    broker.child.process.send_signal(signal.SIGUSR2)
    broker.child.wait_line(rb"Numbers of all workers: 0 connections")
    assert broker.child.stop() == 0 and not os.path.exists("/tmp/smqtt-e2e-%d.pid" % os.getpid())


def test_several_ports():
    ports = [free_port(), free_port()]
    child = Child([program("smqttd"), "-p", str(ports[0]), "--port", str(ports[1]), "--workers", "2"])
    child.wait_line(rb" running$")
    assert is_open(ports[0]) and is_open(ports[1])
    assert child.stop() == 0
    for flags in (["--tls-keylog", "x"], ["--workers", "0"], ["-p", "1"] * 11):
        wrong = Child([program("smqttd"), *flags])
        assert wrong.wait(30) == 2 and len(wrong.lines) == 1, wrong.text()


if not is_smqttd():
    skip("about smqttd alone")
main(test_reload_takes_the_new_values, test_reload_of_a_bad_file_changes_nothing, test_log_file_is_opened_anew,
     test_background, test_the_log_for_machines, test_systemd_is_told, test_limits_of_payloads,
     test_a_quiet_and_a_loud_one, test_config_is_tested_and_dumped, test_reload_opens_and_closes_listeners,
     test_signals_for_numbers,
     test_several_ports)
