# SPDX-License-Identifier: Apache-2.0
"""What the tidy tests have in common: the files of the tree, C text without comments and strings, and the report."""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SKIP = re.compile(r'^(build|node_modules|\.)')


def files(*suffixes, under=('',)):
    """Paths, from the top, of all files with these endings: what git knows or would add; without git, what is there."""
    found = []
    try:
        command = ['git', 'ls-files', '-co', '--exclude-standard', '-z']
        out = subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        found = [p for p in out.stdout.decode().split('\0') if p]
    except (OSError, subprocess.CalledProcessError):
        for folder, folders, names in os.walk(ROOT):
            folders[:] = [f for f in folders if not SKIP.match(f)]
            found += [os.path.relpath(os.path.join(folder, n), ROOT) for n in names]
    found = [p for p in found if p.endswith(suffixes) and any(p.startswith(u) for u in under)]
    return sorted(p for p in found if os.path.isfile(os.path.join(ROOT, p)))


def read(path):
    with open(os.path.join(ROOT, path), encoding='utf-8') as f:
        return f.read()


NOISE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code(text):
    """C text with comments and literals blanked; lines stay where they are."""
    return NOISE.sub(lambda m: re.sub(r'[^\n]', ' ', m.group()), text)


def line_of(text, offset):
    return text.count('\n', 0, offset) + 1


def floors():
    """Folder -> set of folders that it may include, as floors.txt lists them, lower ones first."""
    allowed = {}
    for line in read('tests/tidy/floors.txt').splitlines():
        if line.strip() and not line.startswith('#'):
            name, _, below = line.partition(':')
            allowed[name.strip()] = below.split()
    return allowed


def finish(faults, looked_at, what):
    """Prints the faults and ends the program; to have looked at nothing is a fault, too."""
    for fault in faults:
        print(fault)
    if not looked_at:
        print('there is nothing to look at')
        sys.exit(1)
    print(f'{looked_at} {what}, {len(faults)} faults')
    sys.exit(1 if faults else 0)
