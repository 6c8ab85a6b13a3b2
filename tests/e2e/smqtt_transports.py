# SPDX-License-Identifier: Apache-2.0
"""smqtt over TLS (certificates, and keys held by both sides), Unix sockets and SOCKS5 proxies: beside Mosquitto's
clients on Debian's broker, and sealed; what is not to be trusted is refused with one sentence."""
import os
import socket
import ssl
import subprocess
import threading
import time

from harness import Child, free_port, is_smqttd, main, program, skip
from mosquitto_broker import MOSQUITTO, PSK, PSK_NAME, Certificates, Mosquitto, Proxy
from smqtt_cli import Sub, folder, identity, sentence, smqtt

if not is_smqttd():
    skip("takes the brokers that it needs by itself")
if not os.path.exists(MOSQUITTO):
    skip("needs Debian's mosquitto")
CERTS = Certificates()
CA = ["--cafile", CERTS["ca.crt"]]
MINE = ["--cert", CERTS["client.crt"], "--key", CERTS["client.key"]]
KEY = ["--psk", PSK, "--psk-identity", PSK_NAME]


def theirs(*args):
    return subprocess.run(["mosquitto_pub", *args], capture_output=True, timeout=20, check=False)


def refused(*args):
    """Neither they nor we connect; ours says why in one sentence."""
    assert theirs("-t", "a", "-m", "x", *args).returncode != 0, args
    return sentence(smqtt("pub", "-t", "a", "-m", "x", *args, code=1)[1])


def over(*args):
    """Publishes and receives over such a connection, with their client and with ours."""
    done = theirs(*args, "-t", "t/theirs", "-m", "theirs", "-r", "-q", "1")
    assert done.returncode == 0, "%s: %r" % (args, done)
    smqtt("pub", *args, "-t", "t/ours", "-m", "ours", "-r", "-q", "2", "-V", "5")
    out = smqtt("sub", *args, "-t", "t/#", "-C", "2")[0]
    assert sorted(out.split()) == [b"ours", b"theirs"], out
    assert smqtt("rr", *args, "-t", "rr", "-e", "rr", "-m", "x", "-W", "5")[0] == b"x\n"


def test_certificates(_):
    broker = Mosquitto(CERTS)
    tls = ["-p", str(broker.ports["tls"])]
    for trust in (CA, ["--capath", CERTS["hashed"]]):
        over("-h", "localhost", *tls, *trust)
        over("-h", "127.0.0.1", *tls, *trust)
    over("-h", "localhost", *tls, *CA, "--tls-version", "tlsv1.3")
    over("-h", "localhost", *tls, *CA, "--tls-version", "tlsv1.2", "--ciphers", "ECDHE-RSA-AES128-GCM-SHA256")
    over("-h", "localhost", *tls, *CA, "--tls-alpn", "mqtt")
    over("-h", "127.0.0.1", "-p", str(broker.ports["address"]), *CA)  # an address as common name, and no other name
    over("-h", "localhost", "-p", str(broker.ports["stranger"]), *CA, "--insecure")
    over("-h", "localhost", "-p", str(broker.ports["mutual"]), *CA, *MINE, "--keyform", "pem")
    broker.stop()


def test_what_is_not_to_be_trusted(_):
    broker = Mosquitto(CERTS)
    host = ["-h", "localhost"]
    tls = [*host, "-p", str(broker.ports["tls"])]
    assert "not accepted" in refused(*tls, "--cafile", CERTS["other-ca.crt"])
    assert "not accepted" in refused(*tls, "--tls-use-os-certs")
    assert "expired" in refused(*host, "-p", str(broker.ports["expired"]), *CA)
    assert "expired" in refused(*host, "-p", str(broker.ports["expired"]), *CA, "--insecure")
    assert "'localhost'" in refused(*host, "-p", str(broker.ports["stranger"]), *CA)
    assert "'127.0.0.1'" in refused("-h", "127.0.0.1", "-p", str(broker.ports["stranger"]), *CA)
    assert "TLS" in refused(*host, "-p", str(broker.port), *CA)  # no TLS there
    assert "cipher" in refused(*tls, *CA, "--ciphers", "nonsense")
    refused(*tls, *CA, "--tls-version", "ssl3")
    # the broker wants a certificate: TLS 1.3 tells only after the handshake, if its word outruns the reset
    out, err = smqtt("pub", *host, "-p", str(broker.ports["mutual"]), *CA, "-t", "a", "-m", "x", "-q", "1", code=7)
    assert out == b"" and 1 <= err.count(b"\n") <= 2, err
    _, err = smqtt("sub", *host, "-p", str(broker.ports["mutual"]), *CA, "-t", "a", code=1)  # it does not try again
    assert b"--cert" in err, err
    refused(*host, "-p", str(broker.ports["mutual"]), *CA, "--cert", CERTS["client.crt"], "--key", CERTS["server.key"])
    broker.stop()


def test_wrong_flags(_):
    for args, word in ((["--cert", "x", *CA], "--key"), (["--key", "x", *CA], "--cert"), (MINE, "--cafile"),
                       (["--cafile", "/no/such"], "--cafile"), (["--tls-engine", "tpm2", *CA], "engine"),
                       (["--tls-engine-kpass-sha1", "00"], "engine"), ([*CA, *MINE, "--keyform", "engine"], "engine"),
                       ([*KEY, *CA], "--psk"), (["--psk", "zz", "--psk-identity", "a"], "hexadecimal"),
                       (["--psk", "aa"], "--psk-identity"), (["--psk-identity", "aa"], "--psk"),
                       ([*CA, "--tls-version", "ssl3"], "tlsv1.2"), ([*CA, "--ciphers", "none"], "ciphers"),
                       (["--proxy", "socks4://x"], "socks5h"), (["--unix", ""], "--unix"),
                       (["--unix", "x", "-S"], "-S"), (["-S", "-h", "no.such.invalid"], "SRV")):
        assert word in sentence(smqtt("pub", "-t", "a", "-m", "x", "-p", "1", *args, code=1)[1]), args


def test_keys_of_both_sides(_):
    broker = Mosquitto(CERTS)
    psk = ["-h", "localhost", "-p", str(broker.ports["psk"])]
    over(*psk, *KEY)
    over(*psk, *KEY, "--tls-version", "tlsv1.2")
    refused(*psk, "--psk", "aabb", "--psk-identity", PSK_NAME)
    refused(*psk, "--psk", PSK, "--psk-identity", "nobody")
    # who has a certificate instead of the key is not the broker
    sentence(smqtt("pub", "-h", "localhost", "-p", str(broker.ports["tls"]), *KEY, "-t", "a", "-m", "x", code=1)[1])
    broker.stop()


def test_unix_socket(_):
    broker = Mosquitto()
    over("--unix", broker.unix)
    refused("--unix", broker.unix + "-not")
    broker.stop()


def test_proxy(broker):
    for user, password, text in ((None, None, ""), ("me", "p:@%", "me:p%3A%40%25@"), ("me", "", "me@")):
        proxy = Proxy(user, password)
        url = "socks5h://%s127.0.0.1:%d" % (text, proxy.port)
        target = ["-p", str(broker.port), "-t", "proxied", "-m", "x", "-q", "1", "--proxy", url]
        smqtt("pub", "-h", "127.0.0.1", *target)
        smqtt("pub", "-h", "name.of.proxy.invalid", *target)  # the proxy looks names up
        assert proxy.asked == [(1, "127.0.0.1", broker.port), (3, "name.of.proxy.invalid", broker.port)]
    wrong = Proxy("me", "right")
    target = ["-h", "127.0.0.1", "-p", str(broker.port), "-t", "a", "-m", "x", "--proxy"]
    for url, word in (("me:wrong@127.0.0.1:%d" % wrong.port, "password"), ("127.0.0.1:%d" % wrong.port, "log in"),
                      ("127.0.0.1:%d" % Proxy(refuse=5).port, "refused"),
                      ("127.0.0.1:%d" % Proxy(refuse=2).port, "forbid"),
                      ("127.0.0.1:%d" % free_port(), "no connection"), ("127.0.0.1:%d" % broker.port, "SOCKS5")):
        assert word in sentence(smqtt("pub", *target, "socks5h://" + url, code=1, seconds=30)[1]), url


def test_proxy_and_tls(_):
    broker = Mosquitto(CERTS)
    proxy = Proxy()
    over("-h", "localhost", "-p", str(broker.ports["tls"]), *CA, "--proxy", "socks5h://127.0.0.1:%d" % proxy.port)
    assert len(proxy.asked) >= 4
    broker.stop()


def test_large_and_binary_over_tls(_):
    broker = Mosquitto(CERTS)
    tls = ["-h", "localhost", "-p", str(broker.ports["tls"]), *CA]
    data = os.urandom(3_000_000)
    for qos in "02":
        smqtt("pub", *tls, "-t", "big", "-s", "-r", "-q", qos, stdin=data)
        assert smqtt("sub", *tls, "-t", "big", "-C", "1", "-N", "-q", qos)[0] == data
    lines = b"".join(b"line %d\n" % i for i in range(3000))
    sub = Sub(broker, "-V", "5", "-t", "lines", "-q", "1")
    smqtt("pub", *tls, "-t", "lines", "-l", "-q", "1", stdin=lines)
    sub.expect(lines)
    broker.stop()


class Tls:
    """TLS in front of a plain broker."""

    def __init__(self, broker):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTS["server.crt"], CERTS["server.key"])
        self.listener = context.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True)
        self.port, self.broker = self.listener.getsockname()[1], broker
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                continue
            server = socket.create_connection(("127.0.0.1", self.broker.port))
            for ends in ((client, server), (server, client)):
                threading.Thread(target=self.copy, args=ends, daemon=True).start()

    @staticmethod
    def copy(source, sink):
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def test_sealed_over_tls(broker):
    """S-MQTT over TLS and a proxy: both ends through them."""
    where = folder()
    front = Tls(broker)
    private, public = identity(where, "server")
    proxy = ["--proxy", "socks5h://127.0.0.1:%d" % Proxy().port]
    sub = Sub(front, "-t", "s/#", *CA, *proxy, "-F", "%Z %p", identity=private)
    smqtt("pub", "-h", "127.0.0.1", "-p", str(front.port), *CA, *proxy, "-t", "s/1", "-m", "secret", "--to", public)
    sub.expect(b"PEER_ANON secret\n")


def test_connects_again_over_tls(_):
    """The subscriber outlives its broker, and pauses between its tries."""
    broker = Mosquitto(CERTS)
    tls = ["-h", "localhost", "-p", str(broker.ports["tls"]), *CA]
    sub = Sub(broker, "-t", "a", "-q", "1")  # in plain
    secure = Sub(type("At", (), {"port": broker.ports["tls"]}), "-t", "a", *CA)
    broker.stop()
    time.sleep(0.5)
    again = Child(broker.child.argv, name="mosquitto")
    again.wait_line(rb" running$")
    for each in (sub, secure):
        each.ready(None, times=2)
    smqtt("pub", *tls, "-t", "a", "-m", "again", "-q", "1")
    for each in (sub, secure):
        each.expect(b"again\n")
    again.stop()


def test_interrupted(_):
    """SIGTERM ends it while it waits for a broker that does not answer."""
    silent = socket.create_server(("127.0.0.1", 0))
    child = subprocess.Popen([program("smqtt"), "sub", "-h", "127.0.0.1", "-p", str(silent.getsockname()[1]), *CA,
                              "-t", "a"], stderr=subprocess.DEVNULL)
    time.sleep(0.5)
    child.terminate()
    assert child.wait(30) == 1


main(test_certificates, test_what_is_not_to_be_trusted, test_wrong_flags, test_keys_of_both_sides, test_unix_socket,
     test_proxy, test_proxy_and_tls, test_large_and_binary_over_tls, test_sealed_over_tls, test_connects_again_over_tls,
     test_interrupted)
