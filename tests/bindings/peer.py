# peer.py: the numbers of the protocol in docs/runtimes.md, and the application's end of a
# control socket
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import ctypes
import os
import socket
import struct

(REQUIRE, CALL, EVAL, ARG, ARG_FD, ARG_MEMFD, SETENV, UNSETENV, CHDIR, MAP_FD,
 MODULE_PATH, FORK, SYNC, RUN, EXEC, KILL, CLOSE, ENVIRON, SETSID, LIMIT, DIE,
 CONFINE) = range(1, 23)
READY, SYNCED, ERROR, EXITED, HELLO = range(64, 69)
(FAILED, SPAWN, FORK_FAILED, THREADED, MODULE_ERROR, FUNCTION, CALL_FAILED, EXEC_FAILED,
 LOST, PROTOCOL, NOT_SUPPORTED, CLOSED) = range(12)
SOCKET_STDIN, SOCKET_STDOUT, SOCKET_STDERR, SEARCH_PATH = 1, 2, 4, 8
STDERR_MERGE = 512
LEADS_GROUP = 1

HAS_ACCESS, HAS_SCOPE = 1, 2

ALL_SEALS = 0xf

# A seccomp filter of one instruction, which allows everything
ALLOWS_ALL = struct.pack('=HBBI', 6, 0, 0, 0x7fff0000)

# What a Landlock ruleset can restrict
MAKE_FILE = 1 << 8
SIGNALS = 1 << 1

# In seconds. A program that has not answered by then will not.
PATIENCE = int(os.environ.get('GFORK_CONFORMANCE_PATIENCE', '60'))


def frame(verb, payload=b'', n_fds=0):
    return struct.pack('=IBBH', len(payload), verb, n_fds, 0) + payload


def strings(*words):
    return b''.join(word.encode() + b'\0' for word in words)


def ruleset(files=0, scoped=0):
    """A descriptor of Landlock's, or None if the kernel cannot restrict that."""
    attributes = struct.pack('=QQQ', files, 0, scoped)
    fd = ctypes.CDLL(None).syscall(444, attributes, len(attributes), 0)
    return fd if fd >= 0 else None


def inode(fd):
    """What tells a pipe or a socket from all others."""
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def descriptors(pid):
    """The descriptors that a process has open: its numbers, each with the inode."""
    found = {}
    for number in os.listdir(f'/proc/{pid}/fd'):
        try:
            status = os.stat(f'/proc/{pid}/fd/{number}')
        except FileNotFoundError:
            continue
        found[int(number)] = status.st_dev, status.st_ino
    return found


def is_close_on_exec(pid, number):
    with open(f'/proc/{pid}/fdinfo/{number}') as file:
        fields = dict(line.split(':', 1) for line in file)
    return bool(int(fields['flags'], 8) & os.O_CLOEXEC)


def signals(pid, field):
    """A set of signals in /proc/PID/status: SigBlk, SigIgn or SigCgt."""
    with open(f'/proc/{pid}/status') as file:
        fields = dict(line.split(':', 1) for line in file)
    mask = int(fields[field], 16)
    return {number for number in range(1, 65) if mask & 1 << number - 1}


class Control:
    """A control socket, from the application's side."""

    def __init__(self, sock, remote_inode=None, process=None):
        self.socket = sock
        self.remote_inode = remote_inode    # of the other end
        self.process = process              # if it is a child of this one
        self.forks = []
        self.fds = []                       # those of the last answer
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
            self.forks.append(Control(ours, inode(theirs.fileno())))
            return self.forks[-1]

    def close(self):
        # The program stays as long as they do, which a test that has failed may have left.
        for fork in self.forks:
            fork.close()
        for fd in self.fds:
            os.close(fd)
        self.fds = []
        self.socket.close()
        if self.process is not None:
            self.process.wait(PATIENCE)
