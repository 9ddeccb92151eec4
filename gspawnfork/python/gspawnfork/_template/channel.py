# channel.py: the control socket: frames in, answers out
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import struct
# Those of the module socket are enumerations, which are combined by code in Python.
from _socket import (MSG_CMSG_CLOEXEC, MSG_CTRUNC, MSG_DONTWAIT, MSG_NOSIGNAL, SCM_RIGHTS,
                     SOL_SOCKET)
from errno import ENOSYS
from os import close, dup2, getpid, strerror

from .wire import (CONTROL_SIZE, FAILED, HEADER, MAX_FDS, MAX_PAYLOAD, MAX_QUEUED_FDS, PID,
                   PROTOCOL, READ_SIZE, READY, TARGET, Failure, make_frame)

try:
    from os import pidfd_open
except ImportError:
    def pidfd_open(pid):
        """Before Python 3.9"""
        raise OSError(ENOSYS, strerror(ENOSYS))


class Channel:
    def __init__(self, sock):
        self.socket = sock
        self.data = b''                 # read ahead; in pieces, it is a bytearray
        self.at = 0                     # how much of it has been handled
        self.fds = []
        self.out = bytearray()          # answers that the socket did not take yet

    def replace(self, sock):
        """Is called in a fork: goes on with another socket, under the same number. What the
        parent has read ahead, or has not sent yet, belongs to the parent."""
        if self.fds:
            for fd in self.fds:
                close(fd)
            self.fds = []
        self.data = b''
        self.at = 0
        if self.out:
            self.out.clear()
        dup2(sock, self.socket.fileno(), False)
        close(sock)

    # Answers

    def flush(self, flags=0):
        while self.out:
            try:
                n = self.socket.send(self.out, flags | MSG_NOSIGNAL)
            except BlockingIOError:
                return
            except OSError:
                # The end of file will be read in time.
                n = len(self.out)
            del self.out[:n]

    def answer(self, verb, payload):
        """Sends an answer, or keeps it until the socket takes it."""
        self.out += make_frame(verb, payload)
        self.flush(MSG_DONTWAIT)

    def answer_failure(self, report):
        self.out += report.to_frame()
        self.flush()

    def answer_ready(self, flags=0):
        """Sends the process ID and a pidfd of this process. Returns whether the other end is
        still there."""
        if self.out:
            self.flush()
        pid = getpid()
        payload = PID.pack(pid, flags)
        fd = -1
        try:
            fd = pidfd_open(pid)
            self.socket.sendmsg((make_frame(READY, payload, 1),),
                                ((SOL_SOCKET, SCM_RIGHTS, TARGET.pack(fd)),), MSG_NOSIGNAL)
        except OSError:
            # It can be done without.
            try:
                self.socket.send(make_frame(READY, payload), MSG_NOSIGNAL)
            except OSError:
                return False
        finally:
            if fd >= 0:
                close(fd)
        return True

    # Commands

    def fill(self, flags):
        """Reads once. Returns False at the end of file."""
        try:
            data, control, received, _ = self.socket.recvmsg(
                READ_SIZE, CONTROL_SIZE, flags | MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return True
        except OSError:
            return False

        for level, kind, content in control:
            if level == SOL_SOCKET and kind == SCM_RIGHTS:
                n = len(content) // TARGET.size
                self.fds += struct.unpack(f'={n}i', content[:n * TARGET.size])
        if received & MSG_CTRUNC or len(self.fds) > MAX_QUEUED_FDS:
            raise Failure(FAILED, 'too many descriptors (see RLIMIT_NOFILE)')
        if self.at == len(self.data):
            self.data = data
        elif isinstance(self.data, bytes):
            self.data = bytearray(self.data[self.at:] + data)
        else:
            del self.data[:self.at]
            self.data += data
        self.at = 0
        return bool(data)

    def next_frame(self):
        """Returns the next complete frame with its descriptors, or None if there is none
        yet."""
        start = self.at + HEADER.size
        if len(self.data) < start:
            return None
        length, verb, n_fds, zero = HEADER.unpack_from(self.data, self.at)
        if length > MAX_PAYLOAD or zero != 0 or n_fds > MAX_FDS:
            raise Failure(PROTOCOL, 'malformed frame')
        if len(self.data) < start + length:
            return None
        # They were sent with the frame's first byte, so they are here.
        if n_fds > len(self.fds):
            raise Failure(PROTOCOL, 'malformed frame')

        self.at = start + length
        payload = bytes(self.data[start:self.at])
        fds, self.fds = self.fds[:n_fds], self.fds[n_fds:]
        return verb, payload, fds
