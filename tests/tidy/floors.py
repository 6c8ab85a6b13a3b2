#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Includes obey floors.txt: a folder includes itself and the floors below it, public headers public headers only, and
there are no circles."""
import os
import re

import tree

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)
DEPS = re.compile(r'smqtt_floor\(\s*(\w+)(.*?)\)', re.S)


def folder_of(path):
    parts = path.split('/')
    return parts[1] if parts[0] == 'src' and len(parts) > 2 else parts[0]


def check_list(allowed):
    """Each floor stands on floors that were named before it."""
    seen, faults = set(), []
    for name, below in allowed.items():
        faults += [f'tests/tidy/floors.txt: {name} stands on {b}, which is not below it'
                   for b in below if b not in seen]
        seen.add(name)
    return faults


def check_include(path, line, mark, name, allowed):
    """Returns (file that is included or None, fault or None)."""
    where = f'{path}:{line}: '
    folder = folder_of(path)
    if mark == '<':
        if name.startswith('smqtt/'):
            return 'include/' + name, None
        return None, None
    if folder == 'include':
        return None, where + f'a public header includes "{name}", which is not public'
    here = os.path.dirname(path)
    # Rows and helpers of a program or test may lie beside it.
    if folder in ('apps', 'tests') and os.path.exists(os.path.join(tree.ROOT, here, name)):
        return f'{here}/{name}', None
    target = name.split('/')[0]
    if not os.path.exists(os.path.join(tree.ROOT, 'src', name)) and not (folder == 'apps' and target == 'apps'):
        return None, where + f'"{name}" does not exist under src/; includes are written from there'
    if folder == 'tests' or target == folder or target in allowed.get(folder, []):
        return 'src/' + name, None
    return None, where + f'{folder} includes "{name}", but may include only: {" ".join(allowed.get(folder, []))}'


def circles(graph):
    """Headers that include each other."""
    state, faults = {}, []

    def visit(node, trail):
        state[node] = 'open'
        for to in graph.get(node, ()):
            if state.get(to) == 'open':
                faults.append('circle: ' + ' -> '.join(trail[trail.index(to):] + [to]))
            elif to not in state:
                visit(to, trail + [to])
        state[node] = 'done'

    for node in sorted(graph):
        if node not in state:
            visit(node, [node])
    return faults


def check_cmake(allowed):
    faults = []
    for path in tree.files('CMakeLists.txt', under=('src/',)):
        for floor, words in DEPS.findall(re.sub(r'#[^\n]*', '', tree.read(path))):
            deps = re.search(r'\bDEPS\b([^)]*?)(?:\bLIBS\b|\bSOURCES\b|$)', words, re.S)
            for dep in deps.group(1).split() if deps else []:
                if dep not in allowed.get(floor, []):
                    faults.append(f'{path}: {floor} links {dep}, which is not below it')
    return faults


def main():
    allowed = tree.floors()
    faults = check_list(allowed) + check_cmake(allowed)
    graph = {}
    paths = tree.files('.c', '.h', '.def', under=('src/', 'apps/', 'include/', 'tests/'))
    for path in paths:
        text = tree.read(path)
        for m in INCLUDE.finditer(text):
            to, fault = check_include(path, tree.line_of(text, m.start()), m.group(1), m.group(2), allowed)
            if fault:
                faults.append(fault)
            elif to and path.endswith('.h'):
                graph.setdefault(path, set()).add(to)
    tree.finish(faults + circles(graph), len(paths), 'files')


main()
