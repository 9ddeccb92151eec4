# confine.py: gives up, for good, what the application has not allowed
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import errno
import fcntl
import os
import struct

from .process import wait_for_threads
from .wire import FAILED, PROTOCOL, THREADED, Failure

# The payload of CONFINE: what the descriptors are. The filter follows.
HEAD = struct.Struct('=II')
HAS_ACCESS = 1 << 0
HAS_SCOPE = 1 << 1

# What there is one of in the array that a filter is: struct sock_filter.
INSTRUCTION_SIZE = 8
MAX_INSTRUCTIONS = 4096

# The numbers of system calls and options are the same on all architectures.
LANDLOCK_RESTRICT_SELF = 446
PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2


def only_write_to_terminal(fd):
    """A terminal is mostly open for reading as well, for standard output and error, too. A
    confined process could read what its user types then. It stays as it is if it cannot be
    opened again, as after su."""
    try:
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        if flags & os.O_ACCMODE != os.O_RDWR or not os.isatty(fd):
            return
        again = os.open(f'/proc/self/fd/{fd}', os.O_WRONLY | os.O_NOCTTY | flags & os.O_APPEND)
    except OSError:
        return
    os.dup2(again, fd)
    os.close(again)


class Confinement:
    def __init__(self):
        self.library = None
        self.scope = []     # the ruleset for workers, if this is confined

    def confine(self, payload, fds):
        has, _ = HEAD.unpack_from(payload)
        rules = payload[HEAD.size:]
        if (len(fds) != bool(has & HAS_ACCESS) + bool(has & HAS_SCOPE)
                or len(rules) % INSTRUCTION_SIZE or len(rules) > MAX_INSTRUCTIONS * INSTRUCTION_SIZE):
            raise Failure(PROTOCOL, 'malformed command')

        # Landlock restricts the calling thread alone.
        threads = wait_for_threads()
        if threads:
            raise Failure(THREADED, ', '.join(threads))

        only_write_to_terminal(1)
        only_write_to_terminal(2)

        # Workers cannot load it themselves any more.
        import ctypes
        self.library = ctypes.CDLL(None, use_errno=True)
        self.check(self.library.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        if has & HAS_ACCESS:
            self.restrict(fds[0])
        if rules:
            self.filter_system_calls(rules)

        if has & HAS_SCOPE:
            while self.scope:
                os.close(self.scope.pop())
            self.scope.append(fds.pop())

    def confine_worker(self):
        """Separates a process that is about to run from its siblings. Forks share the
        Landlock domain of their template, and could signal and trace the template and each
        other. So the process gets a domain of its own within that one."""
        if self.scope:
            self.restrict(self.scope[0])
            os.close(self.scope.pop())

    def restrict(self, ruleset):
        self.check(self.library.syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0))

    def filter_system_calls(self, rules):
        import ctypes

        class Program(ctypes.Structure):
            _fields_ = [('length', ctypes.c_ushort), ('rules', ctypes.c_char_p)]

        program = Program(len(rules) // INSTRUCTION_SIZE, bytes(rules))
        self.check(self.library.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER,
                                      ctypes.byref(program)))

    def check(self, result):
        if result != 0:
            import ctypes
            number = ctypes.get_errno()
            raise Failure(FAILED, 'it was confined too often before' if number == errno.E2BIG
                          else os.strerror(number))
