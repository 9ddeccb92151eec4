# test_aio.py: tests of gspawnfork.aio
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import asyncio
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
import unittest

import gi

gi.require_version('GFork', '1.0')
from gi.repository import GFork, GLib

import gspawnfork
from gspawnfork import aio

import tap

# A program that is run by an interpreter of its own
PROGRAM = '''
import asyncio, gi, os
gi.require_version('GFork', '1.0')
from gi.repository import GFork
from gspawnfork import aio

'''


def run_program(body):
    return subprocess.run([sys.executable, '-c', PROGRAM + body], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def make_template():
    return GFork.Template.new_python().require('aio_worker')


class Witness:
    """A pipe that tells that a worker runs, and that it has ended."""

    def __init__(self, template):
        self.read_end, write_end = os.pipe()
        template.take_fd(write_end)

    def wait_until_running(self):
        assert os.read(self.read_end, 1) == b'!'

    def wait_until_ended(self):
        while os.read(self.read_end, 1):
            pass
        os.close(self.read_end)


class TestOperations(unittest.IsolatedAsyncioTestCase):
    async def test_prepare(self):
        self.assertIsNone(await aio.prepare(make_template()))

    async def test_prepare_fails(self):
        template = make_template().require('no_such_module')
        with self.assertRaises(GLib.Error) as raised:
            await aio.prepare(template)
        self.assertTrue(raised.exception.matches(GFork.error_quark(), GFork.Error.MODULE))

    async def test_run(self):
        loop = asyncio.get_running_loop()
        sock, process = await aio.run(make_template(), 'aio_worker:echo')
        self.assertIsInstance(sock, socket.socket)
        self.assertFalse(sock.getblocking())
        self.assertIsInstance(process, GFork.Process)
        await loop.sock_sendall(sock, b'hello')
        self.assertEqual(await loop.sock_recv(sock, 100), b'hello')
        sock.close()
        self.assertEqual(await aio.wait(process), 0)

    async def test_streams(self):
        sock, process = await aio.run(make_template(), 'aio_worker:echo')
        reader, writer = await asyncio.open_unix_connection(sock=sock)
        writer.write(b'a line\n')
        self.assertEqual(await reader.readline(), b'a line\n')
        writer.close()
        await writer.wait_closed()
        self.assertEqual(await aio.wait(process), 0)

    async def test_run_fails(self):
        with self.assertRaises(GLib.Error) as raised:
            await aio.run(make_template(), 'aio_worker:no_such_function')
        self.assertTrue(raised.exception.matches(GFork.error_quark(), GFork.Error.FUNCTION))

    async def test_execv(self):
        sock, process = await aio.execv(make_template(), ['/bin/sh', '-c', 'echo hello; exit 3'],
                                        GFork.ExecFlags.SOCKET_STDOUT)
        loop = asyncio.get_running_loop()
        self.assertEqual(await loop.sock_recv(sock, 100), b'hello\n')
        self.assertEqual(await aio.wait(process), 3)
        sock.close()

    async def test_communicate(self):
        flags = (GFork.ExecFlags.STDIN_PIPE | GFork.ExecFlags.STDOUT_PIPE
                 | GFork.ExecFlags.STDERR_PIPE)
        sock, process = await aio.execv(make_template(), ['/bin/sh', '-c', 'cat; echo no >&2'],
                                        flags)
        self.assertEqual(await aio.communicate(process, b'hello' * 100000),
                         (b'hello' * 100000, b'no\n'))
        sock, process = await aio.execv(make_template(), ['/bin/sh', '-c', ':'],
                                        GFork.ExecFlags.STDOUT_PIPE)
        self.assertEqual(await aio.communicate(process), (b'', None))

    async def test_execv_nothing(self):
        with self.assertRaises(GLib.Error) as caught:
            await aio.execv(make_template(), [])
        self.assertTrue(caught.exception.matches(GFork.error_quark(), GFork.Error.EXEC))
        with self.assertRaises(TypeError):
            await aio.execv(make_template(), 'true')

    async def test_wait_for_template(self):
        template = make_template()
        await aio.prepare(template)
        waiting = asyncio.ensure_future(aio.wait(template))
        template.close()
        self.assertIsNone(await waiting)

    async def test_template_died_unnoticed(self):
        """Each fork of it says so."""
        template = make_template()
        await aio.prepare(template)
        sock, process = await aio.run(template.fork(), 'aio_worker:echo')
        waiting = asyncio.ensure_future(aio.wait(process))
        os.kill(template.get_pid(), signal.SIGKILL)
        for _ in range(3):
            await asyncio.sleep(0.01)
            with self.assertRaises(GLib.Error) as caught:
                await aio.run(template.fork(), 'aio_worker:echo')
            self.assertTrue(caught.exception.matches(GFork.error_quark(), GFork.Error.LOST))
        sock.close()
        try:
            await waiting
        except GLib.Error:
            # Without pidfds nobody knows.
            pass

    async def test_execv_fails(self):
        with self.assertRaises(GLib.Error) as raised:
            await aio.execv(make_template(), ['/no/such/program'])
        self.assertTrue(raised.exception.matches(GFork.error_quark(), GFork.Error.EXEC))

    async def test_detach(self):
        sock = await aio.detach(make_template())
        self.assertIsInstance(sock, socket.socket)
        sock.close()

    async def test_wait(self):
        template = make_template()
        sock, process = await aio.run(template.fork(), 'aio_worker:return_five')
        self.assertEqual(await aio.wait(process), 5)
        # What is known already
        self.assertEqual(await aio.wait(process), 5)
        sock.close()
        sock, process = await aio.run(template.fork(), 'aio_worker:kill_itself')
        self.assertEqual(await aio.wait(process), -signal.SIGKILL)
        sock.close()

    async def test_wrong_argument(self):
        with self.assertRaises(TypeError):
            await aio.run(make_template(), 7)

    async def test_many(self):
        template = make_template()
        loop = asyncio.get_running_loop()

        async def converse(i):
            sock, process = await aio.run(template.fork(), 'aio_worker:echo')
            await loop.sock_sendall(sock, b'%d' % i)
            answer = await loop.sock_recv(sock, 100)
            sock.close()
            return int(answer), await aio.wait(process)

        results = await asyncio.gather(*(converse(i) for i in range(30)))
        self.assertEqual(results, [(i, 0) for i in range(30)])
        # One thread does it all.
        self.assertEqual([thread.name for thread in threading.enumerate()
                          if thread.name.startswith('gspawnfork')], ['gspawnfork.aio'])

    @unittest.skipUnless(hasattr(GFork, 'Pool') and hasattr(gspawnfork, 'serve_jobs'),
                         'there are no pools')
    async def test_pool(self):
        template = GFork.Template.new_python().eval(
            'import gspawnfork\n'
            'def serve(sock):\n'
            '    return gspawnfork.serve_jobs(sock, lambda request: bytes(request).upper())\n')
        pool = GFork.Pool.new(template, 'serve')
        pool.start()
        self.assertEqual(await aio.pool_call(pool, b'hello'), b'HELLO')
        self.assertEqual(
            await asyncio.gather(*(aio.pool_call(pool, bytearray(b'%d' % i)) for i in range(9))),
            [b'%d' % i for i in range(9)])
        for request in 5, 'text':
            with self.assertRaises(TypeError):
                await aio.pool_call(pool, request)
        pool.stop()


class TestCancelling(unittest.IsolatedAsyncioTestCase):
    """Whenever a task is cancelled, the worker that it has asked for ends."""

    def begin(self):
        template = make_template()
        witness = Witness(template)
        return witness, asyncio.create_task(aio.run(template, 'aio_worker:stay'))

    async def check(self, witness, task):
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(witness.wait_until_ended)

    async def test_before_it_has_begun(self):
        await self.check(*self.begin())

    async def test_under_way(self):
        witness, task = self.begin()
        await asyncio.sleep(0)
        await self.check(witness, task)

    async def test_when_it_runs(self):
        witness, task = self.begin()
        await asyncio.sleep(0)
        # The event loop cannot have received the result, but it may be on its way.
        witness.wait_until_running()
        await self.check(witness, task)

    async def test_when_the_result_is_there(self):
        template = make_template()
        witness = Witness(template)
        future = None

        class Loop:
            """Cancels the task right after the result was set."""

            def create_future(self):
                nonlocal future
                future = loop.create_future()
                future.add_done_callback(lambda future: task.cancel())
                return future

            def call_soon_threadsafe(self, *args):
                return loop.call_soon_threadsafe(*args)

        loop = asyncio.get_running_loop()
        original = asyncio.get_running_loop
        asyncio.get_running_loop = Loop
        try:
            task = asyncio.create_task(aio.run(template, 'aio_worker:stay'))
            await asyncio.sleep(0)
        finally:
            asyncio.get_running_loop = original
        with self.assertRaises(asyncio.CancelledError):
            await task
        self.assertTrue(future.done() and not future.cancelled())
        await asyncio.to_thread(witness.wait_until_ended)

    async def test_wait(self):
        template = make_template()
        witness = Witness(template)
        sock, process = await aio.run(template, 'aio_worker:stay')
        task = asyncio.create_task(aio.wait(process))
        await asyncio.sleep(0)
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        # The process goes on.
        process.send_signal(signal.SIGTERM)
        self.assertEqual(await aio.wait(process), -signal.SIGTERM)
        sock.close()
        witness.wait_until_ended()

    async def test_timeout(self):
        template = make_template()
        witness = Witness(template)
        sock, process = await aio.run(template, 'aio_worker:stay')
        with self.assertRaises(asyncio.TimeoutError):
            await asyncio.wait_for(aio.wait(process), 0.01)
        process.force_exit()
        self.assertEqual(await aio.wait(process), -signal.SIGKILL)
        sock.close()
        witness.wait_until_ended()


class TestEventLoops(unittest.TestCase):
    def test_ends_first(self):
        done = run_program('''
async def main():
    template = GFork.Template.new_python().require('aio_worker')
    tasks = [asyncio.create_task(aio.run(template.fork(), 'aio_worker:echo'))
             for _ in range(10)]
    await asyncio.sleep(0)

asyncio.run(main())
''')
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, '', ''))

    def test_is_closed_under_way(self):
        template = make_template()
        witness = Witness(template)
        loop = asyncio.new_event_loop()
        operation = aio.run(template, 'aio_worker:stay')

        async def begin():
            # By hand, as nothing cancels the operation then.
            operation.send(None)

        loop.run_until_complete(begin())
        loop.close()
        # The worker that nobody can receive any more is ended.
        witness.wait_until_ended()
        with self.assertRaises(RuntimeError):
            operation.throw(RuntimeError)

    def test_one_after_another(self):
        async def main():
            sock, process = await aio.run(make_template(), 'aio_worker:return_five')
            sock.close()
            return await aio.wait(process)

        for _ in range(2):
            self.assertEqual(asyncio.run(main()), 5)

    def test_in_threads(self):
        results = []

        async def main():
            await aio.prepare(make_template())
            results.append(True)

        threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(results, [True] * 3)

    def test_in_fork(self):
        # Newer interpreters warn of forks of programs with threads.
        done = run_program('''
import warnings
warnings.simplefilter('ignore', DeprecationWarning)
asyncio.run(aio.prepare(GFork.Template.new_python()))
pid = os.fork()
asyncio.run(aio.prepare(GFork.Template.new_python()))
if pid != 0:
    print(os.waitpid(pid, 0)[1])
''')
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, '0\n', ''))

    @unittest.skipUnless(importlib.util.find_spec('gi.events'), 'PyGObject is older than 3.50')
    def test_methods_are_awaitable(self):
        """In the event loop of PyGObject, several at a time if each is in a coroutine."""
        done = run_program('''
from gi.events import GLibEventLoopPolicy

async def converse(template):
    socket, process = await template.fork().run_async('leave')
    await process.wait_async()
    return process.get_exit_status()

async def main():
    template = GFork.Template.new_python().eval('def leave(sock): return 3')
    await template.prepare_async()
    print(await converse(template))
    print(await asyncio.wait_for(asyncio.gather(*(converse(template) for _ in range(3))), 60))

GLibEventLoopPolicy().get_event_loop().run_until_complete(main())
''')
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, '3\n[3, 3, 3]\n', ''))

    def test_gi_is_imported_late(self):
        code = 'import sys, gspawnfork.aio; sys.exit("gi" in sys.modules)'
        self.assertEqual(subprocess.run([sys.executable, '-c', code]).returncode, 0)


if __name__ == '__main__':
    tap.main()
