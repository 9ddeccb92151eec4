# test_python_template.py: tests that templates and workers in Python behave as users of Python
# expect of any program
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading

from test_python import GFork, Gio, GLib, TestCase, ask, read_all, run, tap

HERE = os.path.dirname(os.path.abspath(__file__))

# Nothing takes so long.
PATIENCE = 60

# What each application needs that the tests execute.
PROLOGUE = '''
import gi, os, signal, socket, sys
gi.require_version('GFork', '1.0')
from gi.repository import GFork, GLib
'''


def run_application(code, *flags, prologue=PROLOGUE, **options):
    """Executes a program that uses the library, and returns how it ended."""
    # Without buffers, nothing would have to be flushed.
    environment = dict(word.split('=', 1) for word in GLib.get_environ())
    environment['PYTHONUNBUFFERED'] = ''
    options = {'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, 'text': True,
               'env': environment, 'timeout': PATIENCE, **options}
    return subprocess.run([sys.executable, *flags, '-c', prologue + textwrap.dedent(code)],
                          cwd=HERE, **options)


def set_environment(variable, value):
    if value is None:
        GLib.unsetenv(variable)
    else:
        GLib.setenv(variable, value, True)


def make_template(code, *args):
    return GFork.Template.new_python().eval(textwrap.dedent(code), *args)


class PythonTemplateCase(TestCase):
    def make_directory(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        return directory.name

    def set_environment(self, variable, value):
        """As the programs see it that the library starts."""
        usual = GLib.getenv(variable)
        set_environment(variable, value)
        self.addCleanup(set_environment, variable, usual)

    def read(self, path):
        with open(path) as file:
            return file.read()

    def write(self, path, text):
        with open(path, 'w') as file:
            file.write(textwrap.dedent(text))
        return path

    def finish(self, template, function):
        """Runs the function to its end, and returns the process."""
        sock, process = run(template, function)
        with sock:
            read_all(sock)
        process.wait()
        return process

    def end(self, template):
        """Closes the template, and waits until it has ended."""
        template.prepare()
        pidfd = os.pidfd_open(template.get_pid())
        template.close()
        self.assertTrue(select.select([pidfd], [], [], PATIENCE)[0], 'it has not ended')
        os.close(pidfd)


class Sockets(PythonTemplateCase):
    def test_default_timeout(self):
        """Sockets are as they were sent, whatever a module sets for those it makes."""
        template = make_template('''
            import json, os, socket
            socket.setdefaulttimeout(0.5)
            def worker(sock, *others):
                told = [[other.gettimeout(), os.get_blocking(other.fileno())]
                        for other in (sock, *others)]
                sock.sendall(json.dumps(told).encode())
        ''')
        blocking, non_blocking = socket.socketpair()
        with blocking, non_blocking:
            non_blocking.setblocking(False)
            self.assertEqual(ask(template.fork().send(blocking, non_blocking), 'worker'),
                             [[None, True], [None, True], [0.0, False]])

    def test_default_timeout_of_the_application(self):
        socket.setdefaulttimeout(0.5)
        try:
            sock, process = run(GFork.Template.new(), 'test-worker:echo')
        finally:
            socket.setdefaulttimeout(None)
        with sock:
            self.assertIsNone(sock.gettimeout())
            self.assertTrue(os.get_blocking(sock.fileno()))


class Endings(PythonTemplateCase):
    """What is written, and which handlers run, when."""

    def test_file_of_the_template(self):
        path = os.path.join(self.make_directory(), 'log')
        template = make_template('''
            log = open(args[0], 'w')
            log.write('template\\n')
            def worker(sock, word):
                log.write(word + '\\n')
        ''', path)
        for word in 'first', 'second':
            self.assertTrue(self.finish(template.fork().send(word), 'worker').get_if_exited())
        self.end(template)
        self.assertEqual(self.read(path), 'template\nfirst\nsecond\n')

    def test_files_that_write_to_others(self):
        import gzip

        path = os.path.join(self.make_directory(), 'log.gz')
        template = make_template('''
            import gzip, io
            log = io.TextIOWrapper(gzip.open(args[0], 'wb'))
            def worker(sock):
                log.write('written')
                log.buffer.close = None
        ''', path)
        self.finish(template.fork(), 'worker')
        with gzip.open(path) as file:
            self.assertEqual(file.read1(100), b'written')

    def test_file_of_the_worker(self):
        path = os.path.join(self.make_directory(), 'log')
        template = make_template('''
            def worker(sock, path):
                global log
                log = open(path, 'w')
                log.write('written')
        ''')
        self.finish(template.send(path), 'worker')
        self.assertEqual(self.read(path), 'written')

    def test_exit_handlers(self):
        """Each runs once, in the process that has registered it."""
        path = os.path.join(self.make_directory(), 'log')
        template = make_template('''
            import atexit, os
            def say(word):
                with open(path, 'a') as file:
                    file.write(word + '\\n')
            path = args[0]
            atexit.register(say, 'template')
            def register_in_fork(word):
                atexit.register(say, word)
            def worker(sock):
                atexit.register(say, 'second')
                atexit.register(say, 'first')
        ''', path)
        self.finish(template.fork(), 'worker')
        self.assertEqual(self.read(path), 'first\nsecond\n')
        fork = template.fork().call('register_in_fork', 'fork')
        self.finish(fork.fork(), 'worker')
        self.finish(fork, 'worker')
        self.assertEqual(self.read(path), 'first\nsecond\n' * 3 + 'fork\n')
        self.end(template)
        self.assertEqual(self.read(path), 'first\nsecond\n' * 3 + 'fork\ntemplate\n')

    def test_temporary_directory_of_the_template(self):
        template = make_template('''
            import tempfile
            directory = tempfile.TemporaryDirectory()
            def worker(sock):
                sock.sendall(directory.name.encode())
        ''')
        paths = set()
        for _ in range(2):
            sock, process = run(template.fork(), 'worker')
            with sock:
                paths.add(read_all(sock))
            process.wait_check()
        path, = paths
        self.assertTrue(os.path.isdir(path))
        self.end(template)
        self.assertFalse(os.path.isdir(path))

    def test_finalizer_of_the_worker(self):
        """Although one of the template's was there before."""
        path = os.path.join(self.make_directory(), 'log')
        template = make_template('''
            import weakref
            class Thing:
                pass
            def say(word):
                with open(path, 'a') as file:
                    file.write(word + '\\n')
            path = args[0]
            thing = Thing()
            weakref.finalize(thing, say, 'template')
            def worker(sock):
                global other
                other = Thing()
                weakref.finalize(other, say, 'worker')
        ''', path)
        self.finish(template.fork(), 'worker')
        self.assertEqual(self.read(path), 'worker\n')
        self.end(template)
        self.assertEqual(self.read(path), 'worker\ntemplate\n')

    def test_finalizer_of_the_worker_alone(self):
        """Although one of the template's was there before, and is not any more."""
        path = os.path.join(self.make_directory(), 'log')
        template = make_template('''
            import weakref
            class Thing:
                pass
            def say():
                with open(path, 'a') as file:
                    file.write('worker')
            path = args[0]
            thing = Thing()
            weakref.finalize(thing, print, end='')
            del thing
            def worker(sock):
                global other
                other = Thing()
                weakref.finalize(other, say)
        ''', path)
        self.finish(template.fork(), 'worker')
        self.assertEqual(self.read(path), 'worker')

    def test_exit_handlers_of_each_generation(self):
        """Also those that are registered between forks, by a template and its forks."""
        path = os.path.join(self.make_directory(), 'log')
        template = make_template('''
            import atexit
            def say(word):
                with open(path, 'a') as file:
                    file.write(word + ' ')
            path = args[0]
            def register(word):
                atexit.register(say, word)
            def worker(sock):
                register('worker')
        ''', path).call('register', '1')
        self.finish(template.fork(), 'worker')
        template.call('register', '2')
        fork = template.fork().call('register', '3')
        self.finish(fork.fork(), 'worker')
        fork.call('register', '4')
        self.finish(fork.fork(), 'worker')
        self.end(fork)
        self.finish(template.fork(), 'worker')
        self.end(template)
        self.assertEqual(self.read(path), 'worker worker worker 4 3 worker 2 1 ')

    def test_objects_are_not_destroyed(self):
        path = os.path.join(self.make_directory(), 'log')
        template = make_template('''
            import atexit
            class Thing:
                def __del__(self):
                    open(path, 'a').close()
                def nothing(self):
                    pass
            path = args[0]
            thing = Thing()
            atexit.register(Thing().nothing)
            def worker(sock):
                pass
        ''', path)
        self.assertEqual(self.finish(template.fork(), 'worker').get_exit_status(), 0)
        self.end(template)
        self.assertFalse(os.path.exists(path))

    def test_threads_are_joined(self):
        template = make_template('''
            import threading
            def worker(sock):
                threading.Thread(target=answer, args=[sock]).start()
            def answer(sock):
                sock.recv(1)
                sock.sendall(b'from a thread')
        ''')
        sock, process = run(template.fork(), 'worker')
        with sock:
            sock.sendall(b'!')
            self.assertEqual(read_all(sock), b'from a thread')
        process.wait_check()

    def test_streams_that_cannot_be_flushed(self):
        """The error is reported as the interpreter reports it."""
        self.set_environment('PYTHONUNBUFFERED', None)
        with open('/dev/full', 'w') as full, tempfile.TemporaryFile('w+') as errors:
            plain = subprocess.run([sys.executable, '-c', 'print(1)'], stdout=full,
                                   stderr=subprocess.PIPE, text=True,
                                   env={**os.environ, 'PYTHONUNBUFFERED': ''})
            self.assertEqual(plain.returncode, 120)
            template = GFork.Template.new_exec_for_runtime('python3')
            template.eval('def worker(sock):\n    print(1)\n')
            template.map_fd(full.fileno(), 1).map_fd(errors.fileno(), 2)
            process = self.finish(template, 'worker')
            self.assertEqual(process.get_exit_status(), 120)
            errors.seek(0)
            self.assertEqual(errors.read(), plain.stderr)

    def test_keyboard_interrupt(self):
        """A program that Ctrl-C ends tells so by how it ends."""
        with open(os.devnull, 'w') as null:
            template = make_template('def worker(sock):\n    sock.recv(1)\n')
            sock, process = run(template.map_fd(null.fileno(), 2), 'worker')
            process.send_signal(signal.SIGINT)
            process.wait()
            sock.close()
        self.assertTrue(process.get_if_signaled())
        self.assertEqual(process.get_term_sig(), signal.SIGINT)

    def test_output_of_the_template(self):
        """What was printed is printed once, also by a template that is closed or executed."""
        done = run_application('''
            flags = GFork.ExecFlags.SEARCH_PATH
            code = 'print("printed", end=" ")'
            GFork.Template.new_python().eval(code).prepare()
            process = GFork.Template.new_python().eval(code).execv(['true'], flags)[1]
            process.wait_check()
            template = GFork.Template.new_python().eval(code)
            template.fork().execv(['true'], flags)[1].wait_check()
        ''')
        self.assertEqual(done.stderr, '')
        self.assertEqual(done.stdout.split(), ['printed'] * 3)

    def test_output_of_modules_in_c(self):
        done = run_application('''
            flags = GFork.ExecFlags.SEARCH_PATH
            code = """
            import ctypes
            libc = ctypes.CDLL(None)
            libc.printf(b'printed ')
            def worker(sock):
                libc.printf(b'worker ')
            """.replace('\\n' + ' ' * 12, '\\n')
            GFork.Template.new_python().eval(code).prepare()
            process = GFork.Template.new_python().eval(code).execv(['true'], flags)[1]
            process.wait_check()
            template = GFork.Template.new_python().eval(code)
            for _ in range(2):
                template.fork().run('worker')[1].wait_check()
        ''')
        self.assertEqual(done.stderr, '')
        self.assertEqual(sorted(done.stdout.split()), ['printed'] * 3 + ['worker'] * 2)


class Names(PythonTemplateCase):
    def test_file_with_a_name_of_the_standard_library(self):
        path = self.write(os.path.join(self.make_directory(), 'queue.py'), '''
            import dataclasses, pickle
            @dataclasses.dataclass
            class Thing:
                number: int
            def work(sock):
                import queue
                assert queue.Queue().empty()
                assert pickle.loads(pickle.dumps(Thing(3))).number == 3
                sock.sendall(__package__.encode() + b'!')
        ''')
        sock, process = run(GFork.Template.new_python(), f'{path}:work')
        self.assertEqual(read_all(sock), b'!')
        process.wait_check()

    def test_the_package(self):
        """Templates have the package that applications have, and no directory more."""
        import gspawnfork

        template = make_template('''
            import json, os, sys
            import gspawnfork
            import gspawnfork._template.wire
            def worker(sock):
                told = [gspawnfork.__file__, gspawnfork.take_args()]
                sock.sendall(json.dumps(told).encode())
        ''')
        file, taken = ask(template, 'worker')
        self.assertTrue(os.path.samefile(file, gspawnfork.__file__))
        self.assertEqual(taken, [])
        self.assertEqual(gspawnfork.take_args(), [])

    def test_bytes_that_are_not_utf_8(self):
        told = ask(make_template('''
            import json, os
            given = args
            def keep(*words):
                given.extend(words)
            def worker(sock, *words):
                told = [os.fsencode(word).hex() for word in (*given, *words)]
                sock.sendall(json.dumps(told).encode())
        ''', 'a\udcff').call('keep', 'b\udcfe', 'é').send('c\udcfd'), 'worker')
        self.assertEqual([bytes.fromhex(word) for word in told],
                         [b'a\xff', b'b\xfe', 'é'.encode(), b'c\xfd'])

    def test_names_that_are_not_utf_8(self):
        directory = os.path.join(self.make_directory(), 'no\udcff')
        os.mkdir(directory)
        path = self.write(os.path.join(directory, 'there.py'),
                          'def work(sock):\n    sock.sendall(b"here")\n')
        for function in f'{path}:work', 'there:work':
            sys.path.append(directory)
            try:
                sock, process = run(GFork.Template.new_python(), function)
            finally:
                sys.path.remove(directory)
            self.assertEqual(read_all(sock), b'here')
        self.assertIn(b'here', read_all(run(GFork.Template.new_python().require(path), 'work')[0]))

    def test_nul(self):
        for use in (lambda t: t.send('a\0b'), lambda t: t.send_arg('a\0b'),
                    lambda t: t.call('f\0', 'a'), lambda t: t.call('f', 'a\0b'),
                    lambda t: t.eval('1\0'), lambda t: t.eval('1', 'a\0b'),
                    lambda t: t.require('a\0b'), lambda t: t.run('a\0b'),
                    lambda t: t.setenv('a\0b', 'c'), lambda t: t.setenv('a', 'b\0c'),
                    lambda t: t.unsetenv('a\0b'), lambda t: t.set_cwd('/\0'),
                    lambda t: t.execv(['true', 'a\0b'])):
            for template in GFork.Template.new_python(), GFork.Template.new():
                with self.assertRaisesRegex(ValueError, 'NUL'):
                    use(template)
                template.close()
        self.assertEqual(ask(GFork.Template.new_python().send(b'a\0b'), 'py_worker:lengths'), [3])


class Forks(PythonTemplateCase):
    def test_the_remedy_for_threads(self):
        """The error says which command has brought them, and how to do without."""
        directory = self.make_directory()
        self.write(os.path.join(directory, 'numpy.py'), '''
            import os, threading
            if os.environ.get('OPENBLAS_NUM_THREADS') != '1':
                threading.Thread(target=threading.Event().wait, name='blas', daemon=True).start()
        ''')
        self.write(os.path.join(directory, 'uses_it.py'), '''
            import numpy
            def worker(sock):
                pass
        ''')
        GFork.add_module_path(directory)
        template = GFork.Template.new_python().require('uses_it')
        with self.assert_error(GFork.Error.THREADED, 'blas (', 'uses_it', 'numpy',
                               'setenv ("OPENBLAS_NUM_THREADS", "1")'):
            template.fork().prepare()
        template = GFork.Template.new_python().setenv('OPENBLAS_NUM_THREADS', '1')
        self.finish(template.require('uses_it').fork(), 'worker').wait_check()

    def test_the_remedy_for_numpy(self):
        """With the real one, if its linear algebra starts threads."""
        count = 'import numpy, os; print(len(os.listdir("/proc/self/task")))'
        done = subprocess.run([sys.executable, '-c', count], text=True, stderr=subprocess.DEVNULL,
                              stdout=subprocess.PIPE)
        if done.returncode != 0 or int(done.stdout) == 1:
            self.skipTest('there is no NumPy that starts threads here')

        template = GFork.Template.new_python().require('numpy')
        with self.assert_error(GFork.Error.THREADED, 'numpy',
                               'setenv ("OPENBLAS_NUM_THREADS", "1")'):
            template.fork().prepare()
        template = GFork.Template.new_python().setenv('OPENBLAS_NUM_THREADS', '1')
        template.eval(textwrap.dedent('''
            import numpy
            def multiply(sock):
                return int(numpy.ones((1, 7)) @ numpy.ones((7, 1)))
        '''))
        self.assertEqual(self.finish(template.fork(), 'multiply').get_exit_status(), 7)

    def test_random_numbers(self):
        """They differ between forks, also if the template has seeded."""
        template = make_template('''
            import ctypes, json, random
            from gi.repository import GLib
            libc = ctypes.CDLL(None)
            libc.srand(1)
            libc.srandom(1)
            random.seed(1)
            GLib.random_set_seed(1)
            def worker(sock):
                told = [libc.rand(), libc.random(), random.random(), GLib.random_int()]
                sock.sendall(json.dumps(told).encode())
        ''')
        for numbers in zip(*[ask(template.fork(), 'worker') for _ in range(3)]):
            self.assertEqual(len(set(numbers)), 3, numbers)

    def test_children_of_modules(self):
        """They are collected by who has started them, and do not hide the template's own."""
        template = make_template('''
            import subprocess
            def start():
                global child
                child = subprocess.Popen(['sh', '-c', 'exit 3'])
            def finish():
                assert child.wait() == 3
        ''')
        template.call('start')
        # When it has been reaped, the template has seen what SIGCHLD told, too.
        for _ in range(3):
            self.finish(template.fork().require('py_worker'), 'nothing').wait_check()
        template.call('finish').prepare()

    def reap(self, code):
        """Lets the template take its worker's status away from the runtime."""
        template = make_template('''
            import os, signal
            def worker(sock):
                sock.recv(1)
        ''' + code)
        sock, process = run(template.fork(), 'worker')
        template.call('take', str(process.get_pid()))
        with sock:
            try:
                process.wait()
                self.assertEqual(process.get_term_sig(), signal.SIGKILL)
            except GLib.Error as error:
                self.assertTrue(error.matches(GFork.error_quark(), GFork.Error.LOST))
        template.prepare()
        process = self.finish(template.fork(), 'py_worker:return_status')
        self.assertEqual(process.get_exit_status(), 5)

    def test_template_that_reaps(self):
        self.reap('''
            def take(pid):
                os.kill(int(pid), signal.SIGKILL)
                os.wait()
        ''')

    def test_template_that_ignores_sigchld(self):
        self.reap('''
            def take(pid):
                signal.signal(signal.SIGCHLD, signal.SIG_IGN)
                os.kill(int(pid), signal.SIGKILL)
                try:
                    os.wait()
                except ChildProcessError:
                    pass
        ''')


class Starts(PythonTemplateCase):
    def test_old_interpreter(self):
        """The error names the oldest one that works."""
        directory = self.make_directory()
        self.write(os.path.join(directory, 'sitecustomize.py'), '''
            import sys
            sys.version_info = 3, 7, 16
        ''')
        self.set_environment('PYTHONPATH', directory)
        template = GFork.Template.new_exec_for_runtime('python3')
        with self.assert_error(GFork.Error.NOT_SUPPORTED, '3.8', '3.7.16', sys.executable):
            template.prepare()

    def test_application_that_ends_at_once(self):
        """Its commands are carried out, and nothing is said."""
        path = os.path.join(self.make_directory(), 'made')
        done = run_application('''
            GFork.Template.new_python().call('os:mkdir', sys.argv[1])
        '''.replace('sys.argv[1]', repr(path)))
        # The template had the standard error, too.
        self.assertEqual(done.stderr, '')
        self.assertEqual(done.returncode, 0)
        self.assertTrue(os.path.isdir(path))


class Interrupts(PythonTemplateCase):
    """Signals reach the handlers of an application that waits."""

    CODE = """
        import os, signal
        def disturb(sock, application):
            sock.recv(1)
            os.kill(int(application), signal.SIGINT)
            sock.recv(1)
            return 3
        def disturb_call(application):
            import gspawnfork
            sock, = gspawnfork.take_args()
            os.kill(int(application), signal.SIGINT)
            sock.recv(1)
    """

    def setUp(self):
        self.template = make_template(self.CODE)
        self.template.prepare()
        # Calls that wait end with it.
        self.ours, self.theirs = socket.socketpair()
        self.addCleanup(self.ours.close)
        self.addCleanup(self.theirs.close)

    def test_wait(self):
        for wait in GFork.Process.wait, GFork.Process.wait_check:
            sock, process = run(self.template.fork().send(str(os.getpid())), 'disturb')
            with self.assertRaises(KeyboardInterrupt):
                sock.sendall(b'!')
                wait(process)
            process.force_exit()
            process.wait()
            sock.close()

    def test_prepare(self):
        fork = self.template.fork()
        with self.assertRaises(KeyboardInterrupt):
            fork.send(self.theirs).call('disturb_call', str(os.getpid())).prepare()

    def test_run(self):
        for end in (lambda fork: fork.run('py_worker:nothing'), lambda fork: fork.detach(),
                    lambda fork: fork.execv(['true'], GFork.ExecFlags.SEARCH_PATH)):
            fork = self.template.fork()
            with self.assertRaises(KeyboardInterrupt):
                fork.send(self.theirs).call('disturb_call', str(os.getpid()))
                end(fork)
            # It was cancelled, and the template goes on.
            self.template.prepare()

    def test_handler_that_returns(self):
        """The wait goes on. An event loop's wakeup descriptor gets the signal, too."""
        seen = []
        reader, writer = socket.socketpair()
        writer.setblocking(False)
        usual = signal.signal(signal.SIGINT, lambda *args: seen.append(sock.send(b'!')))
        descriptor = signal.set_wakeup_fd(writer.fileno())
        try:
            fork = self.template.fork().send(str(os.getpid()))
            sock, process = run(self.template.fork(), 'py_worker:echo')
            other, disturbing = run(fork, 'disturb')
            other.sendall(b'!')
            other.shutdown(socket.SHUT_WR)
            disturbing.wait()
            self.assertEqual(sock.recv(1), b'!')
            self.assertEqual(disturbing.get_exit_status(), 3)
            self.assertEqual(seen, [1])
            self.assertEqual(reader.recv(100), bytes([signal.SIGINT]))
            self.assertEqual(signal.set_wakeup_fd(-1), writer.fileno())
        finally:
            signal.set_wakeup_fd(descriptor)
            signal.signal(signal.SIGINT, usual)
            for thing in reader, writer, sock, other:
                thing.close()

    def test_cancelling(self):
        """Somebody else's cancellable cancels still."""
        sock, process = run(self.template.fork(), 'py_worker:echo')
        cancellable = Gio.Cancellable()
        threading.Thread(target=cancellable.cancel).start()
        with self.assertRaises(GLib.Error) as caught:
            process.wait(cancellable)
        self.assertTrue(caught.exception.matches(Gio.io_error_quark(), Gio.IOErrorEnum.CANCELLED))
        self.assertTrue(process.is_running())
        sock.close()
        process.wait()

    def test_other_threads(self):
        results = []
        sock, process = run(self.template.fork(), 'py_worker:return_status')
        thread = threading.Thread(target=lambda: results.append(process.wait()))
        thread.start()
        thread.join()
        self.assertEqual(results, [True])
        sock.close()


class Flags(PythonTemplateCase):
    """Those of the application's interpreter are its templates'."""

    CODE = '''
        template = GFork.Template.new_python().eval("""
        import sys
        def tell(sock):
            import json
            flags = sys.flags
            sock.sendall(json.dumps([flags.optimize, flags.dev_mode, flags.no_user_site,
                                     flags.utf8_mode, flags.isolated, sys.warnoptions]).encode())
            assert not hasattr(sys, 'customized')
        """)
        for fork in template.fork(), template:
            conversation, process = fork.run('tell')
            with GFork.python_socket(conversation) as sock:
                print(sock.recv(1000).decode())
            process.wait_check()
    '''

    def tell(self, *flags):
        # A flag may hide where the bindings are.
        path = os.environ['PYTHONPATH'].split(':')
        done = run_application(self.CODE, *flags,
                               prologue=f'import sys\nsys.path[:0] = {path}\n{PROLOGUE}')
        self.assertEqual((done.stderr, done.returncode), ('', 0))
        first, second = map(json.loads, done.stdout.splitlines())
        self.assertEqual(first, second)
        return first

    def test_flags(self):
        # PyGObject gives reason for this one.
        self.assertEqual(self.tell('-O', '-X', 'dev', '-X', 'utf8', '-W', 'ignore::ImportWarning',
                                   '-s'),
                         [1, True, 1, 1, 0, ['default', 'ignore::ImportWarning']])

    def test_warnings_as_errors(self):
        """The runtime itself gives no reason for any."""
        self.assertEqual(self.tell('-bb', '-X', 'dev', '-W', 'error', '-W', 'ignore::ImportWarning',
                                   '-W', 'default::DeprecationWarning')[-1],
                         ['default', 'error', 'ignore::ImportWarning', 'default::DeprecationWarning',
                          'error::BytesWarning'])

    def test_isolated(self):
        """What the environment says is as little heard as in the application."""
        directory = self.make_directory()
        self.write(os.path.join(directory, 'sitecustomize.py'), '''
            import sys
            sys.customized = True
        ''')
        self.set_environment('PYTHONPATH', f'{directory}:{os.environ["PYTHONPATH"]}')
        self.assertEqual(self.tell('-I'), [0, False, 1, 0, 1, []])

    def test_own_interpreter(self):
        GFork.set_interpreter('python3', [sys.executable, '-O', '-O'])
        try:
            template = make_template('''
                import sys
                def tell(sock):
                    sock.sendall(str(sys.flags.optimize).encode())
            ''')
        finally:
            GFork.set_interpreter('python3', None)
        self.assertEqual(read_all(run(template, 'tell')[0]), b'2')
        with self.assertRaises(ValueError):
            GFork.set_interpreter('python3', [])


class Signals(PythonTemplateCase):
    def test_signals_to_the_group(self):
        """They end neither template nor statuses, also while a call runs."""
        done = run_application('''
            GROUP = [signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM, signal.SIGTSTP,
                     signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM,
                     signal.SIGPROF, signal.SIGIO, signal.SIGPIPE]
            os.setpgid(0, 0)
            for signum in GROUP:
                signal.signal(signum, lambda *args: None)
            ours, theirs = socket.socketpair()
            template = GFork.Template.new_python().eval("""
            import signal
            def read(number):
                import socket
                sock = socket.socket(fileno=int(number))
                sock.sendall(b'?')
                assert sock.recv(1) == b'!'
            def worker(sock):
                for signum in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
                    signal.signal(signum, signal.SIG_IGN)
                sock.sendall(b'?')
                sock.recv(1)
                return 42
            def take():
                global other
                import gspawnfork
                other, = gspawnfork.take_args()
            def talk():
                other.sendall(b'?')
                assert other.recv(1) == b'!'
            """.replace('\\n            ', '\\n')).send(theirs).call('take')
            template.prepare()
            conversation, process = template.fork().run('worker')
            sock = GFork.python_socket(conversation)
            sock.recv(1)

            def send_all():
                for signum in GROUP:
                    os.kill(0, signum)
            send_all()
            template.prepare()
            # While a call runs.
            template.call('talk')
            fork = template.fork()
            GLib.MainContext.default().iteration(False)
            ours.recv(1)
            send_all()
            ours.sendall(b'!')
            fork.prepare()
            sock.sendall(b'!')
            process.wait()
            assert process.get_exit_status() == 42, process.get_wait_status()
            conversation, process = template.fork().require('py_worker').run('return_status')
            process.wait()
            assert process.get_exit_status() == 5
        ''')
        self.assertEqual((done.stderr, done.returncode), ('', 0))

    def test_ignored_signals(self):
        """What an application ignores that is in the background, its workers ignore."""
        done = run_application('''
            ignored = [signal.SIGINT, signal.SIGHUP, signal.SIGQUIT]
            for signum in ignored:
                signal.signal(signum, signal.SIG_IGN)
            template = GFork.Template.new_python().eval("""
            import signal
            def worker(sock):
                for signum in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
                    assert signal.getsignal(signum) == signal.SIG_IGN
                assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
            """.replace('\\n            ', '\\n'))
            template.fork().run('worker')[1].wait_check()
            flags = GFork.ExecFlags.SEARCH_PATH | GFork.ExecFlags.SOCKET_STDOUT
            conversation, process = template.execv(['cat', '/proc/self/status'], flags)
            status = b''
            sock = GFork.python_socket(conversation)
            while data := sock.recv(10000):
                status += data
            fields = dict(line.split(':\\t') for line in status.decode().splitlines())
            assert int(fields['SigIgn'], 16) & ~(3 << 31) == sum(1 << signum - 1 for signum in ignored)
            assert int(fields['SigBlk'], 16) == 0
        ''')
        self.assertEqual((done.stderr, done.returncode), ('', 0))

    def test_signals_of_workers(self):
        """They are those of any Python program, whatever the template does with them."""
        code = 'told = [[int(s), str(signal.getsignal(s)).split(" at ")[0]] ' \
               'for s in sorted(signal.valid_signals())]'
        plain = subprocess.run(
            [sys.executable, '-c', f'import json, signal; {code}; print(json.dumps(told))'],
            stdout=subprocess.PIPE, check=True)
        template = make_template(f'''
            import json, signal
            def handler(*args):
                pass
            signal.signal(signal.SIGTERM, handler)
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
            def worker(sock):
                assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])
                {code}
                sock.sendall(json.dumps(told).encode())
        ''')
        self.assertEqual(ask(template.fork(), 'worker'), json.loads(plain.stdout))

    def test_signals_of_programs(self):
        template = make_template('''
            import signal
            for signum in signal.SIGUSR1, signal.SIGCHLD:
                signal.signal(signum, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
        ''')
        flags = GFork.ExecFlags.SEARCH_PATH | GFork.ExecFlags.SOCKET_STDOUT
        conversation, process = template.fork().execv(['cat', '/proc/self/status'], flags)
        status = read_all(GFork.python_socket(conversation)).decode()
        fields = dict(line.split(':\t') for line in status.splitlines())
        self.assertEqual(int(fields['SigBlk'], 16), 0)
        # The C library has two for itself, and what this process ignores its programs do.
        kept = sum(1 << (signum - 1) for signum in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
                   if signal.getsignal(signum) == signal.SIG_IGN)
        self.assertEqual(int(fields['SigIgn'], 16) & ~(3 << 31), kept)


if __name__ == '__main__':
    tap.main()
