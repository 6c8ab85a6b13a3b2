# SPDX-License-Identifier: Apache-2.0
"""Bytes that are not MQTT, or not now: they end their connection and nothing else."""
import os
import socket
import ssl
import time

from harness import CONNACK, PUBLISH, SUBACK, V31, V311, V5, Broker, Raw, connect_packet, is_smqttd, main, \
    mosquitto_sub, packet, props, publish_packet, string, subscribe_packet

VERSIONS = (V31, V311, V5)


def tls_hello():
    """The first flight of a TLS client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    try:
        context.wrap_bio(incoming, outgoing, server_hostname="example.com").do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def before_connect():
    yield "zero bytes", bytes(64)
    yield "ones", b"\xff" * 64
    yield "five-byte varint", b"\x10\xff\xff\xff\xff\x01"
    yield "varint without end", b"\x10\x80\x80\x80\x80"
    yield "huge PUBLISH", b"\x30\xff\xff\xff\x7f"
    yield "HTTP", b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"
    yield "HTTP post", b"POST /x HTTP/1.0\r\nContent-Length: 0\r\n\r\n"
    yield "TLS", tls_hello()
    yield "SSH", b"SSH-2.0-OpenSSH_9.2p1\r\n"
    yield "telnet", b"\xff\xfd\x18\xff\xfd\x20\r\nroot\r\n"
    yield "PUBLISH first", publish_packet(V311, "t", b"x")
    yield "SUBSCRIBE first", subscribe_packet(V311, "#")
    yield "PINGREQ first", b"\xc0\x00"
    yield "CONNACK", b"\x20\x02\x00\x00"
    yield "empty CONNECT", b"\x10\x00"
    good = connect_packet(V311, "c")
    yield "flags of the first byte", bytes([good[0] | 1]) + good[1:]
    yield "longer than its fields", packet(0x10, good[2:] + b"\x00")
    yield "shorter than its fields", packet(0x10, good[2:-1])
    yield "other protocol name", good.replace(b"MQTT", b"MQTX")
    yield "reserved connect flag", good[:9] + b"\x03" + good[10:]
    yield "will QoS 3", packet(0x10, string("MQTT") + b"\x04\x1e\x00\x3c" + string("c") + string("w") + string("x"))


def in_session(version):
    none = props(version)
    yield "second CONNECT", connect_packet(version, "again")
    yield "type 0 with flags", b"\x0f\x00"
    yield "five-byte varint", b"\x30\xff\xff\xff\xff\x01"
    yield "QoS 3", packet(0x36, string("t") + b"\x00\x01" + none)
    yield "topic with +", publish_packet(version, "a/+", b"x")
    yield "topic with #", publish_packet(version, "#", b"x")
    yield "topic longer than the packet", packet(0x30, b"\xff\xfft")
    yield "packet identifier 0", publish_packet(version, "t", b"x", qos=1, packet_id=0)
    yield "SUBSCRIBE without filter", packet(0x82, b"\x00\x01" + none)
    yield "SUBSCRIBE with QoS 3", subscribe_packet(version, "t", 3)
    yield "filter a#", subscribe_packet(version, "a#")
    yield "filter #/a", subscribe_packet(version, "#/a")
    yield "filter a+", subscribe_packet(version, "a+")
    yield "empty filter", subscribe_packet(version, "")
    yield "UNSUBSCRIBE without filter", packet(0xA2, b"\x00\x01" + none)
    yield "PINGREQ with a body", b"\xc0\x01\x00"
    yield "PINGRESP", b"\xd0\x00"
    yield "SUBACK", packet(0x90, b"\x00\x01" + none + b"\x00")
    if version != V31:
        yield "flags of SUBSCRIBE", b"\x80" + subscribe_packet(version, "t")[1:]
        yield "flags of PINGREQ", b"\xc1\x00"
    if version == V5:
        yield "unknown property", publish_packet(V5, "t", b"x", properties=b"\x7f\x00")
        yield "property twice", publish_packet(V5, "t", b"x", properties=b"\x01\x00\x01\x00")
        yield "topic alias 0", publish_packet(V5, "t", b"x", properties=b"\x23\x00\x00")
        yield "topic alias unknown", publish_packet(V5, "", b"x", properties=b"\x23\x00\x01")
        yield "topic alias too high", publish_packet(V5, "t", b"x", properties=b"\x23\xff\xff")
        yield "AUTH without method", b"\xf0\x00"
        yield "reserved bits of the options", subscribe_packet(V5, "t", 0xC0)
        yield "subscription identifier 0", subscribe_packet(V5, "t", properties=b"\x0b\x00")
    else:
        yield "AUTH", b"\xf0\x00"


# What Mosquitto 2.0.11 lets through.
LAX = ("varint without end", "topic alias unknown", "PINGREQ with a body", "flags of PINGREQ", "PINGRESP", "SUBACK",
       "flags of SUBSCRIBE", "longer than its fields", "AUTH without method", "type 0 with flags",
       "SUBSCRIBE with QoS 3", "QoS 3", "SUBSCRIBE without filter", "UNSUBSCRIBE without filter")


def ends(broker, what, data, version=None):
    if what in LAX and not is_smqttd():
        return
    try:
        with Raw(broker) as raw:
            if version:
                raw.connect(version, client_id="evil")
            raw.send(data)
            left = raw.expect_close()
            assert not [p for p in left if p.type not in (CONNACK, 14)], "it got %r" % left
            assert not [p for p in left if p.type == CONNACK and p.body[1] == 0], "it was let in"
    except AssertionError as fault:
        raise AssertionError("version %s, %s: %s" % (version, what, fault)) from fault


def test_what_is_not_mqtt(broker):
    sub = mosquitto_sub(broker, "-t", "#")
    for what, data in before_connect():
        ends(broker, what, data)
    end(broker, sub)


def test_what_is_not_allowed(broker):
    sub = mosquitto_sub(broker, "-t", "#")
    faults = []
    for version in VERSIONS:
        for what, data in in_session(version):
            try:
                ends(broker, what, data, version)
            except AssertionError as fault:
                faults.append(str(fault))
    assert not faults, "\n".join(faults)
    end(broker, sub)


def end(broker, sub):
    """The subscriber is still there and has got nothing else."""
    with Raw(broker) as raw:
        raw.connect(V311)
        raw.publish("end", b"1")
        raw.is_healthy()
    sub.wait_line(rb"^MSG end")
    assert len([line for line in sub.lines if line.startswith(b"MSG ")]) == 1, "it got more"


def test_a_huge_length_costs_no_memory(broker):
    """A CONNECT that announces 256 MB: closed, or at least nothing is set aside for it."""

    def resident():
        with open("/proc/%d/statm" % broker.child.process.pid, encoding="ascii") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before, raws = resident(), []
    for _ in range(20):
        raw = Raw(broker)
        raw.send(b"\x10\xff\xff\xff\x7f\x00\x04MQTT\x04\x02\x00\x3c\xff\xff" + bytes(1000))
        raws.append(raw)
    time.sleep(0.2)
    assert resident() - before < 20 << 20, "%d bytes more" % (resident() - before)
    for raw in raws:
        if is_smqttd():
            raw.expect_close()
        raw.close()


def test_single_bytes(broker):
    """However the stream is cut, it means the same."""
    for version in VERSIONS:
        with Raw(broker) as raw:
            raw.version = version
            for part in (connect_packet(version, "slow"), subscribe_packet(version, "s"),
                         publish_packet(version, "s", b"x" * 200)):
                for i in range(len(part)):
                    raw.send(part[i:i + 1])
                    if i % 16 == 0:
                        time.sleep(0.001)
            assert raw.packet(kind=CONNACK).body[1] == 0
            raw.packet(kind=SUBACK)
            assert raw.packet(kind=PUBLISH).publish(version)[:2] == (b"s", b"x" * 200)


def test_all_at_once(broker):
    for version in VERSIONS:
        with Raw(broker) as raw:
            raw.version = version
            raw.send(connect_packet(version, "fast") + subscribe_packet(version, "f") +
                     b"".join(publish_packet(version, "f", b"%d" % i) for i in range(1000)))
            raw.packet(kind=CONNACK)
            raw.packet(kind=SUBACK)
            for i in range(1000):
                assert raw.packet(kind=PUBLISH).publish(version)[1] == b"%d" % i


def test_half_packets(broker):
    sub = mosquitto_sub(broker, "-t", "#")
    whole = publish_packet(V311, "half", b"x" * 100)
    for cut in (1, 2, 5, 50, len(whole) - 1):
        raw = Raw(broker)
        raw.connect(V311)
        raw.send(whole[:cut])
        raw.close()
    for cut in range(1, 14):
        raw = Raw(broker)
        raw.send(connect_packet(V311, "")[:cut])
        raw.close()
    end(broker, sub)


def test_half_closed(broker):
    """A client that only ends its own direction is let go; nothing spins."""
    raws = []
    for version in VERSIONS:
        for data in (b"", connect_packet(version, "half%d" % version)):
            raw = Raw(broker)
            raw.send(data)
            raw.socket.shutdown(socket.SHUT_WR)
            raws.append(raw)
    before = broker.cpu_seconds()
    for raw in raws:
        raw.expect_close()
    time.sleep(0.3)
    assert broker.cpu_seconds() - before < 0.2, "it spins"


def test_reset_with_output_waiting(broker):
    for version in VERSIONS:
        with Raw(broker) as pub:
            pub.connect(version)
            raw = Raw(broker, receive_buffer=4096)
            raw.connect(version, client_id="reset")
            raw.subscribe("r", 1)
            for _ in range(20):
                pub.publish("r", bytes(100000), qos=1)
                assert pub.packet().type == 4
            raw.reset()
            pub.is_healthy()


def test_silence_before_connect():
    broker = Broker("smqtt_connect_timeout 1")
    with Raw(broker) as silent, Raw(broker) as half:
        half.send(connect_packet(V311, "half")[:-1])
        silent.expect_close()
        half.expect_close()
    assert broker.child.stop() == 0


def test_refused_versions(broker):
    for level, name in ((6, "MQTT"), (0, "MQTT"), (3, "MQTT"), (4, "MQIsdp")):
        with Raw(broker) as raw:
            raw.send(packet(0x10, string(name) + bytes([level]) + b"\x02\x00\x3c" + string("v")))
            left = raw.expect_close()
            assert not [p for p in left if p.type != CONNACK or p.body[1] == 0], (level, name, left)


main(test_what_is_not_mqtt, test_what_is_not_allowed, test_a_huge_length_costs_no_memory, test_single_bytes,
     test_all_at_once, test_half_packets, test_refused_versions,
     test_half_closed, test_reset_with_output_waiting,
     *([test_silence_before_connect] if is_smqttd() else []))
