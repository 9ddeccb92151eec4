# children.py: the processes that a template has forked
#
# Only they are reaped: what a module has started is left to it.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import _signal
import os
import signal
from _signal import set_wakeup_fd
from os import close

from .signals import do_nothing
from .wire import EXITED, EXITED_BODY

# Of a process whose wait status somebody else has taken, or that there never was.
UNKNOWN_STATUS = -1


class Children:
    def __init__(self, channel):
        self.channel = channel
        self.of_template = {}           # in a fork, what was there before
        self.ids = {}                   # by PID; None if nobody is to know of its end
        self.wake = None                # what is read, and what SIGCHLD writes to

    def __len__(self):
        return len(self.ids)

    def add(self, pid, child_id):
        self.ids[pid] = child_id

    def disown(self):
        """Stops reporting the children that there are now."""
        self.ids = dict.fromkeys(self.ids)

    def forget(self):
        """Is called in a fork, which has no children. The table of the template is kept, because
        freeing it would write to the pages that its entries are in."""
        self.of_template, self.ids = self.ids, {}
        self.stop()

    # Noticing their ends

    def listen(self):
        if self.wake is None:
            self.wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        set_wakeup_fd(self.wake[1], warn_on_full_buffer=False)
        if _signal.getsignal(_signal.SIGCHLD) is not do_nothing:
            signal.signal(_signal.SIGCHLD, do_nothing)
            _signal.siginterrupt(_signal.SIGCHLD, False)

    def stop(self):
        if self.wake is not None:
            set_wakeup_fd(-1)
            for fd in self.wake:
                close(fd)
            self.wake = None

    def recover(self):
        """Is called after foreign code, which may have reaped children or set a handler for
        SIGCHLD."""
        if self.wake is not None:
            self.listen()
            self.collect_each()

    def on_wake(self):
        try:
            os.read(self.wake[0], 512)
        except BlockingIOError:
            pass
        self.reap()

    # Reaping

    def reap(self):
        """Reaps the children that have ended. The kernel names one that has. If that is a
        child of foreign code, it is left alone, and each child is asked in turn."""
        while self.ids:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                self.collect_each()
                return
            if ended is None:
                return
            if ended.si_pid not in self.ids:
                self.collect_each()
                return
            self.collect(ended.si_pid)

    def collect_each(self):
        for pid in list(self.ids):
            self.collect(pid)

    def collect(self, pid):
        try:
            ended, status, usage = os.wait4(pid, os.WNOHANG)
        except ChildProcessError:
            self.report(self.ids.pop(pid), UNKNOWN_STATUS)
            return
        # One that asks to be traced (PTRACE_TRACEME) has its stops reported here as well.
        if ended != 0 and not os.WIFSTOPPED(status):
            self.report(self.ids.pop(pid), status, round(usage.ru_utime * 1000000),
                        round(usage.ru_stime * 1000000), usage.ru_maxrss * 1024)

    def report(self, child_id, status, user_time=0, system_time=0, max_rss=0):
        if child_id is not None:
            self.channel.answer(EXITED, EXITED_BODY.pack(child_id, status, user_time,
                                                         system_time, max_rss))

    def kill(self, child_id, signum):
        """Sends a signal to a child. A negative number is for the process group that the
        child leads."""
        # It keeps its number as long as it was not collected.
        for pid, other in self.ids.items():
            if other == child_id:
                try:
                    os.kill(pid if signum >= 0 else -pid, abs(signum))
                except OSError:
                    pass
