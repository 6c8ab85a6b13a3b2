# SPDX-License-Identifier: Apache-2.0
"""A broker that does what a test tells it, for tests of our client: `smqtt pub` and `smqtt sub` connect to it."""
import socket

import wire
from wire import CONNECT, SUBSCRIBE, harness

NAMES = {3: "31", 4: "311", 5: "5"}


class Link(harness.Raw):
    """The server's end of one connection."""

    def __init__(self, sock, version):
        self.socket, self.buffer, self.version = sock, b"", version
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def see(self, kind=None, seconds=harness.PATIENCE):
        found = self.packet(seconds, kind)
        return found and wire.Seen(found, self.version)

    def accept(self, session_present=0, **named):
        """Takes CONNECT and answers it. The CONNECT."""
        found = self.see(CONNECT)
        self.send(wire.connack(self.version, 0, session_present, **named))
        return found

    def take_subscribe(self):
        found = self.see(SUBSCRIBE)
        self.send(wire.suback(self.version, found.id, *[o & 3 for _, o in found.filters]))
        return found

    def at_end(self, seconds=harness.PATIENCE):
        """What comes until the client closes."""
        return [wire.Seen(p, self.version) for p in self.expect_close(seconds)]


class Server:
    def __init__(self, version):
        self.version, self.children = version, []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.settimeout(harness.PATIENCE)
        self.port = self.socket.getsockname()[1]

    def run(self, command, *args, stdin=None):
        """Starts `smqtt pub|sub` towards this server."""
        argv = [harness.program("smqtt"), command, "-h", "127.0.0.1", "-p", str(self.port), "-V",
                NAMES[self.version], *args]
        child = harness.Child(argv, stdin=stdin, name="smqtt")
        self.children.append(child)
        return child

    def link(self):
        return Link(self.socket.accept()[0], self.version)

    def pub(self, *args, stdin=None, **connack):
        """smqtt pub, connected and answered."""
        self.run("pub", *args, stdin=stdin)
        link = self.link()
        link.connect = link.accept(**connack)
        return link

    def sub(self, *args, **connack):
        self.run("sub", *args)
        link = self.link()
        link.connect = link.accept(**connack)
        link.subscribe = link.take_subscribe()
        return link

    def close(self):
        for child in self.children:
            child.kill()
        self.socket.close()
