#!/usr/bin/env python3
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Summarizes the CSV files of a folder, several at a time.

    summarize.py [FOLDER]

The processes are forks of a template that has imported this program and all that it imports.
A file may crash the process that reads it: the others are summarized all the same. Without a
folder, an example is made, with such a file in it.
"""

import csv
import math
import multiprocessing
import os
import pathlib
import statistics
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

import gspawnfork.multiprocessing


def summarize(path):
    """What is done in the processes. Its result, or exception, comes back."""
    with open(path, newline='') as file:
        values = [float(row['value']) for row in csv.DictReader(file)]
    if math.isinf(values[0]):
        # As a fault of a library in C would do
        os.abort()
    return len(values), statistics.fmean(values)


def summarize_all(paths, n_processes):
    """Yields each path with its result or exception, in the order in which they come."""
    context = multiprocessing.get_context('gspawnfork')
    context.set_preload(['__main__'])

    # A crash breaks the executor. It had given out the files in order, so the one that has
    # crashed is among the first that have no result. Each of these is tried by itself.
    batches = [(paths, n_processes)]
    while batches:
        batch, n = batches.pop()
        unfinished = []
        with ProcessPoolExecutor(n, mp_context=context) as executor:
            futures = {executor.submit(summarize, path): path for path in batch}
            for future in as_completed(futures):
                error = future.exception()
                if isinstance(error, BrokenProcessPool) and len(batch) > 1:
                    unfinished.append(futures[future])
                else:
                    yield futures[future], error or future.result()
        unfinished.sort(key=batch.index)
        if unfinished[n:]:
            batches.append((unfinished[n:], n))
        batches += [([path], 1) for path in unfinished[:n]]


def show_progress(n, total):
    if sys.stderr.isatty():
        done = 30 * n // total
        print(f"\r[{'#' * done}{' ' * (30 - done)}] {n} of {total}", end='\n' * (n == total),
              file=sys.stderr, flush=True)


def make_example(folder):
    for i in range(20):
        with open(os.path.join(folder, f'{i:02}.csv'), 'w', newline='') as file:
            writer = csv.writer(file)
            writer.writerow(['value'])
            writer.writerows(['inf' if i == 7 else i + j] for j in range(100))


def main(folder):
    paths = sorted(pathlib.Path(folder).glob('*.csv'))
    results = {}
    for path, result in summarize_all(paths, os.cpu_count()):
        results[path] = result
        show_progress(len(results), len(paths))

    for path in paths:
        result = results[path]
        if isinstance(result, BrokenProcessPool):
            print(f'{path.name}: its process crashed')
        elif isinstance(result, Exception):
            print(f'{path.name}: {type(result).__name__}: {result}')
        else:
            n, mean = result
            print(f'{path.name}: {n} values, {mean:.2f} on average')


if __name__ == '__main__':
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as folder:
            make_example(folder)
            main(folder)
