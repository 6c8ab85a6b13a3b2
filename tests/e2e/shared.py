# SPDX-License-Identifier: Apache-2.0
"""Shared subscriptions: each message to one member, all members in turn."""
from harness import V311, V5, Paho, is_smqttd, main, mosquitto_pub, wait_until


def share(broker, version, group):
    members = [Paho(broker, version).subscribe("$share/%s/jobs/#" % group, 1) for _ in range(3)]
    with Paho(broker, V311) as witness:
        witness.subscribe("jobs/#", 1)
        mosquitto_pub(broker, "-l", "-t", "jobs/%s" % group, "-q", "1",
                      stdin=b"".join(b"%d\n" % i for i in range(300)))
        wait_until(lambda: sum(m.inbox.qsize() for m in members) >= 300, 30, "300 messages")
        assert [witness.receive()[1] for _ in range(300)] == [b"%d" % i for i in range(300)]
    counts = [m.inbox.qsize() for m in members]
    # In turn, unless one has its window full: how fast each takes its messages is up to the system.
    assert min(counts) >= 50, "not fair: %s" % counts
    got = sorted(int(m.receive()[1]) for m in members for _ in range(m.inbox.qsize()))
    assert got == list(range(300)), "lost or doubled"
    return members


def test_fair(broker):
    for version in (V311, V5):
        for member in share(broker, version, "g%d" % version):
            member.expect_nothing(0.05)
            member.close()


def test_members_that_leave(broker):
    members = share(broker, V5, "left")
    members[0].close()
    members[1].unsubscribe("$share/left/jobs/#")
    mosquitto_pub(broker, "-l", "-t", "jobs/x", "-q", "1", stdin=b"a\nb\nc\n")
    assert [members[2].receive()[1] for _ in range(3)] == [b"a", b"b", b"c"]
    members[1].expect_nothing(0.1)


def test_groups_are_apart(broker):
    with Paho(broker, V5) as one, Paho(broker, V5) as two:
        one.subscribe("$share/one/jobs", 1)
        two.subscribe("$share/two/jobs", 1)
        mosquitto_pub(broker, "-t", "jobs", "-m", "for each group", "-q", "1", "-r")
        for member in (one, two):
            assert member.receive() == ("jobs", b"for each group", 1, False)
    if not is_smqttd():
        return
    # Retained messages do not go to shared subscriptions.
    with Paho(broker, V5) as late:
        late.subscribe("$share/one/jobs", 1)
        late.expect_nothing(0.2)


main(test_fair, test_members_that_leave, test_groups_are_apart)
