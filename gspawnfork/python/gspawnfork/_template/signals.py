# signals.py: what signals do in a template, and in what comes of it
#
# A template outlives what a terminal or a service manager sends to its whole process
# group: it blocks those signals while it waits for commands. Code of modules runs with
# handlers that do nothing. To ignore the signals would be inherited by programs that the code
# starts.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import _signal
import operator
import signal
import sys

# None of them ends a template.
GROUP = tuple(getattr(_signal, name) for name in (
    'SIGINT', 'SIGQUIT', 'SIGHUP', 'SIGTERM', 'SIGTSTP', 'SIGUSR1', 'SIGUSR2', 'SIGALRM',
    'SIGVTALRM', 'SIGPROF', 'SIGIO', 'SIGPIPE') if hasattr(_signal, name))

# Python ignores these in every program.
IGNORED_BY_PYTHON = tuple(getattr(_signal, name) for name in ('SIGPIPE', 'SIGXFSZ')
                          if hasattr(_signal, name))

# An application that ignores these wants the same of what it starts: see nohup.
INHERITED = _signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT

# Those of faulthandler, which are no handlers of Python's.
FATAL = _signal.SIGSEGV, _signal.SIGFPE, _signal.SIGABRT, _signal.SIGBUS, _signal.SIGILL

ALL = frozenset(map(int, signal.valid_signals()))
CHANGEABLE = tuple(sorted(ALL - {_signal.SIGKILL, _signal.SIGSTOP}))

# Takes two arguments, does nothing, and is no code that the interpreter has to run.
do_nothing = operator.is_


def block_all():
    """Blocks all signals. Handlers of signals that have arrived before have run when it
    returns."""
    _signal.pthread_sigmask(_signal.SIG_BLOCK, ALL)


def unblock_all():
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())


def block_group():
    _signal.pthread_sigmask(_signal.SIG_SETMASK, GROUP)


def discard_pending():
    """What came while it was blocked was meant for the template."""
    while _signal.sigtimedwait(GROUP, 0) is not None:
        pass


def set_handler(signum, handler):
    try:
        _signal.signal(signum, handler)
    except (OSError, ValueError):
        # The C library keeps a few for itself.
        pass


class Dispositions:
    """What signals do in a worker. That is what they do in any Python program, except that
    some stay ignored if the application has ignored them."""

    def __init__(self, fresh):
        """@fresh says that the interpreter was just started, so that signals have their
        usual handlers."""
        self.changed = []       # what a worker has to set, and to what
        if fresh:
            self.usual = {signum: _signal.getsignal(signum) for signum in CHANGEABLE}
            return

        self.usual = dict.fromkeys(CHANGEABLE, _signal.SIG_DFL)
        self.usual.update(dict.fromkeys(IGNORED_BY_PYTHON, _signal.SIG_IGN))
        self.usual[_signal.SIGINT] = _signal.default_int_handler
        for signum in INHERITED:
            if _signal.getsignal(signum) == _signal.SIG_IGN:
                self.usual[signum] = _signal.SIG_IGN
        faults = sys.modules.get('faulthandler')
        keep = FATAL if faults is not None and faults.is_enabled() else ()
        for signum in CHANGEABLE:
            if signum not in keep:
                set_handler(signum, self.usual[signum])

    def enter_code(self):
        """Is called before code of a module. No signal is blocked while that runs."""
        discard_pending()
        self.handle_group()
        unblock_all()

    def leave_code(self):
        """Is called after code of a module, which may have set handlers or started threads."""
        self.handle_group()
        block_group()

    def handle_group(self):
        for signum in GROUP:
            if (_signal.getsignal(signum) is not do_nothing
                    and (self.usual[signum] != _signal.SIG_IGN or signum in IGNORED_BY_PYTHON)):
                set_handler(signum, do_nothing)
                # System calls of modules in C go on after such a signal.
                _signal.siginterrupt(signum, False)

    def look(self):
        """Is called after code of a module and before a fork. Notes which handlers differ from
        those of a worker, so that no fork has to look."""
        for signum in GROUP:
            if _signal.getsignal(signum) is do_nothing:
                set_handler(signum, self.usual[signum])
        self.changed = [(signum, handler) for signum, handler in self.usual.items()
                        if _signal.getsignal(signum) != handler]

    def set_for_worker(self):
        """Sets the handlers of a worker, while all signals are blocked. They stay blocked
        until the worker can handle them."""
        for signum, handler in self.changed:
            set_handler(signum, handler)

    def set_for_program(self):
        """Sets the default actions for a program. The kernel resets handlers when a program
        is executed, but signals that are ignored stay ignored."""
        for signum in CHANGEABLE:
            if signum not in INHERITED or self.usual[signum] != _signal.SIG_IGN:
                set_handler(signum, _signal.SIG_DFL)
        unblock_all()
