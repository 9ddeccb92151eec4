#!/usr/bin/env python3

# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Has gi-docgen make the reference of pages that also read well in the repository.

    make-reference.py SOURCE-DIR PAGE… -- GI-DOCGEN generate OPTION…

In the repository, pages link to each other as files; in the reference, these are HTML. The page
on security is SECURITY.md of the top directory, where those who look for it expect it.
"""

import pathlib
import re
import subprocess
import sys
import tempfile


def convert(text, pages):
    def link(match):
        label, target, fragment = match[1], match[2], match[3] or ''
        name = pathlib.PurePath(target).name.lower()
        # What is no page of the manual is a file of the sources, which is not installed.
        return f'[{label}]({name[:-3]}.html{fragment})' if name in pages else label

    # An image or an address is none of these.
    return re.sub(r'(?<!!)\[([^][]*)\]\(((?:[\w.-]+/)*[\w.-]+)(#[\w-]+)?\)', link, text)


def main():
    separator = sys.argv.index('--')
    source, pages, command = (pathlib.Path(sys.argv[1]), sys.argv[2:separator],
                              sys.argv[separator + 1:])

    with tempfile.TemporaryDirectory() as content:
        for page in pages:
            if page == 'security.md':
                text = 'Title: Security\n\n' + (source.parent / 'SECURITY.md').read_text('utf-8')
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


if __name__ == '__main__':
    main()
