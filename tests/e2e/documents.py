# SPDX-License-Identifier: Apache-2.0
"""The manual says what the program has: directives, values and defaults, one table for all."""
import re
import subprocess

from harness import is_smqttd, main, program, skip

ROW = re.compile(r'^DIRECTIVE\("([^"]+)",\s*(\w+),\s*(\w+),\s*[\w.]+,\s*(\w+),\s*(\w+),\s*"([^"]*)",\s*"([^"]*)",\s*'
                 r'"([^"]*)"\)$', re.M)
FOREIGN = re.compile(r'^FOREIGN\("([^"]+)",\s*(\w+),\s*\w+,\s*\w+,\s*\w+,\s*"[^"]*",\s*"[^"]*",\s*"([^"]*)"\)$', re.M)


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def rows():
    text = read("src/conf/directive.def")
    found = ROW.findall(text)
    assert len(found) == len(re.findall(r'^DIRECTIVE\("', text, re.M)), "a row of directive.def has another form"
    foreign = FOREIGN.findall(text)
    assert len(foreign) == len(re.findall(r'^FOREIGN\("', text, re.M)), "a row of directive.def has another form"
    return found, foreign


def test_configuration_md():
    text = read("docs/configuration.md")
    ours, foreign = rows()
    for name, _, _, _, _, words, default, sense in ours:
        line = [found for found in text.splitlines() if found.startswith("| `%s` |" % name)]
        assert len(line) == 1, "%s has %d lines in docs/configuration.md" % (name, len(line))
        assert sense.replace("`", "") in line[0].replace("`", ""), "%s: %s" % (name, line[0])
        assert not default or "`%s`" % default in line[0], "%s: default" % name
        for word in words.split():
            assert word in line[0], "%s: %s" % (name, word)
    for name, _, mend in foreign:
        assert "| `%s` | %s |" % (name, mend) in text, "%s is not in docs/configuration.md" % name
    named = set(re.findall(r"^\| `([\w*.]+)` \|", text, re.M))
    assert named == {r[0] for r in ours} | {r[0] for r in foreign}, "docs/configuration.md names what is not there"


def test_manual_page():
    text = read("docs/man/smqttd.conf.5").replace("\\-", "-")
    ours, foreign = rows()
    for name, _, _, _, _, _, default, sense in ours:
        at = text.find("\n.TP\n.B %s\n" % name)
        assert at >= 0, "%s is not in smqttd.conf(5)" % name
        entry = text[at + 4:at + 600].split("\n.TP")[0]
        assert sense[1:] in entry, "%s: %s" % (name, entry)
        assert not default or "Default: %s." % default in entry, "%s: default" % name
    for name, _, _ in foreign:
        assert re.search(r"(^|, )%s[,.]" % re.escape(name), text, re.M), "%s is not in smqttd.conf(5)" % name


def test_dump_of_defaults():
    """--dump-config prints each default as the table has it."""
    lines = subprocess.run([program("smqttd"), "--dump-config"], check=True, capture_output=True,
                           text=True).stdout.splitlines()
    for name, kind, scope, _, _, _, default, _ in rows()[0]:
        if default and scope == "GLOBAL" and kind != "OWN":
            value = str(int(default[:-1]) << 20) if re.fullmatch(r"\d+M", default) else default
            assert "%s %s" % (name, value) in lines, name


def test_flags_are_documented():
    shown = subprocess.run([program("smqttd"), "--help"], check=True, capture_output=True, text=True).stdout
    page = read("docs/man/smqttd.8").replace("\\-", "-")
    for flag in re.findall(r"^  (-[-\w]+)", shown, re.M):
        assert flag in page, "%s is not in smqttd(8)" % flag


if not is_smqttd():
    skip("about smqttd alone")
main(test_configuration_md, test_manual_page, test_dump_of_defaults, test_flags_are_documented)
