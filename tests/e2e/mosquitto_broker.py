# SPDX-License-Identifier: Apache-2.0
"""Debian's mosquitto with listeners of every kind, certificates made for the test, and a SOCKS5 proxy."""
import os
import select
import socket
import struct
import subprocess
import threading

from harness import Child, free_port
from smqtt_cli import folder

MOSQUITTO = "/usr/sbin/mosquitto"
PSK, PSK_NAME = "00a1b2c3d4", "client"


def openssl(where, *args):
    subprocess.run(["openssl", *args], cwd=where, check=True, capture_output=True)


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


class Certificates:
    """An authority `ca`, another one `other-ca`; certificates of servers and of a client: <name>.crt and <name>.key."""

    def __init__(self):
        self.folder = folder()
        os.chmod(self.folder, 0o755)
        for ca in ("ca", "other-ca"):
            openssl(self.folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=" + ca,
                    "-keyout", ca + ".key", "-out", ca + ".crt")
        self.make("server", "localhost", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        self.make("stranger", "elsewhere", "subjectAltName=DNS:elsewhere.example")
        self.make("address", "127.0.0.1")
        self.make("client", "client")
        self.make("expired", "localhost", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-days", "-1")
        os.mkdir(self["hashed"])
        os.link(self["ca.crt"], self["hashed/ca.crt"])
        openssl(self.folder, "rehash", self["hashed"])

    def make(self, name, common, extension=None, *more):
        openssl(self.folder, "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=" + common, "-keyout", name + ".key",
                "-out", name + ".csr")
        os.chmod(self[name + ".key"], 0o644)
        extra = ["-extfile", write(self[name + ".ext"], extension)] if extension else []
        openssl(self.folder, "x509", "-req", "-in", name + ".csr", "-CA", "ca.crt", "-CAkey", "ca.key",
                "-CAcreateserial", "-out", name + ".crt", *extra, *(more or ("-days", "30")))

    def __getitem__(self, name):
        return os.path.join(self.folder, name)


class Mosquitto:
    """It listens on `port` in plain, on `closed` for users alone, and, given certificates, on tls, mutual (asks for a
    client's certificate), stranger, address, expired, psk, and on the socket `unix`."""

    def __init__(self, certificates=None):
        self.folder = folder()
        os.chmod(self.folder, 0o777)  # it runs as a user of its own
        self.ports = {}
        lines = ["per_listener_settings true", "persistence false", "log_type all"]
        self.port = self.listener(lines, "plain", "allow_anonymous true")
        acl = write(os.path.join(self.folder, "acl"), "topic read allowed/#\n")
        self.listener(lines, "acl", "allow_anonymous true", "acl_file " + acl)
        self.listener(lines, "closed", "allow_anonymous false")
        if certificates:
            self.secure(lines, certificates)
        self.unix = os.path.join(self.folder, "socket")
        lines += ["listener 0 " + self.unix, "allow_anonymous true"]
        self.child = Child([MOSQUITTO, "-c", write(os.path.join(self.folder, "conf"), "\n".join(lines) + "\n")],
                           name="mosquitto")
        self.child.wait_line(rb" running$")

    def listener(self, lines, name, *settings):
        self.ports[name] = free_port()
        lines += ["listener %d 127.0.0.1" % self.ports[name], *settings]
        return self.ports[name]

    def secure(self, lines, c):
        for name, server in (("tls", "server"), ("mutual", "server"), ("stranger", "stranger"), ("address", "address"),
                             ("expired", "expired")):
            more = ["require_certificate true", "use_identity_as_username true"] if name == "mutual" else []
            self.listener(lines, name, "allow_anonymous true", "cafile " + c["ca.crt"],
                          "certfile " + c[server + ".crt"], "keyfile " + c[server + ".key"], *more)
        psk = write(os.path.join(self.folder, "psk"), "%s:%s\n" % (PSK_NAME, PSK))
        self.listener(lines, "psk", "allow_anonymous true", "psk_hint broker", "psk_file " + psk)

    def stop(self):
        self.child.stop()


class Recorder:
    """Keeps the first packet of each connection and closes it."""

    def __init__(self):
        self.packets = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.socket.accept()
            data = client.recv(4096)
            while len(data) < 2 or len(data) < 2 + data[1]:  # all are shorter than 128 bytes
                data += client.recv(4096)
            self.packets.append(data)
            client.close()


class Denier:
    """A broker of 3.1.1 that lets everybody in and refuses every subscription."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.socket.accept()
            with client:
                self.serve(client)

    @staticmethod
    def serve(client):
        while True:
            data = client.recv(4096)  # small packets, one at a time
            if not data or data[0] >> 4 == 14:
                return
            if data[0] >> 4 == 1:
                client.sendall(b"\x20\x02\x00\x00")
            elif data[0] >> 4 == 8:
                client.sendall(b"\x90\x03" + data[2:4] + b"\x80")


class Proxy:
    """SOCKS5 for CONNECT, by a thread each; `asked` is what was asked for."""

    def __init__(self, user=None, password=None, refuse=0):
        self.user, self.password, self.refuse, self.asked = user, password, refuse, []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.socket.accept()
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    @staticmethod
    def take(client, n):
        data = b""
        while len(data) < n:
            more = client.recv(n - len(data))
            if not more:
                raise ConnectionError
            data += more
        return data

    def serve(self, client):
        try:
            if self.greet(client):
                self.connect(client)
        except (OSError, ConnectionError):
            pass
        client.close()

    def greet(self, client):
        version, n = self.take(client, 2)
        methods = self.take(client, n)
        wanted = 2 if self.user else 0
        client.sendall(bytes([5, wanted if version == 5 and wanted in methods else 0xFF]))
        if wanted == 2 and wanted in methods:
            user = self.take(client, self.take(client, 2)[1])
            password = self.take(client, self.take(client, 1)[0])
            right = (user, password) == (self.user.encode(), self.password.encode())
            client.sendall(bytes([1, 0 if right else 1]))
            return right
        return wanted in methods

    def connect(self, client):
        kind = self.take(client, 4)[3]
        if kind == 3:
            host = self.take(client, self.take(client, 1)[0]).decode()
        else:
            host = socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6,
                                    self.take(client, 4 if kind == 1 else 16))
        port = struct.unpack(">H", self.take(client, 2))[0]
        self.asked.append((kind, host, port))
        client.sendall(bytes([5, self.refuse, 0, 1, 0, 0, 0, 0, 0, 0]))
        if self.refuse:
            return
        with socket.create_connection(("127.0.0.1" if host.endswith(".invalid") else host, port)) as broker:
            ends = {client: broker, broker: client}
            while True:
                for end in select.select(list(ends), [], [])[0]:
                    data = end.recv(65536)
                    if not data:
                        return
                    ends[end].sendall(data)
