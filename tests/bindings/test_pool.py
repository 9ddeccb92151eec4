# test_pool.py: tests of pools in Python
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import asyncio
import concurrent.futures
import itertools
import os
import signal
import unittest

import gi

gi.require_version('GFork', '1.0')
from gi.repository import GFork, Gio, GLib

from gspawnfork import aio

import tap


def make_pool(function='worker'):
    template = GFork.Template.new_python().require('jobs_worker')
    pool = GFork.Pool.new(template, f'jobs_worker:{function}')
    pool.props.max_workers = 1
    pool.props.wait_for_ready = True
    return pool


class TestPool(unittest.TestCase):
    def assert_job_fails(self, pool, request, message):
        with self.assertRaises(GLib.Error) as caught:
            pool.call(request)
        self.assertTrue(caught.exception.matches(GFork.Error.quark()
                                                 if hasattr(GFork.Error, 'quark')
                                                 else GFork.error_quark(), GFork.Error.JOB))
        self.assertEqual(caught.exception.message, message)

    def test_call(self):
        with make_pool() as pool:
            self.assertEqual(pool.call(b'hello'), b'HELLO')
            self.assertEqual(pool.call(b''), b'')
            self.assertEqual(pool.call(b'print'), b'')
            self.assertEqual(pool.call(b'view abc'), b'abc')

    def test_call_with_a_number(self):
        with make_pool() as pool:
            for request in 5, [1, 2], 'text':
                with self.assertRaises(TypeError):
                    pool.call(request)
                with self.assertRaises(TypeError):
                    pool.call_async(request, None, None)

    def test_call_async(self):
        replies = []

        def on_reply(pool, result):
            replies.append(pool.call_finish(result).get_data())

        with make_pool() as pool:
            for request in b'bytes', bytearray(b'array'), GLib.Bytes(b'glib'):
                pool.call_async(request, None, on_reply)
            while len(replies) < 3:
                GLib.MainContext.default().iteration(True)
        self.assertEqual(sorted(replies), [b'ARRAY', b'BYTES', b'GLIB'])

    def test_map(self):
        with make_pool() as pool:
            pool.props.max_workers = 3
            pool.props.jobs_in_flight = 8
            requests = [b'request %d' % i for i in range(3000)]
            self.assertEqual(list(pool.map(iter(requests))), [each.upper() for each in requests])
            self.assertEqual(list(pool.map([])), [])
            self.assertEqual(list(pool.map([bytearray(b'a'), memoryview(b'b'), GLib.Bytes(b'c')])),
                             [b'A', b'B', b'C'])

    def test_map_sizes(self):
        """Batches whose sizes take one, two and four bytes; large requests and replies."""
        with make_pool() as pool:
            for size in 0, 1, 100, 250, 60000, 65536, 100000:
                requests = [b'length '.ljust(size) if size > 6 else b'x' * size] * 40
                expected = str(size).encode() if size > 6 else b'X' * size
                self.assertEqual(list(pool.map(requests)), [expected] * 40)
            self.assertEqual(list(pool.map([b'large 70000'] * 5)), [b'x' * 70000] * 5)

    def test_map_takes_what_it_needs(self):
        """An iterable without an end, whose replies come as they are made."""
        def count():
            for number in itertools.count():
                taken.append(number)
                yield b'%d' % number

        taken = []
        with make_pool() as pool:
            replies = pool.map(count())
            self.assertEqual([next(replies) for _ in range(1000)], [b'%d' % i for i in range(1000)])
            replies.close()
            self.assertLess(len(taken), 3000)
            self.assertEqual(pool.call(b'after'), b'AFTER')

    def test_map_fails(self):
        requests = [b'a', b'raise it', b'b']
        with make_pool() as pool:
            replies = pool.map(requests)
            self.assertEqual(next(replies), b'A')
            with self.assertRaises(GLib.Error) as caught:
                next(replies)
            self.assertTrue(caught.exception.matches(GFork.error_quark(), GFork.Error.JOB))
            self.assertEqual(caught.exception.message, 'ValueError: it')
            self.assertEqual(list(replies), [])

            first, error, last = pool.map(requests, return_exceptions=True)
            self.assertEqual((first, last), (b'A', b'B'))
            self.assertTrue(error.matches(GFork.error_quark(), GFork.Error.JOB))

            with self.assertRaises(TypeError):
                list(pool.map([b'a', 5]))
            self.assertEqual(pool.call(b'after'), b'AFTER')
        with self.assertRaises(GLib.Error) as caught:
            list(pool.map(requests))
        self.assertTrue(caught.exception.matches(GFork.error_quark(), GFork.Error.CLOSED))

    def test_map_cancelled(self):
        with make_pool() as pool:
            cancellable = Gio.Cancellable()
            replies = pool.map(itertools.repeat(b'x'), cancellable)
            self.assertEqual(next(replies), b'X')
            cancellable.cancel()
            with self.assertRaises(GLib.Error) as caught:
                list(replies)
            self.assertTrue(caught.exception.matches(Gio.io_error_quark(),
                                                     Gio.IOErrorEnum.CANCELLED))

    def test_map_interrupted(self):
        def interrupt(*args):
            raise KeyboardInterrupt

        self.addCleanup(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, interrupt))
        with make_pool() as pool:
            with self.assertRaises(KeyboardInterrupt):
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                list(pool.map([b'forever']))
            self.assertEqual(pool.call(b'after'), b'AFTER')

    def test_map_in_threads(self):
        def run(number):
            requests = [b'%d' % number] * 500
            return list(pool.map(requests)) == requests

        with make_pool() as pool, concurrent.futures.ThreadPoolExecutor(3) as executor:
            pool.props.max_workers = 2
            pool.props.jobs_in_flight = 4
            self.assertEqual(list(executor.map(run, range(3))), [True] * 3)

    def test_large(self):
        with make_pool() as pool:
            for size in 65536, 65537, 3000000:
                self.assertEqual(pool.call(b'large %d' % size), b'x' * size)
                self.assertEqual(pool.call(b'length '.ljust(size)), str(size).encode())

    def test_large_confined(self):
        """A sandbox that allows to execute programs wants memory that can be none."""
        sandbox = GFork.Sandbox()
        sandbox.set_required(False)
        for path in '/usr', *filter(os.path.exists, ['/lib', '/lib64']):
            sandbox.allow_execute(path)
        try:
            os.close(os.memfd_create('test', 8))
        except OSError:
            self.skipTest('the kernel has no memory that cannot be executed')
        template = GFork.Template.new_python().require('jobs_worker')
        template.confine(sandbox)
        pool = GFork.Pool.new(template, 'jobs_worker:worker')
        with pool:
            self.assertEqual(pool.call(b'large 3000000'), b'x' * 3000000)

    def test_exceptions(self):
        with make_pool() as pool:
            self.assert_job_fails(pool, b'raise no such thing', 'ValueError: no such thing')
            self.assert_job_fails(pool, b'number',
                                  'TypeError: the function returned int, not bytes')
            self.assert_job_fails(pool, b'mute', 'Mute')
            self.assertEqual(pool.call(b'still'), b'STILL')

    def test_exit(self):
        with make_pool() as pool:
            pool.props.restart_delay = 0
            with self.assertRaises(GLib.Error) as caught:
                pool.call(b'exit 4')
            self.assertIn('status 4', caught.exception.message)
            self.assertEqual(pool.call(b'again'), b'AGAIN')

    def test_loan(self):
        with make_pool('ready_worker') as pool:
            with pool.acquire() as loan:
                sock = GFork.python_socket(loan.get_socket())
                sock.sendall(b'hello')
                self.assertEqual(sock.recv(100), b'hello')
                sock.close()

    def test_list(self):
        with make_pool() as pool:
            pool.call(b'x')
            while pool.get_n_items() == 0:
                GLib.MainContext.default().iteration(True)
            self.assertEqual(pool.get_item(0).get_n_jobs(), 1)
            self.assertTrue(pool.get_item(0).is_idle())

    def test_aio(self):
        async def call():
            return await asyncio.gather(*(aio.pool_call(pool, b'x%d' % i) for i in range(20)))

        with make_pool() as pool:
            self.assertEqual(asyncio.run(call()), [b'X%d' % i for i in range(20)])


if __name__ == '__main__':
    tap.main()
