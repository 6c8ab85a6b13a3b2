#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""exports.py LIBRARY [--update]: libsmqtt exports what exports.txt lists, and only names that begin with smqtt_."""
import os
import re
import subprocess
import sys

import tree

LIST = 'tests/tidy/exports.txt'
HEAD = ['# What libsmqtt exports. A name that goes away breaks its users.',
        '# Written by: tests/tidy/exports.py build/lib/libsmqtt.so --update']


def exported(library):
    out = subprocess.run(['nm', '-D', '--defined-only', library], check=True, capture_output=True, text=True).stdout
    names = [re.sub(r'@.*', '', line.split()[2]) for line in out.splitlines() if line.split()[1] != 'A']
    return sorted(set(names))


def labels(library):
    """The soname carries the SOVERSION of cmake/library.cmake, every name the node SMQTT_<SOVERSION> of the map."""
    number = re.search(r'\bSOVERSION (\d+)', tree.read('cmake/library.cmake'))[1]
    head = subprocess.run(['objdump', '-p', library], check=True, capture_output=True, text=True).stdout
    names = subprocess.run(['nm', '-D', '--defined-only', '--with-symbol-versions', library], check=True,
                           capture_output=True, text=True).stdout
    faults = []
    if not re.search(rf'^\s*SONAME\s+libsmqtt\.so\.{number}$', head, re.M):
        faults.append(f'{library}: its soname is not libsmqtt.so.{number}: see SOVERSION in cmake/library.cmake')
    for line in names.splitlines():
        name = line.split()[2]
        if line.split()[1] != 'A' and not name.endswith(f'@@SMQTT_{number}'):
            faults.append(f'{name}: not of the version SMQTT_{number}: see cmake/libsmqtt.map')
    return faults


def declared():
    """What the public headers promise."""
    names = set()
    for path in tree.files('.h', under=('include/',)):
        for m in re.finditer(r'^SMQTT_API\b[^;{]*?\b(smqtt_\w+)\s*\(', tree.code(tree.read(path)), re.M):
            names.add(m.group(1))
    return names


def main():
    names = exported(sys.argv[1])
    if '--update' in sys.argv[2:]:
        with open(os.path.join(tree.ROOT, LIST), 'w', encoding='utf-8') as f:
            f.write('\n'.join(HEAD + names) + '\n')
    listed = [line for line in tree.read(LIST).splitlines() if line and not line.startswith('#')]
    faults = [f'{n}: exported, but no name of the public API' for n in names if not n.startswith('smqtt_')]
    faults += [f'{n}: exported, but not in {LIST}' for n in names if n not in listed]
    faults += [f'{n}: in {LIST}, but not exported' for n in listed if n not in names]
    faults += [f'{n}: in a public header, but not exported' for n in sorted(declared()) if n not in names]
    if faults:
        faults.append(f'If this is meant, renew the list with `tests/tidy/exports.py {sys.argv[1]} --update`; a name'
                      ' that is gone or means something else wants a new SOVERSION in cmake/library.cmake, too.')
    faults += labels(sys.argv[1])
    tree.finish(faults, len(names), 'names')


main()
