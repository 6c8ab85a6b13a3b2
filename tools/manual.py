#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the manual pages of libsmqtt, section 3, from the comments of the public headers.

    tools/manual.py OUT      a page for each header, for each function, and libsmqtt(3); types refer to their header's
    tools/manual.py --check  only looks whether everything is documented; one line for each name that is not, and code 1

libsmqtt(3) is docs/man/libsmqtt.3.in with @VERSION@, @ERRORS@ (include/smqtt/error.def), @HEADERS@ and @EXAMPLE@
(examples/in_memory.c)."""
import os
import re
import sys

import api

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
INCLUDE = os.path.join(TOP, 'include', 'smqtt')
NAME = re.compile(r'`([^`]*)`|\b(smqtt_\w+|SMQTT_\w+|libsmqtt)(\(3\))?')
COLUMNS = 76


# --- troff ------------------------------------------------------------------------------------------------------------


def escape(text):
    """Characters that troff would take for something else; all that is not ASCII by its number."""
    text = text.replace('\\', '\\e').replace('-', '\\-').replace("'", '\\(aq').replace('`', '\\(ga')
    text = text.replace('^', '\\(ha').replace('~', '\\(ti').replace('"', '\\(dq')
    return ''.join(c if ord(c) < 128 else '\\[u%04X]' % ord(c) for c in text)


def words(text):
    """A paragraph: names and `code` in bold, never a request by accident."""
    out, at = [], 0
    for m in NAME.finditer(text):
        out += [escape(text[at:m.start()]), '\\fB', escape(m[1] or m[2] or ''), '\\fR', m[3] or '']
        at = m.end()
    line = ''.join(out) + escape(text[at:])
    return '\\&' + line if line.startswith(('.', "\\(aq")) else line


def paragraphs(doc):
    lines = []
    for i, text in enumerate(doc.paragraphs):
        if text.startswith('- '):
            lines += ['.IP \\(bu 2', words(text[2:])]
        else:
            lines += ['.PP'] * (i > 0) + [words(text)]
    return lines


def terms(pairs):
    """A list of (term, text)."""
    lines = []
    for term, text in pairs:
        lines += ['.TP', '\\fB%s\\fR' % escape(term), words(text)]
    return lines


def code_lines(lines):
    return ['.nf', *['\\&' + escape(line) for line in lines], '.fi']


def page(name, sections, version):
    lines = ['.\\" SPDX-License-Identifier: Apache-2.0', '.\\" Written by tools/manual.py from include/smqtt.',
             '.TH %s 3 "2026" "smqtt %s" "libsmqtt"' % (name.upper(), version)]
    for title, body in sections:
        if body:
            lines += [('.SS ' if title.startswith(' ') else '.SH ') + '"%s"' % escape(title.strip()), *body]
    return '\n'.join(lines) + '\n'


# --- C ----------------------------------------------------------------------------------------------------------------


def prototype(code):
    """A declaration, its parameters below each other when it is too long for a line."""
    code = re.sub(r'\s*\*\s*', ' *', code).replace('( *', '(*').replace('* *', '**')
    if len(code) < COLUMNS or '(' not in code:
        return [code + ';']
    head, rest = code.split('(', 1)
    parts = [p.strip() for p in re.split(r',\s*(?![^(]*\))', rest[:-1])]
    lines, line, pad = [], head + '(', ' ' * (min(len(head), 30) + 1)
    for i, part in enumerate(parts):
        part += ');' if i == len(parts) - 1 else ','
        if line.strip() and len(line) + len(part) + 1 > COLUMNS and i:
            lines.append(line)
            line = pad + part
        else:
            line += (' ' if i else '') + part
    return lines + [line]


def sentence(doc):
    """The first sentence, for lists: without its end, without marks."""
    text = re.sub(r'`', '', doc.paragraphs[0] if doc.paragraphs else doc.text())
    text = re.split(r'(?<=[\w)]{2})[.;](?:\s|$)|(?<=.{12}):\s|(?<=\?)\s', text + ' ')[0].strip().rstrip('.:;,')
    if text.count('(') > text.count(')'):
        text = text[:text.rindex('(')].rstrip()
    return text[:1].lower() + text[1:] if not re.match(r'[A-Z]{2}|S-MQTT|"', text) else text


def whole(text):
    """A sentence that begins and ends as one."""
    return text[:1].upper() + text[1:] + ('' if text.endswith(('.', '?')) else '.')


def summary(doc):
    """The sentence for NAME: one line that whatis can read."""
    text = re.sub(r'\s*\((?:see )?(?:docs/)?protocol\.md[^)]*\)', '', sentence(doc))
    return text if len(text) < 100 else text[:97].rsplit(' ', 1)[0].rstrip(',;') + ' ...'


# --- pages ------------------------------------------------------------------------------------------------------------


def see_also(names):
    return [', '.join('\\fB%s\\fR(3)' % escape(n) for n in names)] if names else []


def header_page_name(header):
    return 'libsmqtt' if header.name == 'smqtt.h' else 'smqtt_' + header.name[:-2]


class Manual:
    def __init__(self, headers, version):
        self.headers, self.version, self.pages = headers, version, {}
        self.errors = api.read_rows(os.path.join(INCLUDE, 'error.def'), 'ERR')
        self.functions = {i.name for h in headers for i in h.items if i.kind == 'function'}
        self.types = {i.name: h for h in headers for i in h.items if i.kind in ('struct', 'opaque', 'enum', 'typedef')}

    def function(self, header, item):
        doc, text = item.doc, item.doc.text()
        errors = [('SMQTT_E_' + row[0], row[3][:1].upper() + row[3][1:] + '.') for row in self.errors
                  if re.search(r'\bSMQTT_E_%s\b' % row[0], text)]
        fails = item.code.startswith('smqtt_err ')
        gives = [words('SMQTT_OK (0), or an error, and then nothing was given through pointers. smqtt_strerror(3) has '
                       'a sentence for each.')] if fails else []
        near = [n for n in re.findall(r'smqtt_\w+', text) if n in self.functions and n != item.name]
        used = [n for n in re.findall(r'smqtt_\w+', item.code) if n in self.types and n != item.name]
        homes = [header_page_name(h) for h in [header] + [self.types[n] for n in used]]
        links = list(dict.fromkeys(sorted(set(near)) + homes + ['libsmqtt']))
        details = [words(result) for result in doc.results]
        self.pages[item.name] = page(item.name, [
            ('NAME', ['%s \\- %s' % (escape(item.name), escape(summary(doc)))]),
            ('SYNOPSIS', code_lines(['#include <smqtt/%s>' % header.name, '', *prototype(item.code)]) +
             ['.PP', words('Link with `-lsmqtt`.')]),
            ('DESCRIPTION', paragraphs(doc)),
            ('PARAMETERS', terms([(name, text) for name, text, _ in doc.params])),
            ('RETURN VALUE', gives + [line for d in details for line in ('.PP', d)]),
            ('ERRORS', terms(errors)), ('SEE ALSO', see_also(links))], self.version)

    def type_section(self, item):
        head = [item.code + (' { ... };' if item.members else ';')]
        body = code_lines(head) + (['.PP'] + paragraphs(item.doc) if item.doc else [])
        grouped = {}
        for name, code, doc in item.members:
            grouped.setdefault((code, id(doc)), (code if item.kind == 'struct' else name, doc))
        return body + terms([(code, doc.text() or code) for code, doc in grouped.values()])

    def header(self, header):
        """Types in full, functions with a sentence each."""
        synopsis, kinds, functions = ['#include <smqtt/%s>' % header.name, ''], [], []
        for item in header.items:
            if item.kind == 'section':
                functions.append((item, None))
            elif item.kind == 'function':
                synopsis += prototype(item.code)
                functions.append((item, item.doc))
            elif item.kind == 'macro':
                kinds.append((' ' + item.name, code_lines([item.code]) + ['.PP'] + paragraphs(item.doc)))
            else:
                kinds.append((' ' + (item.name or 'constants'), self.type_section(item)))
        listed = []
        for (item, doc), (after, _) in zip(functions, functions[1:] + [(None, None)]):
            if doc is None and (after is None or after.kind == 'section'):
                continue  # types only
            if doc is None:
                listed += ['.PP', '\\fI%s\\fR' % escape(item.name)]
            else:
                listed += ['.TP', '\\fB%s\\fR(3)' % escape(item.name), words(whole(summary(doc)))]
        name = header_page_name(header)
        others = [header_page_name(h) for h in self.headers if h is not header]
        self.pages[name] = page(name, [
            ('NAME', ['%s \\- %s' % (escape(name), escape(summary(header.doc)))]), ('SYNOPSIS', code_lines(synopsis)),
            ('DESCRIPTION', paragraphs(header.doc)), ('FUNCTIONS', listed), ('TYPES', ['.PP'] * bool(kinds)), *kinds,
            ('SEE ALSO', see_also(sorted(others)))], self.version)
        for item in header.items:
            if item.kind in ('struct', 'opaque', 'enum', 'typedef') and item.name:
                self.pages.setdefault(item.name, '.so man3/%s.3\n' % name)

    def overview(self):
        with open(os.path.join(TOP, 'docs', 'man', 'libsmqtt.3.in'), encoding='utf-8') as f:
            text = f.read()
        with open(os.path.join(TOP, 'examples', 'in_memory.c'), encoding='utf-8') as f:
            example = f.read().rstrip('\n').split('\n')[1:]
        classes = next(i for h in self.headers for i in h.items if i.name == 'smqtt_err_class' and i.kind == 'enum')
        rows = []
        for name, _, doc in classes.members[1:]:
            rows += ['.PP', '\\fI%s\\fR: %s' % (escape(name), words(doc.text()))]
            rows += terms([('SMQTT_E_' + r[0], r[3] + '.') for r in self.errors if 'SMQTT_CLASS_' + r[1] == name])
        homes = terms([(header_page_name(h) + '(3)', whole(sentence(h.doc)))
                       for h in self.headers if h.name != 'smqtt.h'])
        for mark, lines in (('VERSION', [self.version]), ('ERRORS', rows), ('HEADERS', homes),
                            ('EXAMPLE', code_lines(example))):
            text = text.replace('@%s@' % mark, '\n'.join(lines))
        self.pages['libsmqtt'] = text

    def write(self, folder):
        for header in self.headers:
            for item in header.items:
                if item.kind == 'function':
                    self.function(header, item)
        for header in self.headers:
            if header.name != 'smqtt.h':
                self.header(header)
        self.overview()
        os.makedirs(folder, exist_ok=True)
        for old in os.listdir(folder):
            if old.endswith('.3') and old[:-2] not in self.pages:
                os.remove(os.path.join(folder, old))
        for name, text in self.pages.items():
            with open(os.path.join(folder, name + '.3'), 'w', encoding='ascii') as f:
                f.write(text)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        headers = api.read_all(INCLUDE)
        found = api.faults(headers) if sys.argv[1] == '--check' else []
        if sys.argv[1] != '--check':
            api.fill(headers)
            with open(os.path.join(INCLUDE, 'system.h'), encoding='utf-8') as f:
                version = re.search(r'SMQTT_VERSION "([^"]+)"', f.read())[1]
            Manual(headers, version).write(sys.argv[1])
    except api.ApiError as error:
        found = [str(error)]
    print('\n'.join(found), end='\n' if found else '')
    sys.exit(1 if found else 0)


if __name__ == '__main__':
    main()
