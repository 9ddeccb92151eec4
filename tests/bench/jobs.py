#!/usr/bin/env python3
# jobs.py [JOBS [ROUNDS]]: measures how many small jobs a second a pool does for a program in
# Python, next to multiprocessing.Pool and ProcessPoolExecutor
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Prints the medians of the rounds, and the ratio to multiprocessing.Pool.apply_async().

Each pool has the same number of workers, which are started before. Each job passes 64 bytes
to the same function, and its reply is checked. The pools take turns, and each of them comes
first in some rounds. The jobs are done one after another, and then in bulk: all of them are
requested before the first reply is looked at.

Pool.imap() is for comparison only: with a chunk size it sends many requests as one to one
worker, which sends all of their replies as one. If a worker dies, it never ends.
"""

import concurrent.futures
import multiprocessing
import os
import sys
import time

import gspawnfork

N_WORKERS = 2
IN_FLIGHT = 16
CHUNK = 64


def do_job(request):
    return request.upper()


def worker(sock):
    return gspawnfork.serve_jobs(sock, do_job)


class MultiprocessingPool:
    def __init__(self):
        self.pool = multiprocessing.get_context('fork').Pool(N_WORKERS)

    def one_by_one(self, requests):
        return [self.pool.apply_async(do_job, (request,)).get() for request in requests]

    def bulk(self, requests):
        results = [self.pool.apply_async(do_job, (request,)) for request in requests]
        return [result.get() for result in results]

    def chunks(self, requests):
        return list(self.pool.imap(do_job, requests, CHUNK))

    def end(self):
        self.pool.terminate()


class Executor:
    def __init__(self):
        self.executor = concurrent.futures.ProcessPoolExecutor(
            N_WORKERS, multiprocessing.get_context('fork'))

    def one_by_one(self, requests):
        return [self.executor.submit(do_job, request).result() for request in requests]

    def bulk(self, requests):
        futures = [self.executor.submit(do_job, request) for request in requests]
        return [future.result() for future in futures]

    def end(self):
        self.executor.shutdown()


class Pool:
    def __init__(self):
        import gi

        gi.require_version('GFork', '1.0')
        from gi.repository import GFork

        here = os.path.dirname(os.path.abspath(__file__))
        template = GFork.Template.new_python().eval(f'import sys; sys.path.insert(0, {here!r})')
        self.pool = GFork.Pool(template=template.require('jobs'), function='jobs:worker',
                               min_workers=N_WORKERS, max_workers=N_WORKERS,
                               jobs_in_flight=IN_FLIGHT)
        self.pool.start()

    def one_by_one(self, requests):
        return [self.pool.call(request) for request in requests]

    def bulk(self, requests):
        return list(self.pool.map(requests))

    def end(self):
        self.pool.stop()


def measure(methods, n_jobs, rounds):
    """The medians of the jobs a second of the methods, by name."""
    requests = [b'request %056d' % i for i in range(n_jobs)]
    expected = [do_job(request) for request in requests]
    rates = {name: [] for name in methods}
    for i in range(-1, rounds):
        names = list(methods)
        for name in names[i % len(names):] + names[:i % len(names)]:
            start = time.perf_counter()
            replies = methods[name](requests)
            seconds = time.perf_counter() - start
            if replies != expected:
                sys.exit(f'{name}: wrong replies')
            if i >= 0:
                rates[name].append(n_jobs / seconds)
    return {name: sorted(some)[rounds // 2] for name, some in rates.items()}


def compare(heading, methods, n_jobs, rounds):
    medians = measure(methods, n_jobs, rounds)
    base = next(iter(medians.values()))
    print(heading)
    for name, rate in medians.items():
        print(f'  {name:42}{rate:10.0f}{rate / base:8.2f}', flush=True)


def main():
    n_jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 20000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5

    # Those that fork this process come first, before it has threads.
    multiprocessing_pool = MultiprocessingPool()
    executor = Executor()
    executor.bulk([b''] * N_WORKERS)
    pool = Pool()

    print(f'Jobs a second with {N_WORKERS} workers, median of {rounds} rounds')
    compare('one after another', {
        'Pool.apply_async().get()': multiprocessing_pool.one_by_one,
        'ProcessPoolExecutor.submit().result()': executor.one_by_one,
        'GFork.Pool.call()': pool.one_by_one,
    }, max(n_jobs // 10, 1), rounds)
    compare('in bulk', {
        'Pool.apply_async()': multiprocessing_pool.bulk,
        'ProcessPoolExecutor.submit()': executor.bulk,
        'GFork.Pool.map()': pool.bulk,
        f'Pool.imap(), chunks of {CHUNK}': multiprocessing_pool.chunks,
    }, n_jobs, rounds)

    pool.end()
    executor.end()
    multiprocessing_pool.end()


if __name__ == '__main__':
    main()
