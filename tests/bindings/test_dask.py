# test_dask.py: tests of Dask's workers, started by the start method "gspawnfork"
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import contextlib
import os
import signal
import sys
import unittest

import gspawnfork.multiprocessing

import tap

try:
    import dask
    import distributed
except ImportError:
    print('1..0 # SKIP python3-distributed is not installed')
    sys.exit()


def tell_origin():
    with open(f'/proc/{os.getppid()}/cmdline') as file:
        title = file.read()
    return os.getpid(), os.getppid(), title


class TestLocalCluster(unittest.TestCase):
    def setUp(self):
        gspawnfork.multiprocessing.context.set_preload(['distributed'])
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        stack.enter_context(dask.config.set({
            'distributed.worker.multiprocessing-method': 'gspawnfork',
        }))
        cluster = stack.enter_context(distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, host='127.0.0.1',
            dashboard_address=None, worker_dashboard_address=None))
        self.client = stack.enter_context(distributed.Client(cluster))

    def test_workers(self):
        self.client.wait_for_workers(2)
        origins = list(self.client.run(tell_origin).values())
        pids, parents, titles = zip(*origins)
        self.assertEqual(len(set(pids)), 2)
        # They are forks of one template, which is not this process.
        self.assertEqual(len(set(parents)), 1)
        self.assertNotIn(os.getpid(), parents)
        for title in titles:
            self.assertRegex(title, '^gspawnfork: ')
        self.assertEqual(self.client.gather(self.client.map(abs, range(-5, 0))),
                         [5, 4, 3, 2, 1])

    def test_new_worker_after_crash(self):
        self.client.wait_for_workers(2)
        before = set(self.client.run(os.getpid).values())
        os.kill(min(before), signal.SIGKILL)

        # The nanny starts another one.
        future = self.client.submit(sum, [1, 2])
        self.assertEqual(future.result(), 3)
        while len(after := set(self.client.run(os.getpid).values())) < 2 or after == before:
            self.client.wait_for_workers(2)
        self.assertEqual(len(after & before), 1)


if __name__ == '__main__':
    tap.main()
