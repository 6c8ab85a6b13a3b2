#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""headers.py CC CXX: every header compiles alone and twice, public ones also as C99 and C++17."""
import concurrent.futures
import os
import re
import subprocess
import sys

import tree

WARN = ['-fsyntax-only', '-Wall', '-Wextra', '-Wconversion', '-Wshadow', '-Wundef', '-Werror', '-I', 'include']


def compile_alone(job):
    header, command = job
    name = re.sub(r'^(src|include)/', '', header)
    text = f'#include <{name}>\n' * 2 if header.startswith('include/') else f'#include "{name}"\n' * 2
    text += 'typedef int smq_translation_unit_is_not_empty;\n'
    done = subprocess.run(command + ['-'], cwd=tree.ROOT, input=text, text=True, capture_output=True)
    return None if done.returncode == 0 else f'{header}: {" ".join(command)}\n{done.stderr}'


def main():
    cc, cxx = sys.argv[1], sys.argv[2]
    headers = tree.files('.h', under=('include/', 'src/', 'apps/'))
    jobs = []
    for header in headers:
        jobs.append((header, [cc, *WARN, '-I', 'src', '-I', '.', '-D_GNU_SOURCE=', '-x', 'c', '-std=c11']))
        if header.startswith('include/'):
            jobs.append((header, [cc, *WARN, '-Wpedantic', '-x', 'c', '-std=c99']))
            jobs.append((header, [cxx, *WARN, '-Wpedantic', '-x', 'c++', '-std=c++17']))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        faults = [f for f in pool.map(compile_alone, jobs) if f]
    tree.finish(faults, len(headers), 'headers')


main()
