# jobs.py: does the jobs of a GFork.Pool, in a worker in Python
#
# The frames are those of wire/job.h.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import array
import errno
import os
import socket
import struct

__all__ = ['serve_jobs', 'worker_ready']

JOB_VERB, READY, REPLY, FAILED = 96, 112, 113, 114

HEADER = struct.Struct('=IBBH')
JOB = struct.Struct('=IIQ')
JOB_HEAD = struct.Struct('=IBBHIIQ')
READY_FRAME = struct.Struct('=IBBHiI')

# More bytes travel as a file, with a NUL behind them.
MAX_INLINE = 64 * 1024

READ_SIZE = 64 * 1024
CONTROL_SIZE = socket.CMSG_SPACE(8 * 4)

F_ADD_SEALS = 1033
MFD_NOEXEC_SEAL = 8
ALL_SEALS = 1 | 2 | 4 | 8


def worker_ready(sock):
    """Tells the pool that this worker is ready. This is for workers of pools that have
    wait-for-ready set. serve_jobs() calls it.

    Raises OSError if the connection cannot be used."""
    sock.sendall(READY_FRAME.pack(8, READY, 0, 0, os.getpid(), 0))


def serve_jobs(sock, func):
    """Does the jobs of a GFork.Pool, one after another, until the pool has no more for this
    worker.

    The function is called with the bytes of a request. It returns the bytes of the reply, or
    None for an empty reply. If it raises an exception, the job fails with the type and the
    message of the exception. The traceback is not passed on: to see it, call
    traceback.print_exc() in the function. SystemExit and KeyboardInterrupt end the worker.

        def worker(sock):
            return gspawnfork.serve_jobs(sock, lambda request: request.upper())

    Returns the exit status for the worker, which is 0. Raises OSError if the connection
    cannot be used any more."""
    worker_ready(sock)
    reader = _Reader(sock)
    while True:
        job = reader.read_job()
        if job is None:
            return 0

        number, request = job
        verb = REPLY
        try:
            data = _take_reply(func(request))
        except Exception as error:
            verb, data = FAILED, describe_exception(error).encode('utf-8', 'replace')
        _send(sock, verb, number, data)


def _take_reply(reply):
    if reply is None:
        return b''
    try:
        return memoryview(reply).cast('B')
    except TypeError:
        raise TypeError(f'the function returned {type(reply).__name__}, not bytes') from None


def describe_exception(error):
    """Describes an exception by its type and its message."""
    text = type(error).__name__
    try:
        message = str(error)
    except Exception:
        # It has a __str__() of its own, which fails.
        message = ''
    return f'{text}: {message}' if message else text


def _send(sock, verb, number, data):
    length = len(data)
    if length <= MAX_INLINE:
        sock.sendall(JOB_HEAD.pack(16 + length, verb, 0, 0, number, 0, length) + data)
        return

    try:
        fd = _make_memory(data)
    except OSError as error:
        _send(sock, FAILED, number, describe_exception(error).encode('utf-8', 'replace'))
        return
    try:
        head = JOB_HEAD.pack(16, verb, 1, 0, number, 0, length)
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [fd]))
        sent = sock.sendmsg([head], [rights])
        sock.sendall(head[sent:])
    finally:
        os.close(fd)


def _make_memory(data):
    """Returns a descriptor of a sealed file with the data, which the pool maps."""
    import fcntl

    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        # A sandbox that allows to execute programs wants it not to be one.
        fd = os.memfd_create('gspawnfork', flags | MFD_NOEXEC_SEAL)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        fd = os.memfd_create('gspawnfork', flags)  # before Linux 6.3
    try:
        os.ftruncate(fd, len(data) + 1)
        done = 0
        while done < len(data):
            done += os.write(fd, data[done:done + (1 << 30)])
        fcntl.fcntl(fd, F_ADD_SEALS, ALL_SEALS)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _read_memory(fd, length):
    parts = []
    done = 0
    while done < length:
        part = os.pread(fd, min(length - done, 1 << 30), done)
        if not part:
            raise ConnectionError('the shared memory is shorter than it should be')
        parts.append(part)
        done += len(part)
    return parts[0] if len(parts) == 1 else b''.join(parts)


class _Reader:
    """Reads frames from the socket. One read may bring several frames."""

    def __init__(self, sock):
        self.sock = sock
        self.data = b''
        self.start = 0  # of what was not taken yet
        self.fds = []

    def read_job(self):
        """Returns the number and the bytes of the next job, or None at the end of file."""
        while len(self.data) - self.start < JOB_HEAD.size:
            if not self.fill():
                return None
        length, verb, n_fds, zero, number, _, size = JOB_HEAD.unpack_from(self.data, self.start)
        if (verb != JOB_VERB or zero or n_fds != (size > MAX_INLINE)
                or length != JOB.size + (0 if n_fds else size)):
            raise ConnectionError('the pool does not speak the protocol of jobs')
        while len(self.data) - self.start < HEADER.size + length:
            if not self.fill():
                return None

        start = self.start + JOB_HEAD.size
        self.start += HEADER.size + length
        if not n_fds:
            return number, self.data[start:self.start]

        fd = self.fds.pop(0)
        try:
            return number, _read_memory(fd, size)
        finally:
            os.close(fd)

    def fill(self):
        try:
            data, ancillary, flags, _ = self.sock.recvmsg(READ_SIZE, CONTROL_SIZE,
                                                          socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            return False
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds = array.array('i')
                fds.frombytes(content[:len(content) - len(content) % fds.itemsize])
                self.fds.extend(fds)
        if flags & socket.MSG_CTRUNC:
            raise ConnectionError('a descriptor was lost: too many are open')
        self.data = self.data[self.start:] + data
        self.start = 0
        return bool(data)
