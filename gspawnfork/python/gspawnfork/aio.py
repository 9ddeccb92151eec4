# aio.py: GFork's operations, to be awaited on any event loop of asyncio
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

"""GFork's operations as coroutines, for any event loop of asyncio.

    import asyncio

    from gi.repository import GFork
    from gspawnfork import aio

    async def main():
        template = GFork.Template.new_python().require('my_worker')
        sock, process = await aio.run(template, 'my_worker:serve')
        reader, writer = await asyncio.open_unix_connection(sock=sock)
        ...
        print(await aio.wait(process))

    asyncio.run(main())

A coroutine raises the GLib.Error of the method of GFork that has the same name. If the task
that awaits it is cancelled, the operation is cancelled. For run() and execv(), that ends the
process.

A job of pool_call() whose task is cancelled ends its worker, which the pool replaces. So this
sets a time limit: await asyncio.wait_for(aio.pool_call(pool, request), 5)

There are no coroutines for the methods start(), stop(), replace(), acquire() and map() of a
pool. Call them in a thread: await asyncio.to_thread(pool.start)

The signals of a pool are emitted in the main context in which it was made, and its list changes
there. A program that has only an event loop of asyncio does not iterate that, and does not get
them.

No main loop of GLib's is needed. One thread iterates a main context for all operations. It is
started with the first operation. After that, the program can no longer be forked by
GFork.Template.new_from_main().
"""

import asyncio
import atexit
import os
import socket
import threading

__all__ = ['communicate', 'detach', 'execv', 'pool_call', 'prepare', 'run', 'wait']


async def prepare(template):
    """Waits until all commands that the template was sent so far have succeeded."""
    await _operate(template.prepare_async, template.prepare_finish)


async def run(template, function):
    """Runs a function in the template.

    Returns the communication socket, a non-blocking socket.socket, and the GFork.Process."""
    return await _operate(
        lambda *rest: template.run_async(function, *rest),
        lambda result: _take_worker(template.run_finish(result)),
        _end_worker)


async def execv(template, argv, flags=0):
    """Executes a program in the template. The flags are those of GFork.ExecFlags.

    Returns the communication socket, a non-blocking socket.socket, and the GFork.Process."""
    from gi.repository import GFork

    return await _operate(
        lambda *rest: template.execv_async(argv, GFork.ExecFlags(flags), *rest),
        lambda result: _take_worker(template.execv_finish(result)),
        _end_worker)


async def detach(template):
    """Takes the control socket out of the template, so that another process can take the
    template over.

    Returns a non-blocking socket.socket."""
    return await _operate(
        template.detach_async,
        lambda result: _take_socket(template.detach_finish(result)),
        socket.socket.close)


async def wait(process):
    """Waits until a GFork.Process has ended, or a GFork.Template is none any more.

    Returns the exit status of a process, or the negative number of the signal that has killed
    it, like subprocess.Popen.returncode. Returns None for a template that was closed, run,
    executed or detached, and raises GLib.Error with the code LOST for one that has died.

    If the task is cancelled, the process goes on: process.force_exit() ends it."""
    await _operate(process.wait_async, process.wait_finish)
    if hasattr(process, 'get_wait_status'):
        return os.waitstatus_to_exitcode(process.get_wait_status())
    return None


async def communicate(process, data=None):
    """Writes the data to the standard input of a program, reads its standard output and error
    until their ends, and waits until it has ended. Its streams are pipes by the flags STDIN_PIPE,
    STDOUT_PIPE and STDERR_PIPE of execv().

    Returns what was read from standard output and standard error, as bytes; None for a stream
    that is no pipe. If the task is cancelled, the program goes on."""
    from gi.repository import GLib

    if data is not None and not isinstance(data, GLib.Bytes):
        data = GLib.Bytes.new(bytes(memoryview(data)))
    return await _operate(
        lambda *rest: process.communicate_async(data, *rest),
        lambda result: tuple(None if output is None else output.get_data() or b''
                             for output in process.communicate_finish(result)[1:]))


async def pool_call(pool, request):
    """Has a worker of a GFork.Pool do one job.

    The request is bytes, or an object with the buffer protocol. Returns the reply as bytes."""
    return await _operate(
        lambda *rest: pool.call_async(request, *rest),
        lambda result: bytes(pool.call_finish(result).get_data() or b''))


def _take_worker(pair):
    gsocket, process = pair
    return _take_socket(gsocket), process


def _take_socket(gsocket):
    sock = socket.socket(fileno=os.dup(gsocket.get_fd()))
    gsocket.close()
    sock.setblocking(False)
    return sock


def _end_worker(pair):
    """Ends a worker that nobody has received."""
    sock, process = pair
    sock.close()
    process.force_exit()


async def _operate(start, finish, discard=lambda value: None):
    """Starts an operation in the thread, and returns what finish() makes of its result.
    Calls discard() with a value that comes after the task was cancelled."""
    from gi.repository import Gio

    loop = asyncio.get_running_loop()
    future = loop.create_future()
    cancellable = Gio.Cancellable()

    def settle(value, error):
        if future.cancelled():
            if error is None:
                discard(value)
        elif error is None:
            future.set_result(value)
        else:
            future.set_exception(error)

    def on_finished(source, result, *data):
        value = error = None
        try:
            value = finish(result)
        except Exception as raised:
            error = raised
        hand_over(value, error)

    def hand_over(value, error):
        try:
            loop.call_soon_threadsafe(settle, value, error)
        except RuntimeError:
            # The event loop was closed meanwhile.
            if error is None:
                discard(value)

    def begin():
        try:
            start(cancellable, on_finished)
        except Exception as error:
            hand_over(None, error)

    _get_thread().call(begin)
    try:
        return await future
    except asyncio.CancelledError:
        cancellable.cancel()
        # The result may have come while the task was about to be cancelled.
        if future.done() and not future.cancelled() and future.exception() is None:
            discard(future.result())
        raise


class _Thread:
    """The thread that iterates the main context of all operations."""

    def __init__(self):
        from gi.repository import GLib

        self.context = GLib.MainContext()
        self.loop = GLib.MainLoop.new(self.context, False)
        self.thread = threading.Thread(target=self.iterate, name='gspawnfork.aio', daemon=True)
        self.thread.start()

    def iterate(self):
        self.context.push_thread_default()
        self.loop.run()
        self.context.pop_thread_default()

    def call(self, function):
        from gi.repository import GLib

        source = GLib.Idle()
        source.set_priority(GLib.PRIORITY_DEFAULT)
        source.set_callback(lambda *data: function() or GLib.SOURCE_REMOVE)
        source.attach(self.context)

    def stop(self):
        self.call(self.loop.quit)
        self.thread.join()


_thread = None
_lock = threading.Lock()


def _get_thread():
    global _thread

    with _lock:
        if _thread is None:
            _thread = _Thread()
            atexit.register(_thread.stop)
        return _thread


def _forget_thread():
    """Is called in a fork of the application, which does not have the thread."""
    global _thread, _lock

    if _thread is not None:
        atexit.unregister(_thread.stop)
    _thread = None
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forget_thread)
