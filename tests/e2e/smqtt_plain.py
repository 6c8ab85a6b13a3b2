# SPDX-License-Identifier: Apache-2.0
"""`smqtt pub` and `smqtt sub` without sealing do what Debian's mosquitto_pub and mosquitto_sub do, to the byte."""
import os
import re
import subprocess
import time

from harness import V5, V311, Child, Raw, main, mosquitto_pub, program
from smqtt_cli import Sub, address, folder, sentence, smqtt

PROPERTIES = ["-D", "publish", "content-type", "text/plain", "-D", "publish", "correlation-data", "cd1",
              "-D", "publish", "message-expiry-interval", "77", "-D", "publish", "payload-format-indicator", "1",
              "-D", "publish", "response-topic", "r/t", "-D", "publish", "user-property", "k1", "v1",
              "-D", "publish", "user-property", "k2", "v 2"]
FORMATS = [
    "%t %p", "%%|%l|%q|%r|%x|%X|", r"\\ \n \t \r \a \e \v \0|", "%A|%C|%D|%E|%F|%P|%R|%S|",
    "%10t|%-10t|%.1t|%10.2t|%010t|%5l|%-5l|%05l|%20p|", "%10C|%.3C|%-12C|%9E|%09E|%-9E|%3F|%03F|%6.2R|",
    "%5A|%05A|%5S|%05S|%5D|%5P|%4q|%4r|", "@@|@%|@Y|@n|%.4I|", "plain",
]


def without_times(data):
    return re.sub(rb'"tst":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z[+-]\d{4}"', b'"tst":"-"', data)


def compare(broker, version, args, publish):
    """Two subscribers with the same flags, ours and Debian's, print the same."""
    version_name = {V5: "5", V311: "311"}[version]
    common = ["-V", version_name, "-t", "cmp/#", "-q", "0", *args]
    ours = Sub(broker, *common)
    theirs = Sub(broker, *common, argv=["stdbuf", "-o0", "mosquitto_sub"])
    end = time.monotonic() + 30
    while not theirs.output():  # it does not say when it has subscribed
        assert time.monotonic() < end, "mosquitto_sub prints nothing"
        mosquitto_pub(broker, "-t", "cmp/ready", "-m", "ready", version=version)
        time.sleep(0.05)
    time.sleep(0.3)
    from_a, from_b = len(ours.output()), len(theirs.output())
    for each in publish:
        mosquitto_pub(broker, "-q", "0", *each[1:], "-t", each[0], version=version)

    def both():
        return without_times(ours.output()[from_a:]), without_times(theirs.output()[from_b:])

    while (both()[0] != both()[1] or not both()[0]) and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(0.5)
    ours.child.stop()
    theirs.child.stop()
    a, b = both()
    same = len(os.path.commonprefix([a, b]))
    around = slice(max(0, same - 30), same + 200)
    assert a == b, "%s: we print %r, mosquitto_sub %r" % (args, a[around], b[around])
    assert a, "nothing was printed with %s" % args


def test_formats_as_debian_prints_them(broker):
    plain = [("cmp/a", "-m", "hello"), ("cmp/a/b", "-m", "grüß あ"), ("cmp/long/topic/name", "-m", "x")]
    rich = [("cmp/a", "-m", "hi", *PROPERTIES), ("cmp/b", "-m", "no properties")]
    for version in (V311, V5):
        everything = "\x1f".join(FORMATS).replace("\x1f", "~")
        compare(broker, version, ["-F", everything], rich if version == V5 else plain)
    compare(broker, V5, ["-F", "%j"], [*rich, ("cmp/q", "-m", 'q"\\/\b\f\n\r\t\x01é'), ("cmp/e", "-n")])
    compare(broker, V5, ["-F", "%J"], [("cmp/j", "-m", '{"a":[1,2.5,null,true],"b":"c"}'), ("cmp/n", "-n")])


def test_default_and_verbose(broker):
    messages = [("cmp/a", "-m", "hello"), ("cmp/empty", "-n"), ("cmp/b", "-m", "あ")]
    for args in ([], ["-v"], ["-N"], ["-v", "-N"], ["-N", "-F", "%t;"]):
        compare(broker, V311, args, messages)


def test_bad_formats_are_refused(_):
    for bad in ("%", "%y", r"\q", "abc\\", "@", "%-", "%5.", "%0-5t"):
        _, err = smqtt("sub", "-t", "a", "-F", bad, code=1)
        sentence(err)
        theirs = subprocess.run(["mosquitto_sub", "-t", "a", "-F", bad], capture_output=True, check=False)
        assert theirs.returncode == 1


def test_count_and_time(broker):
    started = time.monotonic()
    _, err = smqtt("sub", *address(broker), "-t", "never", "-W", "1", code=27)
    assert err == b"Timed out\n" and time.monotonic() - started > 0.9
    assert smqtt("sub", *address(broker), "-t", "never", "-W", "1", "--quiet", code=27)[1] == b""
    sub = Sub(broker, "-t", "c", "-C", "2", "-q", "1")
    for i in range(3):
        smqtt("pub", *address(broker), "-t", "c", "-m", str(i), "-q", "1")
    assert sub.child.wait(30) == 0
    assert sub.output() == b"0\n1\n"
    smqtt("sub", *address(broker), "-t", "c", "-E")


def test_ways_to_give_the_message(broker):
    sub = Sub(broker, "-t", "m/#", "-q", "2", "-F", "%q %p")
    where = os.path.join(folder(), "file")
    with open(where, "wb") as f:
        f.write(b"file\x00\xff")
    to = [*address(broker), "-t", "m/1"]
    for qos in range(3):
        smqtt("pub", *to, "-m", "text", "-q", str(qos))
    smqtt("pub", *to, "-f", where)
    smqtt("pub", *to, "-s", stdin=b"all of\nit\n")
    smqtt("pub", *to, "-n")
    smqtt("pub", *to, "-l", "-q", "1", stdin=b"one\ntwo\n\nlast")
    smqtt("pub", *to, "-m", "again", "--repeat", "2", "--repeat-delay", "0.1")
    smqtt("pub", "-L", "mqtt://127.0.0.1:%d/m/url" % broker.port, "-m", "url", "-V", "5")
    smqtt("pub", *address(broker), "-t", "m/1", "-t", "m/2", "-m", "both")
    sub.expect(b"0 text\n1 text\n2 text\n0 file\x00\xff\n0 all of\nit\n\n0 \n1 one\n1 two\n1 \n1 last\n"
               b"0 again\n0 again\n0 url\n0 both\n0 both\n")


def test_many_lines(broker):
    lines = b"".join(b"line %d\n" % i for i in range(5000))
    for qos in ("0", "1", "2"):
        sub = Sub(broker, "-t", "l", "-q", "2")
        smqtt("pub", *address(broker), "-t", "l", "-l", "-q", qos, stdin=lines)
        sub.expect(lines)
        sub.child.stop()


def test_retained(broker):
    to = [*address(broker), "-t", "r"]
    smqtt("pub", *to, "-m", "kept", "-r", "-q", "1")
    assert smqtt("sub", *to, "-C", "1", "-F", "%r %p")[0] == b"1 kept\n"
    smqtt("sub", *to, "-R", "-W", "1", code=27)
    sub = Sub(broker, "-t", "r", "--retained-only", "-F", "%p")
    sub.expect(b"kept\n")
    smqtt("pub", *to, "-m", "new")
    assert sub.child.wait(30) == 0 and sub.output() == b"kept\n"
    sub = Sub(broker, "-t", "r", "--remove-retained", "-W", "1")
    assert sub.child.wait(30) == 27 and sub.output() == b"kept\n"
    smqtt("sub", *to, "-W", "1", code=27)


def test_filters(broker):
    sub = Sub(broker, "-t", "f/#", "-T", "f/not/+", "-v")
    for topic in ("f/1", "f/not/1", "f/not"):
        smqtt("pub", *address(broker), "-t", topic, "-m", "x", "-q", "1")
    sub.expect(b"f/1 x\nf/not x\n")


def test_will(broker):
    watch = Sub(broker, "-t", "w", "-F", "%q %p")
    sub = Sub(broker, "-t", "a", "--will-topic", "w", "--will-payload", "gone", "--will-qos", "1")
    sub.child.kill()
    watch.child.kill()
    watch = Sub(broker, "-t", "w", "-q", "1", "-F", "%q %p")
    sub = Sub(broker, "-t", "a", "--will-topic", "w", "--will-payload", "gone", "--will-qos", "1")
    sub.child.kill()
    watch.expect(b"1 gone\n")
    sub = Sub(broker, "-t", "a", "--will-topic", "w", "--will-payload", "gone")
    sub.child.stop()  # with DISCONNECT: no will
    time.sleep(0.3)
    watch.expect(b"1 gone\n")


def test_persistent_session(broker):
    sub = Sub(broker, "-t", "p", "-q", "1", "-i", "keeper", "-c")
    sub.child.kill()
    smqtt("pub", *address(broker), "-t", "p", "-m", "while away", "-q", "1")
    sub = Sub(broker, "-t", "p", "-q", "1", "-i", "keeper", "-c")
    sub.expect(b"while away\n")


def test_connects_again(broker):
    with Raw(broker) as raw:
        raw.connect()
    sub = Sub(broker, "-t", "a", "-i", "twice")
    with Raw(broker) as thief:  # takes the client id over: the connection is lost
        thief.connect(client_id="twice")
    sub.ready(None, times=2)
    smqtt("pub", *address(broker), "-t", "a", "-m", "still here", "-q", "1")
    sub.expect(b"still here\n")


def test_mistakes_are_one_sentence(broker):
    for args in (["pub", "-m", "x"], ["pub", "-t", "a"], ["pub", "-t", "a", "-m", "x", "-n"], ["sub"],
                 ["pub", "-t", "a", "-m", "x", "-q", "3"], ["sub", "-t", "a", "--nonsense"],
                 ["sub", "-t", "a", "-V", "7"], ["sub", "-t", "a", "-c"], ["pub", "-t", "a/#", "-m", "x"],
                 ["sub", "-t", "a/#/b"],
                 ["pub", "-t", "a", "-f", "/no/such/file"], ["pub", "-t", "a", "-m", "x", "--identity", "x"],
                 ["sub", "-t", "a", "--charset", "UTF-8"], ["pub", "-t", "a", "-m", "x", "-p", "99999"]):
        if "-p" in args:
            _, err = smqtt(*args, code=1)
        else:
            _, err = smqtt(args[0], *address(broker), *args[1:], code=1)
        sentence(err)
    _, err = smqtt("nonsense", code=1)
    sentence(err)
    _, err = smqtt("pub", "-p", "1", "-h", "127.0.0.1", "-t", "a", "-m", "x", code=1)
    sentence(err)


def test_help_and_manual_know_every_flag(_):
    with open("apps/smqtt/opts.def", encoding="utf-8") as f:
        rows = re.findall(r"^OPT\((?:'(.)'|0),\s*(?:NULL|\"([^\"]+)\"),\s*([PSRIDX|]+),", f.read(), re.M)
    with open("docs/man/smqtt.1", encoding="utf-8") as f:
        manual = f.read().replace("\\-", "-").replace("\\fR", "").replace("\\fB", "")
    assert len(rows) > 40
    names = {"P": "pub", "S": "sub", "R": "rr", "I": "id", "D": "detect", "X": "probe"}
    helps = {letter: smqtt(name, "--help")[0].decode() for letter, name in names.items()}
    for letter, name, commands in rows:
        flag = "-" + letter if letter else "--" + name
        assert re.search(r'^\.BR "(-., )?%s(, |")' % re.escape(flag), manual, re.M), "%s is not in the manual" % flag
        assert not name or '--%s"' % name in manual, "--%s is not in the manual" % name
        for command in commands.split("|"):
            assert not name or "--" + name in helps[command], "--%s is not in --help" % name
    for letter in "tplxXqrmZzACDEFPRSIUjJ":
        assert "%" + letter in manual and "%" + letter in helps["S"], "%%%s is not told" % letter
    done = Child([program("smqtt"), "version"])
    assert done.wait(30) == 0 and done.text().startswith("smqtt ")


main(test_formats_as_debian_prints_them, test_default_and_verbose, test_bad_formats_are_refused, test_count_and_time,
     test_ways_to_give_the_message, test_many_lines, test_retained, test_filters, test_will, test_persistent_session,
     test_connects_again, test_mistakes_are_one_sentence, test_help_and_manual_know_every_flag)
