# SPDX-License-Identifier: Apache-2.0
"""A broker that says yes to everything and sends whatever bytes a test wants."""
import socket
import threading

from harness import CONNACK, CONNECT, PINGREQ, PINGRESP, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, SUBSCRIBE, \
    UNSUBACK, UNSUBSCRIBE, V311, Packet, free_port, packet, props, read_varint


class FakeBroker:
    """Says yes to everything; who has subscribed is sent `script(version)`: packets, of QoS 1 and 2 at most WINDOW at a
    time, and one of QoS 0 only when all before it are done with. What the client answers is noted in `acks`."""

    WINDOW = 10

    def __init__(self, script):
        self.script, self.acks, self.connections = script, [], []
        self.port = free_port()
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def die(self):
        """As a program that crashes."""
        for each in [self.listener, *self.connections]:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # closed before
            each.close()

    def _talk(self, connection):
        try:
            self._answer(connection)
        except OSError:
            pass  # it is gone; what it did is in the lists
        connection.close()

    def _answer(self, connection):
        data, version, self.left, self.waiting = b"", V311, [], 0
        while True:
            more = connection.recv(65536)
            if not more:
                return
            data += more
            while len(data) > 1:
                try:
                    size, at = read_varint(data, 1)
                except IndexError:
                    break
                if len(data) < at + size:
                    break
                got = Packet(data[0], data[at:at + size])
                data = data[at + size:]
                if got.type == CONNECT:
                    version = got.body[6]
                    connection.sendall(self.connack(version))
                elif got.type == SUBSCRIBE:
                    connection.sendall(packet(SUBACK << 4, got.body[:2] + props(version) + b"\x00"))
                    self.left = list(self.script(version))
                    self._pump(connection)
                elif got.type in (PUBACK, PUBREC, PUBCOMP):
                    self.acks.append((got.type, int.from_bytes(got.body[:2], "big")))
                    if got.type == PUBREC:
                        connection.sendall(packet(PUBREL << 4 | 2, got.body[:2]))
                    else:
                        self.waiting -= 1
                        self._pump(connection)
                elif got.type == PUBLISH:
                    self.on_publish(connection, got, version)
                elif got.type == UNSUBSCRIBE:
                    connection.sendall(packet(UNSUBACK << 4, got.body[:2]))
                elif got.type == PINGREQ:
                    connection.sendall(packet(PINGRESP << 4))

    def on_publish(self, connection, got, _):
        if got.flags & 6:
            at = 2 + int.from_bytes(got.body[:2], "big")
            connection.sendall(packet(PUBACK << 4, got.body[at:at + 2]))

    def _pump(self, connection):
        while self.left and self.waiting < (self.WINDOW if self.left[0][0] & 6 else 1):
            each = self.left.pop(0)
            self.waiting += 1 if each[0] & 6 else 0
            connection.sendall(each)

    def connack(self, version):
        return packet(CONNACK << 4, b"\x00\x00" + props(version))
