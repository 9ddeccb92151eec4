# conformance.py --forks|--no-forks [--eval CODE] [--test NAME]... MODULE PROGRAM...: tests
# whether a runtime's program speaks the protocol of docs/runtimes.md
#
# The program is executed with its words, as the library would execute it. MODULE is a module
# in its language that exports the same functions as conform.c in this directory.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import argparse
import fcntl
import glob
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import unittest

import tap
from peer import (
    ALL_SEALS, ALLOWS_ALL, ARG, ARG_FD, ARG_MEMFD, CALL, CALL_FAILED, CHDIR, CLOSE, CONFINE,
    Control, DIE, ENVIRON, ERROR, EVAL, EXEC, EXEC_FAILED, EXITED, FAILED, FORK, FUNCTION,
    HAS_ACCESS, HAS_SCOPE, HELLO, KILL, LEADS_GROUP, LIMIT, MAKE_FILE, MAP_FD, MODULE_ERROR,
    MODULE_PATH, NOT_SUPPORTED, PATIENCE, PROTOCOL, READY, REQUIRE, RUN, SEARCH_PATH, SETENV,
    SETSID, SIGNALS, SOCKET_STDERR, SOCKET_STDIN, SOCKET_STDOUT, STDERR_MERGE, SYNC, SYNCED,
    THREADED, UNSETENV, descriptors, frame, inode, is_close_on_exec, ruleset, signals, strings)


# What a terminal or a service manager sends to a whole process group.
OF_THE_GROUP = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM, signal.SIGTSTP,
                signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM,
                signal.SIGPROF, signal.SIGIO, signal.SIGPIPE)
MAY_BE_IGNORED = {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT}
IGNORING = '/bin/sh', '-c', 'trap "" HUP INT QUIT; exec "$@"', 'sh'

# A child that the program has not made. It says which process it is, and ends with its input.
WITH_A_STRANGER = ('/bin/sh', '-c',
                   'f=/proc/self/fd; sh -c "echo \\$\\$; read line" <$f/$0 >$f/$1 & '
                   'shift; exec "$@"')


class Conformance(unittest.TestCase):
    def execute_program(self, theirs, version='1', inherited=(), wrapper=(), **options):
        """Executes the program as the library does, with one end of a socket."""
        def place():
            os.dup2(theirs.fileno(), 3)

        return subprocess.Popen(
            [*wrapper, *PROGRAM, '--gspawnfork-serve', version, '3', ' ' * 128],
            stdin=subprocess.DEVNULL, preexec_fn=place,
            pass_fds=[3, theirs.fileno(), *inherited], **options)

    def start(self, version='1', **options):
        ours, theirs = socket.socketpair()
        with theirs:
            process = self.execute_program(theirs, version, **options)
            control = Control(ours, inode(theirs.fileno()), process)
        self.addCleanup(control.close)
        # Before anything else.
        if version == '1':
            self.assertEqual(control.receive(), (HELLO, struct.pack('=I', 1)))
        return control

    def pipe(self):
        """Both ends of a pipe, as files, with numbers that nothing else is placed at."""
        files = []
        for fd, mode in zip(os.pipe(), ('rb', 'wb')):
            files.append(open(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 100), mode, buffering=0))
            os.close(fd)
            self.addCleanup(files[-1].close)
        return files

    def stop(self, control):
        """Nothing that is sent is read until the process is continued."""
        os.kill(control.process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, control.process.pid, os.WSTOPPED)

    def leave(self, control):
        """The application ends."""
        control.socket.close()
        os.kill(control.process.pid, signal.SIGCONT)

    def assert_not_open(self, pid, file):
        self.assertNotIn(inode(file.fileno()), descriptors(pid).values())

    def assert_talks(self, worker):
        """A worker that echoes is in its function."""
        worker.socket.sendall(b'hello')
        self.assertEqual(worker.socket.recv(5, socket.MSG_WAITALL), b'hello')

    def assert_error(self, answer, code, verb, subject=None):
        self.assertIsNotNone(answer, 'the end of file came instead of an error')
        kind, payload = answer
        self.assertEqual(kind, ERROR)
        self.assertEqual(struct.unpack_from('=II', payload), (code, verb))
        texts = payload[8:].split(b'\0')
        self.assertEqual(len(texts), 3, 'subject and reason end with a NUL each')
        self.assertEqual(texts[2], b'')
        if subject is not None:
            self.assertEqual(texts[0].decode(), subject)
        return texts[1].decode()

    def assert_synced(self, control):
        kind, payload = control.send(SYNC).receive()
        self.assertEqual(kind, SYNCED)
        pid, zero = struct.unpack('=iI', payload)
        self.assertEqual(zero, 0)
        return pid

    def assert_ready(self, control, function):
        """Returns the process ID."""
        kind, payload = control.send(RUN, strings(function)).receive()
        self.assertEqual(kind, READY)
        return struct.unpack('=iI', payload)[0]

    def assert_exited(self, answer, child_id, status):
        kind, payload = answer
        self.assertEqual(kind, EXITED)
        told_id, told_status, user, system, rss = struct.unpack('=IiqqQ', payload)
        self.assertEqual((told_id, told_status), (child_id, status))
        self.assertGreaterEqual(min(user, system), 0)

    def assert_ends(self, control, status=None):
        self.assertIsNone(control.receive())
        ended = control.process.wait(PATIENCE)
        if status is not None:
            self.assertEqual(ended, status)

    # Starting and ending

    def test_synced_tells_the_pid(self):
        control = self.start()
        self.assertEqual(self.assert_synced(control), control.process.pid)

    def test_ends_with_its_socket(self):
        control = self.start()
        self.assert_synced(control)
        control.socket.shutdown(socket.SHUT_WR)
        self.assert_ends(control, 0)

    def test_close(self):
        control = self.start()
        control.send(CLOSE)
        self.assert_ends(control, 0)

    def test_another_version(self):
        control = self.start('99')
        reason = self.assert_error(control.receive(), PROTOCOL, 0)
        self.assertIn('99', reason)
        self.assertNotEqual(control.process.wait(PATIENCE), 0)

    def test_no_socket(self):
        done = subprocess.run(PROGRAM, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=PATIENCE)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b'gspawnfork', done.stderr)

    def test_inherited_descriptors_are_closed(self):
        _, write_end = self.pipe()
        control = self.start(inherited=[write_end.fileno()])
        self.assert_synced(control)
        self.assert_not_open(control.process.pid, write_end)
        # Nor is there a second one of the control socket.
        found = list(descriptors(control.process.pid).values())
        self.assertEqual(found.count(control.remote_inode), 1)

    def test_an_application_that_has_ended(self):
        # HELLO cannot be sent. What was received is carried out all the same.
        ours, theirs = socket.socketpair()
        control = Control(ours)
        child = control.fork(1)
        self.addCleanup(child.close)
        child.send(SYNC)
        ours.close()
        with theirs:
            process = self.execute_program(theirs)
        self.assertEqual(child.receive()[0], SYNCED if FORKS else ERROR)
        self.assertEqual(process.wait(PATIENCE), 0)

    def test_title(self):
        control = self.start()
        pid = self.assert_synced(control)
        with open(f'/proc/{pid}/cmdline') as file:
            title = file.read().rstrip('\0 ')
        if '--gspawnfork-serve' in title:
            self.skipTest('it cannot write its title')
        self.assertEqual(title, f'gspawnfork: template [{os.getpid()}]')

    # Signals, and children of others

    def test_signals_to_the_group(self):
        control = self.start()
        templates = [control]
        if FORKS:
            templates.append(control.fork(1))
            self.addCleanup(templates[1].close)
        for template in templates:
            pid = self.assert_synced(template)
            for number in OF_THE_GROUP:
                os.kill(pid, number)
                self.assertEqual(self.assert_synced(template), pid)

    def test_ignored_signals_of_a_worker(self):
        control = self.start(wrapper=IGNORING)
        pid = self.assert_ready(control, f'{MODULE}:conform_echo')
        self.assert_talks(control)
        self.assertLessEqual(MAY_BE_IGNORED, signals(pid, 'SigIgn'))

    def test_ignored_signals_of_a_program(self):
        said = self.execute(self.start(wrapper=IGNORING), 0, 'grep', 'SigIgn', '/proc/self/status')
        self.assertEqual(int(said.split()[1], 16), sum(1 << n - 1 for n in MAY_BE_IGNORED))

    def test_children_of_others_are_left_alone(self):
        their_input, input = self.pipe()
        output, their_output = self.pipe()
        numbers = [their_input.fileno(), their_output.fileno()]
        control = self.start(inherited=numbers, wrapper=(*WITH_A_STRANGER, *map(str, numbers)))
        their_input.close()
        stranger = int(output.readline())
        pidfd = os.pidfd_open(stranger)
        self.addCleanup(os.close, pidfd)

        input.close()
        select.select([pidfd], [], [])
        # The program looks after its own children meanwhile.
        if FORKS:
            child = control.fork(1)
            self.addCleanup(child.close)
            self.assert_ready(child, f'{MODULE}:conform_seven')
            self.assert_exited(control.receive(), 1, 7 << 8)
        self.assert_synced(control)
        with open(f'/proc/{stranger}/stat') as file:
            self.assertEqual(file.read().rpartition(')')[2].split()[0], 'Z')

    # Malformed frames

    def test_rubbish(self):
        for bytes in (struct.pack('=IBBH', 0, SYNC, 0, 1),
                       struct.pack('=IBBH', 0xffffffff, ARG, 0, 0),
                       struct.pack('=IBBH', 0, ARG_FD, 254, 0),
                       frame(ARG_FD, b'', 1),
                       frame(99), frame(0), frame(READY, b'12345678'),
                       frame(REQUIRE), frame(REQUIRE, b'no NUL'),
                       frame(FORK, b'1234'), frame(MAP_FD, b'1234'), frame(KILL, b'1')):
            control = self.start()
            control.socket.sendall(bytes)
            self.assert_error(control.receive(), PROTOCOL, 0, '')
            self.assert_ends(control, 1)

    def test_exec_without_a_program(self):
        control = self.start()
        control.send(EXEC, struct.pack('=I', SOCKET_STDOUT), [2])
        self.assert_error(control.receive(), PROTOCOL, 0, '')
        self.assert_ends(control, 1)

    def test_byte_by_byte(self):
        control = self.start()
        for byte in frame(SYNC) + frame(SYNC):
            control.socket.sendall(bytes([byte]))
        self.assertEqual(control.receive()[0], SYNCED)
        self.assertEqual(control.receive()[0], SYNCED)

    def test_many_at_once(self):
        control = self.start()
        control.socket.sendall(frame(SETENV, strings('A', 'b')) * 10000 + frame(SYNC))
        self.assertEqual(control.receive()[0], SYNCED)

    # Running

    def test_ready_and_the_conversation(self):
        control = self.start()
        control.send(RUN, strings(f'{MODULE}:conform_echo'))
        verb, payload = control.receive()
        self.assertEqual(verb, READY)
        self.assertEqual(struct.unpack('=iI', payload), (control.process.pid, 0))
        for pidfd in control.fds:
            signal.pidfd_send_signal(pidfd, 0)
        control.socket.sendall(b'there and back')
        control.socket.shutdown(socket.SHUT_WR)
        self.assertEqual(control.rest(), b'there and back')
        self.assertEqual(control.process.wait(PATIENCE), 0)

    def test_status(self):
        control = self.start()
        self.assert_ready(control, f'{MODULE}:conform_seven')
        self.assert_ends(control, 7)

    def test_signals_of_a_worker(self):
        control = self.start()
        workers = [control] if not FORKS else [control.fork(1), control]
        for worker in workers:
            self.addCleanup(worker.close)
            pid = self.assert_ready(worker, f'{MODULE}:conform_echo')
            self.assert_talks(worker)
            self.assertEqual(signals(pid, 'SigBlk'), set())

    def test_socket_of_a_worker(self):
        control = self.start()
        workers = [control] if not FORKS else [control.fork(1), control]
        for worker in workers:
            self.addCleanup(worker.close)
            pid = self.assert_ready(worker, f'{MODULE}:conform_echo')
            self.assert_talks(worker)
            numbers = [number for number, there in descriptors(pid).items()
                       if there == worker.remote_inode]
            self.assertNotEqual(numbers, [])
            # The programs that it starts do not get it.
            for number in numbers:
                self.assertTrue(is_close_on_exec(pid, number), number)

    def test_run_that_was_given_up(self):
        # READY cannot be sent, so that there is nobody to run for.
        control = self.start()
        self.stop(control)
        control.send(RUN, strings(f'{MODULE}:conform_seven'))
        self.leave(control)
        self.assertNotEqual(control.process.wait(PATIENCE), 7)

    def test_run_with_living_children(self):
        if not FORKS:
            self.skipTest('it cannot be forked')
        control = self.start()
        child = control.fork(1)
        self.addCleanup(child.close)
        self.assert_synced(child)
        self.assert_ready(control, f'{MODULE}:conform_echo')
        self.assert_talks(control)
        self.assert_synced(child)

    def test_placed_descriptors_of_a_worker(self):
        _, low = self.pipe()
        _, high = self.pipe()
        control = self.start()
        # The control socket stands at 3, and moves out of the way.
        control.send(MAP_FD, struct.pack('=i', 3), [low.fileno()])
        control.send(MAP_FD, struct.pack('=i', 9), [high.fileno()])
        pid = self.assert_ready(control, f'{MODULE}:conform_echo')
        self.assert_talks(control)
        there = descriptors(pid)
        self.assertEqual(there.get(3), inode(low.fileno()))
        self.assertEqual(there.get(9), inode(high.fileno()))

    def test_function_of_a_required_module(self):
        control = self.start()
        control.send(REQUIRE, strings(MODULE))
        self.assert_ready(control, 'conform_seven')
        self.assert_ends(control, 7)

    def test_arguments(self):
        read_end, write_end = os.pipe()
        control = self.start()
        control.send(ARG, b'sstring').send(ARG_FD, b'', [read_end, write_end])
        control.send(ARG, b'b\0\xff').send(ARG, b's').send(ARG, b'bx')
        self.assert_ready(control, f'{MODULE}:conform_show')
        self.assertEqual(control.rest(), b'6:string\nfd\nfd\n2:\0\xff\n0:\n1:x\n')
        os.close(read_end)
        os.close(write_end)

    # Modules

    def make_module(self, name, broken=False):
        """A directory with the module under a name of its own."""
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        for place in os.environ['GFORK_MODULE_PATH'].split(':'):
            for source in glob.glob(f'{place}/{MODULE}.*'):
                copy = os.path.join(directory.name, name + os.path.splitext(source)[1])
                if broken:
                    with open(copy, 'w') as file:
                        file.write('this is in (no language')
                else:
                    os.symlink(os.path.abspath(source), copy)
        return directory.name

    def set_module_path(self, control, *directories):
        control.send(MODULE_PATH, strings(':'.join(directories)))

    def test_module_path(self):
        control = self.start()
        # It may come late.
        control.send(REQUIRE, strings(MODULE))
        self.set_module_path(control, self.make_module('conform_elsewhere'))
        self.assert_ready(control, 'conform_elsewhere:conform_seven')
        self.assert_ends(control, 7)

    def test_module_path_is_replaced(self):
        control = self.start()
        self.set_module_path(control, self.make_module('conform_elsewhere'))
        self.set_module_path(control, '/nonexistent')
        control.send(REQUIRE, strings('conform_elsewhere'))
        self.assert_error(control.send(SYNC).receive(), MODULE_ERROR, REQUIRE,
                          'conform_elsewhere')

    def test_module_path_begins_with_the_first(self):
        good = self.make_module('conform_elsewhere')
        broken = self.make_module('conform_elsewhere', broken=True)
        for path, answer in ((good, broken), SYNCED), ((broken, good), ERROR):
            control = self.start()
            self.set_module_path(control, *path)
            control.send(REQUIRE, strings('conform_elsewhere'))
            self.assertEqual(control.send(SYNC).receive()[0], answer)

    def test_module_path_in_the_environment(self):
        directory = self.make_module('conform_elsewhere')
        control = self.start(env={**os.environ, 'GFORK_MODULE_PATH': directory})
        self.assert_ready(control, 'conform_elsewhere:conform_seven')
        self.assert_ends(control, 7)

    # Evaluating

    def test_eval(self):
        control = self.start()
        control.send(REQUIRE, strings(MODULE))
        code = CODE or 'code'
        control.send(EVAL, strings(code, 'one', 'two'))
        if CODE is None:
            self.assert_error(control.send(SYNC).receive(), NOT_SUPPORTED, EVAL, code)
            return
        self.assert_ready(control, 'conform_kept')
        self.assertEqual(control.rest(), b'one two')

    def test_eval_that_fails(self):
        control = self.start()
        # In no language.
        control.send(EVAL, strings(')'))
        self.assert_error(control.send(SYNC).receive(),
                          NOT_SUPPORTED if CODE is None else CALL_FAILED, EVAL, ')')

    # Memory and calls

    def send_memory(self, control, data, seals, kind=b'b', length=None):
        fd = os.memfd_create('conformance', os.MFD_ALLOW_SEALING)
        os.write(fd, data + b'\0')
        if seals:
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
        payload = struct.pack('=QII', len(data) if length is None else length, kind[0], 0)
        control.send(ARG_MEMFD, payload, [fd])
        return fd

    def test_shared_memory(self):
        control = self.start()
        sealed = self.send_memory(control, b'sealed' * 100000, ALL_SEALS)
        unsealed = self.send_memory(control, b'not sealed', 0, b's')
        self.assert_synced(control)
        # A process that keeps it must not be able to change what was sent.
        os.pwrite(unsealed, b'changed!!!', 0)
        self.assert_ready(control, f'{MODULE}:conform_show')
        self.assertEqual(control.rest(),
                         b'600000:' + b'sealed' * 100000 + b'\n10:not sealed\n')
        os.close(sealed)
        os.close(unsealed)

    def test_shared_memory_that_is_too_short(self):
        control = self.start()
        os.close(self.send_memory(control, b'short', ALL_SEALS, length=1 << 40))
        self.assert_error(control.send(SYNC).receive(), FAILED, ARG_MEMFD)

    def test_calls(self):
        control = self.start()
        control.send(CALL, strings(f'{MODULE}:conform_keep', 'one', 'two'))
        control.send(CALL, strings('conform_keep', 'three'))
        self.assert_ready(control, 'conform_kept')
        self.assertEqual(control.rest(), b'one two three')

    def test_environment_and_directory(self):
        control = self.start()
        control.send(SETENV, strings('CONFORM_A', 'value')).send(SETENV, strings('CONFORM_B', ''))
        control.send(SETENV, strings('CONFORM_C', 'x')).send(UNSETENV, strings('CONFORM_C'))
        control.send(CHDIR, strings('/'))
        self.assertEqual(self.execute(control, 0, 'sh', '-c',
                                      'echo "$CONFORM_A,$CONFORM_B,${CONFORM_C-unset}"; pwd'),
                         b'value,,unset\n/\n')

    # Executing

    def send_exec(self, control, flags, *argv):
        """Returns the application's end of the communication socket."""
        ours, theirs = socket.socketpair()
        with theirs:
            control.send(EXEC, struct.pack('=I', flags) + strings(*argv), [theirs.fileno()])
        conversation = Control(ours)
        self.addCleanup(conversation.close)
        return conversation

    def assert_executed(self, control):
        self.assertEqual(control.receive()[0], READY)
        self.assertIsNone(control.receive())

    def execute(self, control, flags, *argv):
        """Executes a program and returns what it writes to its standard output."""
        conversation = self.send_exec(control, flags | SOCKET_STDOUT | SEARCH_PATH, *argv)
        self.assertEqual(control.receive()[0], READY)
        answer = control.receive()
        return answer if answer is not None else conversation.rest()

    def test_exec(self):
        read_end, write_end = os.pipe()
        control = self.start()
        control.send(ARG, b'ssent').send(ARG_FD, b'', [write_end])
        control.send(MAP_FD, struct.pack('=i', 9), [write_end])
        os.close(write_end)
        said = self.execute(control, 0, 'sh', '-c', 'echo $0; echo 3 >&3; echo 9 >&9; '
                            'ls /proc/$$/fd')
        self.assertEqual(said.split(), [b'sent', b'0', b'1', b'2', b'3', b'9'])
        self.assertEqual(os.read(read_end, 100), b'3\n9\n')
        os.close(read_end)

    def test_exec_that_fails(self):
        control = self.start()
        answer = self.execute(control, 0, '/nowhere')
        reason = self.assert_error(answer, EXEC_FAILED, EXEC, '/nowhere')
        self.assertEqual(reason, 'No such file or directory')
        # It has let go of its descriptors, and cannot go on.
        self.assert_ends(control)

    def test_exec_that_cannot_begin(self):
        control = self.start()
        control.send(ARG, b'ba\0b')
        self.send_exec(control, SEARCH_PATH, 'true')
        self.assert_error(control.receive(), EXEC_FAILED, EXEC, 'true')
        # It goes on serving, as a parent.
        self.assert_error(control.send(SYNC).receive(), EXEC_FAILED, EXEC, 'true')

    def test_environ(self):
        control = self.start()
        control.send(SETENV, strings('CONFORM_GONE', '1'))
        control.send(ENVIRON, strings('CONFORM_A=1', 'CONFORM_B=x=y', 'CONFORM_A=2'))
        control.send(SETENV, strings('CONFORM_C', '3'))
        said = self.execute(control, 0, '/usr/bin/env')
        self.assertEqual(sorted(said.split()), [b'CONFORM_A=1', b'CONFORM_B=x=y', b'CONFORM_C=3'])

    def test_environ_that_is_none(self):
        for string in 'no equals sign', '=no name':
            control = self.start()
            control.send(ENVIRON, strings('CONFORM_A=1', string))
            self.assert_error(control.send(SYNC).receive(), FAILED, ENVIRON, string)
        control = self.start()
        control.send(ENVIRON, b'CONFORM_A=1')
        self.assert_error(control.send(SYNC).receive(), PROTOCOL, ENVIRON)

    def test_merged_streams(self):
        said = self.execute(self.start(), STDERR_MERGE, 'sh', '-c', 'echo 1; echo 2 >&2')
        self.assertEqual(said, b'1\n2\n')
        control = self.start()
        self.send_exec(control, STDERR_MERGE | SOCKET_STDERR, 'true')
        self.assert_error(control.receive(), EXEC_FAILED, EXEC, 'true')

    def test_session_and_limits(self):
        control = self.start()
        control.send(SETSID).send(DIE)
        control.send(LIMIT, struct.pack('=IIQ', 3, 0, 99)).send(LIMIT, struct.pack('=IIQ', 5, 0, 0))
        conversation = self.send_exec(control, SOCKET_STDOUT, '/bin/sh', '-c',
                                      'echo $$; ulimit -n; ulimit -Hn; ulimit -c; '
                                      'read child < /proc/$$/task/$$/children; echo "[$child]"; '
                                      'cut -d" " -f5,6 /proc/self/stat')
        verb, payload, *_ = control.receive()
        self.assertEqual(verb, READY)
        pid, flags = struct.unpack('=iI', payload)
        self.assertEqual(flags, LEADS_GROUP)
        self.assertEqual(conversation.rest().split(),
                         [b'%d' % pid, b'99', b'99', b'0', b'[]', b'%d' % pid, b'%d' % pid])

    def test_limit_that_cannot_be_had(self):
        control = self.start()
        control.send(LIMIT, struct.pack('=IIQ', 3, 0, (1 << 64) - 1))
        self.send_exec(control, 0, '/bin/true')
        self.assert_error(control.receive(), FAILED, LIMIT, 'open-files')
        self.assert_ends(control)
        control = self.start()
        control.send(LIMIT, struct.pack('=IIQ', 99, 0, 1))
        self.assert_error(control.send(SYNC).receive(), FAILED, LIMIT, '99')

    def test_confine(self):
        rulesets = [ruleset(files=MAKE_FILE), ruleset(scoped=SIGNALS)]
        if None in rulesets:
            self.skipTest('this kernel cannot restrict files and signals')
        control = self.start()
        control.send(CONFINE, struct.pack('=II', HAS_ACCESS | HAS_SCOPE, 0) + ALLOWS_ALL, rulesets)
        for fd in rulesets:
            os.close(fd)
        if not FORKS:
            # Landlock restricts one thread, and interpreters that cannot be forked have more.
            self.assert_error(control.send(SYNC).receive(), THREADED, CONFINE)
            return
        child = control.fork(1)
        with tempfile.TemporaryDirectory() as directory:
            conversation = self.send_exec(
                child, SOCKET_STDOUT, '/bin/sh', '-c',
                f'exec 2>/dev/null; kill -0 {control.process.pid} && echo signals;'
                f'(: >{directory}/file) && echo creates;'
                'grep -E "^(NoNewPrivs|Seccomp):" /proc/$$/status')
            self.assert_executed(child)
            self.assertEqual(conversation.rest().split(), [b'NoNewPrivs:', b'1', b'Seccomp:', b'2'])

    def test_confine_with_too_few_descriptors(self):
        control = self.need_forks().send(CONFINE, struct.pack('=II', HAS_ACCESS, 0))
        self.assert_error(control.send(SYNC).receive(), PROTOCOL, CONFINE)

    def test_script_without_interpreter(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, 'script')
            with open(path, 'w', encoding='utf-8') as file:
                file.write('echo script $1\n')
            os.chmod(path, 0o755)
            self.assertEqual(self.execute(self.start(), 0, path, 'one'), b'script one\n')
            with open(path, 'w', encoding='utf-8') as file:
                file.write('\0\n')
            reason = self.assert_error(self.execute(self.start(), 0, path), EXEC_FAILED, EXEC, path)
            self.assertEqual(reason, 'Exec format error')
            with open(path, 'w', encoding='utf-8') as file:
                file.write('#!/nonexistent/interpreter -x\n')
            reason = self.assert_error(self.execute(self.start(), 0, path), EXEC_FAILED, EXEC, path)
            self.assertIn('/nonexistent/interpreter', reason)
            self.assertIn('No such file or directory', reason)

    def test_exec_looks_into_path_if_it_is_told(self):
        control = self.start()
        control.send(CHDIR, strings('/'))
        self.send_exec(control, 0, 'sh', '-c', ':')
        self.assertEqual(control.receive()[0], READY)
        self.assert_error(control.receive(), EXEC_FAILED, EXEC, 'sh')

    def test_exec_with_the_socket_as_input(self):
        read_end, write_end = self.pipe()
        control = self.start()
        control.send(ARG_FD, b'', [write_end.fileno()])
        write_end.close()
        conversation = self.send_exec(control, SOCKET_STDIN, '/bin/sh', '-c', 'cat >&3')
        self.assert_executed(control)
        conversation.socket.sendall(b'hello')
        conversation.socket.shutdown(socket.SHUT_WR)
        self.assertEqual(read_end.read(), b'hello')

    def test_exec_with_the_socket_as_error(self):
        control = self.start()
        conversation = self.send_exec(control, SOCKET_STDERR, '/bin/sh', '-c', 'echo hello >&2')
        self.assert_executed(control)
        self.assertEqual(conversation.rest(), b'hello\n')

    def test_exec_without_the_socket(self):
        read_end, write_end = self.pipe()
        control = self.start()
        control.send(ARG_FD, b'', [write_end.fileno()])
        write_end.close()
        conversation = self.send_exec(control, 0, '/bin/sh', '-c', 'readlink /proc/$$/fd/* >&3')
        self.assert_executed(control)
        self.assertNotIn(b'socket:', read_end.read())
        self.assertEqual(conversation.rest(), b'')

    def test_exec_fills_free_numbers(self):
        pipes = [self.pipe() for _ in range(4)]
        writers = [write_end.fileno() for _, write_end in pipes]
        control = self.start()
        control.send(MAP_FD, struct.pack('=i', 4), [writers[0]])
        control.send(ARG_FD, b'', writers[1:])
        for _, write_end in pipes:
            write_end.close()
        self.send_exec(control, 0, '/bin/sh', '-c',
                       'for n in 3 4 5 6; do echo $n >&$n; done')
        self.assert_executed(control)
        self.assertEqual([read_end.read() for read_end, _ in pipes],
                         [b'4\n', b'3\n', b'5\n', b'6\n'])

    def test_signals_of_a_program(self):
        said = self.execute(self.start(), 0, 'grep', '-E', '^Sig(Blk|Ign)', '/proc/self/status')
        # Programs that are started in the background ignore some, and so do theirs.
        kept = sum(1 << (signum - 1) for signum in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
                   if signal.getsignal(signum) == signal.SIG_IGN)
        self.assertEqual([int(word, 16) for word in said.split()[1::2]], [0, kept])

    def test_exec_that_was_given_up(self):
        read_end, write_end = self.pipe()
        control = self.start()
        control.send(ARG_FD, b'', [write_end.fileno()])
        write_end.close()
        self.stop(control)
        self.send_exec(control, 0, '/bin/sh', '-c', 'echo executed >&3')
        self.leave(control)
        self.assertEqual(read_end.read(), b'')

    def test_a_number_is_asked_for_twice(self):
        control = self.start()
        control.send(MAP_FD, struct.pack('=i', 9), [1]).send(MAP_FD, struct.pack('=i', 9), [1])
        # At once, and not when the descriptors are placed.
        self.assert_error(control.send(SYNC).receive(), FAILED, MAP_FD, '9')

    # Errors

    def test_errors(self):
        for verb, payload, code, subject in (
                (REQUIRE, strings('conform-nowhere'), MODULE_ERROR, 'conform-nowhere'),
                (CALL, strings('conform_nothing'), FUNCTION, 'conform_nothing'),
                (CALL, strings(f'{MODULE}:conform_nothing'), FUNCTION,
                 f'{MODULE}:conform_nothing'),
                (CALL, strings('conform-nowhere:f'), MODULE_ERROR, 'conform-nowhere:f'),
                (CALL, strings(f'{MODULE}:conform_fail'), CALL_FAILED, f'{MODULE}:conform_fail'),
                (SETENV, strings('A=B', 'c'), FAILED, 'A=B'),
                (UNSETENV, strings('A=B'), FAILED, 'A=B'),
                (CHDIR, strings('/conform-nowhere'), FAILED, '/conform-nowhere'),
        ):
            control = self.start()
            control.send(verb, payload)
            # The first failure is the one that is reported, to every operation.
            control.send(CHDIR, strings('/elsewhere'))
            reason = self.assert_error(control.send(SYNC).receive(), code, verb, subject)
            self.assertNotEqual(reason, '')
            self.assert_error(control.send(SYNC).receive(), code, verb, subject)
            self.assert_error(control.send(RUN, strings('conform_seven')).receive(), code, verb,
                              subject)
            child = control.fork(5)
            self.assert_exited(control.receive(), 5, -1)
            if FORKS:
                self.assert_error(child.receive(), code, verb, subject)
            else:
                self.assertEqual(child.receive()[0], ERROR)
            self.assertIsNone(child.receive())
            child.close()

    def test_errors_of_a_run(self):
        for function, code in (('conform_nothing', FUNCTION),
                               (f'{MODULE}:conform_nothing', FUNCTION),
                               ('conform-nowhere:f', MODULE_ERROR)):
            control = self.start()
            self.assert_error(control.send(RUN, strings(function)).receive(), code, RUN, function)
            # It goes on serving, as a parent.
            self.assert_error(control.send(SYNC).receive(), code, RUN, function)

    def test_the_reason_of_a_call(self):
        control = self.start()
        control.send(CALL, strings(f'{MODULE}:conform_fail'))
        reason = self.assert_error(control.send(SYNC).receive(), CALL_FAILED, CALL)
        self.assertIn('this is why', reason)

    # Forking

    def test_refused_fork(self):
        if FORKS:
            self.skipTest('it forks')
        control = self.start()
        child = control.fork(7)
        # Before the answer on its own socket, so that nobody waits for its end.
        self.assert_exited(control.receive(), 7, -1)
        self.assert_error(child.receive(), NOT_SUPPORTED, FORK)
        self.assertIsNone(child.receive())
        child.close()

    def need_forks(self):
        if not FORKS:
            self.skipTest('it cannot be forked')
        return self.start()

    def test_forks(self):
        control = self.need_forks()
        control.send(REQUIRE, strings(MODULE)).send(ARG, b'sone')
        for child_id in 3, 4:
            child = control.fork(child_id)
            child.send(ARG, b'stwo').send(RUN, strings('conform_show'))
            kind, payload = child.receive()
            self.assertEqual(kind, READY)
            self.assertNotEqual(struct.unpack('=iI', payload)[0], control.process.pid)
            self.assertEqual(child.rest(), b'3:one\n3:two\n')
            self.assert_exited(control.receive(), child_id, 0)
            child.close()

    def test_status_of_a_fork(self):
        control = self.need_forks()
        child = control.fork(1)
        self.assert_ready(child, f'{MODULE}:conform_seven')
        self.assert_exited(control.receive(), 1, 7 << 8)
        child.close()

    def test_fork_of_a_fork(self):
        control = self.need_forks()
        child = control.fork(1)
        grandchild = child.fork(2)
        self.assert_ready(grandchild, f'{MODULE}:conform_seven')
        self.assert_exited(child.receive(), 2, 7 << 8)
        grandchild.close()
        child.close()
        self.assert_exited(control.receive(), 1, 0)

    def test_kill(self):
        control = self.need_forks()
        child = control.fork(1)
        self.assert_ready(child, f'{MODULE}:conform_echo')
        control.send(KILL, struct.pack('=Ii', 99, signal.SIGKILL))
        control.send(KILL, struct.pack('=Ii', 1, signal.SIGTERM))
        self.assert_exited(control.receive(), 1, signal.SIGTERM)
        child.close()

    def test_kill_a_group(self):
        control = self.need_forks()
        child = control.fork(1)
        child.send(SETSID)
        # It ends with the conversation, if not before.
        conversation = self.send_exec(child, SOCKET_STDIN | SOCKET_STDOUT, '/bin/sh', '-c',
                                      'exec 3<&0; cat <&3 & echo; wait')
        self.assert_executed(child)
        # The other process of the group is there.
        self.assertEqual(conversation.socket.recv(1), b'\n')
        control.send(KILL, struct.pack('=Ii', 1, -signal.SIGTERM))
        self.assert_exited(control.receive(), 1, signal.SIGTERM)
        # The other process of the group has it, too.
        self.assertEqual(conversation.rest(), b'')

    def test_die_with_the_template(self):
        control = self.need_forks()
        child = control.fork(1)
        child.send(DIE)
        conversation = self.send_exec(child, SOCKET_STDIN | SOCKET_STDOUT, '/bin/cat')
        self.assert_executed(child)
        control.process.kill()
        self.assertEqual(conversation.rest(), b'')

    def test_commands_read_ahead_are_the_parents(self):
        control = self.need_forks()
        ours, theirs = socket.socketpair()
        with theirs:
            data = (frame(FORK, struct.pack('=I', 1), 1) + frame(CHDIR, strings('/nowhere'))
                    + frame(SYNC))
            socket.send_fds(control.socket, [data], [theirs.fileno()])
        child = Control(ours)
        self.assert_synced(child)
        self.assert_error(control.receive(), FAILED, CHDIR)
        child.close()

    def test_descriptors_read_ahead_are_the_parents(self):
        control = self.need_forks()
        _, write_end = self.pipe()
        ours, theirs = socket.socketpair()
        with theirs:
            data = frame(FORK, struct.pack('=I', 1), 1) + frame(ARG_FD, b'', 1)
            socket.send_fds(control.socket, [data], [theirs.fileno(), write_end.fileno()])
        child = Control(ours)
        self.addCleanup(child.close)
        self.assertIn(inode(write_end.fileno()),
                      descriptors(self.assert_synced(control)).values())
        self.assert_not_open(self.assert_synced(child), write_end)

    def test_close_with_children(self):
        control = self.need_forks()
        child = control.fork(1)
        self.assert_ready(child, f'{MODULE}:conform_echo')
        read_end, write_end = os.pipe()
        control.send(ARG_FD, b'', [write_end])
        control.send(CLOSE)
        os.close(write_end)
        # What was sent is closed, although the template stays to reap.
        self.assertEqual(os.read(read_end, 1), b'')
        os.close(read_end)
        self.assertIsNone(control.process.poll())
        control.send(KILL, struct.pack('=Ii', 1, signal.SIGTERM))
        self.assert_exited(control.receive(), 1, signal.SIGTERM)
        self.assert_ends(control, 0)
        child.close()

    def test_clean_forks(self):
        control = self.need_forks()
        sibling = control.fork(1)
        self.assert_synced(sibling)
        said = self.execute(control.fork(2), 0, 'sh', '-c', 'ls /proc/$$/fd')
        self.assertEqual(said.split(), [b'0', b'1', b'2'])
        sibling.close()


def parse(words):
    parser = argparse.ArgumentParser(
        description='Does a runtime\'s program speak the protocol of docs/runtimes.md?')
    forks = parser.add_mutually_exclusive_group(required=True)
    forks.add_argument('--forks', action='store_true', help='the program can be forked')
    forks.add_argument('--no-forks', action='store_true', help='it cannot')
    parser.add_argument('--eval', metavar='CODE',
                        help='code that calls conform_keep() with the arguments it is evaluated '
                        'with; without it, the runtime evaluates no code')
    parser.add_argument('--test', action='append', default=[], help='only this one')
    parser.add_argument('module', help='exports what conform.c does; it stands in a directory '
                        'of GFORK_MODULE_PATH')
    parser.add_argument('program', nargs=argparse.REMAINDER, help='as in the key file\'s Exec')
    return parser.parse_args(words)


if __name__ == '__main__':
    OPTIONS = parse(sys.argv[1:])
    MODULE, PROGRAM, FORKS, CODE = (OPTIONS.module, OPTIONS.program, OPTIONS.forks, OPTIONS.eval)
    tap.main(OPTIONS.test)
