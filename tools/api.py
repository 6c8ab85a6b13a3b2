# SPDX-License-Identifier: Apache-2.0
"""What the public headers say: every function, type, field, constant and macro of include/smqtt with its comment.

A comment `/** … */` stands before what it explains, `/**< … */` behind it; `/* --- title */` opens a section. Rows of
an X-macro (`#define ROW(…) …`, `#include <smqtt/rows.def>`) become constants that are explained by the row's text."""
import os
import re

TOKEN = re.compile(r'/\*.*?\*/|^[ \t]*#(?:[^\n]*\\\n)*[^\n]*|"(?:\\.|[^"\\\n])*"|[{}();,]|[^/#"{}();,]+|.', re.S | re.M)
ATTRIBUTES = re.compile(r'\b(SMQTT_API|SMQTT_MUST_USE|static inline)\b\s*')
NAMELESS = ('SMQTT_API', 'SMQTT_MUST_USE')  # macros for the compiler, not for people


class Comment:
    """The words of a comment: paragraphs (a list is one that begins with '- '), parameters and results."""

    def __init__(self, raw):
        lines = [re.sub(r'^\s*\*? ?', '', line).rstrip() for line in re.sub(r'^/\*+<?|\*/$', '', raw).split('\n')]
        self.paragraphs, self.params, self.results, self.file = [], [], [], None
        fresh, into = True, None
        for line in lines:
            line, was = line.strip(), line
            tag = re.match(r'@(file|param(?:\[out\])?|retval)\s+(\S+)\s*(.*)', line)
            if not line:
                fresh, into = True, None
            elif tag and tag[1] == 'file':
                self.file = tag[2]
                fresh = True
                if tag[3]:
                    self.paragraphs.append(tag[3])
                    fresh = False
            elif tag:
                into = self.results if tag[1] == 'retval' else self.params
                into.append([tag[2], tag[3], '[out]' in tag[1]] if into is self.params else ' '.join(tag.groups()[1:]))
            elif into is self.params and into:
                into[-1][1] = (into[-1][1] + ' ' + line).strip()
            elif into is self.results and into:
                into[-1] += ' ' + line
            elif fresh or line.startswith('- ') or (self._in_list() and not was.startswith(' ')):
                self.paragraphs.append(line)
                fresh = False
            else:
                self.paragraphs[-1] += ' ' + line

    def _in_list(self):
        return bool(self.paragraphs) and self.paragraphs[-1].startswith('- ')

    def text(self):
        return ' '.join(self.paragraphs + [' '.join(p[:2]) for p in self.params] + self.results)


class Item:
    """kind: function, struct, opaque, enum, typedef, macro, section. members: [name, C, Comment] each."""

    def __init__(self, kind, name, code, doc, line):
        self.kind, self.name, self.code, self.doc, self.line = kind, name, code, doc, line
        self.members = []


class Header:
    def __init__(self, path):
        self.path, self.name = path, os.path.basename(path)
        self.doc, self.items = None, []


class ApiError(Exception):
    """A header that this reader does not understand."""


def squeeze(text):
    return re.sub(r'\s+', ' ', text).strip()


def read_rows(path, macro):
    """The rows of a .def as lists of words, strings unquoted."""
    with open(path, encoding='utf-8') as f:
        text = re.sub(r'/\*.*?\*/', '', f.read(), flags=re.S)
    rows = []
    for m in re.finditer(r'^%s\((.*)\)\s*$' % macro, text, re.M):
        rows.append([s.strip('"') for s in re.findall(r'"(?:\\.|[^"\\])*"|[^,\s][^,]*', m[1])])
    if not rows:
        raise ApiError('%s: no row %s(…)' % (path, macro))
    return rows


def field_names(code):
    """The names that one declaration of a struct declares."""
    pointer = re.match(r'[^(]*\(\*(\w+)\)', code)
    if pointer:
        return [pointer[1]]
    return [re.search(r'(\w+)\s*(\[[^]]*\]\s*)*$', part)[1] for part in code.split(',')]


class Members:
    """Reads the body of a struct or enum, token by token."""

    def __init__(self, header, kind):
        self.header, self.kind, self.found, self.code, self.before, self.row = header, kind, [], '', None, None

    def comment(self, raw):
        if raw.startswith('/**<'):
            if self.code.strip():
                self.end(Comment(raw))
            elif self.found:
                self.found[-1][2] = self.found[-1][2] or Comment(raw)
                for other in reversed(self.found[:-1]):
                    if other[1] != self.found[-1][1]:
                        break
                    other[2] = other[2] or self.found[-1][2]
        elif raw.startswith('/**'):
            self.before = Comment(raw)

    def directive(self, text):
        define = re.match(r'\s*#define (\w+)\(([^)]*)\)\s*(.*?),?\s*$', text, re.S)
        include = re.match(r'\s*#include <smqtt/(\w+\.def)>', text)
        if define:
            self.row = (define[1], [p.strip() for p in define[2].split(',')], define[3])
        elif include:
            macro, params, form = self.row
            for row in read_rows(os.path.join(os.path.dirname(self.header), include[1]), macro):
                values = dict(zip(params, row))
                code = re.sub(r'\w+', lambda m: values.get(m[0], m[0]), form.replace('##', '\0')).replace('\0', '')
                self.found.append([code.split()[0], code, Comment('/** %s */' % values['text'])])

    def end(self, after=None):
        code, self.code = squeeze(self.code), ''
        if code:
            names = [code.split()[0]] if self.kind == 'enum' else field_names(code)
            self.found += [[name, code, self.before or after] for name in names]
        self.before = None


def read_body(header, kind, tokens):
    body, depth = Members(header, kind), 0
    for token in tokens:
        if token.startswith('/*'):
            body.comment(token)
        elif token.lstrip().startswith('#'):
            body.directive(token)
        elif token == '{':
            raise ApiError('%s: a struct inside a struct has no page' % header)
        elif depth == 0 and token == (',' if kind == 'enum' else ';'):
            body.end()
        else:
            depth += {'(': 1, ')': -1}.get(token, 0)
            body.code += token
    body.end()
    return body.found


def make_item(header, tokens, doc, line):
    """One declaration of the outermost level."""
    code = squeeze(''.join(t for t in tokens if not t.startswith('/*') and not t.lstrip().startswith('#')))
    if '{' in tokens:
        at, end = tokens.index('{'), len(tokens) - 1 - tokens[::-1].index('}')
        head = squeeze(''.join(t for t in tokens[:at] if not t.startswith('/*')))
        kind = 'enum' if re.search(r'\benum\b', head) else 'struct'
        tail = squeeze(''.join(tokens[end + 1:]))
        name = tail if head.startswith('typedef') else re.sub(r'^.*?(struct|enum)\b\s*', '', head)
        item = Item(kind, name, head, doc, line)
        item.members = read_body(header, kind, tokens[at + 1:end])
        return item
    if 'SMQTT_API' in code or 'static inline' in code:
        code = ATTRIBUTES.sub('', code)
        return Item('function', re.match(r'[^(]*?(\w+)\s*\(', code)[1], code, doc, line)
    opaque = re.fullmatch(r'struct (\w+)', code)
    if opaque:
        return Item('opaque', opaque[1], code, doc, line)
    if code.startswith('typedef'):
        return Item('typedef', code.split()[-1], code, doc, line)
    raise ApiError('%s:%d: what is this? %s' % (header, line, code))


def without_guards(text):
    """Blanks what only the preprocessor reads: `#ifdef __cplusplus` and `#if defined…` blocks and the guard."""
    def blank(m):
        return re.sub(r'[^\n]', '', m[0])
    text = re.sub(r'^#if(def __cplusplus| defined).*?^#endif', blank, text, flags=re.S | re.M)
    return re.sub(r'^#(ifndef|endif)\b[^\n]*|^#define SMQTT_\w+_H$', '', text, flags=re.M)


def read_header(path):
    header = Header(path)
    with open(path, encoding='utf-8') as f:
        text = without_guards(f.read())
    gathered, depth, doc, start = [], 0, None, 0
    for m in TOKEN.finditer(text):
        token, idle = m[0], not ''.join(gathered).strip()
        if idle and token.startswith('/*'):
            if token.startswith('/**<'):
                header.items[-1].doc = header.items[-1].doc or Comment(token)
            elif token.startswith('/**'):
                doc = Comment(token)
                if doc.file:
                    header.doc, doc = doc, None
            elif re.match(r'/\* -{3}', token):
                header.items.append(Item('section', token.strip('/*- \n'), '', None, 0))
            continue
        if idle and token.lstrip().startswith('#'):
            define = re.match(r'\s*#define (\w+)\b(.*)', token, re.S)
            if define and define[1] not in NAMELESS:
                header.items.append(Item('macro', define[1], squeeze(token), doc, text.count('\n', 0, m.start()) + 1))
            doc = None
            continue
        if idle and token.strip():
            start = text.count('\n', 0, m.start()) + 1 + token[:len(token) - len(token.lstrip())].count('\n')
        depth += {'{': 1, '}': -1}.get(token, 0)
        inline = token == '}' and depth == 0 and 'static inline' in ''.join(gathered)
        if inline or (token == ';' and depth == 0):
            header.items.append(make_item(path, gathered[:gathered.index('{')] if inline else gathered, doc, start))
            gathered, doc = [], None
        else:
            gathered.append(token)
    return header


def read_all(folder):
    """Every header of the folder, by name."""
    return [read_header(os.path.join(folder, name)) for name in sorted(os.listdir(folder)) if name.endswith('.h')]


def faults(headers):
    """What has no words: one sentence each, with the place and the mend."""
    found = []
    for header in headers:
        if header.doc is None:
            found.append('%s: no comment `/** @file … */` on top says what it is for' % header.path)
        for item in header.items:
            where = '%s:%d: %s' % (header.path, item.line, item.name or 'enum')
            if item.kind == 'section':
                continue
            if item.doc is None and not (item.kind == 'enum' and not item.name):
                found.append('%s: undocumented; write `/** … */` above it' % where)
            elif item.kind == 'function' and re.match(r'SMQTT_E_|SMQTT_OK|$', ' '.join(item.doc.paragraphs)):
                found.append('%s: the comment says how it fails, but not what it does; say that first' % where)
            found += ['%s.%s: undocumented; write `/**< … */` behind it or `/** … */` above it' % (where, name)
                      for name, _, doc in item.members if doc is None]
    return found


def fill(headers):
    """Gives words to what has none, so that pages can be written of headers that somebody is at work on."""
    nothing = Comment('/** (undocumented) */')
    for header in headers:
        header.doc = header.doc or nothing
        for item in header.items:
            item.doc = item.doc or nothing
            item.members = [[name, code, doc or nothing] for name, code, doc in item.members]
