# test_python_ends.py: tests of workers in Python whose templates are dropped
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import sys

from test_python import TestCase, tap
from test_python_template import PROLOGUE, run_application

# An application that gets the orphans of those that it has started, as PID 1 of a container
# does. Its workers answer each byte, until they read the end of file, and return 7.
PREPARATION = PROLOGUE + '''
import ctypes

PR_SET_CHILD_SUBREAPER = 36
assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0

WORKERS = """
import ctypes, signal

PR_SET_PDEATHSIG = 1

def work(sock):
    while data := sock.recv(1):
        sock.sendall(data)
    return 7

def depend(sock):
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    return work(sock)
"""

def start(template, function):
    conversation, process = template.run(function)
    return GFork.python_socket(conversation), process

def ask(sock):
    sock.sendall(b'?')
    assert sock.recv(1) == b'?', 'the worker has ended'

def get_parent(pid):
    with open(f'/proc/{pid}/stat') as file:
        return int(file.read().rpartition(')')[2].split()[1])

def get_children():
    children = []
    for pid in map(int, filter(str.isdigit, os.listdir('/proc'))):
        try:
            if get_parent(pid) == os.getpid():
                children.append(pid)
        except (FileNotFoundError, ProcessLookupError):
            pass
    return children

# Until what was sent on dropping templates was carried out.
def carry_out():
    for _ in range(20):
        GFork.Template.new().prepare()
    GFork.Template.set_default(None)

def iterate_until(is_so):
    GLib.timeout_add(10, lambda: True)
    while not is_so():
        GLib.MainContext.default().iteration(True)
'''


class DroppedTemplates(TestCase):
    def check(self, code):
        done = run_application(code, prologue=PREPARATION)
        self.assertEqual((done.returncode, done.stderr), (0, ''))

    def test_no_zombies(self):
        """Neither workers nor templates are left to an application that drops them."""
        self.check('''
            template = GFork.Template.new_python().eval(WORKERS)
            workers = [start(template.fork(), 'work') for _ in range(5)]
            pids = [process.get_pid() for _, process in workers]
            parents = list(map(get_parent, pids))
            sockets = [sock for sock, _ in workers]
            del template, workers
            carry_out()
            assert list(map(get_parent, pids)) == parents
            for sock in sockets:
                ask(sock)
                sock.close()
            iterate_until(lambda: get_children() == [])
        ''')

    def test_no_zombies_without_main_loop(self):
        """The library's next call looks after those that have ended."""
        self.check('''
            template = GFork.Template.new_exec_for_runtime('python3').eval(WORKERS)
            sock, process = start(template.fork(), 'work')
            parent = get_parent(process.get_pid())
            del template, process
            carry_out()
            sock.close()
            while parent in get_children():
                GFork.Template.new_exec().prepare()
        ''')

    def test_statuses(self):
        """A process object is enough to learn how the worker has ended."""
        self.check('''
            template = GFork.Template.new_python().eval(WORKERS)
            sock, process = start(template.fork(), 'work')
            del template
            carry_out()
            sock.close()
            process.wait()
            assert process.get_exit_status() == 7
            iterate_until(lambda: get_children() == [])
        ''')

    def test_death_of_the_parent(self):
        """A worker that the kernel kills with its parent lives on."""
        self.check('''
            template = GFork.Template.new_python().eval(WORKERS)
            sock, process = start(template.fork(), 'depend')
            ask(sock)
            del template
            carry_out()
            ask(sock)
            sock.close()
            process.wait()
            assert process.get_exit_status() == 7
        ''')


if __name__ == '__main__':
    tap.main(sys.argv[1:])
