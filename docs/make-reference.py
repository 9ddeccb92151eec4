#!/usr/bin/env python3

# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Has gi-docgen make the reference of pages that also read well in the repository.

    make-reference.py SOURCE-DIR PAGE… -- GI-DOCGEN generate OPTION…

In the repository, pages link to each other as files, and name functions as code; in the
reference, files are HTML, and names are links. The pages on security and on contributing are
SECURITY.md and CONTRIBUTING.md of the top directory, where those who look for them expect them.
"""

import pathlib
import re
import subprocess
import sys
import tempfile

TOP_PAGES = {'contributing.md': 'Contributing', 'security.md': 'Security'}


def convert(text, pages):
    def link(match):
        label, target, fragment = match[1], match[2], match[3] or ''
        name = pathlib.PurePath(target).name.lower()
        # What is no page of the manual is a file of the sources, which is not installed.
        return f'[{label}]({name[:-3]}.html{fragment})' if name in pages else label

    # An image or an address is none of these.
    return re.sub(r'(?<!!)\[([^][]*)\]\(((?:[\w.-]+/)*[\w.-]+)(#[\w-]+)?\)', link, text)


def find_symbols(output):
    """The page of each function and class, by its name in C."""
    symbols = {}
    for page in output.glob('*.html'):
        kind, *names = page.name.split('.')[:-1]
        if kind == 'class':
            symbols['GFork' + names[0]] = page.name
        elif kind in ('ctor', 'func', 'method', 'type_func'):
            name = '_'.join(['g_fork', *names[:-1], names[-1]]).lower()
            symbols[name + '()'] = page.name
    return symbols


def link_symbols(text, symbols):
    """Makes links of names that a page has as code, as it has to read well in the repository."""
    def link(match):
        page = symbols.get(match[1])
        return f'<a href="{page}">{match[0]}</a>' if page else match[0]

    return re.sub(r'(?<!">)<code>(g_fork_\w+\(\)|GFork\w+)</code>', link, text)


def main():
    separator = sys.argv.index('--')
    source, pages, command = (pathlib.Path(sys.argv[1]), sys.argv[2:separator],
                              sys.argv[separator + 1:])

    with tempfile.TemporaryDirectory() as content:
        for page in pages:
            if page in TOP_PAGES:
                file = source.parent / (page[:-3].upper() + '.md')
                text = f'Title: {TOP_PAGES[page]}\n\n' + file.read_text('utf-8')
            else:
                text = (source / page).read_text('utf-8')
            pathlib.Path(content, page).write_text(convert(text, pages), 'utf-8')

        # The first of two directories counts.
        command[2:2] = ['--content-dir', content, '--content-dir', str(source)]
        subprocess.run(command, check=True)

    # The front page has a row for the website and for the repository, of which there are none.
    index = pathlib.Path(command[command.index('--output-dir') + 1], 'index.html')
    rows = re.sub(r' *<tr>(?:(?!</tr>).)*href=""(?:(?!</tr>).)*</tr>\n', '',
                  index.read_text('utf-8'))
    index.write_text(rows, 'utf-8')

    symbols = find_symbols(index.parent)
    for page in pages:
        path = index.with_name(page[:-3] + '.html')
        path.write_text(link_symbols(path.read_text('utf-8'), symbols), 'utf-8')


if __name__ == '__main__':
    main()
