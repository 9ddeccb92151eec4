# test_python_main.py: tests of templates that are forks of the running interpreter
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import os

from test_python import tap
from test_python_template import PythonTemplateCase, run_application

# Each test is a program, because a program that has done something may have threads.
PROLOGUE = '''
import atexit, json, select, threading

def read_all(sock):
    data = b''
    while piece := sock.recv(65536):
        data += piece
    return data

def run(template, function, *args):
    """What the function has said, and its process."""
    conversation, process = template.fork().send(*args).run(function)
    with GFork.python_socket(conversation) as sock:
        said = read_all(sock)
    process.wait()
    return said, process

def echo(sock, *args):
    sock.sendall(json.dumps(args).encode())

def return_seven(sock):
    return 7
'''


class FromMain(PythonTemplateCase):
    def run_program(self, code, stdout=''):
        lines = code.split('\n')
        indent = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
        done = run_application(PROLOGUE + '\n'.join(line[indent:] for line in lines))
        self.assertEqual((done.stderr, done.stdout, done.returncode), ('', stdout, 0))

    def test_everything_is_there(self):
        """Modules and the program's own functions, with no interpreter executed."""
        self.run_program('''
            made = 'before'
            def tell(sock, *args):
                sock.sendall(json.dumps([made, args, __name__, os.getppid()]).encode())
            GFork.set_interpreter('python3', '/nowhere/python3')
            template = GFork.Template.new_from_main()
            assert template.props.runtime == 'python3'
            assert template.get_pid() != os.getpid()
            made = 'after'
            for function in 'tell', '__main__:tell':
                said, process = run(template, function, 'x')
                assert json.loads(said) == ['before', ['x'], '__main__', template.get_pid()]
                assert process.wait_check()
        ''')

    def test_commands(self):
        self.run_program('''
            kept = []
            def keep(*words):
                kept.extend(words)
            def tell(sock):
                sock.sendall(json.dumps([kept, os.getcwd(), os.environ['A']]).encode())
            template = GFork.Template.new_from_main()
            fork = template.fork().call('keep', 'a').eval('kept.append("b")').set_cwd('/')
            said, process = run(fork.setenv('A', 'B').call('__main__:keep', 'c'), 'tell')
            assert json.loads(said) == [['a', 'b', 'c'], '/', 'B'], said
            assert kept == []
            try:
                template.fork().run('nothing_of_that_name')
                assert False
            except GLib.Error as error:
                assert error.matches(GFork.error_quark(), GFork.Error.FUNCTION)
        ''')

    def test_statuses(self):
        self.run_program('''
            template, other = GFork.Template.new_from_main(), GFork.Template.new_from_main()
            assert run(template, 'return_seven')[1].get_exit_status() == 7
            process = other.run('return_seven')[1]
            process.wait()
            assert process.get_exit_status() == 7
            flags = GFork.ExecFlags.SEARCH_PATH
            process = template.fork().execv(['sh', '-c', 'kill -TERM $$'], flags)[1]
            process.wait()
            assert process.get_term_sig() == signal.SIGTERM
        ''')

    def test_no_zombie(self):
        self.run_program('''
            template = GFork.Template.new_from_main()
            assert run(template, 'return_seven')[1].get_exit_status() == 7
            pid = template.get_pid()
            pidfd = os.pidfd_open(pid)
            template.close()
            assert select.select([pidfd], [], [], 60)[0]
            del template
            # The library's next start of a process collects it.
            GFork.Template.new_exec().prepare()
            try:
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                assert False
            except ChildProcessError:
                pass
        ''')

    def test_threads(self):
        """They are named."""
        self.run_program('''
            event = threading.Event()
            thread = threading.Thread(target=event.wait, name='sleepy')
            thread.start()
            try:
                GFork.Template.new_from_main()
                assert False
            except GLib.Error as error:
                assert error.matches(GFork.error_quark(), GFork.Error.THREADED)
                assert str(thread.native_id) in error.message
            event.set()
            thread.join()
            assert run(GFork.Template.new_from_main(), 'return_seven')[1].get_exit_status() == 7
        ''')

    def test_handlers(self):
        """Those of signals and of exit are the application's, and hooks of forks run."""
        self.run_program('''
            hooks = []
            os.register_at_fork(after_in_child=lambda: hooks.append(os.getpid()))
            atexit.register(print, 'at exit')
            signal.signal(signal.SIGUSR1, lambda *args: print('signal'))
            def tell(sock):
                assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
                assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
                sock.sendall(json.dumps(hooks).encode())
            template = GFork.Template.new_from_main()
            for signum in signal.SIGUSR1, signal.SIGINT, signal.SIGTERM:
                os.kill(template.get_pid(), signum)
            said, process = run(template, 'tell')
            assert json.loads(said) == [template.get_pid(), process.get_pid()], said
            assert process.wait_check()
        ''', 'at exit\n')

    def test_output(self):
        """What was printed before is printed once."""
        self.run_program('''
            print('printed', end=' ')
            file = open(1, 'w', closefd=False)
            file.write('written ')
            for template in GFork.Template.new_from_main(), GFork.Template.new_from_main():
                assert run(template, 'return_seven')
        ''', 'printed written ')

    def test_descriptors(self):
        """The fork keeps none, and objects that close theirs close nothing else."""
        self.run_program('''
            reader, writer = os.pipe()
            ours, theirs = socket.socketpair()
            file = open('/dev/null')
            def close_all(sock, other):
                for thing in ours, theirs, file:
                    thing.close()
                os.close(reader)
                os.close(writer)
                assert os.readlink('/proc/self/fd/0') == '/dev/null'
                sock.sendall(other.read())
            template = GFork.Template.new_from_main()
            template.prepare()
            os.close(writer)
            assert os.read(reader, 1) == b''
            theirs.close()
            assert ours.recv(1) == b''
            other_reader, other_writer = os.pipe()
            os.write(other_writer, b'through a pipe')
            os.close(other_writer)
            with open(other_reader, 'rb') as other:
                fork = template.fork().send(other)
            conversation, process = fork.run('close_all')
            assert read_all(GFork.python_socket(conversation)) == b'through a pipe'
            assert process.wait_check()
        ''')

    def test_init_early(self):
        """It is the default of its runtime, and the others are as ever."""
        self.run_program('''
            GFork.set_interpreter('python3', '/nowhere/python3')
            assert GFork.init_early()
            assert GFork.init_early()
            assert run(GFork.Template.new_python(), 'return_seven')[1].get_exit_status() == 7
            fork = GFork.Template.new().require('test-worker').send('5')
            assert fork.props.runtime == 'c'
            process = fork.run('leave_with')[1]
            process.wait()
            assert process.get_exit_status() == 5
            pids = {run(GFork.Template.new_python(), 'echo')[1].get_pid() for _ in range(3)}
            assert len(pids) == 3
        ''')


if __name__ == '__main__':
    tap.main()
