# SPDX-License-Identifier: Apache-2.0
"""Keys that are void: lists of servers and clients, at their start and while they run, the owner's word on the broker.
Through smqttd and through mosquitto's tunnel."""
import os
import re
import signal
import subprocess

from harness import Broker, as_me, main, program, wait_until
from keys_scene import Lines, Place, descriptor, fingerprint, has, read, retain, skid, through_both, write
from smqtt_cli import Sub, address, folder, identity, sentence, smqtt


@through_both
def test_revocation(p):
    private, public = identity(p.where, "server")
    device, device_pub = identity(p.where, "device")
    gone, gone_pub = identity(p.where, "gone")
    out, err = smqtt("id", "revoke", device, "--reason", "lost")
    has(err.decode(), "--revoked")
    lost = write(p.path("revoked"), "# lost on the train\n%s the red one\n%s\n" % (out.decode().strip(),
                                                                                  fingerprint(gone_pub)))
    server = Sub(p.broker, "-t", "s/#", "--revoked", lost, identity=private)
    p.pub(public, "anonymous")
    for one, pub, why in ((device, device_pub, r"on 20\d\d-\d\d-\d\d \d\d:\d\d UTC, its keys were lost or stolen"),
                          (gone, gone_pub, "by its fingerprint, on our list")):
        p.pub(public, "no", "--identity", one, code=2)
        has(server.errors().decode(), "refused: '%s' \\(%s\\) was revoked %s: enrol its new identity" % (
            os.path.basename(one)[:-3], fingerprint(pub), why))
    server.expect(b"anonymous\n")
    # The client's own list: its server, and itself.
    has(sentence(p.pub(public, "no", "--identity", device, "--revoked", lost, code=1).encode()), "'device' .* revoked")
    own, _ = smqtt("id", "revoke", private, "--reason", "superseded", "--broker-form", p.path("form"))
    mine = write(p.path("mine"), own.decode())
    has(sentence(p.pub(public, "no", "--revoked", mine, code=1).encode()), "'server' .* superseded by another")
    has(sentence(p.id("check", public, "--revoked", mine, code=1).encode()), "'server' .* superseded by another")
    _, err = smqtt("sub", *address(p.broker), "-t", "x", "--identity", private, "--revoked", mine, code=1)
    has(sentence(err), "'server' .* was revoked")
    bad = write(p.path("bad"), "\nnonsense\n")
    has(sentence(p.pub(public, "no", "--revoked", bad, code=1).encode()), "bad, line 2 is neither")
    # The owner lets the broker say so: clients without any list learn it.
    retain(p.broker, "smqtt1/%s/d" % skid(public), p.path("form"))
    learner = Place(p.broker)
    learner.id("trust", public)
    has(learner.pub("server", "no", code=2), "has revoked its keys", "new public line")
    # Who has learned it keeps it: the broker may tell something else tomorrow, and another file have the same keys.
    retain(p.broker, "smqtt1/%s/d" % skid(public), descriptor(public))
    for to in ("server", public):
        has(sentence(learner.pub(to, "no", code=1).encode()), "'server' .* was revoked .*superseded by another")
    has(learner.id("known"), "version 1, revoked$")
    has(sentence(learner.id("check", public, code=1).encode()), "was revoked")
    assert os.stat(learner.known[1] + ".revoked").st_mode & 0o777 == 0o600
    Place(p.broker).pub(public, "anonymous")  # it has not been told
    server.expect(b"anonymous\nanonymous\n")
    retain(p.broker, "smqtt1/%s/d" % skid(public), p.path("form"))
    has(p.pub(public, "no", code=2), "has revoked its keys", "new public line")
    server.expect(b"anonymous\nanonymous\n")


@through_both
def test_revoked_while_the_server_runs(p):
    private, public = identity(p.where, "server")
    device, device_pub = identity(p.where, "device")
    listed = write(p.path("revoked"), "")
    server = Sub(p.broker, "-t", "s/#", "--revoked", listed, identity=private)
    lasting = Lines(p.broker, public, "--identity", device)
    lasting.line("one")
    server.expect(b"one\n")

    def again(text, *parts):
        write(listed, text)
        server.child.process.send_signal(signal.SIGHUP)
        for part in parts:
            wait_until(lambda: re.search(part, server.errors().decode()), 30, part)

    again("nonsense\n", "the revocation lists stay as they were: .*revoked, line 1 is neither")
    lasting.line("two")
    server.expect(b"one\ntwo\n")
    again(fingerprint(device_pub) + "\n", "the revocation lists were read again",
          r"the session of 'device' was closed: 'device' \(.*\) was revoked by its fingerprint")
    lasting.line("no")
    lasting.ends(2, "the server knows this client's identity, or lack of one, and refuses it")
    p.pub(public, "no", "--identity", device, code=2)
    p.pub(public, "anonymous")
    server.expect(b"one\ntwo\nanonymous\n")
    again("", "read again")
    p.pub(public, "pardoned", "--identity", device)
    server.expect(b"one\ntwo\nanonymous\npardoned\n")
    # Its own keys: it must not go on.
    own, _ = smqtt("id", "revoke", private)
    again(own.decode())
    assert server.child.process.wait(30) == 1
    has(server.errors().decode(), "'server' .* was revoked")
    _, err = smqtt("sub", *address(p.broker), "-t", "x", "--revoked", listed, code=1)
    has(sentence(err), "--revoked belong to a server")


def test_revocation_made_in_time():
    """The statement is made with the keys and kept apart: it works when they are lost."""
    p = Place()
    _, public = identity(p.where, "server", "--revocation", p.path("server.rev"))
    assert os.stat(p.path("server.rev")).st_mode & 0o777 == 0o600
    os.remove(p.path("server.id"))
    has(p.id("check", public, "--revoked", p.path("server.rev"), code=1), "was revoked")
    has(sentence(p.id("revoke", public, code=1).encode()), "only the public half")
    has(sentence(p.id("revoke", public, "--reason", "tired", code=1).encode()), "'tired' is no reason: say lost")


def test_own_identity_of_the_broker():
    where = folder()
    os.chmod(where, 0o755)
    private, public = identity(where, "broker")
    device, device_pub = identity(where, "device")
    secret = write(os.path.join(where, "secret"), "open sesame\n")
    revoked = write(os.path.join(where, "revoked"), "", 0o644)
    smqtt("id", "lock", private, "--passphrase-file", secret)
    conf = os.path.join(where, "conf")

    def fails(*lines):
        write(conf, "listener 0 127.0.0.1\nsmqtt_identity %s\n%s%s\n" % (private, as_me(), "\n".join(lines)))
        done = subprocess.run([program("smqttd"), "-c", conf], capture_output=True, check=False, timeout=60)
        assert done.returncode != 0
        return done.stderr.decode()

    has(fails(), "locked with a passphrase, and nobody is there to be asked: .*smqtt_identity_passphrase_file")
    wrong = write(os.path.join(where, "wrong"), "x\n")
    has(fails("smqtt_identity_passphrase_file " + wrong), "does not open with this passphrase")
    out, _ = smqtt("id", "revoke", private, "--passphrase-file", secret)
    mine = write(os.path.join(where, "mine"), out.decode())
    has(fails("smqtt_identity_passphrase_file " + secret, "smqtt_revoked " + mine),
        "cannot be used: 'broker' .*revoked")
    has(fails("smqtt_identity_passphrase_file " + secret, "smqtt_revoked " + wrong), "wrong, line 1 is neither")

    broker = Broker("smqtt_identity %s\nsmqtt_identity_passphrase_file %s\nsmqtt_revoked %s\nallow_anonymous true\n%s" %
                    (private, secret, revoked, as_me()))
    sub = Sub(broker, "-t", "s/#")
    lasting = Lines(broker, public, "--identity", device)
    other = Lines(broker, public)
    lasting.line("one")
    sub.expect(b"one\n")
    out, _ = smqtt("id", "revoke", device, "--reason", "stolen")
    write(revoked, out.decode(), 0o644)
    broker.child.process.send_signal(signal.SIGHUP)
    broker.child.wait_line(rb"The session of 'device' \(%s\) with smqtt_identity was closed: it is revoked" %
                           fingerprint(device_pub).encode())
    lasting.line("no")
    lasting.ends(2, "the server knows this client's identity, or lack of one, and refuses it")
    smqtt("pub", *address(broker), "-t", "s/1", "--to", public, "--identity", device, "-m", "no", code=2)
    broker.child.wait_line(rb"Refused as a client of smqtt_identity: 'device' .* lost or stolen: enrol")
    other.line("anonymous")
    sub.expect(b"one\nanonymous\n")
    # A list that revokes the broker itself is not taken.
    write(revoked, read(mine), 0o644)
    broker.child.process.send_signal(signal.SIGHUP)
    broker.child.wait_line(rb"The old configuration stays: smqtt_identity .* stands on smqtt_revoked: 'broker' ")
    other.line("still")
    sub.expect(b"one\nanonymous\nstill\n")
    other.ends(0)
    assert broker.child.stop() == 0


main(*test_revocation, *test_revoked_while_the_server_runs, test_revocation_made_in_time,
     test_own_identity_of_the_broker, at_once=6)
