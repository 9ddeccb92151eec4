# conformance.py MODULE [--forks|--no-forks] PROGRAM...: does a runtime's program speak
# the protocol? It is executed as the library would, by its words, and MODULE is one in
# its language that exports what conform.c in this directory does.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
import unittest

import tap

(REQUIRE, CALL, EVAL, ARG, ARG_FD, ARG_MEMFD, SETENV, UNSETENV, CHDIR, MAP_FD,
 MODULE_PATH, FORK, SYNC, RUN, EXEC, KILL, CLOSE) = range(1, 18)
READY, SYNCED, ERROR, EXITED, HELLO = range(64, 69)
(FAILED, SPAWN, FORK_FAILED, THREADED, MODULE_ERROR, FUNCTION, CALL_FAILED, EXEC_FAILED,
 LOST, PROTOCOL, NOT_SUPPORTED, CLOSED) = range(12)
SOCKET_STDOUT = 1 << 1

ALL_SEALS = 0xf

# Whoever has not answered by then will not.
PATIENCE = 60


def frame(verb, payload=b'', n_fds=0):
    return struct.pack('=IBBH', len(payload), verb, n_fds, 0) + payload


def strings(*words):
    return b''.join(word.encode() + b'\0' for word in words)


class Control:
    """A control socket, from the application's side."""

    def __init__(self, sock, process=None):
        self.socket = sock
        self.process = process
        sock.settimeout(PATIENCE)

    def send(self, verb, payload=b'', fds=()):
        data = frame(verb, payload, len(fds))
        n = socket.send_fds(self.socket, [data], list(fds)) if fds else self.socket.send(data)
        # Not if there is nothing left: the other end may have left as well.
        if n < len(data):
            self.socket.sendall(data[n:])
        return self

    def read(self, length):
        data = b''
        while len(data) < length:
            piece, fds, flags, _ = socket.recv_fds(self.socket, length - len(data), 4)
            self.fds += fds
            if not piece:
                break
            data += piece
        return data

    fds = []

    def receive(self):
        """One answer, to its exact length; None at the end of file."""
        self.fds = []
        header = self.read(8)
        if not header:
            return None
        length, verb, n_fds, zero = struct.unpack('=IBBH', header)
        assert zero == 0, header
        payload = self.read(length)
        assert len(self.fds) == n_fds, (self.fds, n_fds)
        return verb, payload

    def rest(self):
        data = b''
        while piece := self.socket.recv(65536):
            data += piece
        return data

    def fork(self, child_id):
        ours, theirs = socket.socketpair()
        with theirs:
            self.send(FORK, struct.pack('=I', child_id), [theirs.fileno()])
        return Control(ours)

    def close(self):
        for fd in self.fds:
            os.close(fd)
        self.socket.close()
        if self.process is not None:
            self.process.wait(PATIENCE)


class Conformance(unittest.TestCase):
    def start(self, version='1', **options):
        """Executes the program as the library does."""
        ours, theirs = socket.socketpair()

        def place():
            os.dup2(theirs.fileno(), 3)

        with theirs:
            process = subprocess.Popen(
                PROGRAM + ['--gspawnfork-serve', version, '3', ' ' * 128],
                stdin=subprocess.DEVNULL, preexec_fn=place, pass_fds=[3, theirs.fileno()],
                **options)
        control = Control(ours, process)
        self.addCleanup(control.close)
        # Whatever it is told, it says this first.
        if version == '1':
            self.assertEqual(control.receive(), (HELLO, struct.pack('=I', 1)))
        return control

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
        self.assertEqual(control.send(RUN, strings(function)).receive()[0], READY)

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

    # Rubbish

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
            self.assertIsNone(control.receive())
            self.assertNotEqual(control.process.wait(PATIENCE), 0)

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
        # Whoever keeps it must not be able to change what was sent.
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

    def execute(self, control, flags, *argv):
        """Executes a program and returns what it writes to its standard output."""
        ours, theirs = socket.socketpair()
        with theirs:
            payload = struct.pack('=I', flags | SOCKET_STDOUT | (1 << 3)) + strings(*argv)
            control.send(EXEC, payload, [theirs.fileno()])
        with ours:
            ours.settimeout(PATIENCE)
            self.assertEqual(control.receive()[0], READY)
            answer = control.receive()
            if answer is not None:
                return answer
            return Control(ours).rest()

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
        self.assertIsNone(control.receive())

    def test_targets(self):
        control = self.start()
        control.send(MAP_FD, struct.pack('=i', 9), [1]).send(MAP_FD, struct.pack('=i', 9), [1])
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
            # The first failure is the one that is told, to everyone who asks.
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


MODULE = sys.argv[1]
FORKS = sys.argv[2] == '--forks'
PROGRAM = sys.argv[3:]

if __name__ == '__main__':
    tap.main()
