#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Clients that no broker should have to bear, with nothing but sockets.

    hostile.py topic|will|client-id --port P          ill-formed UTF-8 there
    hostile.py header BYTE --port P                   a DETECT packet whose first byte is not a legal one
    hostile.py record --port P --out FILE             proxy on a free port (printed); keeps what one client sends
    hostile.py replay FILE --port P                   step 0 and the records of FILE, from another connection

Prints one line about what happened. Exit code 0: the broker ended the connection (replay: no session came of it);
1: it did not.
"""
import argparse
import socket
import sys

BAD = b"sensors/\xc3\x28"  # C3 announces a second byte that 28 is not
WAIT_S = 3.0


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


def connect(client_id, will_topic=None):
    """CONNECT of version 5: clean start, keep-alive 60 s."""
    flags = 0x02 | (0x04 if will_topic else 0)
    body = text(b"MQTT") + bytes([5, flags]) + (60).to_bytes(2, "big") + b"\x00" + text(client_id)
    if will_topic:
        body += b"\x00" + text(will_topic) + text(b"gone")
    return packet(0x10, body)


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


def attack(port, first, then):
    with socket.create_connection(("127.0.0.1", port), WAIT_S) as sock:
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
    return 0 if closed else 1


def record(port, out):
    with socket.create_server(("127.0.0.1", 0)) as server, open(out, "wb") as log:
        print(server.getsockname()[1], flush=True)
        client, _ = server.accept()
        with client, socket.create_connection(("127.0.0.1", port)) as broker:
            pump(client, broker, log)
    return 0


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


def replay(port, file):
    with open(file, "rb") as log:
        packets = split(log.read())
    step0 = [body for header, body in packets if header == 0x01]
    records = [(header, body) for header, body in packets if header >> 4 == 3]
    if not step0 or not records:
        print("the recording holds no step 0 or no sealed record")
        return 1
    with socket.create_connection(("127.0.0.1", port), WAIT_S) as sock:
        sock.sendall(connect(b"eavesdropper"))
        receive(sock, True, lambda d: bool(split(d)))
        sock.sendall(packet(0x01, step0[0]))
        answer, _ = receive(sock, False)
        for header, body in records:
            sock.sendall(packet(header, body))
        more, _ = receive(sock, False)
    names = {0x02: "a hint (RETRY)", 0x04: "the old step 2", 0x0C: "the old step 2", 0x0E: "AN ACKNOWLEDGEMENT"}
    got = [header for header, _ in split(answer + more)]
    words = [names[h] for h in got if h in names]
    print("answer to the replayed step 0: %s; no session" % (", ".join(words) if words else "none"))
    return 1 if 0x0E in got else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["topic", "will", "client-id", "header", "record", "replay"])
    parser.add_argument("value", nargs="?")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--out")
    args = parser.parse_args()
    if args.what == "topic":
        return attack(args.port, connect(b"hostile"), packet(0x30, text(BAD) + b"\x00" + b"boo"))
    if args.what == "will":
        return attack(args.port, connect(b"hostile", BAD), b"")
    if args.what == "client-id":
        return attack(args.port, connect(BAD), b"")
    if args.what == "header":
        body = bytes([0xD1, 0x01]) + bytes(120)
        return attack(args.port, connect(b"hostile"), packet(int(args.value, 0), body))
    if args.what == "record":
        return record(args.port, args.out)
    return replay(args.port, args.value)


if __name__ == "__main__":
    sys.exit(main())
