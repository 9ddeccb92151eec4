# test_python.py: tests of the library from Python, with workers in C and in Python
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

import gi

gi.require_version('GFork', '1.0')
from gi.repository import GFork, Gio, GLib

import tap

HERE = os.path.dirname(os.path.abspath(__file__))


def read_all(sock):
    data = b''
    while piece := sock.recv(65536):
        data += piece
    return data


def run(template, function):
    """The communication socket as Python's, and the process."""
    conversation, process = template.run(function)
    return GFork.python_socket(conversation), process


def ask(template, function):
    """What the worker says in JSON."""
    sock, process = run(template, function)
    with sock:
        answer = json.loads(read_all(sock))
    process.wait_check()
    return answer


def receive_file(sock):
    """What is in the file that the worker sends."""
    bytes, fds, flags, address = socket.recv_fds(sock, 1, 1)
    with open(fds[0], 'rb') as file:
        return file.read(100)


class TestCase(unittest.TestCase):
    def assert_error(self, code, *words):
        return AssertError(self, code, words)


class AssertError:
    def __init__(self, test, code, words):
        self.test, self.code, self.words = test, code, words

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.test.assertIsInstance(error, GLib.Error)
        self.test.assertTrue(error.matches(GFork.error_quark(), self.code), error)
        for word in self.words:
            self.test.assertIn(word, error.message)
        return True


class Binding(TestCase):
    """The library from Python, with workers in C."""

    def test_constructors(self):
        for template in (GFork.Template.new(), GFork.Template(), GFork.Template.new_exec(),
                         GFork.Template(spare_processes=2)):
            self.assertIsInstance(template, GFork.Template)
            self.assertEqual(template.props.runtime, 'c')
            self.assertTrue(template.prepare())

    def test_properties(self):
        template = GFork.Template(spare_processes=2)
        self.assertEqual(template.props.spare_processes, 2)
        self.assertEqual(template.props.pid, 0)
        template.prepare()
        self.assertEqual(template.props.pid, template.get_pid())
        self.assertGreater(template.get_pid(), 0)

    def test_default(self):
        GFork.Template.set_default(GFork.Template.new().require('test-worker').send('5'))
        try:
            sock, process = run(GFork.Template.new(), 'leave_with')
            process.wait()
            self.assertEqual(process.get_exit_status(), 5)
            self.assertIsInstance(GFork.Template.dup_default(), GFork.Template)
        finally:
            GFork.Template.set_default(None)
        with self.assert_error(GFork.Error.FUNCTION):
            GFork.Template.new().run('leave_with')

    def test_chaining(self):
        template = (GFork.Template.new().require('test-worker').setenv('A', 'b').unsetenv('A')
                    .set_cwd('/').call('remember', 'one', 'two').send_arg('x').send_bytes(b'y')
                    .send('z', b'\0', GLib.Bytes.new(b'w')))
        sock, process = run(template, 'dump_args')
        self.assertEqual(read_all(sock), b'1:x\n1:y\n1:z\n1:\0\n1:w\n')
        self.assertTrue(process.wait_check())

    def test_chaining_confine(self):
        sandbox = GFork.Sandbox()
        sandbox.set_required(False)
        template = GFork.Template.new().require('test-worker').confine(sandbox).send('7')
        process = run(template, 'leave_with')[1]
        process.wait()
        self.assertEqual(process.get_exit_status(), 7)

    def test_call_takes_words_or_a_list(self):
        for args in (['a', 'b'],), ('a', 'b'):
            template = GFork.Template.new().require('test-worker').call('remember', *args)
            sock, process = run(template, 'answer')
            sock.sendall(b'memory\n')
            sock.shutdown(socket.SHUT_WR)
            self.assertEqual(read_all(sock), b'[a][b]\n')

    def test_with(self):
        with GFork.Template.new() as template:
            template.prepare()
        with self.assert_error(GFork.Error.CLOSED):
            template.prepare()

    def test_statuses(self):
        sock, process = run(GFork.Template.new().send('7'), 'test-worker:leave_with')
        self.assertTrue(process.wait())
        self.assertEqual(process.get_exit_status(), 7)
        self.assertTrue(process.get_if_exited())
        self.assertGreater(process.get_max_rss(), 0)
        with self.assertRaises(GLib.Error):
            process.wait_check()

    def test_errors(self):
        with self.assert_error(GFork.Error.MODULE, 'nowhere'):
            GFork.Template.new().run('nowhere:f')
        with self.assert_error(GFork.Error.FUNCTION, 'nothing'):
            GFork.Template.new().run('test-worker:nothing')
        with self.assert_error(GFork.Error.NOT_SUPPORTED):
            GFork.Template.new().eval('1').prepare()
        with self.assert_error(GFork.Error.NOT_SUPPORTED, 'klingon'):
            GFork.Template.new_for_runtime('klingon').prepare()

    def test_what_cannot_be_sent(self):
        for thing in 1, None, [], object():
            with self.assertRaises(TypeError):
                GFork.Template.new().send(thing)

    def test_execv(self):
        conversation, process = GFork.Template.new().send('there').execv(
            ['echo', 'hello'], GFork.ExecFlags.SEARCH_PATH | GFork.ExecFlags.SOCKET_STDOUT)
        self.assertEqual(read_all(GFork.python_socket(conversation)), b'hello there\n')
        self.assertTrue(process.wait_check())
        with self.assert_error(GFork.Error.EXEC, '/nowhere'):
            GFork.Template.new().execv(['/nowhere'])

    def test_async(self):
        loop = GLib.MainLoop()
        seen = []

        def on_waited(process, result):
            seen.append(process.wait_finish(result))
            loop.quit()

        def on_running(template, result):
            conversation, process = template.run_finish(result)
            process.wait_async(None, on_waited)
            seen.append((conversation, process))

        def on_prepared(template, result):
            seen.append(template.prepare_finish(result))
            template.run_async('leave_with', None, on_running)

        template = GFork.Template.new().require('test-worker').send('3')
        template.prepare_async(None, on_prepared)
        loop.run()
        self.assertEqual(seen[1][1].get_exit_status(), 3)

    def test_end_of_a_template(self):
        template = GFork.Template.new_exec()
        template.prepare()
        os.kill(template.props.pid, signal.SIGKILL)
        with self.assert_error(GFork.Error.LOST, 'signal 9'):
            template.wait()
        with GFork.Template.new() as template:
            pass
        self.assertTrue(template.wait())

    def test_async_error(self):
        loop = GLib.MainLoop()
        errors = []

        def on_running(template, result):
            try:
                template.run_finish(result)
            except GLib.Error as error:
                errors.append(error)
            loop.quit()

        GFork.Template.new().run_async('nowhere:f', None, on_running)
        loop.run()
        self.assertTrue(errors[0].matches(GFork.error_quark(), GFork.Error.MODULE))

    def test_cancelling(self):
        cancellable = Gio.Cancellable()
        cancellable.cancel()
        with self.assertRaises(GLib.Error) as caught:
            GFork.Template.new().run('test-worker:echo', cancellable)
        self.assertTrue(caught.exception.matches(Gio.io_error_quark(), Gio.IOErrorEnum.CANCELLED))

    def test_signal_and_source(self):
        loop = GLib.MainLoop()
        sock, process = run(GFork.Template.new(), 'test-worker:echo')
        seen = []
        process.connect('exited', lambda process, status: seen.append(status))
        source = process.create_source()
        source.set_callback(lambda *args: loop.quit())
        source.attach()
        process.send_signal(signal.SIGTERM)
        loop.run()
        self.assertEqual(seen, [signal.SIGTERM])
        self.assertTrue(process.get_if_signaled())
        self.assertEqual(process.get_term_sig(), signal.SIGTERM)

    def test_descriptors(self):
        read_end, write_end = os.pipe()
        ours, theirs = socket.socketpair()
        with open(write_end, 'wb') as file, tempfile.TemporaryFile('w+') as text, ours, theirs:
            text.write('before ')
            sock, process = run(GFork.Template.new().send(file, theirs, text),
                                'test-worker:write_to_args')
            process.wait_check()
            self.assertEqual(ours.recv(100), b'written by the worker')
            text.seek(0)
            self.assertEqual(text.read(), 'before written by the worker')
        with open(read_end, 'rb') as file:
            self.assertEqual(file.read(), b'written by the worker')

    def test_descriptors_from_the_worker(self):
        sock, process = run(GFork.Template.new(), 'test-worker:send_back')
        self.assertEqual(receive_file(sock), b'from the worker')
        process.wait_check()

    def test_detach(self):
        template = GFork.Template.new().require('test-worker').send('9')
        other = GFork.Template.new_from_socket(template.detach())
        sock, process = run(other, 'leave_with')
        self.assertEqual(read_all(sock), b'')


@unittest.skipUnless(gi.version_info >= (3, 50), 'this PyGObject has nothing to await')
class Awaiting(TestCase):
    """What takes callbacks can be awaited where PyGObject can do that."""

    def run_loop(self, coroutine):
        # Not by a policy, as Python is to lose them.
        from gi.events import GLibEventLoop

        with contextlib.closing(GLibEventLoop(GLib.MainContext.default())) as loop:
            return loop.run_until_complete(coroutine)

    def test_launch(self):
        async def launch(status):
            template = GFork.Template.new().require('test-worker').send(str(status))
            self.assertTrue(await template.prepare_async())
            conversation, process = await template.run_async('leave_with')
            self.assertIsInstance(conversation, Gio.Socket)
            self.assertTrue(await process.wait_async())
            return process.get_exit_status()

        async def launch_many():
            import asyncio

            return await asyncio.gather(*map(launch, range(5)))

        self.assertEqual(self.run_loop(launch_many()), [0, 1, 2, 3, 4])

    def test_execv(self):
        async def execute():
            conversation, process = await GFork.Template.new().execv_async(
                ['echo', 'hello'], GFork.ExecFlags.SEARCH_PATH | GFork.ExecFlags.SOCKET_STDOUT)
            self.assertTrue(await process.wait_check_async())
            return read_all(GFork.python_socket(conversation))

        self.assertEqual(self.run_loop(execute()), b'hello\n')

    def test_detach(self):
        async def detach():
            return await GFork.Template.new().detach_async()

        self.assertTrue(GFork.Template.new_from_socket(self.run_loop(detach())).prepare())

    def test_errors(self):
        async def fail():
            with self.assert_error(GFork.Error.MODULE, 'nowhere'):
                await GFork.Template.new().run_async('nowhere:f')
            conversation, process = await GFork.Template.new().send('3').run_async(
                'test-worker:leave_with')
            with self.assertRaises(GLib.Error):
                await process.wait_check_async()

        self.run_loop(fail())


class Python(TestCase):
    """Workers in Python."""

    @classmethod
    def setUpClass(cls):
        cls.template = GFork.Template.new_python().require('py_worker')
        cls.template.prepare()

    def test_runtime(self):
        self.assertEqual(self.template.props.runtime, 'python3')
        self.assertEqual(self.template.fork().props.runtime, 'python3')

    def test_default(self):
        """New templates are forks of the runtime's default template."""
        default = GFork.Template.dup_default_for_runtime('python3')
        default.prepare()
        self.assertIs(GFork.Template.dup_default_for_runtime('python3'), default)
        self.assertEqual(default.props.runtime, 'python3')
        template = GFork.Template.new_python()
        self.assertEqual(template.get_pid(), 0)
        template.eval('import os\ndef tell(sock):\n    sock.sendall(b"%d" % parent)\n'
                      'parent = os.getppid()\n')
        self.assertEqual(ask(template.fork(), 'tell'), default.get_pid())
        fresh = GFork.Template.new_exec_for_runtime('python3')
        self.assertGreater(fresh.get_pid(), 0)

        # The one that is set has to do with its runtime alone.
        chosen = GFork.Template.new_python().eval('def say(sock):\n    sock.sendall(b"1")\n')
        GFork.Template.set_default(chosen)
        try:
            self.assertEqual(ask(GFork.Template.new_python(), 'say'), 1)
            self.assertEqual(GFork.Template.new().props.runtime, 'c')
            self.assertTrue(GFork.Template.new().require('test-worker').prepare())
        finally:
            GFork.Template.set_default(None)
        with self.assert_error(GFork.Error.FUNCTION):
            GFork.Template.new_python().run('say')

    def test_default_that_dies(self):
        default = GFork.Template.dup_default_for_runtime('python3')
        default.prepare()
        pidfd = os.pidfd_open(default.get_pid())
        os.kill(default.get_pid(), signal.SIGKILL)
        self.assertTrue(select.select([pidfd], [], [], 60)[0])
        os.close(pidfd)
        self.assertEqual(ask(GFork.Template.new_python(), 'py_worker:lengths'), [])
        self.assertIsNot(GFork.Template.dup_default_for_runtime('python3'), default)

    def test_property(self):
        self.assertEqual(ask(GFork.Template(runtime='python3'), 'py_worker:lengths'), [])

    def test_arguments(self):
        ours, theirs = socket.socketpair()
        read_end, write_end = os.pipe()
        with ours, theirs, open(read_end, 'rb') as reader, open(write_end, 'wb') as writer, \
                tempfile.TemporaryFile() as file:
            fork = self.template.fork().send('héllo', b'\0\xff', '', b'', theirs, reader, writer,
                                             file)
            told = ask(fork, 'tell')
        self.assertEqual(told['args'],
                         [['str', 'héllo'], ['bytes', '\0\xff'], ['str', ''], ['bytes', ''],
                          ['socket', socket.AF_UNIX], ['FileIO', 'rb'], ['FileIO', 'wb'],
                          ['FileIO', 'rb+']])

    def test_large_arguments(self):
        fork = self.template.fork().send('x' * 70000, b'y' * 3000000, 'é' * 65536)
        self.assertEqual(ask(fork, 'lengths'), [70000, 3000000, 65536])

    def test_arguments_are_cloned(self):
        parent = self.template.fork().send('one')
        for word in 'two', 'three':
            told = ask(parent.fork().send(word), 'tell')
            self.assertEqual(told['args'], [['str', 'one'], ['str', word]])

    def test_clean_start(self):
        told = ask(self.template.fork().send('x'), 'tell')
        self.assertEqual(told['fds'], told['own-fds'])
        self.assertTrue(told['blocking'])
        self.assertEqual(told['signals'], [signal.SIGINT])
        self.assertEqual(told['mask'], [])
        self.assertEqual(told['environment'].get('PATH'), os.environ.get('PATH'))
        self.assertEqual(told['executable'], sys.executable)

    def test_no_descriptor_of_siblings(self):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            first, process = run(self.template.fork().send(theirs), 'echo')
            told = ask(self.template.fork(), 'tell')
            self.assertEqual(told['fds'], told['own-fds'])
            first.close()
            process.wait()

    def test_title(self):
        told = ask(self.template.fork(), 'tell')
        self.assertTrue(told['title'].startswith('gspawnfork: tell ['), told['title'])
        self.assertTrue(told['title'].endswith(f'[{self.template.get_pid()}]'), told['title'])
        self.assertEqual(told['name'], 'tell')

    def test_environment_and_directory(self):
        fork = self.template.fork().setenv('GFORK_TEST', 'välue').set_cwd('/').unsetenv('HOME')
        told = ask(fork, 'tell')
        self.assertEqual(told['environment']['GFORK_TEST'], 'välue')
        self.assertNotIn('HOME', told['environment'])
        self.assertEqual(told['cwd'], '/')
        self.assertNotIn('GFORK_TEST', ask(self.template.fork(), 'tell')['environment'])

    def test_call(self):
        fork = self.template.fork().call('remember', 'a', 'b').call('py_worker:remember')
        self.assertEqual(ask(fork, 'tell')['memory'], [[['str', 'a'], ['str', 'b']], []])

    def test_take_args(self):
        fork = self.template.fork().send('a', b'b').call('remember_sent').send('c')
        told = ask(fork, 'tell')
        self.assertEqual(told['memory'], [[['str', 'a'], ['bytes', 'b']]])
        self.assertEqual(told['args'], [['str', 'c']])

    def test_eval(self):
        fork = GFork.Template.new_python().eval(
            'import json\n'
            'given = args\n'
            'def worker(sock):\n'
            '    sock.sendall(json.dumps(given).encode())\n', 'a', 'b')
        self.assertEqual(ask(fork, 'worker'), ['a', 'b'])

    def test_module_by_path(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, 'not-a-name.py')
            with open(path, 'w') as file:
                file.write('def worker(sock):\n    sock.sendall(b"here")\n')
            sock, process = run(GFork.Template.new_python(), f'{path}:worker')
            self.assertEqual(read_all(sock), b'here')

    def test_module_path(self):
        with tempfile.TemporaryDirectory() as directory:
            with open(os.path.join(directory, 'found_there.py'), 'w') as file:
                file.write('def worker(sock):\n    sock.sendall(b"there")\n')
            GFork.add_module_path(directory)
            sock, process = run(GFork.Template.new_python(), 'found_there:worker')
            self.assertEqual(read_all(sock), b'there')

    def test_search_path_is_the_applications(self):
        sys.path.append('/only/in/this/application')
        try:
            told = ask(GFork.Template.new_python().require('py_worker'), 'tell')
        finally:
            sys.path.remove('/only/in/this/application')
        self.assertIn('/only/in/this/application', told['path'])
        self.assertNotIn(os.environ['GSPAWNFORK_RUNTIME_DIR'], told['path'])

    def test_virtual_environment(self):
        with tempfile.TemporaryDirectory() as directory:
            subprocess.run([sys.executable, '-m', 'venv', '--without-pip', directory], check=True)
            interpreter = os.path.join(directory, 'bin', 'python3')
            GFork.set_interpreter('python3', interpreter)
            try:
                template = GFork.Template.new_for_runtime('python3').require('py_worker')
                told = ask(template, 'tell')
            finally:
                GFork.set_interpreter('python3', sys.executable)
            self.assertEqual(told['executable'], interpreter)
            self.assertTrue(any(path.startswith(directory) for path in told['path']), told['path'])

    def test_random_numbers_differ(self):
        numbers = {ask(self.template.fork(), 'tell')['random'] for _ in range(5)}
        self.assertEqual(len(numbers), 5)

    def test_collector_is_frozen(self):
        self.assertGreater(ask(self.template.fork(), 'frozen'), 0)

    def test_statuses(self):
        for function, args, status in (('exit_with', ['7'], 7), ('return_status', [], 5),
                                       ('nothing', [], 0), ('raise_error', [], 1),
                                       ('exit_with_message', [], 1)):
            sock, process = run(self.template.fork().send(*args), function)
            self.assertEqual(read_all(sock), b'')
            process.wait()
            self.assertTrue(process.get_if_exited(), function)
            self.assertEqual(process.get_exit_status(), status, function)

        sock, process = run(self.template.fork(), 'kill_itself')
        process.wait()
        self.assertEqual(process.get_term_sig(), signal.SIGKILL)

    def test_what_is_printed(self):
        script = ('import gi\n'
                  'gi.require_version("GFork", "1.0")\n'
                  'from gi.repository import GFork\n'
                  'template = GFork.Template.new_python().require("py_worker")\n'
                  'template.call("print_something")\n'
                  'for function in ("raise_error", "exit_with_message"):\n'
                  '    sock, process = template.fork().run(function)\n'
                  '    process.wait()\n')
        done = subprocess.run([sys.executable, '-c', script], cwd=HERE, capture_output=True,
                              text=True, check=True)
        self.assertEqual(done.stdout, 'printed once\n')
        self.assertIn('Traceback', done.stderr)
        self.assertIn('ValueError: this is expected', done.stderr)
        self.assertNotIn('python3.py', done.stderr)
        self.assertTrue(done.stderr.endswith('so it ends\n'), done.stderr)

    def test_exit_handlers(self):
        sock, process = run(self.template.fork(), 'at_exit')
        self.assertEqual(read_all(sock), b'handler')
        process.wait_check()

    def test_coroutine(self):
        sock, process = run(self.template.fork().send('word'), 'asynchronous')
        self.assertEqual(read_all(sock), b'word')
        process.wait()
        self.assertEqual(process.get_exit_status(), 4)

    def test_errors(self):
        for prepare, code, words in (
                (lambda t: t.require('nowhere'), GFork.Error.MODULE,
                 ['nowhere', 'ModuleNotFoundError']),
                (lambda t: t.call('fail'), GFork.Error.CALL,
                 ['fail', 'KeyError', 'no such key', 'py_worker.py, line ']),
                (lambda t: t.call('leave'), GFork.Error.CALL, ['SystemExit']),
                (lambda t: t.call('not_there'), GFork.Error.FUNCTION, ['not_there']),
                (lambda t: t.eval('a = 1\n1 / 0'), GFork.Error.CALL,
                 ['ZeroDivisionError', '<eval>, line 2']),
                (lambda t: t.eval('a ='), GFork.Error.CALL, ['SyntaxError', 'line 1']),
                (lambda t: t.set_cwd('/nowhere'), GFork.Error.FAILED, ['/nowhere']),
                (lambda t: t.setenv('A=B', 'c'), GFork.Error.FAILED, ['A=B']),
        ):
            fork = self.template.fork()
            with self.assert_error(code, *words):
                prepare(fork).prepare()
            # Its forks fail alike, and so does a run.
            with self.assert_error(code, *words):
                fork.fork().prepare()
            with self.assert_error(code, *words):
                fork.run('nothing')

        for function, code, words in (
                ('nowhere:f', GFork.Error.MODULE, ['nowhere', 'ModuleNotFoundError']),
                ('py_worker:f', GFork.Error.FUNCTION, ['py_worker:f']),
                ('f', GFork.Error.FUNCTION, ['f']),
        ):
            with self.assert_error(code, *words):
                self.template.fork().run(function)

    def test_threads_are_named(self):
        fork = self.template.fork().call('start_thread')
        fork.prepare()
        with self.assert_error(GFork.Error.THREADED, 'sleepy'):
            fork.fork().run('nothing')
        # A worker may have as many as it likes.
        sock, process = run(fork, 'nothing')
        process.wait_check()

    def test_descriptors_to_the_worker(self):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            sock, process = run(self.template.fork().send(theirs), 'echo_elsewhere')
            theirs.close()
            ours.sendall(b'through another socket')
            ours.shutdown(socket.SHUT_WR)
            self.assertEqual(read_all(ours), b'through another socket')
            process.wait_check()

        with tempfile.TemporaryFile() as file:
            file.write(b'from a file')
            file.seek(0)
            sock, process = run(self.template.fork().send(file), 'read_from')
            self.assertEqual(read_all(sock), b'from a file')

    def test_descriptors_from_the_worker(self):
        sock, process = run(self.template.fork(), 'send_back')
        self.assertEqual(receive_file(sock), b'from the worker')

    def test_map_fd(self):
        read_end, write_end = os.pipe()
        fork = (GFork.Template.new_python().send('here').map_fd(write_end, 33)
                .eval('import os\ndef worker(sock, word):\n    os.write(33, word.encode())\n'))
        sock, process = run(fork, 'worker')
        process.wait_check()
        self.assertEqual(os.read(read_end, 100), b'here')
        os.close(read_end)
        os.close(write_end)

    def test_execv(self):
        read_end, write_end = os.pipe()
        flags = GFork.ExecFlags.SEARCH_PATH | GFork.ExecFlags.SOCKET_STDOUT
        with open(write_end, 'wb') as writer:
            conversation, process = self.template.fork().send('sent', writer).execv(
                ['sh', '-c', 'echo $0; echo three >&3; ls /proc/$$/fd; kill -s PIPE $$'], flags)
        told = read_all(GFork.python_socket(conversation)).decode().split()
        self.assertEqual(told, ['sent', '0', '1', '2', '3'])
        self.assertEqual(os.read(read_end, 100), b'three\n')
        os.close(read_end)
        process.wait()
        self.assertEqual(process.get_term_sig(), signal.SIGPIPE)
        with self.assert_error(GFork.Error.EXEC, '/nowhere', 'No such file'):
            self.template.fork().execv(['/nowhere'])

    def test_execv_with_descriptors_in_each_others_places(self):
        read_end, write_end = os.pipe()
        null = os.open('/dev/null', os.O_RDWR)
        zero = os.open('/dev/zero', os.O_RDWR)
        flags = GFork.ExecFlags.SEARCH_PATH | GFork.ExecFlags.SOCKET_STDOUT
        script = 'for i in "$@"; do readlink /proc/self/fd/$i; done; echo also >&3'
        for first in range(4, 12):
            fork = self.template.fork()
            fork.map_fd(null, first).map_fd(zero, first + 1).map_fd(null, first + 2)
            fork.map_fd(zero, first + 3).map_fd(write_end, 3).send_fd(zero)
            sent = 4 if first > 4 else first + 4
            numbers = [str(first + i) for i in range(4)] + [str(sent)]
            conversation, process = fork.execv(['bash', '-c', script, '-', *numbers], flags)
            told = read_all(GFork.python_socket(conversation)).decode().split()
            self.assertEqual(told, ['/dev/null', '/dev/zero'] * 2 + ['/dev/zero'])
            process.wait_check()
            self.assertEqual(os.read(read_end, 100), b'also\n')
        with self.assert_error(GFork.Error.FAILED, 'RLIMIT_NOFILE'):
            self.template.fork().map_fd(null, 1 << 30).prepare()
        for fd in read_end, write_end, null, zero:
            os.close(fd)

    def test_sent_descriptors_are_closed_with_the_template(self):
        # A process that waits for the end of a pipe must not wait for a worker.
        template = self.template.fork()
        sock, process = run(template.fork(), 'echo')
        ours, theirs = socket.socketpair()
        with ours, theirs:
            template.send(theirs).prepare()
            theirs.close()
            template.close()
            self.assertEqual(ours.recv(1), b'')
        sock.sendall(b'still there')
        self.assertEqual(sock.recv(100), b'still there')
        sock.close()
        process.wait_check()

    def test_kill(self):
        sock, process = run(self.template.fork(), 'echo')
        process.force_exit()
        process.wait()
        self.assertEqual(process.get_term_sig(), signal.SIGKILL)

    def test_forks_of_forks(self):
        template = self.template
        for depth in range(10):
            template = template.fork().call('remember', str(depth))
        self.assertEqual(len(ask(template, 'tell')['memory']), 10)

    def test_a_thousand_forks(self):
        processes = []
        for i in range(1000):
            fork = self.template.fork().send(str(i % 50))
            processes.append(fork.run('exit_with')[1])
        for i, process in enumerate(processes):
            process.wait()
            self.assertEqual(process.get_exit_status(), i % 50)

    def test_template_dies(self):
        template = GFork.Template.new_python().require('py_worker')
        template.prepare()
        sock, process = run(template.fork(), 'echo')
        os.kill(template.get_pid(), signal.SIGKILL)
        sock.sendall(b'still there')
        self.assertEqual(sock.recv(100), b'still there')
        with self.assert_error(GFork.Error.LOST):
            template.fork().fork().prepare()


@unittest.skipUnless(shutil.which('gjs'), 'gjs is not there')
class JavaScript(TestCase):
    """Workers in JavaScript."""

    @classmethod
    def setUpClass(cls):
        cls.template = GFork.Template.new_for_runtime('gjs').require('js-worker')

    def test_arguments(self):
        told = ask(self.template.fork().send('héllo', b'\0\xff'), 'tell')
        self.assertEqual(told['args'], [['string', 'héllo'], ['bytes', [0, 255]]])

    def test_forks(self):
        parent = self.template.fork().call('remember', 'a')
        for word in 'b', 'c':
            told = ask(parent.fork().call('remember', word), 'tell')
            self.assertEqual(told['memory'], [['a'], [word]])

    def test_status(self):
        sock, process = run(self.template.fork().send('7'), 'exitLater')
        process.wait()
        self.assertEqual(process.get_exit_status(), 7)

    def test_error(self):
        with self.assert_error(GFork.Error.CALL, 'RangeError', 'js-worker.js, line '):
            self.template.fork().call('fail').prepare()

    def test_descriptors(self):
        ours, theirs = socket.socketpair()
        read_end, write_end = os.pipe()
        with ours, theirs, open(write_end, 'wb') as writer:
            sock, process = run(self.template.fork().send(theirs, writer), 'writeTo')
            process.wait_check()
            self.assertEqual(ours.recv(100), b'written by the worker')
        with open(read_end, 'rb') as reader:
            self.assertEqual(reader.read(), b'written by the worker')

    def test_descriptors_from_the_worker(self):
        sock, process = run(self.template.fork(), 'sendBack')
        self.assertEqual(receive_file(sock), b'from the worker')
        process.wait_check()

    def test_errors_of_a_run(self):
        for function, code in (('nowhere:f', GFork.Error.MODULE),
                               ('js-worker:f', GFork.Error.FUNCTION)):
            with self.assert_error(code, function):
                self.template.fork().run(function)

    def test_detached(self):
        # It goes on elsewhere, but the log of its commands stays in this process, so the one
        # that takes it over cannot have another interpreter sent the same.
        for use, code in ((lambda other: other.run('nothing'), None),
                          (lambda other: other.fork().prepare(), GFork.Error.NOT_SUPPORTED)):
            other = GFork.Template.new_from_socket(self.template.fork().detach())
            if code is None:
                use(other)
            else:
                with self.assert_error(code, 'threads'):
                    use(other)

    def test_forks_get_the_descriptors(self):
        # The template keeps what the application has closed.
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                parent = self.template.fork().send(theirs)
            for _ in range(2):
                sock, process = run(parent.fork(), 'writeTo')
                self.assertEqual(ours.recv(100), b'written by the worker')
                process.wait_check()
            # And no longer than it is there.
            parent.close()
            self.assertEqual(ours.recv(100), b'')


class Runtimes(TestCase):
    """Programs that are not what they should be. None of them may be waited for."""

    def try_runtime(self, keyfile, files={}):
        with tempfile.TemporaryDirectory() as directory:
            for name, content in {'mine.runtime': keyfile, **files}.items():
                path = os.path.join(directory, name)
                with open(path, 'w') as file:
                    file.write(content)
                os.chmod(path, 0o755)
            usual = os.environ['GSPAWNFORK_RUNTIME_DIR']
            GLib.setenv('GSPAWNFORK_RUNTIME_DIR', directory, True)
            try:
                template = GFork.Template.new_exec_for_runtime('mine')
                template.prepare()
            finally:
                GLib.setenv('GSPAWNFORK_RUNTIME_DIR', usual, True)

    def test_no_program(self):
        with self.assert_error(GFork.Error.NOT_SUPPORTED, 'mine.runtime'):
            self.try_runtime('[Runtime]\n')
        with self.assert_error(GFork.Error.NOT_SUPPORTED, 'mine.runtime'):
            self.try_runtime('[Runtime]\nExec=\n')
        with self.assert_error(GFork.Error.NOT_SUPPORTED, 'mine.runtime'):
            self.try_runtime('rubbish\n')

    def test_missing_program(self):
        with self.assert_error(GFork.Error.SPAWN, '/nowhere/interpreter'):
            self.try_runtime('[Runtime]\nExec=/nowhere/interpreter;\n')
        with self.assert_error(GFork.Error.NOT_SUPPORTED, 'missing.py'):
            self.try_runtime('[Runtime]\nExec=python3;./missing.py;\n')

    def test_program_that_cannot_be_executed(self):
        with self.assert_error(GFork.Error.SPAWN, 'bad'):
            self.try_runtime('[Runtime]\nExec=./bad;\n', {'bad': '#!/nowhere/interpreter\n'})

    def test_program_that_dies(self):
        with self.assert_error(GFork.Error.SPAWN, 'sh', '3'):
            self.try_runtime('[Runtime]\nExec=sh;-c;exit 3;\n')
        with self.assert_error(GFork.Error.SPAWN, 'cat', 'exit status 1'):
            self.try_runtime('[Runtime]\nExec=cat;\n')
        with self.assert_error(GFork.Error.SPAWN, 'signal 9'):
            self.try_runtime('[Runtime]\nExec=sh;-c;kill -KILL $$;\n')

    def test_rubbish(self):
        with self.assert_error(GFork.Error.PROTOCOL):
            self.try_runtime('[Runtime]\nExec=sh;-c;echo Hello, here I am, your interpreter >&3;\n')
        with self.assert_error(GFork.Error.PROTOCOL):
            self.try_runtime('[Runtime]\nExec=sh;-c;printf "\\\\0\\\\0\\\\0\\\\0\\\\7\\\\0\\\\0\\\\0rest" >&3;\n')

    def test_silence(self):
        GLib.setenv('GSPAWNFORK_START_TIMEOUT', '1', True)
        try:
            with self.assert_error(GFork.Error.SPAWN, 'python3', '1 second',
                                   'GSPAWNFORK_START_TIMEOUT'):
                self.try_runtime('[Runtime]\nExec=python3;-c;import time\\; time.sleep(1000);\n')
        finally:
            GLib.unsetenv('GSPAWNFORK_START_TIMEOUT')

    def test_names(self):
        for name in '', '..', '../python3', 'no/such':
            with self.assert_error(GFork.Error.NOT_SUPPORTED):
                GFork.Template.new_for_runtime(name).prepare()


if __name__ == '__main__':
    tap.main()
