#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""pure.py FLOOR=ARCHIVE…: the pure floors take nothing from outside but what pure.txt lists, whatever macro hides it.
A floor may have several archives.

What they take from each other must be defined by the floor itself or by one below it."""
import re
import subprocess
import sys

import tree

PURE = ('base', 'codec', 'crypto', 'session', 'detect', 'client', 'broker', 'auth', 'conf')


def symbols(archive):
    """(defined, undefined: name -> object that wants it)"""
    out = subprocess.run(['nm', '-A', archive], check=True, capture_output=True, text=True).stdout
    defined, undefined = set(), {}
    for line in out.splitlines():
        m = re.match(r'.*:([^:]+\.o):(?:[0-9a-fA-F]+)?\s+(\S)\s+(\S+)$', line)
        if not m:
            continue
        member, kind, name = m.groups()
        if kind in 'Uwv':
            undefined.setdefault(name, member)
        elif kind.isupper() or kind == 'i':
            defined.add(name)
    return defined, undefined


def allow_list():
    rules = {}
    for line in tree.read('tests/tidy/pure.txt').splitlines():
        if line.strip() and not line.startswith('#'):
            floor, _, names = line.partition(':')
            rules.setdefault(floor.strip(), []).extend(names.split())
    return rules


def is_allowed(name, rules):
    # Names of the C library carry a version in some of its headers: __isoc99_sscanf, __isoc23_strtoul.
    plain = re.sub(r'^__(\w+)_chk$', r'\1', name)
    plain = re.sub(r'^__isoc\d+_', '', plain)
    return any(plain == r or name == r or (r.endswith('*') and plain.startswith(r[:-1])) for r in rules)


def main():
    below, rules = tree.floors(), allow_list()
    tables = {}
    for floor, path in (arg.split('=', 1) for arg in sys.argv[1:]):
        defined, undefined = symbols(path)
        table = tables.setdefault(floor, (set(), {}))
        table[0].update(defined)
        table[1].update(undefined)
    faults = []
    for floor in PURE:
        if floor not in tables:
            faults.append(f'src/{floor}: there is no archive of this floor')
            continue
        known = set(tables[floor][0])
        for other in below[floor]:
            known |= tables.get(other, (set(),))[0]
        allowed = rules.get('all', []) + rules.get(floor, [])
        for name, member in sorted(tables[floor][1].items()):
            if name not in known and not is_allowed(name, allowed):
                faults.append(f'src/{floor}: {member} uses {name}, which a pure floor may not')
    tree.finish(faults, len(tables), 'floors')


main()
