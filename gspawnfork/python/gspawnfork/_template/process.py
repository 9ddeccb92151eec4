# process.py: the process itself: its title, threads, descriptors and standard streams
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import os
import sys
import time

# A thread that was joined is still listed for a moment.
PATIENCE_MS = 50

# Flags of a thread (field 9 of proc_pid_stat(5)) that the kernel itself has started in the
# process, as io_uring does. A fork has no need of it.
KERNEL_FLAGS = 0x200010


class Title:
    """The title of the process, which ps and top show."""

    def __init__(self):
        try:
            with open('/proc/self/stat', 'rb') as file:
                # The name in field 2 may hold anything, even parentheses.
                fields = file.read().rpartition(b')')[2].split()
            self.start, self.end = int(fields[45]), int(fields[46])
        except (OSError, ValueError, IndexError):
            self.start = self.end = 0

    def set(self, what, parent):
        # Written through /proc, because it can be done without ctypes.
        try:
            write_to('/proc/self/comm', what[:15])
            if self.start:
                # A last byte that is no NUL would show the environment as well.
                size = self.end - self.start
                text = b'gspawnfork: %s [%d]' % (what, parent)
                write_to('/proc/self/mem', text[:size - 1].ljust(size, b'\0'), self.start)
        except OSError:
            pass


def write_to(path, data, offset=0):
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        if offset:
            os.pwrite(fd, data, offset)
        else:
            os.write(fd, data)
    finally:
        os.close(fd)


def list_threads():
    """Returns all threads but this one as `name (ID)`, or the reason why they cannot be
    listed."""
    names = {}
    if 'threading' in sys.modules:
        names = {thread.native_id: thread.name
                 for thread in sys.modules['threading'].enumerate()}

    try:
        tasks = os.listdir('/proc/self/task')
    except OSError as error:
        # A confined process cannot read it.
        names.pop(os.getpid(), None)
        return list(names.values()) or [f'/proc/self/task: {error.strerror}']

    threads = []
    for task in sorted(map(int, tasks)):
        try:
            with open(f'/proc/self/task/{task}/stat', encoding='utf-8', errors='replace') as file:
                name, fields = file.read().split('(', 1)[1].rsplit(')', 1)
        except OSError:
            # It has just ended.
            continue
        if task != os.getpid() and not int(fields.split()[6]) & KERNEL_FLAGS:
            threads.append(f'{names.get(task, name)} ({task})')
    return threads


def has_threads():
    """Whether there is more than one thread. It is fast, as it is called often."""
    try:
        # The directory has a link for each of them and two of its own.
        return os.stat('/proc/self/task').st_nlink != 3
    except OSError:
        return True


def wait_for_threads():
    """Waits a moment for threads that are about to end. Returns those that are left, as
    list_threads() does."""
    for _ in range(PATIENCE_MS):
        if not has_threads() or not list_threads():
            return []
        time.sleep(0.001)
    return list_threads()


def close_all_but(keep):
    """Closes all descriptors from 3 on except these."""
    first = 3
    for fd in sorted(keep):
        if fd >= first:
            close_between(first, fd)
            first = fd + 1
    close_between(first, None)


def close_between(first, end):
    try:
        there = [int(fd) for fd in os.listdir('/proc/self/fd')]
    except OSError:
        os.closerange(first, end or min(os.sysconf('SC_OPEN_MAX'), 65536))
        return
    for fd in there:
        if fd >= first and (end is None or fd < end):
            try:
                os.close(fd)
            except OSError:
                pass


def list_descriptors():
    """Returns the descriptors that are open."""
    try:
        candidates = [int(fd) for fd in os.listdir('/proc/self/fd')]
    except OSError:
        candidates = range(min(os.sysconf('SC_OPEN_MAX'), 65536))
    return [fd for fd in candidates if is_open(fd)]


def is_open(fd):
    try:
        os.fstat(fd)
        return True
    except OSError:
        return False


def make_eventfd():
    if hasattr(os, 'eventfd'):
        return os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    import ctypes
    return ctypes.CDLL(None).eventfd(0, os.O_CLOEXEC | os.O_NONBLOCK)
