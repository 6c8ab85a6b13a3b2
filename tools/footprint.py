#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How much of libsmqtt a device carries that only seals: builds it for size, links examples/device.c with it, drops
what nobody calls, and sums what the linker's map says is left, by floor. The cryptographic library is not
counted."""
import os
import re
import subprocess
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FLAGS = '-Os -ffunction-sections -fdata-sections -fno-stack-protector'
SECTION = re.compile(r'^ (\.\w+)(?:\.\S+)?\s+0x[0-9a-f]+\s+0x([0-9a-f]+)\s+\S*libsmqtt\.a\((\S+?)\.c\.o\)', re.M)


def floors():
    """File without ending -> its folder, of those that make the library."""
    return {name[:-2]: floor for floor in ('base', 'codec', 'crypto', 'session', 'detect', 'client')
            for name in os.listdir(os.path.join(TOP, 'src', floor)) if name.endswith('.c')}


def build(folder):
    """The map of the linked program."""
    out, program = os.path.join(folder, 'build'), os.path.join(folder, 'device')
    subprocess.run(['cmake', '-S', TOP, '-B', out, '-DCMAKE_BUILD_TYPE=MinSizeRel', '-DSMQTT_TESTS=OFF',
                    '-DCMAKE_C_FLAGS=' + FLAGS], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    subprocess.run(['cmake', '--build', out, '-j2', '--target', 'smqtt_static'], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(['cc', '-std=gnu11', *FLAGS.split(), '-I', os.path.join(TOP, 'include'),
                    os.path.join(TOP, 'examples', 'device.c'), os.path.join(out, 'lib', 'libsmqtt.a'), '-lcrypto',
                    '-Wl,--gc-sections', '-Wl,-Map=' + program + '.map', '-o', program], check=True)
    with open(program + '.map', encoding='utf-8') as f:
        text = f.read()
    # What was thrown away stands first, under "Discarded input sections".
    text = text[text.index('Linker script and memory map'):]
    return re.sub(r'^( \.\S+)\n\s+', r'\1 ', text, flags=re.M)


def main():
    of, sums = floors(), {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, size, name in SECTION.findall(build(folder)):
            row = sums.setdefault(of[name], {'.text': 0, '.rodata': 0, 'other': 0})
            if kind in ('.text', '.rodata'):
                row[kind] += int(size, 16)
            elif kind in ('.data', '.bss'):
                row['other'] += int(size, 16)
    print('%-8s %8s %8s %12s' % ('floor', 'code', 'tables', 'data and bss'))
    for name in [*sorted(sums), 'all']:
        row = sums.get(name) or {k: sum(r[k] for r in sums.values()) for k in ('.text', '.rodata', 'other')}
        print('%-8s %8d %8d %12d' % (name, row['.text'], row['.rodata'], row['other']))


main()
