#!/usr/bin/env python3

# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

"""What multiprocessing's forkserver needs for a process that returns at once.

    echo 100 | python3 forkserver.py

Reads numbers, one a line. For each it makes as many processes, one after
another, and writes how many nanoseconds one of them took on average.
"""

import multiprocessing
import platform
import sys
import time


def work():
    pass


def make_process(context):
    process = context.Process(target=work)
    process.start()
    process.join()
    process.close()


def main():
    context = multiprocessing.get_context('forkserver')
    print('ready multiprocessing of', platform.python_implementation(),
          platform.python_version(), flush=True)

    for line in iter(sys.stdin.readline, ''):
        n = int(line)
        start = time.monotonic_ns()

        for _ in range(n):
            make_process(context)

        print((time.monotonic_ns() - start) // max(n, 1), flush=True)


if __name__ == '__main__':
    main()
