# SPDX-License-Identifier: Apache-2.0
"""What the tests of `smqtt` have in common: running it, subscribers that are ready, identities."""
import atexit
import os
import shutil
import subprocess
import tempfile

from harness import PATIENCE, Child, program, wait_until


def folder():
    path = tempfile.mkdtemp(prefix="smqtt-cli-")
    atexit.register(shutil.rmtree, path, True)
    return path


def smqtt(*args, stdin=None, code=0, seconds=60, env=None):
    """Runs it to its end: (standard output, standard error) as bytes."""
    given = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
    done = subprocess.run([program("smqtt"), *args], capture_output=True, timeout=seconds, check=False,
                          env={**os.environ, **(env or {})}, **given)
    assert done.returncode == code, "smqtt %s ended with %s, not %s: %r %r" % (
        " ".join(args), done.returncode, code, done.stdout[-500:], done.stderr[-500:])
    return done.stdout, done.stderr


def sentence(err):
    """Standard error is exactly one sentence for a person."""
    lines = err.decode().splitlines()
    assert len(lines) == 1 and lines[0].startswith("smqtt: ") and lines[0][-1] in ".?", "not one sentence: %r" % err
    return lines[0]


class Sub:
    """`smqtt sub` (or another program of the same form) that is subscribed, its output in files. `registers`:
    natively, a server is known to the broker before it is ready. `env`: NAME=VALUE, …"""

    def __init__(self, broker, *args, argv=None, identity=None, registers=True, env=()):
        self.folder = folder()
        self.out, self.err = os.path.join(self.folder, "out"), os.path.join(self.folder, "err")
        for path in (self.out, self.err):
            open(path, "wb").close()
        extra = ["--identity", identity] if identity else []
        command = [*(argv or [program("smqtt"), "sub"]), "-h", "127.0.0.1", "-p", str(broker.port), *extra, *args]
        if not argv:
            command.append("--progress")
        command = ["env", *env, *command] if env else command
        self.child = Child(["sh", "-c", 'exec "$0" "$@" >%s 2>%s' % (self.out, self.err), *command], name="sub")
        if argv:
            return
        self.ready(identity if registers else None)

    def ready(self, identity, times=1):
        wait_until(lambda: self.errors().splitlines().count(b"subscribed") >= times, 30, "the subscription is made")
        if identity:
            wait_until(lambda: self.errors().count(b"registered as server") >= times, 30, "the server is registered")

    def output(self):
        with open(self.out, "rb") as f:
            return f.read()

    def errors(self):
        with open(self.err, "rb") as f:
            return f.read()

    def expect(self, wanted, seconds=PATIENCE):
        """The output must become exactly this."""
        try:
            wait_until(lambda: self.output() == wanted, seconds, "the output")
        except AssertionError:
            raise AssertionError("printed %r, not %r; errors %r" % (self.output()[-800:], wanted[-800:],
                                                                    self.errors()[-800:])) from None


def identity(where, name, *args):
    """(private file, public file) of a new one."""
    path = os.path.join(where, name + ".id")
    smqtt("id", "new", name, "-o", path, *args)
    return path, os.path.join(where, name + ".pub")


def address(broker):
    return ["-h", "127.0.0.1", "-p", str(broker.port)]
