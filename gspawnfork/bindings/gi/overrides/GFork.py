# GFork.py: what makes the library feel at home in Python
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import _signal
import collections
import functools
import itertools
import operator
import os
import socket as _socket
import struct
import subprocess as _subprocess
import sys
import threading as _threading
import time

from gi.module import get_introspection_module
from gi.overrides import override
from gi.repository import Gio, GLib, GObject

_GFork = get_introspection_module('GFork')

__all__ = []


def _export(thing):
    __all__.append(thing.__name__)
    return thing


# ——— Strings ———

def _check_nul(data, text):
    if b'\0' in data:
        raise ValueError(f'{text!r} holds a NUL character; what holds one can be sent as bytes')
    return data


def _encode(text):
    """Encodes a string. Bytes that were not UTF-8 when it was decoded are restored."""
    if not isinstance(text, (str, bytes)):
        raise TypeError(f'a string is needed, not a {type(text).__name__}')
    data = text if isinstance(text, bytes) else text.encode('utf-8', 'surrogateescape')
    return _check_nul(data, text)


def _encode_path(text):
    return _check_nul(os.fsencode(text), text)


def _encode_argv(argv):
    if isinstance(argv, (str, bytes)):
        raise TypeError('the program and its arguments are a list of strings, not one string')
    return list(map(_encode_path, argv))


def _encode_name(name):
    """Encodes the name of a module or function, which may be or begin with a path."""
    if isinstance(name, str) and not name.startswith('/'):
        return _encode(name)
    return _encode_path(name)


def _words(args):
    """Returns the strings of a call: `call('f', 'a', 'b')` is `call('f', ['a', 'b'])`."""
    if len(args) == 1 and (args[0] is None or not isinstance(args[0], (str, bytes))):
        args = args[0] or ()
    return list(map(_encode, args))


# ——— Waiting ———

_ALL_SIGNALS = frozenset(map(int, _signal.valid_signals()))


class _Alarm:
    """Wakes up a main context when a signal has arrived."""

    idle = []
    inherited = []

    def __init__(self):
        self.reader, self.writer = _socket.socketpair()
        self.reader.setblocking(False)
        self.writer.setblocking(False)
        self.poll = GLib.PollFD(self.reader.fileno(), GLib.IOCondition.IN)

    @classmethod
    def forget(cls):
        """Is called in a fork of the application, which must not share the sockets. Their
        descriptors stay open, so that the numbers are not used again."""
        cls.inherited += cls.idle
        cls.idle = []

    def take(self):
        """Returns the numbers of the signals that have arrived, as bytes."""
        try:
            return self.reader.recv(4096)
        except BlockingIOError:
            return b''


os.register_at_fork(after_in_child=_Alarm.forget)


class _Waking:
    """Lets the iteration of a main context return when a signal has arrived, so that its
    handler can run. It is made and ended in the main thread, with signals blocked."""

    def __init__(self, context):
        self.context = context
        self.seen = b''
        self.alarm = _Alarm.idle.pop() if _Alarm.idle else _Alarm()
        context.add_poll(self.alarm.poll, GLib.PRIORITY_DEFAULT)
        self.previous = _signal.set_wakeup_fd(self.alarm.writer.fileno(),
                                              warn_on_full_buffer=False)

    def iterate(self):
        self.context.iteration(True)
        self.seen += self.alarm.take()

    def end(self):
        _signal.set_wakeup_fd(self.previous)
        self.context.remove_poll(self.alarm.poll)
        _Alarm.idle.append(self.alarm)
        # They are an event loop's affair, too.
        if self.previous != -1 and self.seen:
            try:
                os.write(self.previous, self.seen)
            except OSError:
                pass


def _in_main_thread():
    return _threading.current_thread() is _threading.main_thread()


def _wait(start, finish, cancellable):
    """Starts an operation and returns its result. If the handler of a signal raises an
    exception, such as KeyboardInterrupt, the operation is cancelled."""
    results = {}
    started = False
    # Handlers run between two operations of the interpreter, and could get between those
    # that belong together here. The callback is none that the interpreter has to run.
    mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, _ALL_SIGNALS)
    waking = _Waking(_GFork.begin_wait())
    try:
        start(cancellable, functools.partial(operator.setitem, results))
        started = True
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
        while not results:
            waking.iterate()
    except BaseException:
        cancellable.cancel()
        while started and not results:
            waking.iterate()
        raise
    else:
        result, = results.values()
        return finish(result)
    finally:
        _signal.pthread_sigmask(_signal.SIG_BLOCK, _ALL_SIGNALS)
        waking.end()
        _GFork.end_wait()
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)


def _iterate_until(context, is_done):
    """Iterates a main context that no other thread iterates. Handlers of signals run
    meanwhile."""
    if not _in_main_thread():
        while not is_done():
            context.iteration(True)
        return

    mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, _ALL_SIGNALS)
    waking = _Waking(context)
    try:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
        while not is_done():
            waking.iterate()
    finally:
        _signal.pthread_sigmask(_signal.SIG_BLOCK, _ALL_SIGNALS)
        waking.end()
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)


def _connect(given, cancellable):
    """Cancels one cancellable when another one is cancelled, if there is another one."""
    if given is None:
        return 0
    handler = GObject.Object.connect(given, 'cancelled', lambda _: cancellable.cancel())
    if given.is_cancelled():
        cancellable.cancel()
    return handler


def _disconnect(given, handler):
    if given is not None:
        GObject.Object.disconnect(given, handler)


def _blocking(kind, name):
    """Returns a synchronous method that handlers of signals can interrupt. They can do so
    only in the main thread."""
    blocking = getattr(kind, name)
    start = getattr(kind, name + '_async')
    finish = getattr(kind, name + '_finish')

    def call(self, *args):
        *args, given = args
        if not _in_main_thread():
            return blocking(self, *args, given)

        cancellable = Gio.Cancellable()
        handler = _connect(given, cancellable)
        try:
            return _wait(functools.partial(start, self, *args),
                         functools.partial(finish, self), cancellable)
        finally:
            _disconnect(given, handler)

    return call


# ——— The interpreter ———

def _is_interpreter(path):
    return bool(path) and os.path.basename(path).startswith('python')


# Workers in Python are run by the interpreter that runs the application, with the same
# flags, if that is one: a program that embeds Python is not.
_flags = _subprocess._args_from_interpreter_flags()
_usual_interpreter = [sys.executable, *_flags] if _is_interpreter(sys.executable) else None

_interpreter = None

# The default template for Python, and where it looks for modules.
_told = None, None


def _choose_interpreter(argv):
    global _interpreter, _told
    _interpreter, _told = argv, (None, None)
    _GFork.set_interpreter_argv('python3', argv and list(map(_encode_path, argv)))


_choose_interpreter(_usual_interpreter)


@_export
def set_interpreter(runtime, interpreter):
    """Sets the interpreter of a runtime: a path, or a list of a path and arguments.

    For the runtime "python3", a path alone names an interpreter that gets the flags of the one
    that runs this program. None is the interpreter that runs this program.

    Raises ValueError if the list is empty."""
    if interpreter is not None and not isinstance(interpreter, (list, tuple)):
        interpreter = [interpreter, *(_flags if runtime == 'python3' else ())]
    if interpreter is not None and not interpreter:
        raise ValueError('the list of the interpreter and its arguments is empty')
    if runtime == 'python3':
        _choose_interpreter(_usual_interpreter if interpreter is None else list(interpreter))
    else:
        _GFork.set_interpreter_argv(runtime, interpreter and list(map(_encode_path, interpreter)))


@_export
def python_socket(socket):
    """Makes a blocking socket.socket of a Gio.Socket, and closes the Gio.Socket.

    Raises OSError if the descriptor cannot be duplicated."""
    result = _socket.socket(fileno=os.dup(socket.get_fd()))
    socket.close()
    result.setblocking(True)
    return result


def _get_path():
    """Returns the directories in which this program looks for modules."""
    # Another interpreter's modules are not this one's.
    own = _interpreter is not None and _interpreter[0] == sys.executable
    path = sys.path if own else sys.path[:1]
    return [os.path.abspath(directory) for directory in path if isinstance(directory, str)]


def _chain(name, *encode):
    """Returns the method, which encodes its strings by these functions and returns the
    template."""
    method = getattr(_GFork.Template, name)

    @functools.wraps(method)
    def chained(self, *args, **kwargs):
        encoded = [encoder(arg) for encoder, arg in zip(encode, args)]
        method(self, *encoded, *args[len(encoded):], **kwargs)
        return self

    return chained


_prepare = _blocking(_GFork.Template, 'prepare')
_run = _blocking(_GFork.Template, 'run')
_execv = _blocking(_GFork.Template, 'execv')
_detach = _blocking(_GFork.Template, 'detach')
_await_template = _blocking(_GFork.Template, 'wait')


def _fork_main(sock, *_):
    from gspawnfork import _template

    return _template.fork_main(sock)


class Template(_GFork.Template):
    def __init__(self, **properties):
        super().__init__(**properties)
        if properties.get('runtime') == 'python3':
            self._look_in(_get_path())

    @classmethod
    def new_python(cls):
        """Creates a template that is a Python interpreter. It looks for modules where this
        interpreter does."""
        return cls.new_for_runtime('python3')

    @classmethod
    def new_for_runtime(cls, runtime):
        if runtime != 'python3':
            return _GFork.Template.new_for_runtime(runtime)

        default = cls.dup_default_for_runtime(runtime)
        template = _GFork.Template.new_for_runtime(runtime)
        if _told != (default, _get_path()):
            template._look_in(_get_path())
        return template

    @classmethod
    def new_exec_for_runtime(cls, runtime):
        template = _GFork.Template.new_exec_for_runtime(runtime)
        if runtime == 'python3':
            template._look_in(_get_path())
        return template

    @classmethod
    def dup_default_for_runtime(cls, runtime):
        global _told
        template = _GFork.Template.dup_default_for_runtime(runtime)
        if runtime == 'python3' and _told[0] is not template:
            path = _get_path()
            template._look_in(path)
            _told = template, path
        return template

    @classmethod
    def new_from_main(cls):
        """Creates a template by forking this interpreter at once, with everything that is
        imported. Functions of this program can be run and called in it.

        Raises GLib.Error with the code THREADED if the program has more than one thread, or
        FORK."""
        return _GFork.Template.new_from_main_with('python3', _fork_main)

    @staticmethod
    def set_default(template):
        global _told
        _GFork.Template.set_default(template)
        # The process that was the default one may end.
        _told = None, None

    def _look_in(self, path):
        self.eval('import gspawnfork; gspawnfork._template_here.modules.add_path(args)', path)

    require = _chain('require', _encode_name)
    send_arg = _chain('send_arg', _encode)
    send_socket = _chain('send_socket')
    send_fd_list = _chain('send_fd_list')
    send_fd = _chain('send_fd')
    take_fd = _chain('take_fd')
    map_fd = _chain('map_fd')
    set_environ = _chain('set_environ', lambda envp: list(map(_encode_path, envp)))
    setsid = _chain('setsid')
    set_limit = _chain('set_limit')
    die_with_application = _chain('die_with_application')
    confine = _chain('confine')
    setenv = _chain('setenv', _encode_path, _encode_path)
    unsetenv = _chain('unsetenv', _encode_path)
    set_cwd = _chain('set_cwd', _encode_path)

    def send_bytes(self, data):
        if not isinstance(data, GLib.Bytes):
            data = GLib.Bytes.new(data)
        super().send_bytes(data)
        return self

    def call(self, function, *args):
        """Has the template call a function with the strings: template.call('module:function',
        'a', 'b'), or with a list of them. Returns the template. What goes wrong is the error of
        its next operation."""
        super().call(_encode_name(function), _words(args))
        return self

    def eval(self, code, *args):
        """Has the template run code in its __main__, where the strings are the list `args`.
        Returns the template. What goes wrong is the error of its next operation."""
        super().eval(_encode(code), _words(args))
        return self

    def send(self, *things):
        """Sends each thing as what it is: a string, bytes, a socket, a list of descriptors, or
        any other object that has a descriptor. A file object is flushed before.

        Returns the template. Raises TypeError for anything else, also for numbers."""
        for thing in things:
            if isinstance(thing, str):
                self.send_arg(thing)
            elif isinstance(thing, (bytes, bytearray, memoryview, GLib.Bytes)):
                self.send_bytes(thing if isinstance(thing, GLib.Bytes) else bytes(thing))
            elif isinstance(thing, Gio.Socket):
                self.send_socket(thing)
            elif isinstance(thing, Gio.UnixFDList):
                self.send_fd_list(thing)
            elif isinstance(thing, int):
                raise TypeError('a number is not sent; str () makes it a string, '
                                'send_fd () takes it as a descriptor')
            elif hasattr(thing, 'fileno'):
                # What is still in a buffer belongs before what the worker writes.
                if hasattr(thing, 'flush'):
                    thing.flush()
                self.send_fd(thing.fileno())
            elif hasattr(thing, 'get_fd'):
                self.send_fd(thing.get_fd())
            else:
                raise TypeError(f'a {type(thing).__name__} cannot be sent')
        return self

    def prepare(self, cancellable=None):
        """Waits until all that the template was sent so far has been done. Raises the GLib.Error
        of what has failed."""
        return _prepare(self, cancellable)

    def wait(self, cancellable=None):
        """Waits until the template was closed, run, executed or detached. Raises GLib.Error with
        the code LOST if it has died."""
        return _await_template(self, cancellable)

    def run(self, function, cancellable=None):
        """Runs a function, and returns the communication socket, a Gio.Socket, and the
        GFork.Process."""
        return _run(self, _encode_name(function), cancellable)

    def run_async(self, function, *args, **kwargs):
        return super().run_async(_encode_name(function), *args, **kwargs)

    def execv(self, argv, flags=_GFork.ExecFlags.NONE, cancellable=None):
        """Executes a program, and returns the communication socket, a Gio.Socket, and the
        GFork.Process. The first word of the list names the program."""
        return _execv(self, _encode_argv(argv), flags, cancellable)

    def execv_async(self, argv, *args, **kwargs):
        return super().execv_async(_encode_argv(argv), *args, **kwargs)

    def detach(self, cancellable=None):
        return _detach(self, cancellable)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


Template = override(Template)
__all__.append('Template')

# The process that has called init_early().
_early_pid = None


@_export
def init_early():
    """Forks this interpreter, and makes the fork the default template for Python. Further calls
    do nothing.

    Returns True. Raises GLib.Error with the code THREADED if the program has more than one
    thread, or FORK."""
    global _early_pid
    if _early_pid != os.getpid():
        _GFork.init_early_with('python3', _fork_main)
        _early_pid = os.getpid()
    return True


_wait_for_end = _blocking(_GFork.Process, 'wait')
_wait_check = _blocking(_GFork.Process, 'wait_check')


class Process(_GFork.Process):
    def wait(self, cancellable=None):
        """Waits until the process has ended. Raises GLib.Error with the code LOST if nobody can
        know how."""
        return _wait_for_end(self, cancellable)

    def wait_check(self, cancellable=None):
        """Waits until the process has ended, and raises GLib.Error unless its exit status is
        0."""
        return _wait_check(self, cancellable)


Process = override(Process)
__all__.append('Process')


# ——— Pools ———

def _to_bytes(data):
    if isinstance(data, bytes):
        return data
    if isinstance(data, GLib.Bytes):
        return data.get_data() or b''
    return bytes(memoryview(data))


def _to_glib_bytes(data):
    return data if isinstance(data, GLib.Bytes) else GLib.Bytes.new(_to_bytes(data))


# A variant's arrays of what has no fixed size are followed by the little-endian ends of their
# elements, in as few bytes each as the whole allows. GLib.Variant() needs a call for each byte.
_WIDTHS = (1, 'B', 0xff), (2, 'H', 0xffff), (4, 'I', 0xffffffff), (8, 'Q', 0)


def _pack(requests):
    """Returns the bytes as a variant of the type `aay`."""
    body = b''.join(requests)
    n = len(requests)
    code = next(code for width, code, most in _WIDTHS
                if len(body) + n * width <= most or not most)
    ends = struct.pack(f'<{n}{code}', *itertools.accumulate(map(len, requests)))
    return GLib.Variant.new_from_bytes(GLib.VariantType('aay'), GLib.Bytes.new(body + ends),
                                       False)


def _unpack(variant):
    """Yields the pairs of a variant of the type `a(iay)`. Its elements are aligned for the
    number."""
    data = variant.get_data_as_bytes().get_data() or b''
    if not data:
        return

    width, code, _ = next(each for each in _WIDTHS if len(data) <= each[2] or not each[2])
    table = int.from_bytes(data[-width:], 'little')
    start = 0
    for end, in struct.iter_unpack(f'<{code}', data[table:]):
        number, = _NUMBER.unpack_from(data, start)
        yield number, data[start + 4:end]
        start = end + 3 & ~3


_NUMBER = struct.Struct('=i')

# A batch of jobs is made larger if it comes this soon after the one before, in seconds, and
# smaller if it takes this long.
_SOON, _LATE = 0.005, 0.02
_LARGEST_BATCH = 256


class _Batches:
    """Many jobs of a pool, which are given to it in batches."""

    def __init__(self, pool, requests, cancellable):
        self.pool = pool
        self.requests = map(_to_bytes, requests)
        self.cancellable = cancellable
        self.context = GLib.MainContext()
        self.under_way = collections.deque()
        self.n_under_way = 0
        self.size = 1
        self.last = time.monotonic()

    def fill(self):
        """Starts as many jobs as keep the workers busy."""
        props = self.pool.props
        enough = 2 * props.max_workers * props.jobs_in_flight
        while self.n_under_way < max(enough, 2 * self.size):
            requests = list(itertools.islice(self.requests, self.size))
            if not requests:
                return
            results = {}
            self.context.push_thread_default()
            try:
                self.pool.call_many_async(_pack(requests), self.cancellable,
                                          functools.partial(operator.setitem, results))
            finally:
                self.context.pop_thread_default()
            self.under_way.append((len(requests), results))
            self.n_under_way += len(requests)

    def take(self):
        """Waits for the oldest batch, and returns its results."""
        n, results = self.under_way.popleft()
        _iterate_until(self.context, lambda: results)
        result, = results.values()
        self.n_under_way -= n

        now = time.monotonic()
        if now - self.last < _SOON:
            self.size = min(2 * self.size, _LARGEST_BATCH)
        elif now - self.last > _LATE:
            self.size = max(self.size // 2, 1)
        self.last = now
        return self.pool.call_many_finish(result)

    def cancel(self):
        self.cancellable.cancel()
        for _, results in self.under_way:
            _iterate_until(self.context, lambda: results)


class Pool(_GFork.Pool):
    def start(self, cancellable=None):
        return super().start(cancellable)

    def stop(self, cancellable=None):
        return super().stop(cancellable)

    def replace(self, template, cancellable=None):
        return super().replace(template, cancellable)

    def call(self, request, cancellable=None):
        """Has a worker do one job. The request is bytes, or an object with the buffer protocol.

        Returns the reply as bytes. Raises the GLib.Error of g_fork_pool_call_finish()."""
        return super().call(_to_glib_bytes(request), cancellable).get_data() or b''

    def call_async(self, request, *args, **kwargs):
        return super().call_async(_to_glib_bytes(request), *args, **kwargs)

    def map(self, requests, cancellable=None, return_exceptions=False):
        """Has the workers do many jobs, and yields the replies as bytes, in the order of the
        requests. It is the fastest way for small jobs, above all if jobs_in_flight is more than
        1.

        The requests are taken from any iterable, a few more than the workers are doing. If a
        job fails, its GLib.Error is raised, or, with return_exceptions, yielded instead of a
        reply. When the iteration is given up, the jobs that are under way are cancelled."""
        own = Gio.Cancellable()
        handler = _connect(cancellable, own)
        batches = _Batches(self, requests, own)
        try:
            batches.fill()
            while batches.under_way:
                replies = batches.take()
                batches.fill()
                for code, data in _unpack(replies):
                    if code < 0:
                        yield data
                        continue
                    error = GLib.Error.new_literal(_GFork.error_quark(), data.decode(), code)
                    if not return_exceptions:
                        raise error
                    yield error
        finally:
            batches.cancel()
            _disconnect(cancellable, handler)

    def acquire(self, cancellable=None):
        """Borrows a worker. In a `with` statement, the worker is released at the end, or
        discarded if there was an exception."""
        return super().acquire(cancellable)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exception):
        self.stop()


Pool = override(Pool)
__all__.append('Pool')


class Loan(_GFork.Loan):
    def __enter__(self):
        return self

    def __exit__(self, kind, *rest):
        if kind is None:
            self.release()
        else:
            self.discard()


Loan = override(Loan)
__all__.append('Loan')
