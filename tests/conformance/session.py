# SPDX-License-Identifier: Apache-2.0
"""How long sessions last, wills, keep-alive, DISCONNECT."""
import time

import wire
from lab import conf, covers, main
from wire import CONNACK, DISCONNECT, V5, harness, props

MALFORMED, PROTOCOL = 0x81, 0x82


# --- sessions ---------------------------------------------------------------------------------------------------------


@covers(v5="3.1.2-23 4.1.0-2")
def a_session_expires(t, version):
    for expiry, wait, present in ((0, 0.1, 0), (1, 2.3, 0), (100, 0.5, 1), (0xFFFFFFFF, 0.5, 1)):
        peer = t.peer(version, "c", session_expiry=expiry)
        peer.bye()
        time.sleep(wait)
        peer = t.peer(version, "c", clean=False)
        assert peer.connack.session_present == present, expiry
        peer.bye()


@covers(v5="4.1.0-1", v311="4.1.0-2 4.1.0-1")
def a_session_lasts_as_long_as_its_connection(t, version):
    fields = {"session_expiry": 1} if version == V5 else {}
    peer = t.peer(version, "c", **fields)
    peer.subscribe((t.topic(), 1))
    time.sleep(2.2)
    t.peer(version).publish(t.topic(), b"x", 1)
    assert peer.message().payload == b"x"


@covers(v5="4.1.0-2 3.14.2-1")
def disconnect_changes_the_expiry(t, version):
    peer = t.peer(version, "c", session_expiry=100)
    peer.bye(0, session_expiry=0)
    peer = t.peer(version, "c", clean=False, session_expiry=0)
    assert peer.connack.session_present == 0
    # From 0 to something: not allowed.
    peer.refused(wire.disconnect(version, 0, props(session_expiry=10)), PROTOCOL)


@covers(v311="4.1.0-1 3.1.2-4")
def a_session_is_kept_without_connection(t, version):
    peer = t.peer(version, "c", clean=False)
    peer.subscribe((t.topic(), 1))
    peer.reset()
    t.peer(version).publish(t.topic(), b"x", 1)
    time.sleep(1)
    peer = t.peer(version, "c", clean=False)
    assert peer.connack.session_present == 1 and peer.message().payload == b"x"


# --- wills ------------------------------------------------------------------------------------------------------------


def watcher(t, version, qos=2):
    peer = t.peer(version)
    peer.subscribe((t.topic("will"), qos))
    return peer


def with_will(t, version, payload=b"gone", qos=0, retain=False, **fields):
    return t.peer(version, will=(t.topic("will"), payload, qos, retain), **fields)


@covers(v5="3.1.2-7 3.1.2-8 3.1.2-10 3.1.2-14", v311="3.1.2-8 3.1.2-10 3.1.2-16", v31=True)
def a_will_is_published(t, version):
    to = watcher(t, version)
    for how in ("reset", "malformed", "half"):
        for qos in (0, 1, 2):
            peer = with_will(t, version, how.encode(), qos)
            if how == "reset":
                peer.reset()
            elif how == "malformed":
                peer.refused(b"\x00\x00")
            else:
                peer.send(b"\x30\x7f")
                peer.close()
            found = to.message()
            assert (found.payload, found.qos, found.retain) == (how.encode(), qos, False), found
    to.nothing()  # each once
    late = t.peer(version)
    late.subscribe(t.topic("will"))
    late.nothing()


@covers(v5="3.1.2-15", v311="3.1.2-17", v31=True)
def a_retained_will(t, version):
    to = watcher(t, version)
    with_will(t, version, b"kept", 1, True).reset()
    assert not to.message().retain
    late = t.peer(version)
    late.subscribe(t.topic("will"))
    found = late.message()
    assert (found.payload, found.retain) == (b"kept", True)


@covers(v5="3.14.4-3 3.1.2-8 3.1.2-10", v311="3.14.4-3 3.1.2-10 3.1.2-12", v31=True)
def disconnect_takes_the_will_back(t, version):
    to = watcher(t, version)
    with_will(t, version).bye()
    t.peer(version).reset()  # and without one there is none
    to.nothing(0.3)


@covers(v5="3.1.2-8 3.14.2-1")
def disconnect_with_another_reason(t, version):
    to = watcher(t, version)
    for reason in (0x04, 0x80, 0x93):
        with_will(t, version, b"%d" % reason).bye(reason)
        assert to.message().payload == b"%d" % reason
    with_will(t, version).bye(0)
    to.nothing(0.3)


@covers(v5="3.1.2-8 3.1.3-9")
def a_will_waits(t, version):
    to = watcher(t, version)
    with_will(t, version, b"late", client_id="c", session_expiry=100, will_props=props(will_delay=1)).reset()
    to.nothing(0.7)
    found = to.message()
    assert found.payload == b"late"
    # Back in time: never.
    with_will(t, version, b"never", client_id="c", session_expiry=100, will_props=props(will_delay=1)).reset()
    peer = t.peer(version, "c", clean=False, session_expiry=100)
    assert peer.connack.session_present == 1
    to.nothing(1.6)
    peer.bye()


@covers(v5="3.1.2-8 3.1.2-10")
def a_will_comes_with_the_end_of_the_session(t, version):
    to = watcher(t, version)
    # The session ends before the delay has passed.
    with_will(t, version, b"expired", session_expiry=1, will_props=props(will_delay=100)).reset()
    assert to.message().payload == b"expired"
    with_will(t, version, b"no session", session_expiry=0, will_props=props(will_delay=100)).reset()
    assert to.message().payload == b"no session"
    # Somebody begins anew under its name.
    with_will(t, version, b"clean start", client_id="c", session_expiry=100, will_props=props(will_delay=100)).reset()
    t.peer(version, "c", clean=True)
    assert to.message().payload == b"clean start"
    to.nothing()


@covers(v5="3.1.3-10 3.3.2-18")
def properties_of_a_will(t, version):
    to = watcher(t, version)
    own = [("user_property", (b"b", b"2")), ("content_type", b"t"), ("user_property", (b"a", b"1")),
           ("response_topic", b"r/t"), ("correlation_data", b"\x00"), ("payload_format", 1),
           ("user_property", (b"b", b"2"))]
    with_will(t, version, will_props=props(*own, message_expiry=50)).reset()
    found = to.message()
    assert found.prop("message_expiry") in (49, 50)
    rest = [p for p in found.props if p[0] != "message_expiry"]
    assert sorted(rest) == sorted(own), found
    assert found.all_of("user_property") == [v for n, v in own if n == "user_property"]


@covers(v5="3.8.3-3")
def a_will_is_local_too(t, version):
    to = watcher(t, version)
    with_will(t, version, b"own", client_id="c", session_expiry=100).bye(0)
    peer = with_will(t, version, b"own", 1, client_id="c", session_expiry=100, clean=False)
    peer.subscribe((t.topic("will"), 0x05))
    peer.reset()
    assert to.message().payload == b"own"
    peer = t.peer(version, "c", clean=False, session_expiry=100)
    assert peer.connack.session_present == 1
    peer.nothing()
    t.peer(version).publish(t.topic("will"), b"foreign", 1)
    assert peer.message().payload == b"foreign"


@covers(v5="3.1.2-8", v311="3.1.2-8", v31=True)
def taking_over_publishes_the_will(t, version):
    to = watcher(t, version)
    old = with_will(t, version, b"taken over", client_id="same")
    new = t.raw(version)
    assert new.ask(wire.connect(version, old.client_id), CONNACK).reason == 0
    assert to.message().payload == b"taken over"
    new.bye()
    to.nothing()


# --- keep-alive -------------------------------------------------------------------------------------------------------


@covers(v5="3.1.2-22 3.2.2-22", v311="3.1.2-24", v31=True)
def silence_ends_the_connection(t, version):
    to = watcher(t, version)
    peer = with_will(t, version, b"silent", keep_alive=1)
    started = time.monotonic()
    seen = peer.seen_until_close(harness.PATIENCE)
    took = time.monotonic() - started
    assert 1.3 < took < 10, took
    assert [(p.type, p.reason) for p in seen] == ([(DISCONNECT, 0x8D)] if version == V5 else []), seen
    assert to.message().payload == b"silent"


@covers(v5="3.1.2-22", v311="3.1.2-24")
def who_speaks_stays(t, version):
    peer, quiet = t.peer(version, keep_alive=2), t.peer(version, keep_alive=0)
    for data in (wire.PING, wire.publish(version, t.topic(), b""), wire.PING):
        time.sleep(1.2)
        peer.send(data)
    peer.send(wire.PING)
    assert [peer.see().type for _ in range(3)] == [wire.PINGRESP] * 3
    quiet.nothing()  # 0: for ever


@covers(v5="3.1.2-21 3.2.2-21 3.1.2-22")
@conf("max_keepalive 10")
def the_keep_alive_of_the_server(t, version):
    assert t.peer(version, keep_alive=5).connack.prop("server_keep_alive") is None
    for wanted in (11, 600, 0):
        assert t.peer(version, keep_alive=wanted).connack.prop("server_keep_alive") == 10, wanted


# --- disconnect -------------------------------------------------------------------------------------------------------


@covers(v5="3.14.1-1 2.1.3-1", v311="3.14.1-1 2.2.2-2")
def flags_of_disconnect(t, version):
    to = watcher(t, version)
    for flags in (1, 2, 4, 8):
        with_will(t, version, b"%d" % flags).refused(bytes([0xE0 | flags, 0]), MALFORMED)
        assert to.message().payload == b"%d" % flags, "a malformed one takes no will back"


@covers(v5="3.14.2-1")
def reason_codes_of_disconnect(t, version):
    for reason in (0x01, 0x11, 0x8E, 0x8B, 0x55):
        t.peer(version).refused(wire.disconnect(version, reason))


@covers(v5="3.14.2-2 3.14.4-1 3.14.4-2 4.13.2-1")
def disconnect_of_the_server(t, version):
    peer = t.peer(version, session_expiry=10)
    peer.send(wire.publish(version, "a/#", b"x") + wire.PING * 3)
    seen = peer.seen_until_close()
    assert seen[-1].type == DISCONNECT and seen[-1].reason >= 0x80, seen
    assert [p.type for p in seen].count(DISCONNECT) == 1, "nothing follows it: %r" % seen
    assert seen[-1].prop("session_expiry") is None


@covers(v5="3.14.4-1", v311="3.14.4-2 3.14.4-1", v31=True)
def nothing_is_taken_after_disconnect(t, version):
    to = t.peer(version)
    to.subscribe(t.topic())
    peer = t.peer(version)
    peer.send(wire.disconnect(version) + wire.publish(version, t.topic(), b"too late") + wire.PING)
    assert peer.seen_until_close() == []
    to.nothing()


@covers(v5="3.1.2-23", v311="3.1.2-6", v31=True)
def a_clean_session_leaves_nothing(t, version):
    peer = t.peer(version, "c")
    peer.subscribe((t.topic(), 1))
    peer.reset()
    t.peer(version).publish(t.topic(), b"x", 1)
    peer = t.peer(version, "c", clean=False)
    assert peer.connack.session_present == 0
    peer.nothing()


main(globals())
