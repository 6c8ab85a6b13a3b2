# SPDX-License-Identifier: Apache-2.0
"""What a hostile broker is tried with: one function for each attack, and the table that docs/hostile.md repeats."""
import base64
import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time

from harness import CONNACK, PATIENCE, SUBACK, SUBSCRIBE, V5, packet, tool, wait_until
from hostile_scene import KIND_OF_HEADER, TO_CLIENT, TO_SERVER, body_with_cid, cid_of, kind
from middle import DOWN, UP, with_property, without_property
from smqtt_cli import identity, smqtt

NO_ANSWER = "no answer came in time|did not confirm|no server|not confirmed"
SOON = ("--receipt-timeout", "1")
LATER = ("--receipt-timeout", "3")
COPIES = 48


# --- swallowing ---------------------------------------------------------------------------------------------------


def swallow(scene, what):
    """Acknowledged, and never handed on."""
    scene.rule(lambda f: f.refused_kindly() if kind(f) == what else [f], DOWN)
    text = "swallowed " + what
    scene.pub(text, *(LATER if what in ("record", "receipt") else SOON), code=2, says=NO_ANSWER)
    if what == "receipt":  # it is with the server, and the client cannot know
        scene.delivered(text)


def acknowledgement_lost(scene):
    """Natively records may follow step 3 at once: either all of it is confirmed, or nothing is."""
    scene.rule(lambda f: f.refused_kindly() if kind(f) == "ack" else [f], DOWN)
    code, _ = scene.try_pub("swallowed ack", *SOON)
    if code == 0 or scene.native:
        scene.maybe("swallowed ack")
    assert code in (0, 2)


def lie_about_publish(scene):
    """PUBACK with success for what it throws away."""
    scene.rule(lambda f: f.refused_kindly() if kind(f) == "record" else [f], UP)
    scene.pub("thrown away behind a PUBACK", *LATER, code=2, says=NO_ANSWER)


def lie_about_subscribe(scene):
    """SUBACK with success for subscriptions that it never makes."""
    def rule(f):
        if f.type != SUBSCRIBE or f.link.client_id != scene.client_id:
            return [f]
        props = b"\0" if f.link.version == V5 else b""
        f.link.send(DOWN, packet(SUBACK << 4, f.body[:2] + props + b"\x01"))
        return []
    scene.rule(rule, UP)
    scene.pub("without a way back", *SOON, code=2, says=NO_ANSWER)


def cut_at(scene, what):
    """The connection of who would get it breaks instead."""
    done = []

    def rule(f):
        if kind(f) == what and not done:
            done.append(f)
            f.link.cut()
            return []
        return [f]
    scene.rule(rule, DOWN)
    code, err = scene.try_pub("cut at " + what, "--receipt-timeout", "2")
    assert done and code in (0, 2), (code, err)
    if code == 0 or what in ("record", "receipt") or scene.native and what in ("step3", "ack"):
        scene.maybe("cut at " + what)
    scene.server_is_back()


# --- changing -----------------------------------------------------------------------------------------------------


def flipped(f, rng):
    data = bytearray(f.smqtt())
    at = rng.randrange(1 if is_packet(f) else 0, len(data))
    data[at] ^= 1 << rng.randrange(8)
    return f.with_smqtt(bytes(data))


def is_packet(f):
    """A packet whose header byte is not one of DETECT ends the connection, as it should: that is tried elsewhere."""
    return f.type == 0


def flip(scene, what):
    """One bit of every such packet is another."""
    rng = random.Random(what)
    scene.rule(lambda f: [flipped(f, rng)] if kind(f) == what else [f], DOWN)
    text = "flipped " + what
    scene.pub(text, *(LATER if what in ("record", "receipt") else SOON), code=2, says=NO_ANSWER + "|in plain")
    if what == "receipt":
        scene.delivered(text)


def flip_beside(scene, what):
    """Many copies with one other bit each come before the true one: noise, and no more."""
    rng = random.Random("beside " + what)

    def copies(f):
        for _ in range(COPIES):
            data = flipped(f, rng)
            yield data if f.type == 0 else f.changed(payload=payload_of(f, data), qos=0, packet_id=0, dup=False)
        yield f
    scene.rule(lambda f: list(copies(f)) if kind(f) == what else [f], DOWN)
    beside(scene, what, "beside flipped " + what)


def beside(scene, what, text):
    """It is noise. Only natively, of step 0, it may cost the handshake: the server says RETRY to what it cannot read,
    and the relay that has passed that on has forgotten the handshake."""
    if scene.native and what == "step0":
        code, _ = scene.try_pub(text, "--receipt-timeout", "2")
        assert code in (0, 2)
        if code == 2:
            return
    else:
        scene.pub(text)
    scene.delivered(text)


def payload_of(f, data):
    return data[len(data) - len(f.payload):]


def cut_short_beside(scene, what):
    """Every length but the right one."""
    def copies(f):
        data = f.smqtt()
        for n in list(range(2 if f.type == 0 else 0, len(data), max(1, len(data) // 40))) + [len(data) - 1]:
            yield of(f, data[:n])
        yield of(f, data + b"\0")
        yield of(f, data + bytes(300))
        yield f
    scene.rule(lambda f: list(copies(f)) if kind(f) == what else [f], DOWN)
    beside(scene, what, "beside short " + what)


def of(f, data):
    """A packet like f that nobody acknowledges, with other S-MQTT bytes."""
    return f.with_smqtt(data) if f.type == 0 else f.changed(payload=data, qos=0, packet_id=0, dup=False)


def forge_beside(scene):
    """Before everything that is true comes something of each kind that is made up."""
    rng = random.Random("forged")

    def made_up(f):
        headers = TO_CLIENT if f.link.client_id == scene.client_id else TO_SERVER
        body = bytearray(f.smqtt()[1:])
        for header in headers:
            fake = bytearray(rng.randbytes(max(64, len(body))))
            fake[:20] = body[:20]  # what all can see is right
            if f.type == 0 or kind(f) in KIND_OF_HEADER.values():
                yield of(f, bytes([header]) + bytes(fake))
        for first in (0x80, 0x84, 0x87, 0xA0, 0x90, 0xBF):
            if f.type and f.own():
                yield f.changed(payload=bytes([first]) + rng.randbytes(60), qos=0, packet_id=0)
        yield f
    scene.rule(lambda f: list(made_up(f)) if kind(f) not in (None, "record", "descriptor") else [f], DOWN)
    scene.pub("beside forged ones")
    scene.delivered("beside forged ones")


def forge_notices_and_closes(scene):
    """Behind an open session: notices and closes that nobody signed."""
    def rule(f):
        if kind(f) != "receipt":
            return [f]
        kid = scene.last("record").payload[1:5]
        notice = b"\xd1\x4e" + kid + bytes(16) + int(time.time() * 1000).to_bytes(8, "big") + bytes(64)
        f.link.say("smqtt1/%s/n/%s" % (f.own()[0], kid.hex()), notice)
        close = b"\xd1" + bytes.fromhex(f.own()[2]) + bytes(25)
        if scene.native:
            f.link.detect(0x06, close)
        else:
            f.link.say(f.topic, b"\x06" + close)
        return [f]
    scene.rule(rule, DOWN)
    lines = ["forged end %d" % i for i in range(30)]
    scene.pub_lines(lines)
    assert scene.count("step0") == 1, "the client began anew"
    scene.delivered(*lines)


def plain_instead(scene):
    """The text in plain, or a made-up one, on a topic that requires sealing."""
    scene.rule(lambda f: [f.changed(payload=b"pay 1000 to the broker")] if kind(f) == "record" else [f], DOWN)
    scene.pub("exchanged for plain text", *LATER, code=2, says=NO_ANSWER)
    scene.middle.link(scene.server_id).say(scene.topic(), b"pay 1000 to the broker")
    scene.middle.link(scene.server_id).say(scene.topic(), b"pay 1000 to the broker", retain=True)


def wrong_way(scene):
    """What is for the server comes to the client on its topics, and the other way round."""
    def rule(f):
        if kind(f) in KIND_OF_HEADER.values() and f.own():
            own = f.own()
            back = "smqtt1/%s/%s/%s" % (own[0], "s" if own[1] == "c" else "c", own[2])
            for link in scene.middle.links:
                if link.alive and link is not f.link:
                    link.say(back, f.payload)
            f.link.say(back, f.payload)
        return [f]
    scene.rule(rule, DOWN)
    scene.pub("reflected")
    scene.delivered("reflected")


# --- doing it again -----------------------------------------------------------------------------------------------


def everything_thrice(scene):
    def rule(f):
        if kind(f) is None or kind(f) == "descriptor":
            return [f]
        if f.type == 0:
            return [f, f, f]
        return [f, f.changed(dup=bool(f.qos)), f.changed(qos=0, packet_id=0, dup=False)]
    scene.rule(rule, DOWN)
    lines = ["three times %d" % i for i in range(20)]
    scene.pub_lines(lines)
    scene.delivered(*lines)


def retained_copies(scene):
    """A copy with RETAIN of everything. Of the newest record of a topic the server tells that it is one."""
    def rule(f):
        if f.type == 0 or kind(f) in (None, "descriptor"):
            return [f]
        copy = f.changed(qos=0, packet_id=0, dup=False, retain=True)
        return [f, copy, copy]
    scene.rule(rule, DOWN)
    scene.pub("and retained copies")
    scene.delivered("and retained copies")
    scene.retained_replays_allowed()


def replay_to_server(scene, after):
    """All that went to the server comes again: at once, after a restart, after one that lost its sessions."""
    scene.pub("said once")
    scene.delivered("said once")
    old = [f for f in scene.seen(DOWN)
           if f.link.client_id == scene.server_id and kind(f) in ("step0", "step3", "record")]
    assert {kind(f) for f in old} == {"step0", "step3", "record"}
    scene.expect()
    if after != "at once":
        scene.server_process.child.stop(signal.SIGKILL)
        if after == "after a loss":
            shutil.rmtree(scene.private + ".state")
        scene.start_server()
    opened = scene.opened()
    link = scene.middle.link(scene.server_id)
    for f in old + old[::-1] + old:
        link.send(DOWN, of(f, f.smqtt()))
        if f.type:
            link.send(DOWN, f.changed(qos=0, packet_id=0, retain=True))
    scene.retained_replays_allowed()
    scene.settle()
    assert scene.opened() == opened + 1, "a replay opened a session"


def replay_to_client(scene, renamed):
    """All that another client's session had comes into this one, under its name (cid) or the old one."""
    scene.pub("the session before")
    scene.delivered("the session before")
    old = [f for each in ("step2", "ack", "receipt") for f in scene.wait_for(each)]

    def rule(f):
        if f.link.client_id != scene.client_id or kind(f) not in ("step2", "ack", "receipt"):
            return [f]
        given = []
        for o in old:
            data = o.smqtt()
            if renamed and o.header():
                data = data[:1] + body_with_cid(o, cid_of(f) or scene.cid())
            if o.type == 0:
                given.append(packet(data[0], data[1:]))
            else:
                topic = f.topic if f.type else b"smqtt1/%s/s/%s" % (o.own()[0].encode(), scene.cid().hex().encode())
                given.append(o.changed(topic=topic, payload=data, qos=0, packet_id=0))
        return given + [f]
    scene.rule(rule, DOWN)
    scene.pub("the session after")
    scene.delivered("the session after")


def replay_receipt(scene):
    """The receipt of the first message is all that the client gets to see for the second one."""
    kept = []

    def rule(f):
        if kind(f) != "receipt":
            return [f]
        kept.append(f)
        return [f] if len(kept) == 1 else [f.changed(payload=kept[0].payload)]
    scene.rule(rule, DOWN)
    stream = scene.stream("--receipt-timeout", "2")
    stream.say("confirmed truly")
    scene.delivered("confirmed truly")
    scene.expect()
    stream.say("confirmed by an old receipt")
    scene.delivered("confirmed by an old receipt")
    assert stream.end() == 2, "an old receipt confirmed a new message"


def replay_notice(scene):
    """A notice that the server signed for a session is shown to the next one."""
    stream = scene.stream()
    stream.say("before the loss")
    scene.delivered("before the loss")
    scene.expect()
    scene.wait_for("receipt")
    scene.server_process.child.stop(signal.SIGKILL)
    shutil.rmtree(scene.private + ".state")
    scene.start_server()
    stream.say("after the loss")
    scene.delivered("after the loss")
    scene.expect()
    notice = scene.wait_for("notice")[0]
    handshakes = scene.count("step0")
    for kid in {notice.payload[2:6], scene.last("record").payload[1:5]}:
        forged = notice.payload[:2] + kid + notice.payload[6:]
        for payload in (notice.payload, forged):
            scene.middle.link(scene.client_id).say("smqtt1/%s/n/%s" % (notice.own()[0], kid.hex()), payload)
    stream.say("still the same session")
    scene.delivered("still the same session")
    assert stream.end() == 0, stream.error()
    assert scene.count("step0") == handshakes, "an old notice ended a session"


# --- another order, another place, another time -------------------------------------------------------------------


def reorder(scene):
    held = []

    def rule(f):
        if kind(f) != "record":
            return [f]
        held.append(f)
        if len(held) < 8:
            return []
        out = held[::-1]
        held.clear()
        return out
    scene.rule(rule, DOWN)
    lines = ["out of order %d" % i for i in range(40)]
    scene.pub_lines(lines)
    scene.delivered_in_any_order(*lines)


def another_topic(scene, policy):
    """A record that was sealed for one topic comes on another one: on one that requires sealing, too, or on one where
    the server takes plain text."""
    where = scene.topic("open") if policy else scene.topic("2")
    scene.rule(lambda f: [f.changed(topic=where)] if kind(f) == "record" else [f], DOWN)
    scene.pub("sealed for another topic", *LATER, code=2, says=NO_ANSWER)


def another_key(scene, part):
    """The body of one record under the key, or the number, of another one."""
    kept = []

    def rule(f):
        if kind(f) != "record":
            return [f]
        kept.append(f.payload)
        if len(kept) == 1:
            return [f]
        data = bytearray(f.payload)
        if part == "kid":
            data[1:5] = bytes(a ^ b for a, b in zip(kept[0][1:5], b"\0\1\0\0"))
        else:
            data[5:6] = kept[0][5:6]
        return [f.changed(payload=bytes(data))]
    scene.rule(rule, DOWN)
    scene.pub_lines(["the right place", "the wrong " + part], *LATER, code=2)
    scene.delivered("the right place")


def swap_sessions(scene, what):
    """Two clients at once, and what is for one of them comes to the other."""
    held, lock = {}, threading.Lock()

    def rule(f):
        if kind(f) != what or f.link.client_id == scene.server_id:
            return [f]
        with lock:
            if f.link in held:
                return []
            held[f.link] = f
            if len(held) < 2:
                return f.refused_kindly()
            (a, first), (b, second) = held.items()
        for link, mine, other in ((a, first, second), (b, second, first)):
            data = other.smqtt()
            if other.header():
                data = data[:1] + body_with_cid(other, cid_of(mine))
            link.send(DOWN, of(mine, data))
        return [] if f.type == 0 else f.refused_kindly()
    scene.rule(rule, DOWN)
    lasting = LATER if what == "receipt" else ("--receipt-timeout", "2")
    texts = ["of the one", "of the other"]
    results = []
    runs = [threading.Thread(target=lambda t=t, n=n: results.append(scene.try_pub(t, *lasting, who="-%d" % n)))
            for n, t in enumerate(texts)]
    for each in runs:
        each.start()
    for each in runs:
        each.join()
    assert [code for code, _ in results] == [2, 2], results
    if what in ("receipt", "ack"):
        scene.maybe(*texts)


def delay_answer(scene):
    """Step 2 takes longer than the client allows."""
    scene.rule(lambda f: scene.later(f, 1.2) if kind(f) == "step2" else [f], DOWN)
    scene.pub("answered late", "--max-rtt", "0.5", code=2, says="no answer came in time")


def delay_question(scene):
    """Step 0 comes later than the server allows: it asks for its cookie; the client judges the clock all the same."""
    scene.start_server("--max-skew", "1", again=True)
    scene.rule(lambda f: scene.later(f, 1.5) if kind(f) == "step0" else [f], DOWN)
    scene.pub("asked late, with a cookie")
    scene.delivered("asked late, with a cookie")
    assert scene.count("retry") >= 1, "no cookie was asked for"
    scene.pub("asked too late", "--max-skew", "1", code=2, says="clocks")


def wrong_clock(scene, seconds):
    """The server's own clock is wrong, as with a broker that gives it the time: it asks for its cookie, and the client
    judges. Who is told to let that pass gets in, and its notices are judged alike."""
    log = os.environ.get("ASAN_OPTIONS", "")
    shifted = ("LD_PRELOAD=" + tool("libsmqtt_shifted_clock.so"), "SMQTT_CLOCK_SHIFT=%d" % seconds,
               "ASAN_OPTIONS=" + log + ":verify_asan_link_order=0")
    scene.start_server(again=True, env=shifted)
    scene.pub("the clock is wrong", "--receipt-timeout", "5", code=2, says="clocks")
    assert scene.count("retry") == 1, "no cookie was asked for"
    scene.pub("the clock is wrong, and it may be", "--max-skew", "7200")
    scene.delivered("the clock is wrong, and it may be")
    scene.expect()
    scene.start_server(again=True)


def fill_the_table(scene):
    """The broker begins as many handshakes of its own as the server asks no cookie for, and does not end them."""
    made = subprocess.run([tool("smqtt_step0s"), scene.public, scene.topic(), "520"], capture_output=True, check=True,
                          timeout=60)
    link = scene.middle.link(scene.server_id)
    for body in map(bytes.fromhex, made.stdout.decode().split()):
        if scene.native:
            link.detect(0x03, body)
        else:
            link.say("smqtt1/%s/c/%s" % (scene.skid(), body[4:12].hex()), b"\x01" + body)
    wait_until(lambda: scene.middle.seen(lambda f: kind(f) == "retry", UP), PATIENCE, "it asks for its cookie")
    scene.pub("while its table is filled")
    scene.delivered("while its table is filled")
    assert scene.count("retry") == 1, "no cookie was asked for"


def delay_receipt(scene):
    scene.rule(lambda f: scene.later(f, 6) if kind(f) == "receipt" else [f], DOWN)
    scene.pub("confirmed late", *LATER, code=2, says=NO_ANSWER)
    scene.delivered("confirmed late")


# --- hints --------------------------------------------------------------------------------------------------------


def retry_body(f, code):
    return b"\xd1" + f.detect()[1][1:2] + cid_of(f) + bytes([code]) + int(time.time() * 1000).to_bytes(8, "big") + \
        b"\x10" + bytes(16) + b"\0\x02"


def answer_retry(scene, f, code):
    link = scene.middle.link(scene.client_id)
    if scene.native:
        link.detect(0x02, retry_body(f, code))
    else:
        link.say("smqtt1/%s/s/%s" % (f.own()[0], f.own()[2]), b"\x02" + retry_body(f, code))


def retry_for_ever(scene, code):
    """Every step 0 is answered by this hint, and by nothing else."""
    def rule(f):
        if kind(f) != "step0":
            return [f]
        answer_retry(scene, f, code)
        return f.refused_kindly()
    scene.rule(rule, DOWN)
    scene.pub("for ever hint %02x" % code, "--receipt-timeout", "2", code=2, says=".")
    assert scene.count("step0") <= (3 if code == 0x21 else 4), "%d handshakes" % scene.count("step0")


def retry_beside(scene, code):
    """The hint comes before the true answer."""
    def rule(f):
        if kind(f) == "step0":
            answer_retry(scene, f, code)
        return [f]
    scene.rule(rule, DOWN)
    if scene.native and code == 0x21:  # a broker that relays one handshake at a time keeps the second one waiting
        code, _ = scene.try_pub("beside hint 21", "--receipt-timeout", "2")
        assert code == 2
        return
    scene.pub("beside hint %02x" % code)
    scene.delivered("beside hint %02x" % code)


# --- what the broker says of itself -------------------------------------------------------------------------------


def hide_native(scene, whom):
    """The announcement of native DETECT is taken away."""
    ids = {"client": [scene.client_id], "server": [scene.server_id], "both": [scene.client_id, scene.server_id]}[whom]
    scene.rule(lambda f: [without_property(f.raw, "smqtt-detect")]
               if f.type == CONNACK and f.link.client_id in ids else [f], DOWN)
    if whom != "client":
        scene.start_server(again=True, registers=False)
    scene.pub("by the other way")
    scene.delivered("by the other way")
    scene.hides = whom != "client"


def pretend_native(scene, whom):
    """It announces what it does not have, and swallows DETECT and registrations."""
    who = scene.client_id if whom == "client" else scene.server_id

    def rule(f):
        if f.link.client_id != who:
            return [f]
        if f.type == CONNACK:
            return [with_property(V5, f.raw, "smqtt-detect", "1")]
        return [] if f.type == 0 or f.topic.startswith(b"$SMQTT/") else [f]
    scene.rule(rule)
    if whom == "server":
        scene.start_server(again=True, registers=False)
    scene.pub("into nothing", *SOON, code=2, says=NO_ANSWER)
    scene.hides = whom == "server"


# --- descriptors --------------------------------------------------------------------------------------------------


def wrong_descriptor(scene, what):
    """On the topic of the server's descriptor stands something else, retained."""
    own = b""
    if what == "foreign":
        _, public = identity(scene.where, "other")
        own = scene.descriptor(public)
    elif what == "garbage":
        own = os.urandom(200)
    elif what == "empty":
        own = b""
    elif what == "flipped":
        own = bytearray(scene.descriptor(scene.public))
        own[20] ^= 1
    elif what == "revocation":  # 84 bytes that nobody of this server signed
        skid = bytes.fromhex(scene.skid())
        own = b"\x52\x01\x01\x00" + int(time.time() * 1000).to_bytes(8, "big") + skid + bytes(64)
    elif what == "another's revocation":
        private, _ = identity(scene.where, "other")
        own = revocation(private)
    elif what == "old":  # the server has renewed its descriptor, and the client holds the new one
        own = scene.descriptor(scene.public)
        smqtt("id", "renew", scene.private)
        assert own != scene.descriptor(scene.public)
        scene.start_server(again=True)
    topic = ("smqtt1/%s/d" % scene.skid()).encode()

    def rule(f):
        if kind(f) == "descriptor":
            return [f.changed(payload=bytes(own))]
        if kind(f) in ("step2", "ack", "receipt"):
            f.link.say(topic, bytes(own), retain=True)
            f.link.say(topic, bytes(own))
        return [f]
    scene.rule(rule, DOWN)
    scene.pub("descriptor: " + what)
    scene.delivered("descriptor: " + what)


def revocation(private):
    text = smqtt("id", "revoke", private)[0].split()[1]
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))


def true_revocation(scene):
    """Who got hold of what the server's owner has signed can end it all, as the owner wanted; and nothing goes out."""
    own = revocation(scene.private)

    def rule(f):
        return [f.changed(payload=own)] if kind(f) == "descriptor" and f.link.client_id == scene.client_id else [f]
    scene.rule(rule, DOWN)
    known = os.path.join(scene.where, "known")  # beside it the client remembers; another one has not heard
    scene.pub("after a true revocation", "--known", known, "--receipt-timeout", "5", code=2,
              says="revoked|void|given up")


# --- the table ----------------------------------------------------------------------------------------------------

T, N, BOTH = ("tunnel",), ("native",), ("tunnel", "native")
STEPS = ("step0", "step2", "step3", "ack", "record", "receipt")

#   name in docs/hostile.md, what is done, with what, by which paths
CASES = [
    *[("swallow", swallow, each, BOTH) for each in ("step0", "step2", "step3", "record", "receipt")],
    ("swallow", swallow, "ack", T),
    ("acknowledgement_lost", acknowledgement_lost, None, N),
    ("lie_about_publish", lie_about_publish, None, BOTH),
    ("lie_about_subscribe", lie_about_subscribe, None, T),
    *[("cut_at", cut_at, each, BOTH) for each in STEPS],
    *[("flip", flip, each, BOTH) for each in ("step0", "step2", "step3", "record", "receipt")],
    *[("flip_beside", flip_beside, each, BOTH) for each in STEPS],
    *[("cut_short_beside", cut_short_beside, each, BOTH) for each in ("step0", "step2", "step3", "record", "receipt")],
    ("forge_beside", forge_beside, None, T),
    ("forge_notices_and_closes", forge_notices_and_closes, None, BOTH),
    ("plain_instead", plain_instead, None, BOTH),
    ("wrong_way", wrong_way, None, T),
    ("everything_thrice", everything_thrice, None, BOTH),
    ("retained_copies", retained_copies, None, BOTH),
    *[("replay_to_server", replay_to_server, each, BOTH) for each in ("at once", "after a restart", "after a loss")],
    *[("replay_to_client", replay_to_client, each, BOTH) for each in (False, True)],
    ("replay_receipt", replay_receipt, None, BOTH),
    ("replay_notice", replay_notice, None, BOTH),
    ("reorder", reorder, None, BOTH),
    *[("another_topic", another_topic, each, BOTH) for each in (False, True)],
    *[("another_key", another_key, each, BOTH) for each in ("kid", "number")],
    *[("swap_sessions", swap_sessions, each, BOTH) for each in ("step2", "receipt")],
    ("swap_sessions", swap_sessions, "ack", T),
    ("delay_answer", delay_answer, None, BOTH),
    ("delay_question", delay_question, None, BOTH),
    ("delay_receipt", delay_receipt, None, BOTH),
    *[("wrong_clock", wrong_clock, each, BOTH) for each in (3600, -3600)],
    ("fill_the_table", fill_the_table, None, BOTH),
    *[("retry_for_ever", retry_for_ever, each, BOTH) for each in (0x20, 0x21, 0x22, 0x23, 0x24, 0x00, 0xFF)],
    *[("retry_beside", retry_beside, each, BOTH) for each in (0x20, 0x21, 0x22, 0x23, 0x24, 0xFF)],
    *[("hide_native", hide_native, each, N) for each in ("client", "server", "both")],
    *[("pretend_native", pretend_native, each, ("tunnel5",)) for each in ("client", "server")],
    *[("wrong_descriptor", wrong_descriptor, each, BOTH)
      for each in ("foreign", "garbage", "empty", "flipped", "revocation", "another's revocation", "old")],
    ("true_revocation", true_revocation, None, BOTH),
]
