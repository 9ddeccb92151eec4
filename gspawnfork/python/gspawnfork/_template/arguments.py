# arguments.py: what was sent for the run
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import errno
import fcntl
import mmap
import os
import socket
import stat

from .wire import DETAIL, FAILED, MEMFD, Failure, decode

ALL_SEALS = 0xf


class Bytes:
    """A string or bytes."""

    fd = -1

    def __init__(self, kind, data):
        self.kind = kind
        self.data = data

    def open(self):
        return decode(self.data) if self.kind == b's' else self.data

    def close(self):
        pass


class Descriptor:
    def __init__(self, fd):
        self.fd = fd

    def open(self):
        """A socket, or an unbuffered file that is opened as the descriptor is."""
        flags = fcntl.fcntl(self.fd, fcntl.F_GETFL)
        if stat.S_ISSOCK(os.fstat(self.fd).st_mode):
            # Whether it is blocking is the same for all who share it.
            return open_socket(self.fd, not flags & os.O_NONBLOCK)

        mode = {os.O_RDONLY: 'rb', os.O_WRONLY: 'wb'}.get(flags & os.O_ACCMODE, 'r+b')
        try:
            return open(self.fd, mode, buffering=0)
        except OSError:
            # There is no such object of a directory.
            return self.fd

    def close(self):
        os.close(self.fd)


class Memory:
    """Bytes in memory that nobody can write to. Forks share it until it is used."""

    def __init__(self, kind, fd, length):
        self.kind = kind
        self.fd = fd
        self.length = length

    @property
    def data(self):
        with mmap.mmap(self.fd, self.length + 1, mmap.MAP_PRIVATE, mmap.PROT_READ) as memory:
            return memory[:self.length]

    def open(self):
        data = self.data
        self.close()
        return Bytes(self.kind, data).open()

    def close(self):
        os.close(self.fd)


def open_socket(fd, blocking, kind=socket.socket):
    """Returns a socket object that is blocking also if a module has set a default timeout.
    The flag O_NONBLOCK is not changed, because it belongs to the open socket, which others
    share."""
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(None)
    try:
        sock = kind(fileno=fd)
    finally:
        socket.setdefaulttimeout(timeout)
    if not blocking:
        sock.setblocking(False)
    return sock


def take_memory(payload, fd):
    """Returns the argument for the command ARG_MEMFD. Takes ownership of the descriptor."""
    length, kind, _ = MEMFD.unpack_from(payload)
    kind = bytes([kind & 0xff])
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_size <= length:
        os.close(fd)
        raise Failure(FAILED, 'the shared memory is shorter than it should be'
                      f'{DETAIL}{length}')
    try:
        sealed = fcntl.fcntl(fd, fcntl.F_GET_SEALS) & ALL_SEALS == ALL_SEALS
    except (AttributeError, OSError):
        sealed = False
    if sealed:
        return Memory(kind, fd, length)

    # Somebody could still write to it.
    data = bytearray()
    while len(data) < length:
        piece = os.pread(fd, min(length - len(data), 1 << 30), len(data))
        if not piece:
            break
        data += piece
    os.close(fd)
    if len(data) < length:
        raise Failure(FAILED, os.strerror(errno.ENODATA))
    return Bytes(kind, bytes(data))
