# test_multiprocessing.py: tests of the start method "gspawnfork"
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import concurrent.futures
import multiprocessing
import multiprocessing.connection
import multiprocessing.shared_memory
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import unittest
import warnings

import gspawnfork.multiprocessing

import mp_worker
import tap

context = multiprocessing.get_context('gspawnfork')

# A program as a user would write one, run by an interpreter of its own
PROGRAM = '''
import multiprocessing, os, sys
import gspawnfork.multiprocessing
import mp_worker
pid = os.getpid()
if __name__ == '__main__':
    context = multiprocessing.get_context('gspawnfork')
'''


def run_program(body, *flags, as_module=False):
    """Runs a program that uses `context`, and returns what it prints."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, 'program.py')
        with open(path, 'w') as file:
            file.write(PROGRAM + ''.join(f'    {line}\n' for line in body.splitlines()))
        words = ['-m', 'program'] if as_module else [path]
        done = subprocess.run([sys.executable, *flags, *words], text=True, cwd=directory,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return done.returncode, done.stdout, done.stderr


def call(function, *args, context=context):
    """What a function returns in a process of its own."""
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=mp_worker.send_result, args=(theirs, function, *args))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    finally:
        ours.close()
        process.join()
        process.close()


def template_pid():
    return call(os.getppid)


class TestProcesses(unittest.TestCase):
    def finish(self, function, *args):
        process = context.Process(target=function, args=args)
        process.start()
        process.join()
        return process

    def test_exit_codes(self):
        self.assertEqual(self.finish(mp_worker.nothing).exitcode, 0)
        self.assertEqual(self.finish(sys.exit, 7).exitcode, 7)
        self.assertEqual(self.finish(os.kill, 0, 0).exitcode, 0)
        self.assertEqual(self.finish(mp_worker.kill_itself).exitcode, -signal.SIGKILL)

    def test_terminate(self):
        process = context.Process(target=signal.pause)
        process.start()
        self.assertTrue(process.is_alive())
        self.assertIsNone(process.exitcode)
        process.terminate()
        process.join()
        self.assertEqual(process.exitcode, -signal.SIGTERM)
        # Once more is no error.
        process.terminate()
        process.close()

    def test_pid_and_sentinel(self):
        ours, theirs = context.Pipe()
        process = context.Process(target=mp_worker.send_and_wait, args=(theirs,))
        process.start()
        theirs.close()
        self.assertEqual(ours.recv(), process.pid)
        self.assertEqual(multiprocessing.connection.wait([process.sentinel], 0), [])
        ours.send(None)
        self.assertEqual(multiprocessing.connection.wait([process.sentinel]),
                         [process.sentinel])
        process.join()

    def test_parent(self):
        self.assertEqual(call(mp_worker.tell_parent), (os.getpid(), True))

    def test_end_of_parent(self):
        status, out, err = run_program('''
import time
process = context.Process(target=mp_worker.say_when_parent_ends)
process.start()
os._exit(0)
''')
        # The output ends when the process has ended, too.
        self.assertEqual((out, err), ('the parent has ended\n', ''))

    def test_is_fork_of_template(self):
        parents = {template_pid() for _ in range(3)}
        self.assertEqual(len(parents), 1)
        self.assertNotIn(os.getpid(), parents)

    def test_no_listening_socket(self):
        self.assertEqual(call(mp_worker.listening_sockets), [])
        self.assertEqual(mp_worker.listening_sockets(), [])

    def test_no_descriptors_of_others(self):
        # Each gets its own end of a pipe, which ends with it.
        pairs = [context.Pipe() for _ in range(3)]
        processes = [context.Process(target=mp_worker.send_and_wait, args=(theirs,))
                     for _, theirs in pairs]
        for process, (ours, theirs) in zip(processes, pairs):
            process.start()
            theirs.close()
            ours.recv()
        for process, (ours, theirs) in zip(processes, pairs):
            process.kill()
            self.assertRaises((EOFError, ConnectionResetError), ours.recv)
            process.join()

    def test_many_descriptors(self):
        pipes = [context.Pipe(duplex=False) for _ in range(300)]
        process = context.Process(target=mp_worker.send_all,
                                  args=([writer for _, writer in pipes],))
        process.start()
        for _, writer in pipes:
            writer.close()
        self.assertEqual([reader.recv() for reader, _ in pipes], list(range(300)))
        process.join()
        for reader, _ in pipes:
            reader.close()

    def test_big_argument(self):
        data = os.urandom(1 << 20)
        self.assertEqual(call(mp_worker.digest, data), mp_worker.digest(data))

    def test_surroundings(self):
        os.environ['GFORK_TEST_LATE'] = '\udcff'
        try:
            with tempfile.TemporaryDirectory() as directory:
                before = os.getcwd()
                os.chdir(directory)
                try:
                    environ, cwd, argv, path = call(mp_worker.tell_surroundings)
                finally:
                    os.chdir(before)
                self.assertEqual(cwd, os.path.realpath(directory))
        finally:
            del os.environ['GFORK_TEST_LATE']
        self.assertEqual(environ['GFORK_TEST_LATE'], '\udcff')
        self.assertEqual(argv, sys.argv)
        self.assertEqual(path, sys.path)
        self.assertNotIn('GFORK_TEST_LATE', call(mp_worker.tell_surroundings)[0])

    def test_new_directory_of_same_name(self):
        before = os.getcwd()
        with tempfile.TemporaryDirectory() as parent:
            directory = os.path.join(parent, 'directory')
            try:
                os.mkdir(directory)
                os.chdir(directory)
                # For a template that is started here
                context.set_preload([])
                self.assertEqual(call(os.listdir), [])
                os.rmdir(directory)
                os.mkdir(directory)
                os.chdir(directory)
                os.mkdir('here')
                self.assertEqual(call(os.listdir), ['here'])
            finally:
                os.chdir(before)

    def test_few_descriptors(self):
        call(mp_worker.nothing)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest = os.dup(0)
        os.close(lowest)
        exit_codes = []
        # There are so many descriptors left for it, in the beginning none.
        for limit in range(lowest, lowest + 12):
            process = context.Process(target=mp_worker.nothing)
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
            try:
                process.start()
            except (OSError, multiprocessing.ProcessError):
                exit_codes.append(None)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            if process.pid is not None:
                process.join()
                exit_codes.append(process.exitcode)
        # It fails or works, and it works afterwards.
        self.assertIsNone(exit_codes[0])
        self.assertLessEqual(set(exit_codes), {None, 0})
        self.assertEqual(self.finish(mp_worker.nothing).exitcode, 0)

    def test_interrupted_join(self):
        process = context.Process(target=signal.pause)
        process.start()
        main = threading.main_thread()

        def is_waiting():
            with open(f'/proc/self/task/{main.native_id}/stat') as file:
                return file.read().rpartition(')')[2].split()[0] == 'S'

        def interrupt():
            while not is_waiting():
                pass
            signal.pthread_kill(main.ident, signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        with self.assertRaises(KeyboardInterrupt):
            thread.start()
            process.join()
        thread.join()
        process.kill()
        process.join()


class TestTools(unittest.TestCase):
    """What multiprocessing has for processes to work together"""

    def test_executor(self):
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as executor:
            self.assertEqual(list(executor.map(abs, range(-9, 0))), list(range(9, 0, -1)))

    def test_executor_with_crash(self):
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as executor:
            future = executor.submit(mp_worker.kill_itself)
            with self.assertRaises(concurrent.futures.process.BrokenProcessPool):
                future.result()

    def test_pool(self):
        with context.Pool(2) as pool:
            self.assertEqual(pool.map(abs, range(-9, 0)), list(range(9, 0, -1)))

    def test_queue_lock_value_event(self):
        queue, lock, value, event = (context.Queue(), context.Lock(), context.Value('i', 0),
                                     context.Event())
        processes = [context.Process(target=mp_worker.count, args=(queue, lock, value, event))
                     for _ in range(2)]
        for process in processes:
            process.start()
        event.set()
        for process in processes:
            process.join()
        self.assertEqual(value.value, 200)
        self.assertEqual({queue.get(), queue.get()}, {process.pid for process in processes})

    def test_shared_memory(self):
        memory = multiprocessing.shared_memory.SharedMemory(create=True, size=10)
        try:
            call(mp_worker.write_to_shared_memory, memory.name)
            self.assertEqual(bytes(memory.buf[:5]), b'hello')
        finally:
            memory.close()
            memory.unlink()

    def test_manager(self):
        with context.Manager() as manager:
            things = manager.list()
            process = context.Process(target=things.append, args=('of a process',))
            process.start()
            process.join()
            self.assertEqual(list(things), ['of a process'])

    def test_nested(self):
        self.assertEqual(call(mp_worker.start_another), 'from below')

    def test_default_method(self):
        status, out, err = run_program('''
multiprocessing.set_start_method('gspawnfork')
with multiprocessing.Pool(1) as pool:
    print(pool.apply(mp_worker.tell_method))
# To it, the default method is not one that the standard library knows.
process = multiprocessing.get_context('spawn').Process(target=mp_worker.print_method)
process.start()
process.join()
''')
        self.assertEqual((out, err), ('gspawnfork\nspawn gspawnfork\n', ''))


class TestApplications(unittest.TestCase):
    """Kinds of programs"""

    def test_threads(self):
        results = []
        threads = [threading.Thread(target=lambda: results.append(call(os.getpid)))
                   for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(set(results)), 4)

    def test_in_main_loop(self):
        from gi.repository import GLib

        loop = GLib.MainLoop()
        results = []

        def on_idle():
            results.append(call(os.getpid))
            loop.quit()

        GLib.idle_add(on_idle)
        loop.run()
        self.assertEqual(len(results), 1)

    def test_beside_main_loop(self):
        from gi.repository import GLib

        loop = GLib.MainLoop()
        results = []

        def start():
            results.append(call(os.getpid))
            GLib.idle_add(loop.quit)

        thread = threading.Thread(target=start)
        thread.start()
        loop.run()
        thread.join()
        self.assertEqual(len(results), 1)

    def test_fork(self):
        before = template_pid()
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                os.write(write_end, b'%d' % template_pid())
                status = 0
            finally:
                os._exit(status)
        os.close(write_end)
        with open(read_end) as file:
            other = int(file.read())
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        # The fork has a template of its own, and this process still has its own.
        self.assertNotEqual(other, before)
        self.assertEqual(template_pid(), before)

    def test_below_other_methods(self):
        for method in 'fork', 'spawn', 'forkserver':
            with self.subTest(method):
                self.assertEqual(call(mp_worker.start_another,
                                      context=multiprocessing.get_context(method)), 'from below')

    def test_fork_while_starting(self):
        call(mp_worker.nothing)
        # As if another thread was just starting a process
        with gspawnfork.multiprocessing._server.lock:
            pid = os.fork()
            if pid == 0:
                try:
                    call(mp_worker.nothing)
                    os._exit(0)
                finally:
                    os._exit(1)
            self.assertEqual(os.waitpid(pid, 0)[1], 0)

    def test_gi_is_imported_late(self):
        status, out, err = run_program('''
print('gi' in sys.modules)
process = context.Process(target=mp_worker.print_whether_gi)
process.start()
process.join()
print('gi' in sys.modules)
''')
        self.assertEqual((out, err), ('False\nFalse\nTrue\n', ''))

    def test_set_executable(self):
        status, out, err = run_program('''
import tempfile
with tempfile.TemporaryDirectory() as directory:
    path = os.path.join(directory, 'python-elsewhere')
    os.symlink(sys.executable, path)
    multiprocessing.set_executable(path)
    process = context.Process(target=mp_worker.print_executable)
    process.start()
    process.join()
    print(path)
''')
        self.assertEqual(err, '')
        of_process, chosen = out.splitlines()
        self.assertEqual(of_process, chosen)

    def test_flags(self):
        """They are those of the interpreter that runs the application."""
        status, out, err = run_program('''
process = context.Process(target=mp_worker.print_flags)
process.start()
process.join()
mp_worker.print_flags()
''', '-O', '-s', '-B', '-X', 'utf8', '-W', 'ignore::ImportWarning')
        self.assertEqual((status, err), (0, ''))
        of_process, of_application = out.splitlines()
        self.assertEqual(of_process, of_application)
        self.assertEqual(of_process.split()[0], '1')

    def test_no_guard(self):
        with tempfile.NamedTemporaryFile('w', suffix='.py') as file:
            file.write('import multiprocessing, sys\n'
                       'import gspawnfork.multiprocessing\n'
                       'context = multiprocessing.get_context("gspawnfork")\n'
                       'process = context.Process(target=print)\n'
                       'process.start()\n'
                       'process.join()\n'
                       'sys.exit(process.exitcode)\n')
            file.flush()
            done = subprocess.run([sys.executable, file.name], stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn('freeze_support', done.stderr)


class TestTemplate(unittest.TestCase):
    def tearDown(self):
        context.set_preload([])
        context.set_spare_processes(0)

    def test_preload(self):
        self.assertEqual(call(mp_worker.was_imported_here), True)
        context.set_preload(['mp_worker'])
        self.assertEqual(call(mp_worker.was_imported_here), False)
        context.set_forkserver_preload([])
        self.assertEqual(call(mp_worker.was_imported_here), True)

    def test_preload_main(self):
        for as_module in False, True:
            status, out, err = run_program('''
context.set_preload(['__main__'])
for _ in range(2):
    process = context.Process(target=mp_worker.print_where_main_was_run)
    process.start()
    process.join()
''', as_module=as_module)
            self.assertEqual((out, err), ('template\ntemplate\n', ''))

    def test_main(self):
        for as_module in False, True:
            status, out, err = run_program('''
process = context.Process(target=mp_worker.print_where_main_was_run)
process.start()
process.join()
''', as_module=as_module)
            self.assertEqual((out, err), ('process\n', ''))

    def test_preload_takes_names(self):
        self.assertRaises(TypeError, context.set_preload, 'mp_worker')
        self.assertRaises(TypeError, context.set_preload, [multiprocessing])

    def test_preload_of_what_there_is_not(self):
        context.set_preload(['no_such_module'])
        process = context.Process(target=mp_worker.nothing)
        with self.assertRaisesRegex(multiprocessing.ProcessError, 'no_such_module'):
            process.start()
        # Afterwards it works.
        context.set_preload([])
        process = context.Process(target=mp_worker.nothing)
        process.start()
        process.join()
        self.assertEqual(process.exitcode, 0)

    def test_preload_of_what_starts_threads(self):
        context.set_preload(['mp_threads'])
        process = context.Process(target=mp_worker.nothing)
        with self.assertRaisesRegex(multiprocessing.ProcessError, 'sleepy'):
            process.start()

    def test_new_template(self):
        before = template_pid()
        living = context.Process(target=signal.pause)
        living.start()
        os.kill(before, signal.SIGKILL)

        after = template_pid()
        self.assertNotEqual(after, before)
        # The status of a process whose template has died comes from the system, or is unknown.
        living.kill()
        living.join()
        self.assertIn(living.exitcode, (-signal.SIGKILL, 255))

    def test_interrupted_template(self):
        # As by Ctrl-C, which the whole process group receives
        before = template_pid()
        os.kill(before, signal.SIGINT)
        self.assertEqual(template_pid(), before)

    def test_spare_processes(self):
        context.set_spare_processes(2)
        pids = [call(os.getpid) for _ in range(5)]
        self.assertEqual(len(set(pids)), 5)
        context.set_spare_processes(0)
        self.assertNotIn(call(os.getpid), pids)

    def test_new_resource_tracker(self):
        from multiprocessing import resource_tracker

        call(mp_worker.nothing)
        tracker = resource_tracker._resource_tracker
        os.kill(tracker._pid, signal.SIGKILL)
        os.waitpid(tracker._pid, 0)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            self.assertEqual(call(mp_worker.inode_of_tracker), os.fstat(tracker.getfd()).st_ino)


if __name__ == '__main__':
    tap.main()
