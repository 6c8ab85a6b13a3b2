# SPDX-License-Identifier: Apache-2.0
"""How a script is written down: add(name, versions, body), or @script(versions) above body(player, version)."""
from wire import V5, V31, V311

SHORT = {V31: "v31", V311: "v311", V5: "v5"}
ALL, NEW = (V31, V311, V5), (V311, V5)
SCRIPTS, CONFS = {}, {}  # by name

BAD_TEXT = {"surrogate": b"a\xed\xa0\x80", "zero": b"a\0b", "cut": b"a\xc3", "overlong": b"\xc0\x80",
            "beyond": b"\xf5\x80\x80\x80", "stray": b"\x80a", "control": b"a\x01b", "nonchar": b"a\xef\xbf\xbe"}


def add(name, versions, body, conf=""):
    """body(p, version); both brokers have these lines in their configuration."""
    for version in versions:
        full = "%s-%s" % (name.replace("#", "H").replace("+", "P").replace("$", "D"), SHORT[version])
        assert full not in SCRIPTS, full
        CONFS[full] = conf
        SCRIPTS[full] = lambda p, version=version: body(p, version)


def script(*versions):
    def mark(body):
        add(body.__name__.replace("_", "-"), versions, body)
        return body
    return mark


def after_connect(name, versions, *data, watch=False):
    def body(p, version):
        if watch:
            p.connect("w", version)
            p.subscribe("w", (p.topic("#"), 2))
        p.connect("a", version)
        for d in data:
            p.send("a", d(p, version) if callable(d) else d)
    add(name, versions, body)
