# SPDX-License-Identifier: Apache-2.0
"""Keys for people: trust, renewal, rotation, revocation, locked files, through smqttd and through mosquitto's tunnel.
Every refusal names its cause and its mend."""
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time

from brokers import KINDS
from harness import main, program, wait_until
from keys_scene import Lines, Place, descriptor, fingerprint, has, read, retain, skid, shown, through_both, \
    wait_kept, write
from smqtt_cli import Sub, address, folder, identity, sentence, smqtt


# --- known peers --------------------------------------------------------------------------------------------------


def test_known_peers():
    p = Place()
    private, public = identity(p.where, "server")
    old = write(p.path("old.pub"), read(public))
    has(p.id("trust", public), "known +server", fingerprint(public))
    has(p.id("known"), "^server +%s +%s +x25519 version 1$" % (fingerprint(public), skid(public)))
    assert os.stat(p.known[1]).st_mode & 0o777 == 0o600
    write(p.known[1], "# my own words\n" + read(p.known[1]))
    # A renewal takes its place, whatever stands around it; an older one does not, unless it is forced.
    p.id("renew", private)
    p.id("trust", public)
    has(p.id("known"), "version 2")
    assert read(p.known[1]).startswith("# my own words\nserver ")
    for args in (("trust", old), ("trust", old, "another")):
        err = sentence(p.id(*args, code=1).encode())
        has(err, "version 1 of 'server', but version 2 is known", "--force")
    has(sentence(p.id("check", old, code=1).encode()), "version 1 .* version 2 is known")
    # Somebody else by the same name.
    _, other = identity(folder(), "server")
    err = sentence(p.id("trust", other, code=1).encode())
    has(err, fingerprint(public), fingerprint(other), "smqtt id forget server")
    p.id("trust", other, "--force")
    has(p.id("known"), fingerprint(other))
    p.id("trust", read(public).strip(), "by-line")
    has(p.id("known"), "^by-line +%s" % fingerprint(public).replace("+", "."))
    p.id("forget", "server")
    has(sentence(p.id("forget", "server", code=1).encode()), "Nobody is known by the name 'server'", "id known")
    # Names that would be something else.
    for name in ("a/b", "0123456789abcdef", "-x", "#x", "smqtt-x", "a b", ""):
        if name != "-x":  # that one is a flag
            has(sentence(p.id("trust", other, name, code=1).encode()), "is no name for a known peer")
    # A file that others may read, and one with a torn line.
    os.chmod(p.known[1], 0o644)
    has(sentence(p.id("known", code=1).encode()), "chmod 600")
    write(p.known[1], read(p.known[1]) + "torn smqtt-x25519 AQEA\n")
    has(sentence(p.id("known", code=1).encode()), r"known_peers, line 3: .* public line .* mend it")


def test_names_of_servers():
    """--to takes a file, a line, a known name, a skid; what is none of them is refused."""
    broker = KINDS["smqttd"]()
    p = Place(broker)
    private, public = identity(p.where, "server")
    old = write(p.path("old.pub"), read(public))
    p.id("renew", private)
    p.id("trust", public, "mine")
    server = Sub(broker, "-t", "s/#", identity=private)
    for to in ("mine", skid(public), skid(public).upper(), public, read(public).strip()):
        p.pub(to, "hello")
    server.expect(b"hello\n" * 5)
    for to in ("nobody", "0123456789abcdef"):
        has(sentence(p.pub(to, "no", code=1).encode()), "neither a file nor a known peer", "id trust", "first-use")
    for to in (old, read(old).strip()):
        has(sentence(p.pub(to, "no", code=1).encode()), "version 1 of 'mine', but version 2 is known")
    server.expect(b"hello\n" * 5)
    # A known name counts before a file of the same name, which anybody may have put there.
    _, other = identity(folder(), "other")
    cwd = os.getcwd()
    os.chdir(p.where)
    write("mine", read(other))
    p.pub("mine", "pinned")
    os.chdir(cwd)
    server.expect(b"hello\n" * 5 + b"pinned\n")
    broker.stop()


@through_both
def test_trust_on_first_use(p):
    private, public = identity(p.where, "server")
    server = Sub(p.broker, "-t", "s/#", identity=private)
    wait_kept(p.broker, public)
    # Never without being asked.
    has(sentence(p.pub("server", "no", code=1).encode()), "neither a file nor a known peer")
    assert not os.path.exists(p.known[1])
    err = p.pub("server", "first", "--trust-first-use")
    has(err, "'server' is trusted from now on with the fingerprint %s" % fingerprint(public), "compare it")
    # Trusted now: without the flag, and with it in silence.
    assert p.pub("server", "second") == ""
    assert p.pub("server", "third", "--trust-first-use") == ""
    server.expect(b"first\nsecond\nthird\n")
    by_skid = Place(p.broker)
    has(by_skid.pub(skid(public), "fourth", "--trust-first-use"), "'server' is trusted from now on")
    has(by_skid.id("known"), "^server ")
    server.expect(b"first\nsecond\nthird\nfourth\n")
    has(sentence(by_skid.pub("nobody", "no", "--trust-first-use", code=1).encode()), "no descriptor of 'nobody'")
    # Two of that name: nobody can say which one is meant.
    other_private, other = identity(folder(), "server")
    second = Sub(p.broker, "-t", "s/#", identity=other_private)
    wait_kept(p.broker, other)
    fresh = Place(p.broker)
    err = sentence(fresh.pub("server", "no", "--trust-first-use", code=1).encode())
    has(err, "'server' is ambiguous", fingerprint(public), fingerprint(other), "skid")
    assert not os.path.exists(fresh.known[1])
    # The other one is alone there now, in the place of the first: refused, and nothing sent.
    server.child.stop()
    retain(p.broker, "smqtt1/%s/d" % skid(public), write(p.path("empty"), ""))
    err = sentence(p.pub("server", "no", "--trust-first-use", code=1).encode())
    has(err, fingerprint(public), fingerprint(other), "smqtt id forget server")
    has(p.id("known"), fingerprint(public))
    # What is not known by that name yet, and forged under another skid, is not found.
    retain(p.broker, "smqtt1/0123456789abcdef/d", descriptor(public))
    has(sentence(Place(p.broker).pub("0123456789abcdef", "no", "--trust-first-use", code=1).encode()), "no descriptor")
    assert second.output() == b""


# --- renewal, rotation, roll-back ---------------------------------------------------------------------------------


@through_both
def test_renewal_is_followed_and_old_ones_are_not(p):
    private, public = identity(p.where, "server")
    pinned = write(p.path("pinned.pub"), read(public))
    p.id("trust", public)
    p.id("renew", private, "--days", "30")
    first = fingerprint(pinned)
    assert shown(public, "version") == "2" and skid(public) == skid(pinned)
    server = Sub(p.broker, "-t", "s/#", identity=private)
    wait_kept(p.broker, public)
    err = sentence(p.pub("server", "one").encode())
    has(err, "renewed its descriptor: version 2, fingerprint %s" % fingerprint(public), "known peers have it now")
    has(p.id("known"), "version 2")
    assert p.pub("server", "two") == ""
    # Whoever holds the old line and knows nobody follows, too, and is told that the line is old.
    fresh = Place(p.broker)
    has(sentence(fresh.pub(pinned, "three").encode()), "version 2", "get the new public line")
    server.expect(b"one\ntwo\nthree\n")
    # The broker puts the old one back.
    retain(p.broker, "smqtt1/%s/d" % skid(public), descriptor(pinned))
    err = sentence(p.pub("server", "four").encode())
    has(err, "version 1 of the descriptor of 'server', but version 2 is known", "not taken", "new one")
    has(p.id("known"), "version 2")
    assert first not in p.id("known")
    server.expect(b"one\ntwo\nthree\nfour\n")


@through_both
def test_rotation(p):
    private, public = identity(p.where, "server")
    pinned = write(p.path("pinned.pub"), read(public))
    p.id("trust", public)
    new = p.path("new.id")
    steps = p.id("rotate", private, "-o", new, "--grace", "25s", "--suite", "p256")
    end = time.monotonic() + 25
    has(steps, "--identity %s --previous %s" % (new, private), "revoke .* --reason superseded")
    new_pub = p.path("new.pub")
    assert skid(new_pub) != skid(public) and shown(new_pub, "version") == "2"
    has(shown(new_pub, "succeeds"), skid(public))
    server = Sub(p.broker, "-t", "s/#", "--previous", private, identity=new)
    wait_kept(p.broker, new_pub)
    err = sentence(p.pub("server", "one").encode())
    has(err, "new keys, for which its old ones vouch: version 2, fingerprint %s" % fingerprint(new_pub))
    has(p.id("known"), skid(new_pub))
    assert p.pub("server", "two") == ""
    # Who does not see the new descriptor is served by the old keys.
    late = Place(p.broker)
    retain(p.broker, "smqtt1/%s/d" % skid(public), write(p.path("empty"), ""))
    assert late.pub(pinned, "three") == ""
    server.expect(b"one\ntwo\nthree\n")
    time.sleep(max(0, end - time.monotonic()) + 0.5)
    # After the grace time the old keys are worth nothing, and who followed goes on.
    assert p.pub("server", "four") == ""
    late.pub(pinned, "no", code=2)
    has(server.errors().decode(), "the grace time of '%s' ended .*: .* enrol .* leave --previous out" % private)
    retain(p.broker, "smqtt1/%s/d" % skid(public), descriptor(new_pub))
    has(late.pub(pinned, "no", code=2), "its grace time is over: get the new public line")
    server.expect(b"one\ntwo\nthree\nfour\n")
    server.child.stop()
    # A server that starts now says that it serves only the new one.
    server = Sub(p.broker, "-t", "s/#", "--previous", private, identity=new)
    has(server.errors().decode(), "the grace time of '%s' ended" % private)
    assert p.pub("server", "five") == ""
    server.expect(b"five\n")
    server.child.stop()
    stranger, _ = identity(folder(), "stranger")
    _, err = smqtt("sub", *address(p.broker), "-t", "s/#", "--identity", new, "--previous", stranger, code=1)
    has(sentence(err), "'%s' is not the predecessor of '%s'" % (stranger, new), "id rotate")


@through_both
def test_rotation_while_connected(p):
    """A publisher that stays connected goes over to the new keys with its next message, so that the end of the grace
    time takes nothing from it."""
    private, public = identity(p.where, "server")
    server = Sub(p.broker, "-t", "s/#", identity=private)
    lasting = Lines(p.broker, public, *p.known)
    lasting.line("one")
    server.expect(b"one\n")
    server.child.stop()
    new = p.path("new.id")
    p.id("rotate", private, "-o", new, "--grace", "15s")
    end = time.monotonic() + 15
    server = Sub(p.broker, "-t", "s/#", "--previous", private, identity=new)
    wait_kept(p.broker, p.path("new.pub"))
    for text in ("two", "three"):
        lasting.line(text)
    server.expect(b"two\nthree\n")
    time.sleep(max(0, end - time.monotonic()) + 0.5)
    lasting.line("four")
    server.expect(b"two\nthree\nfour\n")
    assert b"grace time" not in server.errors()  # nobody came with the old keys any more
    lasting.ends(0, "new keys, for which its old ones vouch")


# --- clients of a server ------------------------------------------------------------------------------------------


@through_both
def test_clients_are_renewed(p):
    private, public = identity(p.where, "server")
    device, device_pub = identity(p.where, "device")
    stolen = write(p.path("stolen.id"), read(device))
    clients = write(p.path("clients"), read(device_pub) + "  s/+\n")
    server = Sub(p.broker, "-t", "s/#", "--clients", clients, "-F", "%z %p", identity=private)
    p.pub(public, "one", "--identity", device)
    p.id("renew", device)
    p.pub(public, "two", "--identity", device)
    server.expect(b"device one\ndevice two\n")
    # From now on the old descriptor is an old copy; also after a restart, and for its successor.
    p.pub(public, "no", "--identity", stolen, code=2)
    has(server.errors().decode(), "refused: 'device' came with version 1 .* version 2 is known: .* list its newest")
    server.child.stop()
    server = Sub(p.broker, "-t", "s/#", "--clients", clients, "-F", "%z %p", identity=private)
    p.pub(public, "no", "--identity", stolen, code=2)
    new = p.path("device2.id")
    p.id("rotate", device, "-o", new, "--grace", "1h")
    p.pub(public, "three", "--identity", device)
    p.pub(public, "four", "--identity", new)
    p.pub(public, "no", "--identity", device, code=2)
    server.expect(b"device three\ndevice four\n")
    server.child.stop()


def test_copied_devices():
    """An enrolment that lists the same keys twice; under another name: tests/unit/apps/clients_test.c."""
    p = Place(KINDS["smqttd"]())
    private, _ = identity(p.where, "server")
    _, one = identity(p.where, "one")
    two = p.path("two.pub")
    p.id("renew", p.path("one.id"))
    write(two, read(one))
    first = write(p.path("clients"), read(one) + "# again\n" + read(two))
    _, err = smqtt("sub", *address(p.broker), "-t", "x", "--identity", private, "--clients", first, code=1)
    has(sentence(err), "line 3: a client that was listed before stands here")
    p.id("renew", p.path("one.id"))
    both = write(p.path("both"), read(two) + read(one))
    _, err = smqtt("sub", *address(p.broker), "-t", "x", "--identity", private, "--clients", both, code=1)
    has(sentence(err), "line 2: another descriptor of a client that was listed before", "leave the newest one")
    p.broker.stop()


# --- locked files -------------------------------------------------------------------------------------------------


def on_terminal(answers, *args):
    """Runs `smqtt` on a terminal of its own: (exit code, what the terminal showed)."""
    child, fd = pty.fork()
    if child == 0:
        os.execv(program("smqtt"), ["smqtt", *args])
    seen, left, end = b"", list(answers), time.monotonic() + 60
    while time.monotonic() < end:
        ready, _, _ = select.select([fd], [], [], 0.2)
        if not ready:
            continue
        try:
            part = os.read(fd, 4096)
        except OSError:
            break
        if not part:
            break
        seen += part
        if left and re.search(rb": $", seen):
            time.sleep(0.05)
            os.write(fd, left.pop(0).encode() + b"\n")
            seen += b"|"
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), seen.decode()


def alone(*args, code=1):
    """Without any terminal."""
    done = subprocess.run([program("smqtt"), *args], capture_output=True, stdin=subprocess.DEVNULL, check=False,
                          start_new_session=True)
    assert done.returncode == code, done
    return done.stderr


def test_locked_files():
    broker = KINDS["smqttd"]()
    p = Place(broker)
    private, public = identity(p.where, "server")
    secret, wrong = write(p.path("secret"), "open sesame\n"), write(p.path("wrong"), "open barley\n")
    plain = read(private)
    keys = re.findall(r"^(?:kem|sign): (.*)$", plain, re.M)
    p.id("lock", private, "--passphrase-file", secret)
    locked = read(private)
    assert os.stat(private).st_mode & 0o777 == 0o600 and not any(key in locked for key in keys)
    has(sentence(p.id("lock", private, "--passphrase-file", secret, code=1).encode()), "locked already",
        "id passphrase")
    has(shown(private, "keys"), "locked")
    # Right, wrong, none, readable by others, empty, too much.
    sub = ["sub", *address(broker), "-t", "s/#", "--identity", private]
    has(sentence(alone(*sub)), "needs a passphrase, but there is no terminal", "--passphrase-file")
    has(sentence(alone(*sub, "--passphrase-file", wrong)), "does not open with this passphrase")
    has(sentence(alone(*sub, "--passphrase-file", write(p.path("open"), "x\n", 0o644))), "chmod 600")
    has(sentence(alone(*sub, "--passphrase-file", write(p.path("void"), "\n"))), "its first line is empty")
    has(sentence(alone(*sub, "--passphrase-file", write(p.path("two"), "a\nb\n"))), "one line")
    has(sentence(alone(*sub, "--passphrase-file", write(p.path("long"), "a" * 1025))), "longer than 1024 bytes")
    assert read(private) == locked
    server = Sub(broker, "-t", "s/#", "--passphrase-file", secret, identity=private)
    p.pub(public, "hello")
    server.expect(b"hello\n")
    # Renewing keeps the lock, with a new salt.
    p.id("renew", private, "--passphrase-file", secret)
    salts = [re.search(r"^locked: (\S+ ){4}(\S+) ", text, re.M).group(2) for text in (locked, read(private))]
    assert salts[0] != salts[1]
    p.id("passphrase", private, "--passphrase-file", secret, "--new-passphrase-file", wrong)
    has(sentence(alone("id", "unlock", private, "--passphrase-file", secret)), "does not open")
    p.id("unlock", private, "--passphrase-file", wrong)
    assert re.findall(r"^(?:kem|sign): (.*)$", read(private), re.M) == keys
    has(sentence(p.id("unlock", private, code=1).encode()), "is not locked", "id lock")
    broker.stop()


def test_passphrase_on_the_terminal():
    p = Place()
    private, _ = identity(p.where, "server")
    code, seen = on_terminal(["one", "two"], "id", "lock", private)
    assert code == 1 and "differ, and nothing was changed" in seen and "locked" not in read(private)
    code, seen = on_terminal([""], "id", "lock", private)
    assert code == 1 and "No passphrase" in seen
    code, seen = on_terminal(["one", "one"], "id", "lock", private)
    assert code == 0 and "one" not in seen.split("|", 1)[1].split("'")[0] and "locked: argon2id" in read(private)
    code, seen = on_terminal(["no", "no", "no"], "id", "unlock", private)
    assert code == 1 and seen.count("Passphrase for") == 3 and "does not open" in seen
    code, seen = on_terminal(["no", "one"], "id", "unlock", private)
    assert code == 0 and "locked: " not in read(private)


def echoes(fd):
    return termios.tcgetattr(fd)[3] & termios.ECHO != 0


def test_terminal_after_signals():
    """Whatever ends the question, what is typed is seen again, and nobody can go away from it by Ctrl-Z."""
    p = Place()
    private, _ = identity(p.where, "server")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        child, fd = pty.fork()
        if child == 0:
            os.chdir(p.where)  # a core, if any
            os.execv(program("smqtt"), ["smqtt", "id", "lock", private])
        wait_until(lambda fd=fd: not echoes(fd), 30, "the passphrase is asked for")
        os.write(fd, b"\x1a")
        os.kill(child, number)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -number
        assert echoes(fd), number
        os.close(fd)


def test_names_of_strangers():
    """What a name or a path holds is shown, not obeyed; a FIFO is no identity, and nothing waits for it."""
    p = Place()
    _, public = identity(p.where, "server")
    private = p.path("odd.id")
    smqtt("id", "new", "gar\u202edne", "-o", private)
    for out in (p.id("show", private), p.id("trust", p.path("odd.pub")), p.id("known"), p.id("check", private)):
        assert "\u202e" not in out and r"gar\xe2\x80\xaedne" in out, out
    for args in (("show", p.path("x\033[2Jy")), ("trust", public, "x\033[2Jy"), ("forget", "x\u202ey"),
                 ("dance\033[2J",)):
        err = sentence(p.id(*args, code=1).encode())
        assert "\033" not in err and "\u202e" not in err, err
    os.mkfifo(p.path("fifo"))
    for args in (("show", p.path("fifo")), ("renew", p.path("fifo"))):
        sentence(p.id(*args, code=1).encode())


# --- the verbs ----------------------------------------------------------------------------------------------------


def modules(text):
    """The modules of a QR code from half blocks, without the margin."""
    halves = {" ": (0, 0), "▄": (0, 1), "▀": (1, 0), "█": (1, 1)}
    rows = []
    for line in text.splitlines():
        rows += [[halves[c][0] for c in line], [halves[c][1] for c in line]]
    size = len(rows[0])
    assert len(rows) in (size, size + 1) and not any(rows[i][j] for i in range(4) for j in range(size))
    return [row[4:-4] for row in rows[4:size - 4]]


def test_qr_codes():
    p = Place()
    private, public = identity(p.where, "server")
    svg = p.path("code.svg")
    out, _ = smqtt("id", "export", private, "--qr", "--qr-svg", svg)
    line, _, code = out.decode().partition("\n")
    assert line + "\n" == read(public)
    grid = modules(code)
    size = len(grid)
    picture = {(int(x) - 4, int(y) - 4) for x, y in re.findall(r"M(\d+) (\d+)h1v1h-1z", read(svg))}
    assert picture == {(x, y) for y in range(size) for x in range(size) if grid[y][x]}
    assert qr_text(grid) == line
    # On a terminal with colours of its own, and within 80 columns.
    _, seen = on_terminal([], "id", "show", public, "--qr")
    assert "\033[38;5;16;48;5;231m" in seen and all(len(line) <= 80 for line in code.splitlines())
    _, err = smqtt("id", "show", public, "--qr-svg", svg, code=1)
    has(err.decode(), "code.svg")


def qr_text(grid):
    """Reads a QR code of level L in byte mode, as ISO/IEC 18004 has it; it is whole, so nothing is corrected."""
    size = len(grid)
    version = (size - 17) // 4
    blocks = {9: (2, 116, 0), 10: (2, 68, 2), 11: (4, 81, 0), 12: (2, 92, 2), 13: (4, 107, 0), 14: (3, 115, 1),
              15: (5, 87, 1), 16: (5, 98, 1)}[version]
    mask = (grid[8][2] << 2 | grid[8][3] << 1 | grid[8][4]) ^ 0b101
    masks = [lambda r, c: (r + c) % 2, lambda r, c: r % 2, lambda r, c: c % 3, lambda r, c: (r + c) % 3,
             lambda r, c: (r // 2 + c // 3) % 2, lambda r, c: r * c % 2 + r * c % 3,
             lambda r, c: (r * c % 2 + r * c % 3) % 2, lambda r, c: ((r + c) % 2 + r * c % 3) % 2]
    step = {9: 20, 10: 22, 11: 24, 12: 26, 13: 28, 14: 20, 15: 22, 16: 24}[version]
    middle = [6] + [size - 7 - step * i for i in range((size - 7 - 6 - 1) // step, -1, -1)]
    if version >= 14:
        middle = {14: [6, 26, 46, 66], 15: [6, 26, 48, 70], 16: [6, 26, 50, 74]}[version]

    def is_function(r, c):
        if (r < 9 and c < 9) or (r < 9 and c >= size - 8) or (r >= size - 8 and c < 9) or r == 6 or c == 6:
            return True
        if (r < 6 and size - 11 <= c < size - 8) or (c < 6 and size - 11 <= r < size - 8):
            return True
        last = middle[-1]
        return any(abs(r - y) <= 2 and abs(c - x) <= 2 for y in middle for x in middle
                   if (y, x) not in ((6, 6), (6, last), (last, 6)))

    bits, up, c = [], True, size - 1
    while c > 0:
        c -= c == 6
        for r in (range(size - 1, -1, -1) if up else range(size)):
            bits += [grid[r][x] ^ (masks[mask](r, x) == 0) for x in (c, c - 1) if not is_function(r, x)]
        up, c = not up, c - 2
    data = [int("".join(map(str, bits[i:i + 8])), 2) for i in range(0, len(bits) - 7, 8)]
    short, length, longer = blocks
    lengths = [length] * short + [length + 1] * longer
    parts, at = [[] for _ in lengths], 0
    for i in range(max(lengths)):
        for k, n in enumerate(lengths):
            if i < n:
                parts[k].append(data[at])
                at += 1
    stream = "".join(format(byte, "08b") for part in parts for byte in part)
    count = 8 if version < 10 else 16
    assert stream[:4] == "0100", "byte mode"
    n = int(stream[4:4 + count], 2)
    start = 4 + count
    return bytes(int(stream[start + 8 * i:start + 8 * i + 8], 2) for i in range(n)).decode()


def test_mistakes():
    """Each is one sentence with what to do."""
    p = Place()
    private, public = identity(p.where, "server")
    cases = [
        (["id", "new", "x"], "the form is: smqtt id new NAME -o FILE.id"),
        (["id", "new", "x", "-o", private], "exists: an identity is never overwritten"),
        (["id", "new", "x", "-o", p.path("y.id"), "--suite", "rsa"], "a suite is x25519 or p256"),
        (["id", "renew", public], "only the public half"),
        (["id", "renew"], "the form is: smqtt id renew"),
        (["id", "rotate", private, "-o", p.path("n.id")], "--grace 30d"),
        (["id", "rotate", private, "-o", p.path("n.id"), "--grace", "soon"], "a number and d, h, m or s"),
        (["id", "rotate", private, "-o", p.path("n.id"), "--grace", "4000d"], "at most ten years"),
        (["id", "rotate", private, "-o", private, "--grace", "1d"], "exists: an identity is never overwritten"),
        (["id", "show", p.path("none")], "Cannot open"),
        (["id", "show", "smqtt-x25519 AAAA"], "is not an identity"),
        (["id", "dance"], "new, show, export, check, renew, rotate, revoke"),
        (["pub", "-t", "a", "-m", "x", "--trust-first-use"], "name it with --to"),
        (["sub", "-t", "a", "--previous", private], "say which one with --identity"),
    ]
    for args, wanted in cases:
        _, err = smqtt(*args, code=1)
        has(sentence(err), re.escape(wanted))
    for name in ("y.id", "n.id"):
        assert not os.path.exists(p.path(name))
    _, err = smqtt("pub", "-t", "a", "-m", "x", "--to", "nobody", code=1, env={"HOME": "", "XDG_CONFIG_HOME": ""})
    has(sentence(err), "neither a file nor a known peer")
    _, err = smqtt("id", "known", code=1, env={"HOME": "", "XDG_CONFIG_HOME": ""})
    has(sentence(err), "set HOME, or name the file with --known")


# The grace time of the first takes the longest.
main(*test_rotation, *test_rotation_while_connected, *test_trust_on_first_use,
     *test_renewal_is_followed_and_old_ones_are_not, *test_clients_are_renewed, test_known_peers, test_names_of_servers,
     test_copied_devices, test_locked_files, test_passphrase_on_the_terminal, test_terminal_after_signals,
     test_names_of_strangers, test_qr_codes, test_mistakes, at_once=6)
