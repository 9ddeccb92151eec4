# test_pool.py: pools, in Python
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import asyncio
import unittest

import gi

gi.require_version('GFork', '1.0')
from gi.repository import GFork, GLib

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

    def test_large(self):
        with make_pool() as pool:
            for size in 65536, 65537, 3000000:
                self.assertEqual(pool.call(b'large %d' % size), b'x' * size)
                self.assertEqual(pool.call(b'length '.ljust(size)), str(size).encode())

    def test_exceptions(self):
        with make_pool() as pool:
            self.assert_job_fails(pool, b'raise no such thing', 'ValueError: no such thing')
            with self.assertRaises(GLib.Error) as caught:
                pool.call(b'number')
            self.assertIn('TypeError', caught.exception.message)
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
