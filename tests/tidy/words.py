#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No postponed work, no blanks at line ends, a licence line in every source, a comment on top of every table."""
import re

import tree

SOURCES = ('.c', '.h', '.def', '.py', '.sh', '.js', '.mjs', '.cmake', '.map', 'CMakeLists.txt', 'Makefile', '.ci/run')
TEXTS = SOURCES + ('.md', '.txt', '.in', '.1', '.3', '.5', '.7', '.8')
POSTPONED = re.compile(r'\b(TO' + r'DO|FIX' + r'ME|XX' + r'X|HA' + r'CK)\b')
LICENCE = 'SPDX-License-Identifier: Apache-2.0'


def check(path, text):
    faults = []
    for i, line in enumerate(text.split('\n'), 1):
        m = POSTPONED.search(line)
        if m:
            faults.append(f'{path}:{i}: {m.group()}: do it or leave it')
        if line != line.rstrip():
            faults.append(f'{path}:{i}: blanks at the end of the line')
    if text and not text.endswith('\n'):
        faults.append(f'{path}: the last line has no end')
    if path.endswith(SOURCES) and LICENCE not in '\n'.join(text.split('\n')[:2]):
        faults.append(f'{path}: no "{LICENCE}" on top')
    if path.endswith('.def') and not re.match(r'/\* SPDX[^\n]*\n/\*(?!\s*SPDX)', text):
        faults.append(f'{path}: no comment below the licence line that explains the columns')
    return faults


def main():
    faults = []
    paths = [p for p in tree.files(*TEXTS) if not p.startswith('tests/vectors/') and '/corpus/' not in p]
    for path in paths:
        faults += check(path, tree.read(path))
    tree.finish(faults, len(paths), 'files')


main()
