# SPDX-License-Identifier: Apache-2.0
"""smqtt passwd: the flags, files and exit codes of mosquitto_passwd."""
import os
import pty
import stat
import subprocess
import tempfile

from harness import *

TOOL = [program("smqtt"), "passwd"]


def run(*args, stdin=b"", tool=None):
    done = subprocess.run([*(tool or TOOL), *args], input=stdin, capture_output=True, timeout=20)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def in_folder(test):
    def run_in_folder():
        with tempfile.TemporaryDirectory() as folder:
            test(os.path.join(folder, "pw"))
    run_in_folder.__name__ = test.__name__
    return run_in_folder


@in_folder
def test_users_come_and_go(path):
    assert run("-b", path, "alice", "a")[0] == 1, "a file that is not there needs -c"
    assert not os.path.exists(path)
    assert run("-c", "-b", path, "alice", "a")[0] == 0
    assert mode(path) == 0o600
    assert re.fullmatch(r"alice:\$7\$101\$[^$]{16}\$[^$]{88}\n", read(path)), read(path)
    with open(path, "a", encoding="utf-8") as f:
        f.write("# a comment\n")
    os.chmod(path, 0o640)
    assert run("-b", "-H", "argon2id", path, "bob", "b")[0] == 0
    assert run("-b", "-H", "sha512", path, "carl", "c")[0] == 0
    assert run("-b", "-I", "7", path, "alice", "new")[0] == 0
    lines = read(path).splitlines()
    assert [re.match(r"(\w+:\$\w+\$|#)", line).group(0) for line in lines] == \
        ["alice:$7$", "#", "bob:$argon2id$", "carl:$6$"], lines
    assert lines[0].startswith("alice:$7$7$")
    assert mode(path) == 0o640, "the mode of a file that is there is kept"
    assert run("-D", path, "bob")[0] == 0
    assert "bob" not in read(path)
    before = read(path)
    code, _, err = run("-D", path, "bob")
    assert code == 1 and "User bob not found" in err and read(path) == before
    assert run("-c", "-b", path, "zed", "z")[0] == 0
    assert read(path).startswith("zed:") and read(path).count("\n") == 1
    assert os.listdir(os.path.dirname(path)) == ["pw"], "temporary files are gone"


@in_folder
def test_links_and_owners_are_kept(path):
    assert run("-c", "-b", path, "alice", "a")[0] == 0
    link = path + "-link"
    os.symlink(path, link)
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
    assert run("-b", link, "bob", "b")[0] == 0
    assert os.path.islink(link) and "bob" in read(path)
    assert os.geteuid() != 0 or os.stat(path).st_uid == 65534
    assert mode(path) == 0o600


@in_folder
def test_flags_that_do_not_fit(path):
    assert run("-c", "-b", path, "alice", "a")[0] == 0
    before = read(path)
    for args in (["-c", "-D", path, "alice"], ["-b", "-D", path, "alice"], ["-U", "-c", path], [path], [],
                 ["-b", path, "alice"], ["-H", "md5", "-b", path, "alice", "a"], ["-b", path, "a:b", "c"],
                 ["-I", "0", "-b", path, "a", "b"], ["-I", "x", "-b", path, "a", "b"], ["-b", path, "", "c"],
                 ["-b", path, "a\nb", "c"], ["-b", path, "#a", "c"], ["-x", path, "a"]):
        code, out, err = run(*args)
        assert code == 1 and (out or err), args
        assert read(path) == before, args
    if os.access("/usr/bin/mosquitto_passwd", os.X_OK):
        for args in (["-c", "-D", path, "alice"], ["-b", "-D", path, "alice"], ["-b", path, "a:b", "c"], [path]):
            assert run(*args, tool=["mosquitto_passwd"])[0] == run(*args)[0], args


@in_folder
def test_the_password_is_asked_for_twice(path):
    assert run("-c", path, "alice", stdin=b"one\none\n")[:1] == (0,)
    before = read(path)
    code, _, err = run(path, "alice", stdin=b"one\ntwo\n")
    assert code == 2 and "do not match" in err
    assert run(path, "alice", stdin=b"\n\n")[0] == 1
    assert run(path, "alice", stdin=b"")[0] == 1
    assert read(path) == before
    # On a terminal nothing is shown.
    child, fd = pty.fork()
    if child == 0:
        os.execv(TOOL[0], [*TOOL, path, "bob"])
    seen = b""
    for prompt in (b"Password: ", b"Reenter password: "):
        while prompt not in seen:
            seen += os.read(fd, 1024)
        time.sleep(0.05)
        os.write(fd, b"hush\n")
        seen = seen.replace(b"Password: ", b"", 1) if prompt == b"Password: " else seen
    try:
        while chunk := os.read(fd, 1024):
            seen += chunk
    except OSError:
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert b"hush" not in seen, seen
    assert "bob:$7$" in read(path)


@in_folder
def test_plain_files_are_upgraded(path):
    with open(path, "w", encoding="utf-8") as f:
        f.write("# old\nalice:a\nbob:b:c\n")
    assert run("-U", path)[0] == 0
    lines = read(path).splitlines()
    assert lines[0] == "# old" and lines[1].startswith("alice:$7$") and lines[2].startswith("bob:$7$")
    assert run("-U", path)[0] == 0
    assert read(path).splitlines() == lines, "what is hashed is not hashed again"
    with open(path, "a", encoding="utf-8") as f:
        f.write("nonsense\n")
    code, _, err = run("-U", path)
    assert code == 1 and "line 4" in err and read(path).endswith("nonsense\n")


@in_folder
def test_it_answers_to_the_name_mosquitto_passwd(path):
    link = path + "_tool/mosquitto_passwd"
    os.mkdir(os.path.dirname(link))
    os.symlink(os.path.abspath(program("smqtt")), link)
    assert run("-c", "-b", path, "alice", "a", tool=[link])[0] == 0
    assert read(path).startswith("alice:$7$101$")
    code, _, err = run("-b", path, "a:b", "c", tool=[link])
    assert code == 1 and err.startswith("Error: Username must not contain")


if __name__ == "__main__":
    main(test_users_come_and_go, test_links_and_owners_are_kept, test_flags_that_do_not_fit,
         test_the_password_is_asked_for_twice, test_plain_files_are_upgraded,
         test_it_answers_to_the_name_mosquitto_passwd)
