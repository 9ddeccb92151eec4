#!/usr/bin/env python3

# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Measures processes of multiprocessing's forkserver that return at once.

    echo 100 | python3 forkserver.py [MODULE...]

Reads numbers, one a line. For each it makes as many processes, one after
another, and writes how many nanoseconds one of them took on average. For a line like
"idle 20" it makes as many that live at the same time, and writes the average of their
proportional set sizes in KiB.

The server has imported the modules, and also this file as a module, which has the function
that the processes run. No process imports the program itself, __main__: the server of some
versions of CPython does not preload it although it was asked to, and then each process would.
"""

import multiprocessing
import os
import platform
import sys
import time


def work():
    pass


def idle(connection):
    connection.send_bytes(b'!')
    connection.recv_bytes()


def measure_idle(context, n):
    size = 0
    pipes = [context.Pipe() for _ in range(n)]
    processes = [context.Process(target=idle, args=(theirs,)) for _, theirs in pipes]

    for process, (ours, _) in zip(processes, pipes):
        process.start()
        ours.recv_bytes()
    for process in processes:
        with open(f'/proc/{process.pid}/smaps_rollup') as file:
            size += next(int(line.split()[1]) for line in file if line.startswith('Pss:'))
    for process, (ours, _) in zip(processes, pipes):
        ours.send_bytes(b'!')
        process.join()
    return size // n


def make_process(context):
    process = context.Process(target=work)
    process.start()
    process.join()
    process.close()


def main(modules):
    # What is preloaded is looked for there, and not where this process looks.
    directory = os.path.dirname(os.path.abspath(__file__))
    os.environ['PYTHONPATH'] = ':'.join(filter(None, [directory, os.environ.get('PYTHONPATH')]))

    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload([__name__, *modules])
    print('ready multiprocessing of', platform.python_implementation(),
          platform.python_version(), flush=True)

    for line in iter(sys.stdin.readline, ''):
        if line.startswith('idle '):
            print(measure_idle(context, int(line.split()[1])), flush=True)
            continue

        n = int(line)
        make_process(context)
        start = time.monotonic_ns()

        for _ in range(n):
            make_process(context)

        print((time.monotonic_ns() - start) // max(n, 1), flush=True)


if __name__ == '__main__':
    # A program without a file is not imported again.
    del __file__
    import forkserver

    forkserver.main(sys.argv[1:])
