#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""manual.py CC: everything in the public headers is documented and stands in the manual pages, and troff has nothing to
complain of. What there is to document is taken from the compiler's preprocessor, not from the generator."""
import glob
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, 'tools'))
import api  # noqa: E402

BAD = '''/** @file bad.h
 * A header that a hurried person wrote. */
/** Documented. */
SMQTT_API void smqtt_good(void);
SMQTT_API void smqtt_silent(int a);
/** SMQTT_E_NOMEM. */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_only_fails(void);
/** A struct. */
struct smqtt_s {
    int a, b; /**< two */
    int c;
    void (*f)(int x, int y); /**< called */
};
enum {
    SMQTT_ONE, /**< one */
    SMQTT_TWO
};
'''


def preprocessed(compiler):
    """The headers without comments and macros; what they include from elsewhere is left out."""
    text = '#define _POSIX_C_SOURCE 200809L\n#include <smqtt/posix.h>\n'
    out = subprocess.run([compiler, '-E', '-I', 'include', '-x', 'c', '-'], cwd=ROOT, input=text, text=True, check=True,
                         capture_output=True).stdout
    kept, ours = [], False
    for line in out.splitlines():
        mark = re.match(r'# \d+ "([^"]*)"', line)
        if mark:
            ours = 'include/smqtt/' in mark[1]
        elif ours:
            kept.append(line)
    return re.sub(r'__attribute__\s*\(\(.*?\)\)\)*', '', '\n'.join(kept))


def promised(text):
    """(kind, name) of everything that a program can write."""
    found = set()
    for body in re.findall(r'\benum\s*\w*\s*\{([^}]*)\}', text):
        found |= {('constant', name) for name in re.findall(r'\b(SMQTT_\w+)\b', re.sub(r'=[^,]*', '', body))}
    for name, body in re.findall(r'\bstruct\s+(\w+)\s*\{([^}]*)\}', text):
        for field in body.split(';'):
            pointer = re.search(r'\(\*(\w+)\)', field)
            names = [pointer[1]] if pointer else re.findall(r'(\w+)\s*(?:\[[^]]*\])*\s*(?:,|$)', field.strip())
            found |= {('field', name + '.' + f) for f in names}
    outside = re.sub(r'\{[^{}]*\}', ';', re.sub(r'\{[^{}]*\}', ';', text))
    for statement in outside.split(';'):
        function = re.match(r'[^(]*?\b(smqtt_\w+)\s*\(', statement)
        if function:
            found.add(('function', function[1]))
    return found


def check_pages(folder, names):
    faults, pages = [], {}
    for path in glob.glob(os.path.join(folder, '*.3')):
        with open(path, encoding='ascii') as f:
            pages[os.path.basename(path)[:-2]] = f.read()
    bold = set(re.findall(r'\w+', ' '.join(re.findall(r'\\fB(.*?)\\fR', '\n'.join(pages.values())))))
    for kind, name in sorted(names):
        if kind == 'function' and '.SH "DESCRIPTION"' not in pages.get(name, ''):
            faults.append('%s: a function without a page of its own' % name)
        elif kind == 'field':
            owner, field = name.split('.')
            page = pages.get(owner, '')
            page = pages.get(page[len('.so man3/'):-3], page) if page.startswith('.so ') else page
            if not re.search(r'\\fB[^\n]*\b%s\b' % field, page):
                faults.append('%s: a field that the page %s(3) does not explain' % (name, owner))
        elif kind == 'constant' and name not in bold:
            faults.append('%s: a constant that no page explains' % name)
    for name, text in pages.items():
        away = re.match(r'\.so man3/(\w+)\.3$', text)
        if away and away[1] not in pages:
            faults.append('%s(3) refers to %s(3), which is not there' % (name, away[1]))
        faults += ['%s(3) names %s(3), which is not there' % (name, n)
                   for n in re.findall(r'\\fB(smqtt_\w+)\\fR\(3\)', text) if n not in pages]
    return faults


def check_troff(folder):
    faults = []
    for path in sorted(glob.glob(os.path.join(folder, '*.3')) + glob.glob(os.path.join(ROOT, 'docs/man/*.[1-8]'))):
        command = ['groff', '-K', 'utf8', '-man', '-ww', '-z', '-Tutf8', path]
        with open(path, encoding='utf-8') as f:
            if f.read().startswith('.so '):
                continue
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        faults += ['%s: %s' % (os.path.basename(path), line) for line in done.stderr.splitlines()]
        done = subprocess.run(['lexgrog', '-m', path], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            faults.append('%s: whatis cannot read its NAME' % os.path.basename(path))
    return faults


def check_checker(folder):
    """What is wrong with BAD is found, and nothing else."""
    path = os.path.join(folder, 'bad.h')
    with open(path, 'w', encoding='utf-8') as f:
        f.write(BAD)
    found = [re.sub(r'^\S+ (.*?): (\w+).*', r'\1 \2', line) for line in api.faults([api.read_header(path)])]
    wanted = ['smqtt_silent undocumented', 'smqtt_only_fails the', 'smqtt_s.c undocumented',
              'enum.SMQTT_TWO undocumented']
    return [] if found == wanted else ['tools/api.py finds %s in a bad header, not %s' % (found, wanted)]


def main():
    generator = [sys.executable, '-B', os.path.join(ROOT, 'tools', 'manual.py')]
    done = subprocess.run([*generator, '--check'], capture_output=True, text=True, check=False)
    faults = [line.replace(ROOT + '/', '') for line in (done.stdout + done.stderr).splitlines()]
    with tempfile.TemporaryDirectory() as folder:
        faults += check_checker(folder)
        subprocess.run([*generator, folder], check=True)
        names = promised(preprocessed(sys.argv[1]))
        kinds = [kind for kind, _ in names]
        assert min(kinds.count('function') - 100, kinds.count('field') - 100, kinds.count('constant') - 100) > 0, \
            'too little was found in the headers'
        faults += check_pages(folder, names)
        faults += check_troff(folder)
    for fault in faults:
        print(fault)
    print('%d functions, fields and constants, %d faults' % (len(names), len(faults)))
    sys.exit(1 if faults else 0)


main()
