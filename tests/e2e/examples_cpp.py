# SPDX-License-Identifier: Apache-2.0
"""The library from C++: the example compiles with every compiler that is there, without a warning, and runs; headers
compile as C++11 and later."""
import os
import shutil
import subprocess

from brokers import Mosquitto, Smqttd
from harness import BIN, is_sanitized, main, skip
from smqtt_cli import Sub, folder, identity

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WARN = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror", "-I", os.path.join(TOP, "include")]
COMPILERS = [name for name in ("g++", "clang++") if shutil.which(name)]
TEXT = "あいうえお"


def compiled(compiler):
    program = os.path.join(folder(), "cpp_publisher")
    subprocess.run([compiler, "-std=c++17", *WARN, os.path.join(TOP, "examples", "cpp_publisher.cpp"), "-o", program,
                    os.path.join(BIN, "..", "lib", "libsmqtt.a"), "-lcrypto"], check=True)
    return program


def publish(program, port, public, text, code):
    done = subprocess.run([program, "127.0.0.1", str(port), public, "s/1", text], timeout=60, capture_output=True,
                          check=False)
    assert done.returncode == code, done
    return done.stdout + done.stderr


def test_publisher():
    programs = [compiled(compiler) for compiler in COMPILERS]
    for kind in (Smqttd, Mosquitto):  # natively, and by the tunnel
        broker = kind()
        private, public = identity(folder(), "server")
        server = Sub(broker, "-t", "s/#", "-F", "%Z %t %p", identity=private)
        wanted = b""
        for program in programs:
            assert b"the other side confirms" in publish(program, broker.port, public, TEXT, 0)
            wanted += ("PEER_ANON s/1 %s\n" % TEXT).encode()
            server.expect(wanted)
        server.child.stop()
        broker.stop()
    assert b"no broker answers" in publish(programs[0], broker.port, public, TEXT, 1)
    assert b"reading or writing failed" in publish(programs[0], broker.port, "/nonexistent", TEXT, 1)


def test_headers():
    """One after the other and each alone, as every version of C++ from 2011 on."""
    headers = sorted(name for name in os.listdir(os.path.join(TOP, "include", "smqtt")) if name.endswith(".h"))
    assert "secure.h" in headers and "posix.h" in headers
    for compiler in COMPILERS:
        for std in ("c++11", "c++14", "c++17", "c++20"):
            for header in [*headers, None]:
                text = "".join("#include <smqtt/%s>\n" % name for name in ([header] if header else headers))
                subprocess.run([compiler, "-std=" + std, "-fsyntax-only", *WARN, "-x", "c++", "-"], check=True,
                               input=text.encode())


if not COMPILERS:
    skip("there is no compiler of C++")
if is_sanitized():
    skip("the library is built with a sanitizer, the example is not")
main(test_publisher, test_headers)
