# test_programs.py: tests of sessions, limits, the environment and programs, in each runtime
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import unittest

import gi

gi.require_version('GFork', '1.0')
from gi.repository import GFork, Gio, GLib

import tap

Flags = GFork.ExecFlags
PIPES = Flags.STDIN_PIPE | Flags.STDOUT_PIPE | Flags.STDERR_PIPE

# An application that says which program it has started, and waits until it is killed.
APPLICATION = '''
import sys, gi
gi.require_version('GFork', '1.0')
from gi.repository import GFork
runtime, fork = sys.argv[1:]
template = GFork.Template.new_for_runtime(runtime).die_with_application()
if fork == 'fork':
    template = template.fork()
socket, process = template.execv(['/bin/sleep', '1000'], GFork.ExecFlags.NONE, None)
print(process.get_pid(), flush=True)
process.wait(None)
'''


def make(runtime):
    return GFork.Template.new_for_runtime(runtime)


def execute(template, argv, flags=Flags.NONE):
    _, process = template.execv(argv, flags, None)
    return process


def run_script(template, script, flags=PIPES, text=None):
    process = execute(template, ['/bin/sh', '-c', script], flags)
    ended, out, err = process.communicate_utf8(text, None)
    assert ended
    return out, err, process


def each_runtime(test):
    return lambda self: test(self, self.runtime)


class Programs:
    def assert_fails(self, code, words, function, *args):
        with self.assertRaises(GLib.Error) as context:
            function(*args)
        error = context.exception
        self.assertTrue(error.matches(GFork.error_quark(), code), error)
        for word in words:
            self.assertIn(word, error.message)

    @each_runtime
    def test_communicate(self, runtime):
        for template in make(runtime), make(runtime).fork():
            out, err, process = run_script(template, 'cat; echo errors >&2; exit 4', text='Grüße')
            self.assertEqual((out, err), ('Grüße', 'errors\n'))
            self.assertEqual(process.get_exit_status(), 4)

    @each_runtime
    def test_merge(self, runtime):
        out, err, _ = run_script(make(runtime), 'echo one; echo two >&2',
                                 Flags.STDOUT_PIPE | Flags.STDERR_MERGE)
        self.assertEqual((out, err), ('one\ntwo\n', None))

    @each_runtime
    def test_conflict(self, runtime):
        template = make(runtime)
        self.assert_fails(GFork.Error.FAILED, ['/bin/true', 'standard output'], execute, template,
                          ['/bin/true'], Flags.STDOUT_PIPE | Flags.STDOUT_SILENCE)
        self.assertTrue(execute(template, ['/bin/true']).wait_check(None))

    @each_runtime
    def test_group(self, runtime):
        template = make(runtime).setsid()
        process = execute(template, ['/bin/sh', '-c', 'sleep 1000 & echo $!; wait'],
                          Flags.STDOUT_PIPE)
        output = process.get_stdout_pipe()
        output.read_bytes(16, None)
        self.assertEqual(os.getpgid(process.get_pid()), process.get_pid())
        self.assertEqual(os.getsid(process.get_pid()), process.get_pid())
        self.assertTrue(process.send_signal_to_group(signal.SIGTERM))
        # The sleep has the pipe, too.
        self.assertEqual(output.read_bytes(16, None).get_size(), 0)
        process.wait(None)
        self.assertEqual(process.get_term_sig(), signal.SIGTERM)

    @each_runtime
    def test_no_group(self, runtime):
        process = execute(make(runtime), ['/bin/cat'], PIPES)
        self.assert_fails(GFork.Error.FAILED, ['setsid'], process.send_signal_to_group,
                          signal.SIGTERM)
        self.assertTrue(process.is_running())
        process.communicate(None, None)
        self.assertFalse(process.is_running())

    @each_runtime
    def test_pidfd(self, runtime):
        process = execute(make(runtime), ['/bin/cat'], PIPES)
        pidfd = process.dup_pidfd()
        self.addCleanup(os.close, pidfd)
        self.assertEqual(select.select([pidfd], [], [], 0)[0], [])
        process.force_exit()
        self.assertEqual(select.select([pidfd], [], [])[0], [pidfd])

    @each_runtime
    def test_limits(self, runtime):
        template = (make(runtime).set_limit(GFork.Limit.OPEN_FILES, 99)
                    .set_limit(GFork.Limit.CPU_TIME, 1234).set_limit(GFork.Limit.FILE_SIZE, 1 << 40)
                    .set_limit(GFork.Limit.CORE, 0).set_limit(GFork.Limit.MEMORY, 1 << 40))
        process = execute(template, ['/bin/cat'], PIPES)
        for kind, value in ((resource.RLIMIT_NOFILE, 99), (resource.RLIMIT_CPU, 1234),
                            (resource.RLIMIT_FSIZE, 1 << 40), (resource.RLIMIT_CORE, 0),
                            (resource.RLIMIT_AS, 1 << 40)):
            self.assertEqual(resource.prlimit(process.get_pid(), kind), (value, value))
        process.communicate(None, None)

    @each_runtime
    def test_limit_refused(self, runtime):
        template = make(runtime).set_limit(GFork.Limit.OPEN_FILES, (1 << 64) - 1)
        self.assert_fails(GFork.Error.FAILED, ['open-files', os.strerror(1)], execute, template,
                          ['/bin/true'])

    @each_runtime
    def test_environ(self, runtime):
        template = make(runtime).setenv('GONE', '1').set_environ(['A=1', 'B=x=y', 'A=2'])
        process = execute(template.setenv('C', '3'), ['/usr/bin/env'], Flags.STDOUT_PIPE)
        _, out, _ = process.communicate_utf8(None, None)
        self.assertEqual(sorted(out.split()), ['A=1', 'B=x=y', 'C=3'])
        self.assert_fails(GFork.Error.FAILED, ['no name'],
                          make(runtime).set_environ(['no name']).prepare)

    @each_runtime
    def test_die_with_application(self, runtime):
        for fork in 'direct', 'fork':
            application = subprocess.Popen([sys.executable, '-c', APPLICATION, runtime, fork],
                                           stdout=subprocess.PIPE)
            pidfd = os.pidfd_open(int(application.stdout.readline()))
            application.kill()
            self.assertEqual(select.select([pidfd], [], [])[0], [pidfd])
            os.close(pidfd)
            application.wait()
            application.stdout.close()

    @each_runtime
    def test_dies_with_nobody_else(self, runtime):
        """It has no child that it has not started, and lives on when it is not to die."""
        out, _, process = run_script(make(runtime).die_with_application(),
                                     'read x < /proc/$$/task/$$/children; echo "[$x]"')
        self.assertEqual(out, '[]\n')
        self.assertEqual(process.get_exit_status(), 0)

    @each_runtime
    def test_scripts(self, runtime):
        with tempfile.TemporaryDirectory() as directory:
            def write(name, content, mode=0o755):
                path = os.path.join(directory, name)
                with open(path, 'wb') as file:
                    file.write(content)
                os.chmod(path, mode)
                return path

            script = write('script', b'echo "[$1]"\n')
            binary = write('binary', b'\0not text\n')
            no_interpreter = write('lost', b'#!/nonexistent/perl -w\n')
            denied = write('denied', b'exit 0\n', 0o644)

            for argv, flags in (([script], Flags.NONE), (['script'], Flags.SEARCH_PATH)):
                template = make(runtime).setenv('PATH', directory + ':/bin').send_arg('word')
                process = execute(template, argv, flags | Flags.STDOUT_PIPE)
                self.assertEqual(process.communicate_utf8(None, None)[1], '[word]\n')

            for path, words in ((binary, [os.strerror(8)]), (denied, [os.strerror(13)]),
                                (no_interpreter, ['/nonexistent/perl', os.strerror(2)]),
                                ('/nonexistent', [os.strerror(2)])):
                self.assert_fails(GFork.Error.EXEC, [path] + words, execute, make(runtime), [path])
            self.assert_fails(
                GFork.Error.EXEC, ['lost', '/nonexistent/perl'], execute,
                make(runtime).setenv('PATH', directory), ['lost'], Flags.SEARCH_PATH)


class InC(Programs, unittest.TestCase):
    runtime = 'c'


class InPython(Programs, unittest.TestCase):
    runtime = 'python3'


@unittest.skipIf(GLib.find_program_in_path('gjs') is None, 'there is no gjs')
class InJavaScript(Programs, unittest.TestCase):
    runtime = 'gjs'


if __name__ == '__main__':
    tap.main()
