# SPDX-License-Identifier: Apache-2.0
"""Tables of command lines, each run with Mosquitto's client and with smqtt, under their name or its own: standard
output and exit code have to be equal."""
import itertools
import os
import re
import subprocess

from harness import is_smqttd, main, mosquitto_pub, program, skip, wait_until
from mosquitto_broker import MOSQUITTO, Denier, Mosquitto, Recorder
from smqtt_cli import folder, smqtt

NAMES = {"pub": "mosquitto_pub", "sub": "mosquitto_sub", "rr": "mosquitto_rr"}
LINKS = folder()
TURNS = itertools.count()
for each in NAMES.values():
    os.symlink(os.path.abspath(program("smqtt")), os.path.join(LINKS, each))

PROPERTIES = ["-D", "publish", "content-type", "text/plain", "-D", "publish", "correlation-data", "cd1",
              "-D", "publish", "payload-format-indicator", "1", "-D", "publish", "response-topic", "r/t",
              "-D", "publish", "user-property", "k1", "v1", "-D", "publish", "user-property", "k2", "v 2"]
RETAINED = [("kept/text", ["-m", "hello"]), ("kept/utf8", ["-m", "grüß あ"]), ("kept/rich", ["-m", "hi", *PROPERTIES]),
            ("kept/number", ["-m", "27.50"]), ("kept/quotes", ["-m", 'q"\\/\b\f\n\r\t\x01é'])]
JSON = ['{"a":[1,2.5,null,true,false],"b":"c","d":{},"e":[]}', "[]", "{}", '"text"', "null", " [ 1 , 2 ] ", "1e3",
        "-0.5", "27.0", "12345678901234567890", "1e400", '"\\u00e9\\ud83d\\ude00\\/"', '{"k":{"n":[[1],{"x":[]}]}}',
        "0.1",
        "1e-7", "3.14159265358979", "100000000000000000000000", "01", "-", "1.", "nonsense", '{"a":1} x', '"\\q"',
        '{"a"}', "[1,]", "tru", '"\\ud83d"']


def normal(out):
    """Without what differs from run to run."""
    out = re.sub(rb'("tst":\s*)"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z[+-]\d{4}"', rb'\1"-"', out)
    return re.sub(rb"Client [-\w]+ (sending|received)", rb"Client - \1", re.sub(rb"Client \(null\)", rb"Client -", out))


def run(argv, stdin, env):
    done = subprocess.run(argv, capture_output=True, timeout=20, check=False, input=stdin,
                          env={**os.environ, **(env or {})})
    return done.returncode, normal(done.stdout), done.stderr


def same(command, args, stdin=b"", env=None, code=None, only_code=False):
    """Theirs and ours do the same; ours is called by its two names in turn."""
    theirs = run([NAMES[command], *args], stdin, env)
    ours = [os.path.join(LINKS, NAMES[command])] if next(TURNS) % 2 else [program("smqtt"), command]
    got = run([*ours, *args], stdin, env)
    what = " ".join([*ours, *args])
    assert got[0] == theirs[0], "%s: we end with %d, they with %d: %r %r" % (what, got[0], theirs[0], got, theirs)
    if not only_code:
        assert got[1] == theirs[1], "%s: we print %r, they %r" % (what, got[1], theirs[1])
    assert code is None or theirs[0] == code, "%s: %r" % (" ".join(args), theirs)
    return theirs[1]


def at(broker):
    return ["-h", "127.0.0.1", "-p", str(broker.port)]


def brokers(broker):
    other = Mosquitto()
    return [broker, other]


def keep(broker):
    for topic, args in RETAINED:
        mosquitto_pub(broker, "-r", "-q", "1", "-t", topic, *args, version=5)


def test_output(broker):
    formats = ["%t %p", "%%|%l|%q|%r|%x|%X|", r"\\ \n \t \r \a \e \v \0|", "%A|%C|%D|%E|%F|%P|%R|%S|",
               "%10t|%-10t|%.1t|%10.2t|%010t|%5l|%-5l|%05l|", "%10C|%.3C|%-12C|%9E|%09E|%-9E|%3F|%03F|%6.2R|",
               "%5A|%05A|%5S|%05S|%5D|%5P|%4q|%4r|", "%m|%5m|%05m|%-5m|", "@@|@%|@Y|@n|%.4I|", "plain"]
    for where in brokers(broker):
        keep(where)
        sub = [*at(where), "-t", "kept/#", "-C", str(len(RETAINED))]
        for version in ("31", "311", "5", "mqttv31", "mqttv311", "mqttv5"):
            same("sub", [*sub, "-V", version, "-q", "1", "-F", "~".join(formats)], code=0)
        for args in ([], ["-v"], ["-N"], ["-v", "-N"], ["-N", "-F", "%t;"], ["-q", "2", "-F", "%m %q %p"],
                     ["--retain-as-published", "-V", "5"], ["--quiet"], ["-M", "3"], ["--nodelay"], ["-A", "127.0.0.1"],
                     ["-k", "5"], ["-i", "me"], ["-I", "me"], ["-u", "name", "-P", "pass"], ["-x", "5", "-V", "5"],
                     ["-F", "%j"], ["-F", "%j", "-V", "5"], ["-F", "%j", "-V", "5", "-q", "2"],
                     ["-F", "%j", "--pretty", "-V", "5", "-q", "1"], ["-F", "%J", "-V", "5"],
                     ["--will-topic", "w", "--will-payload", "p", "--will-qos", "1", "--will-retain"],
                     ["-D", "subscribe", "subscription-identifier", "7", "-F", "%S %t"],
                     ["-D", "connect", "receive-maximum", "2", "-D", "connect", "user-property", "a", "b"],
                     ["-D", "connect", "topic-alias-maximum", "5"], ["-T", "kept/none"], ["-U", "kept/none"]):
            same("sub", [*sub, *args], code=0)
        same("sub", [*at(where), "-t", "kept/text", "-t", "kept/number", "-C", "2", "-v"], code=0)
        same("sub", [*at(where), "-t", "kept/#", "-T", "kept/+", "-W", "1"], code=27)
        same("sub", [*at(where), "-t", "kept/#", "-R", "-W", "1"], code=27)


def test_json(broker):
    for i, text in enumerate(JSON):
        mosquitto_pub(broker, "-r", "-q", "1", "-t", "json/%d" % i, "-m", text)
        for args in (["-F", "%J"], ["-F", "%J", "--pretty"], ["-F", "%j", "--pretty"]):
            same("sub", [*at(broker), "-t", "json/%d" % i, "-C", "1", "-q", "1", *args], code=0)


def test_publishing(broker):
    keep(broker)
    for where in brokers(broker):
        to = [*at(where), "-t", "pub/a"]
        path = os.path.join(folder(), "file")
        with open(path, "wb") as f:
            f.write(b"file\x00\xff")
        for args in (["-m", "x"], ["-m", "x", "-q", "1"], ["-m", "x", "-q", "2"], ["-n"], ["-f", path], ["-s"], ["-l"],
                     ["-m", "x", "-r"], ["-n", "-r"], ["-m", "x", "--repeat", "3"],
                     ["-m", "x", "--repeat", "2", "--repeat-delay", "0.05"], ["-m", "x", "--quiet"],
                     ["-m", "x", "-V", "5", "-q", "2"], ["-m", "x", "-q", "1", *PROPERTIES], ["-m", ""],
                     ["-m", "x", "-D", "disconnect", "user-property", "a", "b"],
                     ["-m", "x", "--will-topic", "w", "-D", "will", "content-type", "t"], ["-m", "x", "-M", "1"],
                     ["-m", "x", "-c", "-i", "kept"], ["-m", "x", "-x", "-1", "-i", "kept", "-V", "5"],
                     ["-m", "x", "-x", "∞", "-i", "kept", "-V", "5"], ["-m", "x", "-x", "0x10", "-V", "5"]):
            same("pub", [*to, *args], stdin=b"one\ntwo\n")
            same("pub", [*to, *args, "-d"], stdin=b"one\n")
        same("pub", [*to, "-l", "-q", "2"], stdin=b"".join(b"line %d\n" % i for i in range(300)), code=0)
        same("pub", ["-L", "mqtt://127.0.0.1:%d/pub/url" % where.port, "-m", "x", "-d"], code=0)
        same("pub", ["-L", "mqtt://user:pw@127.0.0.1:%d/pub/url" % where.port, "-m", "x", "-d"], code=0)
        same("sub", [*at(where), "-t", "kept/#", "-E", "-d"], code=0)
        same("sub", [*at(where), "-t", "a", "-t", "b/+", "-U", "c", "-U", "d", "-q", "1", "-E", "-d"], code=0)
        same("sub", [*at(where), "-t", "never", "-W", "1", "-d", "-V", "5"], code=27)


def test_request_and_response(broker):
    rr = [*at(broker), "-t", "rr/a", "-e", "rr/a", "-m", "question"]
    for args in ([], ["-v"], ["-V", "311"], ["-V", "31"], ["-q", "1"], ["-q", "2", "-v"], ["-N"],
                 ["-F", "%t %R %p"],
                 ["-F", "%j", "--pretty"], ["-D", "publish", "user-property", "a", "b", "-F", "%P"], ["-W", "5"]):
        same("rr", [*rr, *args], code=0)
    same("rr", [*at(broker), "-t", "rr/a", "-e", "rr/b", "-n", "-W", "1"], code=27)
    # subscription and request take their identifiers from one row
    assert b"m2, 'rr/a'" in same("rr", [*rr, "-q", "1", "-W", "1", "-e", "rr/b", "-d"], code=27)
    assert smqtt("rr", *at(broker), "-t", "a", "-e", "a", "-s", stdin=b"all\nof it")[0] == b"all\nof it\n"


def test_mistakes_end_alike(broker):
    for command, args in (
            ("pub", []), ("pub", ["-t", "a"]), ("pub", ["-m", "x"]), ("pub", ["-t", "a", "-m", "x", "-n"]),
            ("pub", ["-t", "a", "-m", "x", "-m", "y"]), ("pub", ["-t", "a", "-n", "-n"]),
            ("pub", ["-t", "a/#", "-n"]), ("pub", ["-t", "a", "-m", "x", "-q", "3"]),
            ("pub", ["-t", "a", "-m", "x", "-q"]), ("pub", ["-t", "a", "-m", "x", "-k", "3"]),
            ("pub", ["-t", "a", "-m", "x", "-M", "0"]), ("pub", ["-t", "a", "-m", "x", "-p", "70000"]),
            ("pub", ["-t", "a", "-m", "x", "-C", "1"]), ("pub", ["-t", "a", "-f", "/no/such"]),
            ("pub", ["-t", "a", "-s"]), ("pub", ["-t", "a", "-n", "word"]), ("pub", ["-t", "a", "-n", "-P", "pw"]),
            ("pub", ["-t", "a", "-n", "-c"]), ("pub", ["-t", "a", "-n", "-V", "4"]),
            ("pub", ["-t", "a", "-n", "-x", "-2"]), ("pub", ["-t", "a", "-n", "-x", "soon"]),
            ("pub", ["-t", "a", "-n", "-i", "a", "-I", "b"]), ("pub", ["-t", "a", "-n", "--repeat", "0"]),
            ("pub", ["-t", "a", "-n", "--will-payload", "p"]), ("pub", ["-t", "a", "-n", "--will-retain"]),
            ("pub", ["-t", "a", "-n", "--will-topic", "#"]), ("pub", ["-t", "a", "-n", "--will-qos", "3"]),
            ("pub", ["-t", "a", "-n", "-L", "http://x/y"]), ("pub", ["-n", "-L", "mqtt://localhost"]),
            ("pub", ["-t", "a", "-n", "-D", "publish", "content-type"]),
            ("pub", ["-t", "a", "-n", "-D", "nonsense", "content-type", "x"]),
            ("pub", ["-t", "a", "-n", "-D", "publish", "nonsense", "x"]),
            ("pub", ["-t", "a", "-n", "-D", "publish", "will-delay-interval", "1"]),
            ("pub", ["-t", "a", "-n", "-D", "publish", "topic-alias", "70000"]),
            ("pub", ["-t", "a", "-n", "-D", "publish", "content-type", "x", "-D", "publish", "content-type", "y"]),
            ("pub", ["-t", "a", "-n", "-D", "publish", "subscription-identifier", "1"]),
            ("pub", ["-t", "a", "-n", "--cafile", "/no/such"]), ("pub", ["-t", "a", "-n", "--cert", "x"]),
            ("pub", ["-t", "a", "-n", "--psk", "xyz", "--psk-identity", "a"]),
            ("pub", ["-t", "a", "-n", "--psk", "ab"]),
            ("pub", ["-t", "a", "-n", "--psk", "ab", "--psk-identity", "a", "--cafile", "x"]),
            ("pub", ["-t", "a", "-n", "--proxy", "http://x"]), ("pub", ["-t", "a", "-n", "--unix", "/no/such"]),
            ("pub", ["-t", "a", "-n", "--keyform", "engine"]), ("pub", ["-h", "no.such.invalid", "-t", "a", "-n"]),
            ("pub", ["-h", "127.0.0.1", "-p", "1", "-t", "a", "-n"]),
            ("sub", ["-h", "127.0.0.1", "-p", "1", "-t", "a"]), ("sub", []),
            ("sub", ["-t", "a", "-R", "--retained-only"]), ("sub", ["-t", "a/#/b"]),
            ("sub", ["-t", "a", "-T", "#/a"]), ("sub", ["-t", "a", "-U", "a+"]), ("sub", ["-t", "a", "-C", "0"]),
            ("sub", ["-t", "a", "-W", "0"]), ("sub", ["-t", "a", "--random-filter", "1001"]),
            ("sub", ["-t", "a", "-F", "%y"]), ("sub", ["-t", "a", "-m", "x"]), ("sub", ["-t", "a", "-c", "-V", "5"]),
            ("sub", ["-t", "a", "-c", "-I", "x"]), ("sub", ["-t", "a", "-r"]), ("rr", ["-t", "a", "-m", "x"]),
            ("rr", ["-t", "a", "-e", "b"]), ("rr", ["-t", "a", "-e", "#", "-m", "x"]),
            ("rr", ["-t", "a", "-e", "b", "-l"]), ("rr", ["-t", "a", "-e", "b", "-m", "x", "-r"])):
        target = [] if "-p" in args or "-h" in args or not args else at(broker)
        same(command, [*target, *args], only_code=True, code=1)
    for command, name in NAMES.items():
        for flag in ("--help", "--version"):
            code, out, _ = run([os.path.join(LINKS, name), flag], b"", None)
            assert code == run([name, flag], b"", None)[0] == 1 and out, flag
        assert smqtt(command, "--version")[0].startswith(b"smqtt ")
    version = run([os.path.join(LINKS, "mosquitto_sub"), "--version"], b"", None)[1]
    assert version.startswith(b"mosquitto_sub version 2.0.11 ")


def test_refusals_end_alike(broker):
    other = Mosquitto()
    for version in ("31", "311", "5"):
        code = 135 if version == "5" else 5
        closed = ["-h", "127.0.0.1", "-p", str(other.ports["closed"]), "-V", version]
        same("pub", [*closed, "-t", "a", "-m", "x"], code=code)
        same("pub", [*closed, "-t", "a", "-l"], code=code)
        same("sub", [*closed, "-t", "a"], code=code)
        same("rr", [*closed, "-t", "a", "-e", "b", "-m", "x"], code=code)
        acl = ["-h", "127.0.0.1", "-p", str(other.ports["acl"]), "-V", version]
        for qos in "012":
            same("pub", [*acl, "-t", "forbidden", "-m", "x", "-q", qos], code=0)
        same("sub", [*acl, "-t", "forbidden", "-t", "allowed/#", "-W", "1", "-d"], code=27)
    denied = at(Denier())
    assert b"128" in same("sub", [*denied, "-t", "a", "-d"], code=0)
    same("rr", [*denied, "-V", "311", "-t", "a", "-e", "b", "-m", "x"], only_code=True)


def test_the_same_connect(_):
    """CONNECT is equal to the byte."""
    recorder = Recorder()
    for args in ([], ["-V", "5"], ["-V", "31", "-i", "x"], ["-i", "me"], ["-i", "me", "-c"],
                 ["-V", "5", "-i", "me", "-c"],
                 ["-V", "5", "-x", "7"], ["-V", "5", "-x", "0"], ["-V", "5", "-x", "-1", "-i", "me"], ["-k", "7"],
                 ["-u", "name"], ["-u", "name", "-P", "word"], ["-V", "5", "-P", "word"],
                 ["--will-topic", "w"],
                 ["--will-topic", "w", "--will-payload", "p", "--will-qos", "2", "--will-retain"],
                 ["--will-topic", "w", "-D", "will", "will-delay-interval", "5", "-D", "will", "content-type", "c"],
                 ["-D", "connect", "receive-maximum", "3"], ["-D", "connect", "user-property", "a", "b", "-x", "4"],
                 ["-D", "connect", "request-problem-information", "0"],
                 ["-D", "connect", "topic-alias-maximum", "9", "-D", "connect", "maximum-packet-size", "1000"],
                 ["-D", "connect", "session-expiry-interval", "9"]):
        for command, more in (("pub", ["-m", "x"]), ("rr", ["-m", "x", "-e", "b"])):
            for argv in ([NAMES[command]], [program("smqtt"), command]):
                run([*argv, *at(recorder), "-t", "a", *more, *args], b"", None)
            theirs, ours = recorder.packets[-2:]
            assert ours == theirs, "%s %s: we send %r, they %r" % (command, args, ours, theirs)
    for count in ("1", "19", "20", "21"):
        for argv in ([NAMES["sub"]], [program("smqtt"), "sub"]):
            with subprocess.Popen([*argv, *at(recorder), "-t", "a", "-V", "5", "-C", count],
                                  stderr=subprocess.DEVNULL) as child:
                before = len(recorder.packets)
                wait_until(lambda: len(recorder.packets) > before, 30, "CONNECT")
                child.kill()
        theirs, ours = recorder.packets[-2:]
        assert ours == theirs, "sub -C %s: we send %r, they %r" % (count, ours, theirs)


def test_files_of_default_flags(broker):
    where = folder()

    def put(name, text):
        path = os.path.join(where, ".config", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
    common = "# a comment\n-h 127.0.0.1\n-p %d\n\n" % broker.port
    put("mosquitto_pub", common + "-t file/topic\n-q 1\r\n-d\n")
    put("mosquitto_sub", common + "-t file/kept\n-v\n")
    put("mosquitto_rr", common + "-e file/rr\n-F a %t: %p\n")
    for topic in ("file/kept", "file/other"):
        mosquitto_pub(broker, "-r", "-q", "1", "-t", topic, "-m", "kept")
    config = os.path.join(where, ".config")
    for env in ({"XDG_CONFIG_HOME": config}, {"HOME": where}):
        env = {"XDG_CONFIG_HOME": env.get("XDG_CONFIG_HOME", ""), **env}
        if not env["XDG_CONFIG_HOME"]:
            del env["XDG_CONFIG_HOME"]
            os.environ.pop("XDG_CONFIG_HOME", None)
        assert b"'file/topic'" in same("pub", ["-m", "x"], env=env, code=0)
        assert b"'other'" in same("pub", ["-m", "x", "-t", "other"], env=env, code=0)
        assert same("sub", ["-C", "1"], env=env, code=0) == b"file/kept kept\n"
        assert same("sub", ["-C", "2", "-t", "file/other"], env=env, code=0).count(b"kept\n") == 2
        assert same("rr", ["-t", "file/rr", "-m", "x"], env=env, code=0) == b"a file/rr: x\n"
    put("mosquitto_sub", common + "-t file/kept\n--nonsense\n")
    same("sub", ["-C", "1"], env={"XDG_CONFIG_HOME": config}, code=1, only_code=True)


def test_every_flag_of_theirs(_):
    """What their --help and manual page name stands in our table."""
    with open("apps/smqtt/opts.def", encoding="utf-8") as f:
        rows = re.findall(r"^OPT\((?:'(.)'|0),\s*(?:NULL|\"([^\"]+)\"),\s*([PSRIDX|]+),", f.read(), re.M)
    for command, letter in (("pub", "P"), ("sub", "S"), ("rr", "R")):
        ours = {flag for row in rows if letter in row[2].split("|") for flag in ("-" + row[0], "--" + row[1])}
        text = run([NAMES[command], "--help"], b"", None)[1].decode()
        theirs = set(re.findall(r"^ (-\w|--[-\w]+) :", text, re.M))
        theirs |= set(re.findall(r"[\[{| ](--?[a-zA-Z][-\w]*)", text))
        theirs = {flag for flag in theirs if flag.startswith("--") or len(flag) == 2}
        assert len(theirs) > 40, theirs
        assert not theirs - ours, "%s: %s are missing" % (command, sorted(theirs - ours))


if not is_smqttd():
    skip("compares smqtt with Mosquitto's clients by itself")
if not os.path.exists(MOSQUITTO):
    skip("needs Debian's mosquitto")
main(test_output, test_json, test_publishing, test_request_and_response, test_mistakes_end_alike,
     test_refusals_end_alike, test_the_same_connect, test_files_of_default_flags, test_every_flag_of_theirs,
     workers=1, at_once=4)  # several keep retained messages in no order, and the same output is what counts
