# attributes.py: a session, limits and an end with the application, for what is run or executed
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import errno
import os
import resource
import select
import signal

from .process import close_all_but, write_to
from .wire import DIE, FAILED, LIMIT, SETSID, Failure

# By their numbers on the wire.
LIMITS = (
    (resource.RLIMIT_CPU, 'cpu-time'),
    (resource.RLIMIT_AS, 'memory'),
    (resource.RLIMIT_FSIZE, 'file-size'),
    (resource.RLIMIT_NOFILE, 'open-files'),
    (resource.RLIMIT_NPROC, 'processes'),
    (resource.RLIMIT_CORE, 'core'),
)

PR_SET_PDEATHSIG = 1
LEADS_GROUP = 1 << 0


class Refused(Failure):
    """An attribute of a worker or program that could not be applied."""

    def __init__(self, verb, subject, error_number):
        super().__init__(FAILED, os.strerror(error_number))
        self.verb = verb
        self.subject = subject


class Attributes:
    """The attributes of the worker or program, which do not apply to the template."""

    def __init__(self):
        self.leads_session = False
        self.dies = False
        self.limits = {}

    @property
    def ready_flags(self):
        return LEADS_GROUP if self.leads_session else 0

    def set_limit(self, number, value):
        if number >= len(LIMITS):
            raise Refused(LIMIT, b'%d' % number, errno.EINVAL)
        self.limits[number] = value

    def apply(self, parent):
        """Applies all attributes to this process. @parent is the process ID of the template
        that the process is a fork of, or None."""
        if self.leads_session and os.getsid(0) != os.getpid():
            try:
                os.setsid()
            except OSError as error:
                raise Refused(SETSID, b'', error.errno) from error
        if self.dies:
            try:
                if parent is not None:
                    die_with_parent(parent)
                else:
                    start_guard(os.getppid(), os.getpid())
            except OSError as error:
                raise Refused(DIE, b'', error.errno) from error
            except (AttributeError, ImportError) as error:
                raise Refused(DIE, b'', errno.ENOSYS) from error
        for number, value in self.limits.items():
            set_limit(*LIMITS[number], value)


def set_limit(kind, name, value):
    # The module resource knows signed numbers.
    value = value - (1 << 64) if value >> 63 else value
    try:
        resource.setrlimit(kind, (value, value))
    except ValueError as error:
        raise Refused(LIMIT, name.encode(), errno.EPERM) from error
    except OSError as error:
        raise Refused(LIMIT, name.encode(), error.errno) from error


def die_with_parent(parent):
    """Has the kernel kill this process when its template ends. The kernel does so when the
    thread ends that has forked the process. A template forks in a thread that lives as long
    as the process."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), '')
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def start_guard(application, process):
    """Starts another process that kills this one when the application ends. If the parent is
    the application, the kernel would kill this process already when the thread ends that has
    started it. The other process is no child of this one, because a program may wait for all
    of its children."""
    watched = os.pidfd_open(application)
    guarded = os.pidfd_open(process)
    # If the application has ended before this, the number may be another process's.
    if os.getppid() != application:
        os.kill(process, signal.SIGKILL)

    pid = os.fork()
    if pid == 0:
        status = 0
        try:
            if os.fork() == 0:
                guard(watched, guarded)
        except OSError as error:
            status = error.errno
        os._exit(status)
    _, status = os.waitpid(pid, 0)
    os.close(watched)
    os.close(guarded)
    if status != 0:
        raise OSError(os.WEXITSTATUS(status) if os.WIFEXITED(status) else errno.ECHILD, '')


def guard(watched, guarded):
    """Kills the process when the application has ended, and ends when the process has ended.
    Only the two pidfds stay open, because somebody may wait for the end of a pipe."""
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        os.setsid()
        os.chdir('/')
        write_to('/proc/self/comm', b'gforkguard')
        for fd in range(3):
            os.close(fd)
        close_all_but([watched, guarded])
        poll = select.poll()
        poll.register(watched, select.POLLIN)
        poll.register(guarded, select.POLLIN)
        ended = [fd for fd, _ in poll.poll()]
        if guarded not in ended:
            signal.pidfd_send_signal(guarded, signal.SIGKILL)
    finally:
        os._exit(0)
