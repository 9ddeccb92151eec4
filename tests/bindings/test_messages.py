# test_messages.py: tests of messages about workers in each language
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import subprocess
import sys

from test_python import GFork, GLib, TestCase, tap
from test_python_template import HERE, PROLOGUE, run_application

# Each with code that defines a function which returns 3.
RUNTIMES = {
    'c': None,
    'python3': 'def leave(sock): return 3',
    'gjs': 'globalThis.leave = () => 3',
}

# Goes on until its standard input is at its end.
MAIN_LOOP = '''
loop = GLib.MainLoop()
GLib.io_add_watch(0, GLib.PRIORITY_DEFAULT, GLib.IOCondition.HUP, lambda *_: loop.quit())
loop.run()
'''


class OfWorkers(TestCase):
    def test_check(self):
        for name in RUNTIMES:
            template = GFork.Template.new_for_runtime(name)
            if name == 'c':
                template.require('test-worker').send('3')
                function = 'leave_with'
            else:
                template.eval(RUNTIMES[name])
                function = 'leave'
            process = template.run(function)[1]
            with self.assertRaises(GLib.Error) as caught:
                process.wait_check()
            self.assertTrue(caught.exception.matches(GLib.spawn_exit_error_quark(), 3))
            self.assertEqual(caught.exception.message,
                             f'“{function}” (process {process.get_pid()}) has exited with status 3')

    def test_second_run(self):
        for name in 'python3', 'gjs':
            template = GFork.Template.new_for_runtime(name)
            template.eval(RUNTIMES[name]).run('leave')
            with self.assert_error(GFork.Error.CLOSED, 'leave', 'fork it for each worker'):
                template.run('leave')

    def test_module_path(self):
        for name in 'c', 'gjs':
            template = GFork.Template.new_exec_for_runtime(name)
            template.setenv('GFORK_MODULE_PATH', '/one:relative::/two')
            with self.assert_error(GFork.Error.MODULE, '“nowhere”',
                                   'it is in none of these directories: ', '/one, /two'):
                template.require('nowhere').prepare()


class OfDroppedTemplates(TestCase):
    def test_warning(self):
        for name in RUNTIMES:
            with subprocess.Popen(
                    [sys.executable, '-c', f'{PROLOGUE}\n'
                     f'GFork.Template.new_for_runtime("{name}").require("nowhere")\n{MAIN_LOOP}'],
                    cwd=HERE, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as done:
                line = next(line for line in done.stderr if 'gspawnfork-WARNING' in line)
                self.assertIn('nobody has asked for its error', line)
                self.assertIn('nowhere', line)
                done.stdin.close()
                self.assertEqual(done.stderr.read().strip(), '')
            self.assertEqual(done.returncode, 0)

    def test_asked(self):
        """The error is raised, and that is all."""
        for name in RUNTIMES:
            done = run_application(f'''
                template = GFork.Template.new_for_runtime('{name}').require('nowhere')
                try:
                    template.prepare()
                except GLib.Error as error:
                    print(error.matches(GFork.error_quark(), GFork.Error.MODULE))
                del template
                GFork.Template.new().prepare()
            ''')
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, 'True\n', ''))

    def test_application_has_ended(self):
        """Nobody is there to be told."""
        for name in RUNTIMES:
            done = run_application(
                f'GFork.Template.new_for_runtime("{name}").require("nowhere")')
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, '', ''))


if __name__ == '__main__':
    tap.main(sys.argv[1:])
