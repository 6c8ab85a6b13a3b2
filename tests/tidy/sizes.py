#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sizes and words of CONTRIBUTING.md: files, functions, lines, nesting; banned calls; conditionals out of place."""
import re

import tree

FILE_LINES, FUNCTION_LINES, COLUMNS, NESTING = 700, 70, 120, 4
BANNED = re.compile(r'\b(strcpy|strcat|sprintf|vsprintf|strtok|alloca|gets|atoi|atol|atoll)\s*\(')
HEAP = re.compile(r'(?<![\w.>])(malloc|calloc|realloc|free|strdup|strndup)\s*\(')
HEAP_PLACES = ('src/base/mem.c', 'src/net/', 'apps/', 'tests/')
CONDITIONAL = re.compile(r'^[ \t]*#[ \t]*(if|ifdef|ifndef|elif)\b[ \t]*(.*?)[ \t]*$', re.M)
CONDITIONAL_PLACES = ('src/base/', 'src/crypto/', 'src/net/', 'include/smqtt/types.h',
                      'include/smqtt/posix.h', 'tests/')
BODY = re.compile(r'^\{\n.*?^\}', re.M | re.S)


def check_lines(path, text):
    lines = text.splitlines()
    faults = []
    if len(lines) > FILE_LINES:
        faults.append(f'{path}: {len(lines)} lines, at most {FILE_LINES}')
    # A row of a table is as long as its text.
    if not path.endswith('.def'):
        faults += [f'{path}:{i}: {len(line)} columns, at most {COLUMNS}'
                   for i, line in enumerate(lines, 1) if len(line) > COLUMNS]
    return faults


def deepest(body):
    """The most blocks that lie in each other below the function's own; braces of initialisers are no blocks."""
    stack, most = [], 0
    for m in re.finditer(r'[{}]', body):
        if m.group() == '}':
            if stack:
                stack.pop()
            continue
        before = body[:m.start()].rstrip()
        stack.append(before == '' or before.endswith((')', 'else', 'do', '{', '}', ';', ':')))
        most = max(most, sum(stack) - 1)
    return most


def check_functions(path, text):
    faults = []
    for m in BODY.finditer(text):
        # The signature begins behind the last statement, block, directive or blank line above it.
        words = re.split(r'^.*[;}\\][ \t]*$|^#.*$|^[ \t]*$', text[:m.start()].rstrip('\n'), flags=re.M)[-1].lstrip()
        first = tree.line_of(text, m.start()) - words.count('\n') - 1
        n = tree.line_of(text, m.end()) - first + 1
        name = re.search(r'(\w+)\s*\(', words)
        where = f'{path}:{first}: {name.group(1) if name else "function"}'
        if n > FUNCTION_LINES:
            faults.append(f'{where}: {n} lines, at most {FUNCTION_LINES}')
        depth = deepest(m.group())
        if depth > NESTING:
            faults.append(f'{where}: nested {depth} deep, at most {NESTING}')
    return faults


def is_guard(path, word, rest):
    if word == 'ifndef' and path.endswith('.h') and re.fullmatch(r'SMQTT?_\w+_H', rest):
        return True
    if word == 'ifdef' and rest == '__cplusplus':
        return True
    # A table of rows gives its macros a meaning if the includer gave none.
    return word == 'ifndef' and path.endswith('.def')


def check_words(path, text):
    faults = [f'{path}:{tree.line_of(text, m.start())}: {m.group(1)} is banned' for m in BANNED.finditer(text)]
    if not path.startswith(HEAP_PLACES):
        faults += [f'{path}:{tree.line_of(text, m.start())}: {m.group(1)}: memory goes through base/mem.h'
                   for m in HEAP.finditer(text)]
    if not path.startswith(CONDITIONAL_PLACES):
        faults += [f'{path}:{tree.line_of(text, m.start())}: #{m.group(1)} {m.group(2)}: no conditionals here'
                   for m in CONDITIONAL.finditer(text) if not is_guard(path, m.group(1), m.group(2))]
    return faults


def main():
    faults = []
    paths = tree.files('.c', '.h', '.def', '.py', '.sh', '.js', '.mjs', '.cmake', 'CMakeLists.txt', 'Makefile')
    for path in paths:
        text = tree.read(path)
        faults += check_lines(path, text)
        if path.endswith(('.c', '.h', '.def')):
            bare = tree.code(text)
            faults += check_functions(path, bare) + check_words(path, bare)
    tree.finish(faults, len(paths), 'files')


main()
