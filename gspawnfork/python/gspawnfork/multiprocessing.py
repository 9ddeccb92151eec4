# multiprocessing.py: the start method "gspawnfork" of Python's multiprocessing
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

"""The start method "gspawnfork": each process is a fork of a template.

Importing this module registers the start method. Then it can be used where a context or the
name of a start method can be given:

    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    import gspawnfork.multiprocessing

    if __name__ == '__main__':
        context = multiprocessing.get_context('gspawnfork')
        context.set_preload(['__main__', 'numpy'])
        with ProcessPoolExecutor(mp_context=context) as executor:
            ...

The template is an interpreter that has imported the modules that set_preload() names. It is
started together with the first process, and another one is started if it has died. PyGObject
is imported then, not before.

A process that was forked from the application, by the start method "fork" or by os.fork(),
starts a template of its own. So does a process of this start method that starts processes.
"""

import functools
import io
import os
import pickle
import select
import signal
import sys
import threading

from multiprocessing import popen_fork, process, reduction, resource_tracker, spawn, util
from multiprocessing.context import (
    BaseContext, ProcessError, _concrete_contexts, set_spawning_popen)

__all__ = ['GspawnforkContext', 'GspawnforkProcess', 'context']

METHOD = 'gspawnfork'

# The exit code of a process if nobody knows how it has ended. That of forkserver is the same.
UNKNOWN = 255


# ——— The application ———

class _Server:
    """The template, and a record of what it has been sent."""

    def __init__(self, preload=(), spare_processes=0):
        self.lock = threading.Lock()
        self.preload = list(preload)
        self.spare_processes = spare_processes
        self.template = None
        self.next = None        # the fork of it that the next process will be
        self.known = {}         # what its forks need not be sent

    def set_preload(self, names):
        if isinstance(names, str) or not all(isinstance(name, str) for name in names):
            raise TypeError('set_preload () takes a list of names of modules')
        with self.lock:
            self.preload = list(names)
            self.template = self.next = None

    def set_spare_processes(self, n):
        with self.lock:
            if self.template is not None:
                self.template.props.spare_processes = n
            self.spare_processes = n

    def start(self, data, pickled, fds):
        """Forks the template, and returns the GFork.Process that runs what was pickled."""
        GFork, GLib = _import_library()

        data['environ'] = os.environ.copy()
        tracker = resource_tracker.getfd()

        for may_retry in (True, False):
            with self.lock:
                if self.template is None:
                    self.make_template(GFork, data, tracker)
                template, known = self.template, self.known
                fork, self.next = self.next, None
            was_ahead = fork is not None
            if not was_ahead:
                fork = template.fork()
            changes = {key: data[key] for key in data if data[key] != known.get(key)}
            fork.send_bytes(_dump(changes) + pickled)
            for fd in (tracker, *fds):
                fork.send_fd(fd)
            # What an interpreter does after a fork takes as long as the rest of a start. For
            # the next process that is done while this one starts.
            with self.lock:
                if self.template is template and self.next is None:
                    self.next = template.fork()
            try:
                return fork.run(f'{__name__}:_serve')[1]
            except GLib.Error as error:
                with self.lock:
                    if self.template is template:
                        self.template = self.next = None
                is_lost = error.matches(GFork.error_quark(), GFork.Error.LOST)
                if not may_retry or not (is_lost or was_ahead):
                    raise ProcessError(error.message) from error

    def make_template(self, GFork, data, tracker):
        """Starts an interpreter, and has it import the modules that all forks are to have."""
        executable = os.fsdecode(spawn.get_executable())
        if executable != sys.executable:
            GFork.set_interpreter('python3', executable)

        known = data.copy()
        # A handler that is added twice would log everything twice.
        known['log_to_stderr'] = False
        known.pop('log_level', None)
        # The directory of this name may become another one.
        known.pop('dir')
        known.pop('name')
        if '__main__' not in self.preload:
            known.pop('init_main_from_name', None)
            known.pop('init_main_from_path', None)

        pidfd = os.pidfd_open(os.getpid())
        try:
            template = GFork.Template.new_python()
            template.send_bytes(_dump({**known, 'dir': data['dir']}))
            template.send_fd(pidfd)
            template.send_fd(tracker)
        finally:
            os.close(pidfd)
        template.call(f'{__name__}:_prepare')
        for name in self.preload:
            if name != '__main__':
                template.require(name)
        template.call(f'{__name__}:_release_tracker')
        template.props.spare_processes = self.spare_processes
        self.template, self.known = template, known


@functools.lru_cache(maxsize=None)
def _import_library():
    """Once: require_version () looks through the directories of typelibs each time."""
    import gi

    gi.require_version('GFork', '1.0')
    from gi.repository import GFork, GLib
    return GFork, GLib


def _dump(thing):
    buffer = io.BytesIO()
    reduction.dump(thing, buffer)
    return buffer.getvalue()


class _DupFd:
    """Stands for a descriptor in the data that is pickled for a process."""

    def __init__(self, index):
        self.index = index

    def detach(self):
        return _received[self.index]


class Popen(popen_fork.Popen):
    """A process that was started. It is kept until its exit code is known."""

    method = METHOD
    DupFd = _DupFd

    def __init__(self, process_obj):
        self._fds = []
        super().__init__(process_obj)

    def duplicate_for_child(self, fd):
        self._fds.append(fd)
        return len(self._fds) - 1

    def _launch(self, process_obj):
        set_spawning_popen(self)
        try:
            data = spawn.get_preparation_data(process_obj._name)
            self._process = _get_server().start(data, _dump(process_obj), self._fds)
        finally:
            set_spawning_popen(None)

        self.pid = self._process.get_pid()
        try:
            self.sentinel = self._open_sentinel()
        except BaseException:
            # Nobody could ever wait for it.
            self._process.force_exit()
            raise
        self.finalizer = util.Finalize(self, util.close_fds, (self.sentinel,))

    def _open_sentinel(self):
        """Returns a descriptor that becomes readable when the process ends."""
        GFork, GLib = _import_library()
        try:
            return self._process.dup_pidfd()
        except GLib.Error as error:
            if not any(error.matches(GFork.error_quark(), code)
                       for code in (GFork.Error.CLOSED, GFork.Error.LOST)):
                raise ProcessError(error.message) from error
        # It has ended.
        read_end, write_end = os.pipe()
        os.close(write_end)
        return read_end

    def poll(self, flag=os.WNOHANG):
        if self.returncode is None:
            poll = select.poll()
            poll.register(self.sentinel, select.POLLIN)
            # A signal's handler may interrupt this. The wait for the status is short.
            if not poll.poll(0 if flag == os.WNOHANG else None):
                return None
            self.returncode = self._find_returncode()
        return self.returncode

    def _find_returncode(self):
        GFork, GLib = _import_library()
        try:
            self._process.wait()
        except GLib.Error:
            return UNKNOWN
        return os.waitstatus_to_exitcode(self._process.get_wait_status())

    def _send_signal(self, sig):
        if self.returncode is None:
            GFork, GLib = _import_library()
            try:
                self._process.send_signal(sig)
            except GLib.Error:
                if self.wait(timeout=0.1) is None:
                    raise


class GspawnforkProcess(process.BaseProcess):
    """A process of the context "gspawnfork"."""

    _start_method = METHOD

    @staticmethod
    def _Popen(process_obj):
        return Popen(process_obj)

    @staticmethod
    def _after_fork():
        # The process is no fork of the one that has started it.
        pass


class _Name(str):
    """The name of the start method. To unpickle it is to register the method."""

    def __reduce__(self):
        return _get_name, ()


def _get_name():
    return GspawnforkContext._name


class GspawnforkContext(BaseContext):
    """The context that multiprocessing.get_context('gspawnfork') returns."""

    _name = _Name(METHOD)
    Process = GspawnforkProcess

    def set_preload(self, module_names):
        """Sets the names of the modules that the template imports. "__main__" is the main
        module of the program, without the code under "if __name__ == '__main__'".

        A module is imported once, in the template. Processes that were started before are not
        affected.

        A module that starts threads when it is imported cannot be preloaded. Starting a
        process then fails with ProcessError, which names the threads. It also fails with
        ProcessError if a module cannot be imported."""
        _server.set_preload(module_names)

    def set_forkserver_preload(self, module_names):
        """Does the same as set_preload(), for programs that were written for the start
        method "forkserver"."""
        _server.set_preload(module_names)

    def set_spare_processes(self, n):
        """Sets the number of forks that are kept ready for the next processes. One more fork
        is made while a process starts."""
        _server.set_spare_processes(n)

    def _check_available(self):
        if not hasattr(os, 'pidfd_open'):
            raise ValueError('the start method "gspawnfork" needs Python 3.9 on Linux')


_server = _Server()
_watches_forks = False
context = GspawnforkContext()
_concrete_contexts[METHOD] = context


def _get_server():
    global _watches_forks

    if not _watches_forks:
        _watches_forks = True
        os.register_at_fork(after_in_child=_forget_template)
    return _server


def _forget_template():
    """Is called in a fork of the application, which starts a template of its own."""
    global _server

    _server = _Server(_server.preload, _server.spare_processes)


# ——— The template and its forks ———

_parent_sentinel = None
_received = []


def _prepare():
    """Is called in the template before the modules are imported."""
    import gspawnfork

    global _parent_sentinel
    data, parent, tracker = gspawnfork.take_args()
    _parent_sentinel = _take_fd(parent)
    resource_tracker._resource_tracker._fd = _take_fd(tracker)
    process.current_process()._inheriting = True
    try:
        _apply(pickle.loads(data))
    finally:
        del process.current_process()._inheriting


def _release_tracker():
    """Is called in the template when the modules were imported, which may have used the
    resource tracker. The tracker ends when all of its descriptors are closed, and the
    application may wait for that."""
    tracker = resource_tracker._resource_tracker
    os.close(tracker._fd)
    tracker._fd = None


def _serve(sock, pickled, tracker, *fds):
    """Is run in each process."""
    os.close(sock.detach())
    code = 1
    try:
        resource_tracker._resource_tracker._fd = tracker
        _received[:] = fds
        stream = io.BytesIO(pickled)
        process.current_process()._inheriting = True
        try:
            _apply(pickle.load(stream))
            process_obj = pickle.load(stream)
        finally:
            del process.current_process()._inheriting
        code = process_obj._bootstrap(_parent_sentinel)
    except Exception:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
    finally:
        # As with fork and forkserver, and for the same reason: what is registered with
        # atexit, and in buffers, is the template's. _bootstrap() has done the rest.
        os._exit(code)


# They need not be made sockets and files.
_serve.takes_descriptors = True


def _apply(data):
    """Makes this process what multiprocessing expects of the processes that it starts."""
    if 'environ' in data:
        os.environ.clear()
        os.environ.update(data['environ'])
    spawn.prepare(data)


def _take_fd(file):
    """Returns the descriptor of an argument. The object that the runtime has made of it is
    not used any more."""
    if isinstance(file, int):
        return file
    if hasattr(file, 'detach'):
        return file.detach()
    fd = os.dup(file.fileno())
    file.close()
    return fd
