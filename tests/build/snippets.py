#!/usr/bin/env python3

# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Tests that the code in the manual compiles, and that the names in it exist.

    snippets.py SOURCE-ROOT COMPILER [FLAG…]

Blocks in C are compiled as they are shown: a block with a function or an #include is a source
file, any other the body of a function that has the variables which the pages take as given.
“…” stands for what is left to the reader. Blocks in Python are compiled, too, and what they use
of GFork is looked up. The result is in TAP.
"""

import pathlib
import re
import subprocess
import sys
import textwrap

# Pages for those who work on the library, which name its inner functions.
MAINTAINERS = ['architecture.md']

# What the blocks of the pages take as given.
PRELUDE = '''
#define _GNU_SOURCE
#include <gspawnfork/gspawnfork.h>
#include <gspawnfork/gforkworker.h>
#include <gio/gunixconnection.h>
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

void on_started (GObject *, GAsyncResult *, void *);
void on_connected (GObject *, GAsyncResult *, void *);
void on_reply (GObject *, GAsyncResult *, void *);
void on_done (GObject *, GAsyncResult *, void *);
void start_conversation (GSocketConnection *connection);
void *dictionary_open (const char *filename);
void *example (void);
extern void *dictionary;
extern char *text;
'''

GIVEN = '''
  GForkTemplate *template, GForkSandbox *sandbox, GForkProcess *process, GForkPool *pool,
  GSocket *socket, GSocket *listening_socket, GBytes *file, GBytes *request, void *frames,
  gsize size, GError *error, GAsyncReadyCallback on_running'''


class Tap:
    def __init__(self):
        self.n = 0

    def report(self, passed, what, faults=''):
        self.n += 1
        print(f"{'ok' if passed else 'not ok'} {self.n} {what}")
        for line in faults.splitlines():
            print(f'# {line}')


def find_blocks(text):
    """Line, language and code of each block."""
    for match in re.finditer(r'^```(\w+)\n(.*?)^```', text, re.DOTALL | re.MULTILINE):
        yield text.count('\n', 0, match.start()) + 1, match[1], match[2]


def make_source(code):
    code = code.replace('= …;', '= example ();').replace('…', ';')
    if re.search(r'^(#include|\w[\w *]*\n\w+ \()', code, re.MULTILINE):
        return PRELUDE + code
    return (PRELUDE + f'void snippet ({GIVEN.strip()});\nvoid snippet ({GIVEN.strip()})\n{{\n{{\n' +
            code + '\n}\n}\n')


def check_c(code, compiler):
    done = subprocess.run([*compiler, '-x', 'c', '-fsyntax-only', '-Wall', '-Werror',
                           '-Wno-unused', '-Wno-missing-prototypes', '-'],
                          input=make_source(code), capture_output=True, text=True)
    return done.returncode == 0, done.stderr


def check_python(code):
    code = textwrap.dedent(code).replace('…', '...')
    try:
        compile(code, 'block', 'exec')
    except SyntaxError as error:
        return False, str(error)

    import gi
    gi.require_version('GFork', '1.0')
    from gi.repository import GFork
    missing = []
    for name in re.findall(r'\bGFork((?:\.\w+)+)', code):
        value = GFork
        for part in name[1:].split('.'):
            value = getattr(value, part, None)
        if value is None:
            missing.append('GFork' + name)
    return not missing, ', '.join(missing)


def main():
    root, compiler = pathlib.Path(sys.argv[1]), sys.argv[2:]
    headers, inner_headers = ('\n'.join(path.read_text('utf-8') for path in
                                        sorted((root / 'gspawnfork').glob(pattern)))
                              for pattern in ('*.h*', '**/*.h*'))
    tap = Tap()

    for page in [*(root / name for name in ('README.md', 'CONTRIBUTING.md', 'SECURITY.md')),
                 *sorted((root / 'docs').glob('*.md'))]:
        text = page.read_text('utf-8')
        for line, language, code in find_blocks(text):
            what = f'{page.relative_to(root)}:{line} compiles'
            if language == 'c':
                passed, faults = check_c(code, compiler)
                tap.report(passed, what, faults)
            elif language == 'python':
                passed, faults = check_python(code)
                tap.report(passed, what, faults)

        names = set(re.findall(r'\b(g_fork_\w+) ?\(', text)) | \
            set(re.findall(r'\bG_FORK_(?:EXEC|LIMIT|ERROR|SANDBOX|RESTART|POOL_STATE)_\w+', text))
        known = inner_headers if page.name in MAINTAINERS else headers
        missing = sorted(name for name in names if not re.search(rf'\b{name}\b', known))
        tap.report(not missing, f'{page.relative_to(root)}: what it names exists',
                   '\n'.join(missing))

    print(f'1..{tap.n}')


if __name__ == '__main__':
    main()
