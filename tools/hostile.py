#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Clients that no broker should have to bear, with nothing but sockets.

    hostile.py topic|will|client-id --port P          ill-formed UTF-8 there
    hostile.py header BYTE --port P                   a DETECT packet whose first byte is not a legal one
    hostile.py record --port P --out FILE             proxy on a free port (printed); keeps what a client sends
    hostile.py replay FILE --port P                   step 0 and the records of FILE, from another connection
    hostile.py relabel FILE BYTE --port P             step 0 of FILE, from the tunnel, with this first byte

Prints one line about what happened. Exit code 0: the broker ended the connection (replay and relabel: no session came
of it); 1: it did not; 3, with --foreign: it bore what ours does not. --host, --root: a broker elsewhere, and what its
topics begin with; --foreign: 3.1.1 is spoken.
"""
import argparse
import os
import socket
import sys

BAD = b"sensors/\xc3\x28"  # C3 announces a second byte that 28 is not
WAIT_S = 3.0
BORNE = 3  # exit code


def varint(n):
    out = bytearray()
    while True:
        n, byte = n >> 7, n & 0x7F
        out.append(byte | (0x80 if n else 0))
        if not n:
            return bytes(out)


def packet(header, body):
    return bytes([header]) + varint(len(body)) + body


def text(data):
    return len(data).to_bytes(2, "big") + data


class Speaker:
    """How version 4 (3.1.1) or 5 says things."""

    def __init__(self, version):
        self.version, self.no_props = version, b"\x00" if version == 5 else b""

    def connect(self, client_id, will_topic=None):
        """Clean start, keep-alive 60 s."""
        flags = 0x02 | (0x04 if will_topic else 0)
        body = text(b"MQTT") + bytes([self.version, flags]) + (60).to_bytes(2, "big") + self.no_props + text(client_id)
        if will_topic:
            body += self.no_props + text(will_topic) + text(b"gone")
        return packet(0x10, body)

    def publish(self, topic, payload):
        return packet(0x30, text(topic) + self.no_props + payload)

    def subscribe(self, topic):
        return packet(0x82, b"\x00\x01" + self.no_props + text(topic) + b"\x00")

    def read_publish(self, header, body):
        """(topic, payload)"""
        size = int.from_bytes(body[:2], "big")
        at = 2 + size + (2 if header & 6 else 0)
        if self.version == 5:
            at += 1 + body[at]  # what is recorded has fewer than 128 bytes of properties
        return body[2:2 + size], body[at:]


def split(data):
    """The whole packets at the start of a stream: (header, body)."""
    found = []
    while len(data) >= 2:
        size, shift, at = 0, 0, 1
        while at < len(data) and at < 5:
            size |= (data[at] & 0x7F) << shift
            shift += 7
            at += 1
            if not data[at - 1] & 0x80:
                break
        else:
            break
        if at + size > len(data):
            break
        found.append((data[0], data[at:at + size]))
        data = data[at + size:]
    return found


def receive(sock, until_closed, enough=None):
    """What comes until the end of the stream (True), or the time is over (False)."""
    data = b""
    sock.settimeout(WAIT_S if until_closed else 1.0)
    try:
        while not (enough and enough(data)):
            piece = sock.recv(65536)
            if not piece:
                return data, True
            data += piece
    except socket.timeout:
        pass
    except ConnectionError:
        return data, True
    return data, False


def said(data):
    """The reasons in what the broker answered."""
    words = []
    for header, body in split(data):
        if header == 0x20 and len(body) >= 2 and body[1]:
            words.append("CONNACK 0x%02X" % body[1])
        elif header == 0xE0:
            words.append("DISCONNECT 0x%02X" % (body[0] if body else 0))
    return ", ".join(words) if words else "no word"


def attack(args, first, then):
    with socket.create_connection((args.host, args.port), WAIT_S) as sock:
        sock.sendall(first)
        data = b""
        if then:
            data, closed = receive(sock, True, lambda d: bool(split(d)))
            if closed or not split(data) or split(data)[0][1][1:2] != b"\x00":
                print("no connection to attack from: %s" % said(data))
                return 1
            sock.sendall(then)
        data, closed = receive(sock, True)
    print("connection ended by the broker (%s)" % said(data) if closed else "the broker bore it")
    return 0 if closed else BORNE if args.foreign else 1


def record(args):
    """Until it is ended: a client may come again, in another version."""
    with socket.create_server(("127.0.0.1", 0)) as server, open(args.out, "wb") as log:
        print(server.getsockname()[1], flush=True)
        while True:
            client, _ = server.accept()
            log.seek(0)
            log.truncate()
            with client, socket.create_connection((args.host, args.port)) as broker:
                pump(client, broker, log)


def pump(client, broker, log):
    import selectors
    with selectors.DefaultSelector() as ready:
        ready.register(client, selectors.EVENT_READ, broker)
        ready.register(broker, selectors.EVENT_READ, client)
        while True:
            for key, _ in ready.select():
                data = key.fileobj.recv(65536)
                if not data:
                    return
                if key.fileobj is client:
                    log.write(data)
                    log.flush()
                key.data.sendall(data)


class Recording:
    """What one client sent: natively packets of DETECT, in the tunnel messages; (topic or None, bytes)."""

    def __init__(self, file):
        with open(file, "rb") as log:
            packets = split(log.read())
        first = packets[0][1]
        self.speaker = Speaker(first[2 + int.from_bytes(first[:2], "big")])
        said_in = [(header, *self.speaker.read_publish(header, body)) for header, body in packets if header >> 4 == 3]
        self.tunnel = [(topic, payload) for _, topic, payload in said_in if b"/c/" in topic and payload[:1] == b"\x01"]
        self.step0 = [body for header, body in packets if header == 0x01]
        self.records = [(topic, payload) for _, topic, payload in said_in if payload and 0x80 <= payload[0] <= 0xBF]


def talk(args, speaker, packets):
    """Connects and says it all; what came back until it was quiet."""
    with socket.create_connection((args.host, args.port), WAIT_S) as sock:
        sock.sendall(speaker.connect(b"eavesdropper-%d" % os.getpid()))
        receive(sock, True, lambda d: bool(split(d)))
        for each in packets:
            sock.sendall(each)
            if each[0] == 0x82:  # what answers must not come before it is heard
                receive(sock, True, lambda d: bool(split(d)))
        return receive(sock, False)[0]


def answers(speaker, data):
    """The first bytes of S-MQTT in what came back."""
    for header, body in split(data):
        if header >> 4 == 0:
            yield header
        elif header >> 4 == 3:
            _, payload = speaker.read_publish(header, body)
            yield payload[0] if payload else None


def say_answers(speaker, data, what):
    names = {0x02: "a hint (RETRY)", 0x04: "the old step 2", 0x0C: "the old step 2", 0x0E: "AN ACKNOWLEDGEMENT"}
    got = list(answers(speaker, data))
    words = [names[h] for h in got if h in names]
    print("answer to %s: %s; no session" % (what, ", ".join(dict.fromkeys(words)) if words else "none"))
    return 1 if 0x0E in got else 0


def replay(args):
    rec = Recording(args.value)
    if not rec.records or not (rec.step0 or rec.tunnel):
        print("the recording holds no step 0 or no sealed record")
        return 1
    speaker = rec.speaker
    records = b"".join(speaker.publish(topic, payload) for topic, payload in rec.records)
    if rec.step0:
        packets = [packet(0x01, rec.step0[0]), records]
    else:
        topic, payload = rec.tunnel[0]
        packets = [speaker.subscribe(topic.replace(b"/c/", b"/s/")), speaker.publish(topic, payload), records]
    return say_answers(speaker, talk(args, speaker, packets), "the replayed step 0")


def relabel(args):
    rec = Recording(args.value)
    topic, payload = rec.tunnel[0]
    header = int(args.byte, 0)
    packets = [rec.speaker.subscribe(topic.replace(b"/c/", b"/s/")),
               rec.speaker.publish(topic, bytes([header]) + payload[1:])]
    return say_answers(rec.speaker, talk(args, rec.speaker, packets), "0x%02X" % header)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["topic", "will", "client-id", "header", "record", "replay", "relabel"])
    parser.add_argument("value", nargs="?")
    parser.add_argument("byte", nargs="?")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--root", default="")
    parser.add_argument("--foreign", action="store_true")
    parser.add_argument("--out")
    args = parser.parse_args()
    speaker, bad = Speaker(4 if args.foreign else 5), args.root.encode() + BAD
    if args.what == "topic":
        return attack(args, speaker.connect(b"hostile"), speaker.publish(bad, b"boo"))
    if args.what == "will":
        return attack(args, speaker.connect(b"hostile", bad), b"")
    if args.what == "client-id":
        return attack(args, speaker.connect(BAD), b"")
    if args.what == "header":
        body = bytes([0xD1, 0x01]) + bytes(120)
        return attack(args, speaker.connect(b"hostile"), packet(int(args.value, 0), body))
    return {"record": record, "replay": replay, "relabel": relabel}[args.what](args)


if __name__ == "__main__":
    sys.exit(main())
