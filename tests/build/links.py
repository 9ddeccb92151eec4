#!/usr/bin/env python3

# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Tests that no link of the reference in HTML is empty or leads nowhere.

    links.py DIRECTORY

Links to other sites are not followed. The result is in TAP.
"""

import html.parser
import pathlib
import sys
import urllib.parse


class Page(html.parser.HTMLParser):
    """The links of a page, and what in it can be linked to."""

    def __init__(self, path):
        super().__init__()
        self.links, self.names = [], set()
        self.feed(path.read_text(encoding='utf-8'))

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag == 'a' and 'href' in attributes:
            self.links.append(attributes['href'] or '')
        elif tag == 'img':
            self.links.append(attributes.get('src') or '')
        self.names.update(attributes[key] for key in ('id', 'name') if attributes.get(key))


def find_fault(page, link, pages):
    """What is wrong with a link, or None."""
    parts = urllib.parse.urlsplit(link)
    if not link:
        return 'is empty'
    if parts.scheme or parts.netloc:
        return None

    target = (page.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else page
    if not target.is_file():
        return 'leads nowhere'
    if parts.fragment and target in pages and parts.fragment not in pages[target].names:
        return 'names no place of the page'
    return None


def main():
    directory = pathlib.Path(sys.argv[1]).resolve()
    pages = {path: Page(path) for path in sorted(directory.rglob('*.html'))}

    print(f'1..{max(len(pages), 1)}')
    if not pages:
        print('not ok 1 there are pages')
    for number, (path, page) in enumerate(pages.items(), 1):
        faults = [(link, fault) for link in dict.fromkeys(page.links)
                  if (fault := find_fault(path, link, pages))]
        print(f"{'not ok' if faults else 'ok'} {number} {path.relative_to(directory)}")
        for link, fault in faults:
            print(f'# “{link}” {fault}')


if __name__ == '__main__':
    main()
