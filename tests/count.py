#!/usr/bin/env python3
# count.py LOG...: prints how many tests have passed and failed, by the JSON logs of
# `meson test`, and which have failed. Each result of a test that writes TAP counts.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import json
import re
import sys

GOOD = ('OK', 'EXPECTEDFAIL')
TAP_RESULT = re.compile(r'(not )?ok\b[^#]*(# *(SKIP|TODO))?', re.IGNORECASE)


def results(test):
    """Yields 'passed', 'failed' or 'skipped' for each result of a test."""
    failed = False
    several = False

    for line in (test['stdout'] or '').splitlines():
        match = TAP_RESULT.match(line)
        if not match:
            continue
        several = True
        directive = (match[3] or '').upper()
        if directive == 'SKIP':
            yield 'skipped'
        elif match[1] and directive != 'TODO':
            failed = True
            yield 'failed'
        else:
            yield 'passed'

    if test['result'] == 'SKIP':
        if not several:
            yield 'skipped'
    elif test['result'] not in GOOD:
        # It has crashed, run out of time or left something behind.
        if not failed:
            yield 'failed'
    elif not several:
        yield 'passed'


def failures(test):
    """Yields a line for each failed result, and the last lines a crash left."""
    lines = (test['stdout'] or '').splitlines()
    bad = [line for line in lines if re.match(r'not ok\b(?!.*# *TODO)', line, re.IGNORECASE)]
    yield f"FAILED {test['name']} ({test['result']}, {test['duration']:.1f} s)"
    yield from bad
    yield from [line for line in lines if line not in bad][-12:]
    yield from (test.get('stderr') or '').splitlines()[-12:]


def main():
    count = {'passed': 0, 'failed': 0, 'skipped': 0}
    for name in sys.argv[1:]:
        with open(name, encoding='utf-8') as log:
            for line in log:
                test = json.loads(line)
                found = list(results(test))
                for result in found:
                    count[result] += 1
                if 'failed' in found:
                    print('\n    '.join(failures(test)))

    text = '{passed} passed, {failed} failed'
    if count['skipped']:
        text += ', {skipped} skipped'
    print(text.format(**count))
    return 1 if count['failed'] or not count['passed'] else 0


sys.exit(main())
