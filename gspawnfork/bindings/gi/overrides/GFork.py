# GFork.py: what makes the library feel at home in Python
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import functools
import os
import socket as _socket
import sys

from gi.module import get_introspection_module
from gi.overrides import override
from gi.repository import Gio, GLib

_GFork = get_introspection_module('GFork')

__all__ = []


def _export(thing):
    __all__.append(thing.__name__)
    return thing


# Workers in Python are run by the interpreter that runs the application, if that is
# one: a program that embeds Python is not.
_interpreter = None


def _is_interpreter(path):
    return bool(path) and os.path.basename(path).startswith('python')


def _choose_interpreter(path):
    global _interpreter
    _interpreter = path
    _GFork.set_interpreter('python3', path)


if _is_interpreter(sys.executable):
    _choose_interpreter(sys.executable)


@_export
def set_interpreter(runtime, interpreter):
    """Names the program that interprets the modules of a runtime."""
    if runtime == 'python3':
        _choose_interpreter(interpreter)
    else:
        _GFork.set_interpreter(runtime, interpreter)


@_export
def python_socket(socket):
    """Makes a Gio.Socket, which is closed, a socket.socket that waits."""
    result = _socket.socket(fileno=os.dup(socket.get_fd()))
    socket.close()
    result.setblocking(True)
    return result


def _words(args):
    """The strings of `call ('f', 'a', 'b')` as of `call ('f', ['a', 'b'])`."""
    if len(args) == 1 and (args[0] is None or not isinstance(args[0], str)):
        return list(args[0] or ())
    return list(args)


def _chain(name):
    method = getattr(_GFork.Template, name)

    @functools.wraps(method)
    def chained(self, *args, **kwargs):
        method(self, *args, **kwargs)
        return self

    return chained


class Template(_GFork.Template):
    def __init__(self, **properties):
        super().__init__(**properties)
        if properties.get('runtime') == 'python3':
            self._hand_over_path()

    @classmethod
    def new_python(cls):
        """A template that is a Python interpreter, and finds what this one finds."""
        return cls.new_for_runtime('python3')

    @classmethod
    def new_for_runtime(cls, runtime):
        template = _GFork.Template.new_for_runtime(runtime)
        if runtime == 'python3':
            template._hand_over_path()
        return template

    def _hand_over_path(self):
        # Another interpreter's modules are not this one's.
        path = sys.path if _interpreter == sys.executable else sys.path[:1]
        self.eval('import gspawnfork; gspawnfork._template_here.modules.add_path(args)',
                  [os.path.abspath(directory) for directory in path])

    require = _chain('require')
    send_arg = _chain('send_arg')
    send_socket = _chain('send_socket')
    send_fd_list = _chain('send_fd_list')
    send_fd = _chain('send_fd')
    take_fd = _chain('take_fd')
    map_fd = _chain('map_fd')
    set_environ = _chain('set_environ')
    setsid = _chain('setsid')
    set_limit = _chain('set_limit')
    die_with_application = _chain('die_with_application')
    setenv = _chain('setenv')
    unsetenv = _chain('unsetenv')
    set_cwd = _chain('set_cwd')

    def send_bytes(self, data):
        if not isinstance(data, GLib.Bytes):
            data = GLib.Bytes.new(data)
        super().send_bytes(data)
        return self

    def call(self, function, *args):
        super().call(function, _words(args))
        return self

    def eval(self, code, *args):
        super().eval(code, _words(args))
        return self

    def send(self, *things):
        """Sends each as what it is: strings, bytes, sockets, and whatever else has a
        descriptor."""
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
        return super().prepare(cancellable)

    def run(self, function, cancellable=None):
        """Returns the communication socket and the process."""
        return super().run(function, cancellable)

    def execv(self, argv, flags=_GFork.ExecFlags.NONE, cancellable=None):
        return super().execv([os.fspath(word) for word in argv], flags, cancellable)

    def detach(self, cancellable=None):
        return super().detach(cancellable)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


Template = override(Template)
__all__.append('Template')


class Process(_GFork.Process):
    def wait(self, cancellable=None):
        return super().wait(cancellable)

    def wait_check(self, cancellable=None):
        return super().wait_check(cancellable)


Process = override(Process)
__all__.append('Process')


class Pool(_GFork.Pool):
    def start(self, cancellable=None):
        return super().start(cancellable)

    def stop(self, cancellable=None):
        return super().stop(cancellable)

    def replace(self, template, cancellable=None):
        return super().replace(template, cancellable)

    def call(self, request, cancellable=None):
        """Has a worker do a job, and returns its reply, both bytes."""
        if not isinstance(request, GLib.Bytes):
            request = GLib.Bytes.new(bytes(request))
        return super().call(request, cancellable).get_data() or b''

    def acquire(self, cancellable=None):
        """A worker on loan. With `with`, it is released at the end, and discarded if there
        was an exception."""
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
