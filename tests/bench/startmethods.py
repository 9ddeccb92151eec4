#!/usr/bin/env python3
# startmethods.py [ROUNDS]: measures processes of multiprocessing with the start method
# "gspawnfork", and with its own method "forkserver"
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Prints the times of both, and their ratio: less than 1 is quicker than forkserver.

Both are measured in the same program, in turns, and each of them comes first as often as
the other. Both servers have imported the same modules. The first measurements are in a
program whose processes have nothing to import. The last ones are in a program that imports
some modules: gspawnfork can import these beforehand, and the forkserver of Python 3.11 cannot.
"""

import os
import subprocess
import sys
import tempfile
import time

PRELOAD = ['concurrent.futures.process', 'multiprocessing.queues', 'multiprocessing.synchronize']
N_WORKERS = 4

# What an application may import.
MAIN = '''
import argparse, asyncio, csv, decimal, email.message, json, sqlite3, xml.etree.ElementTree

if __name__ == '__main__':
    import sys
    sys.path.insert(0, sys.argv[1])
    import startmethods
    startmethods.measure(int(sys.argv[2]), ['__main__'])
'''

NO_MAIN = '''
import sys
sys.path.insert(0, sys.argv[1])
import startmethods
startmethods.measure(int(sys.argv[2]), [])
'''


def start_and_join(context):
    process = context.Process(target=os.getpid)
    process.start()
    process.join()
    process.close()


def use_executor(context):
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(N_WORKERS, mp_context=context) as executor:
        for future in [executor.submit(os.getpid) for _ in range(N_WORKERS)]:
            future.result()


def alternate(function, contexts, rounds):
    """The median times of the function with each context."""
    times = {name: [] for name in contexts}
    for context in contexts.values():
        function(context)
    for i in range(rounds):
        for name in list(contexts) if i % 2 else reversed(contexts):
            start = time.perf_counter()
            function(contexts[name])
            times[name].append(time.perf_counter() - start)
    return {name: sorted(some)[rounds // 2] for name, some in times.items()}


def compare(heading, function, contexts, rounds):
    medians = alternate(function, contexts, rounds)
    (_, base), (_, ours) = medians.items()
    print(f'{heading:60} {base * 1e3:10.2f} {ours * 1e3:10.2f} {ours / base:6.2f}', flush=True)


def measure(rounds, main):
    import multiprocessing

    import gspawnfork.multiprocessing

    forkserver = multiprocessing.get_context('forkserver')
    forkserver.set_forkserver_preload(main + PRELOAD)
    context = multiprocessing.get_context('gspawnfork')
    context.set_preload(main + PRELOAD)
    contexts = {'forkserver': forkserver, 'gspawnfork': context}

    where = ', __main__ preloaded' if main else ''
    for spares in (0, 2):
        context.set_spare_processes(spares)
        also = where + (f', {spares} spares' if spares else '')
        compare(f'start and join{also}', start_and_join, contexts, rounds)
        compare(f'executor of {N_WORKERS}, first results{also}', use_executor, contexts,
                max(rounds // 5, 3))


def main():
    rounds = sys.argv[1] if len(sys.argv) > 1 else '200'
    here = os.path.dirname(os.path.abspath(__file__))

    print(f"{'Median times in ms':60} forkserver gspawnfork  ratio", flush=True)
    subprocess.run([sys.executable, '-c', NO_MAIN, here, rounds], check=True)
    with tempfile.TemporaryDirectory() as directory:
        program = os.path.join(directory, 'application.py')
        with open(program, 'w') as file:
            file.write(MAIN)
        subprocess.run([sys.executable, program, here, rounds], check=True)


if __name__ == '__main__':
    main()
