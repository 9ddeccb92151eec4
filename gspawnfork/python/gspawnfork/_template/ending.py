# ending.py: how templates and workers leave
#
# They leave as any Python program, but that nothing is destroyed which was there when the
# process was forked, and that what was registered before with atexit is left to the
# process that has registered it. A file that the template has opened may have been
# written to in the worker, so all files are flushed.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import _io
import _signal
import atexit
import functools
import gc
import os
import sys
import types
import weakref

from .signals import unblock_all

STREAMS_NOT_FLUSHED = 120

BUFFERED = _io.BufferedWriter, _io.BufferedRandom, _io.BufferedRWPair
WITHOUT_OUTPUT = {_io.FileIO, _io.BufferedReader, _io.BytesIO, _io.StringIO}


class Files:
    """The file objects that exist."""

    def __init__(self):
        self.frozen = []

    def flush(self):
        flush_files(self.find())

    def find(self):
        files = [file for file in (reference() for reference in self.frozen)
                 if file is not None]
        # What is frozen is not among these.
        files += [thing for thing in gc.get_objects()
                  if issubclass(type(thing), _io._IOBase) and type(thing) not in WITHOUT_OUTPUT]
        return files

    def flush_and_freeze(self):
        """Is called before a fork, so that nothing is written twice. It also hides all
        objects from the garbage collector, which would write to the memory that the forks
        share."""
        files = self.find()
        flush_files(files)
        self.frozen = [weakref.ref(file) for file in files]
        del files
        gc.freeze()


def flush_files(files):
    """Flushes all files, first those that write to others."""
    for file in sorted(files, key=lambda file: isinstance(file, BUFFERED)):
        if file is sys.stdout or file is sys.stderr:
            continue
        try:
            file.flush()
        except Exception:
            # It is closed, or nobody takes it: Python says nothing either.
            pass


def flush_streams(quietly):
    """Flushes standard output and standard error. Unless @quietly is set, prints why that
    has failed, as Python does. Returns whether it has succeeded."""
    flushed = True
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except AttributeError:
            pass
        except Exception as error:
            flushed = False
            if not quietly and stream is sys.stdout:
                report_unflushed(stream, error)
    return flushed


def report_unflushed(stream, error):
    import traceback

    try:
        text = ''.join(traceback.format_exception_only(type(error), error))
        # In the words of the interpreter, which have changed
        what = 'on flushing sys.stdout:' if sys.version_info >= (3, 13) else f'in: {stream!r}'
        sys.stderr.write(f'Exception ignored {what}\n{text}')
    except Exception:
        pass


class Ending:
    """How this process ends."""

    def __init__(self, files, clibrary):
        self.files = files
        self.clibrary = clibrary
        self.status = 0
        self.interrupted = False

        self.barrier = ()       # handlers that are for forks,
        self.raised_by = -1     # and the process that has registered them

    def raise_barrier(self):
        """Is called before a fork if code of a module has run. Handlers run in the reverse order
        of their registration, and the first of these does not return. So a fork runs only
        handlers that it has registered itself."""
        self.lower_barrier()
        # Partial objects are equal to nothing else that was registered.
        self.barrier = [functools.partial(self.leave_now)]

        # It cares for the queues and processes of this process alone.
        util = sys.modules.get('multiprocessing.util')
        processes = sys.modules.get('multiprocessing.process')
        if util is not None and not getattr(processes, '_children', True):
            self.barrier.append(functools.partial(util._exit_function))

        # Finalizers are run by one handler, which may be registered already.
        registry = getattr(weakref.finalize, '_registry', None)
        if registry is not None:
            self.barrier.append(functools.partial(run_finalizers, list(registry)))
        self.raised_by = os.getpid()
        for handler in self.barrier:
            atexit.register(handler)

    def lower_barrier(self):
        if self.raised_by == os.getpid():
            for handler in self.barrier:
                atexit.unregister(handler)

    def leave(self, status):
        """Runs the exit handlers of this process, and ends it."""
        self.status = status
        self.lower_barrier()
        try:
            atexit._run_exitfuncs()
        except BaseException:
            # They have been reported.
            pass
        self.leave_now()

    def leave_now(self):
        if not flush_streams(False):
            self.status = STREAMS_NOT_FLUSHED
        self.files.flush()
        self.clibrary.look()
        self.clibrary.flush()
        if self.interrupted:
            # So that a shell knows.
            _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
            os.kill(os.getpid(), _signal.SIGINT)
        os._exit(self.status)


def run_finalizers(of_template):
    for finalizer in of_template:
        finalizer.atexit = False
    weakref.finalize._exitfunc()


def run(function, sock, args, ending):
    """Enters the function of the worker, and ends the process with its result."""
    status = 0
    try:
        # From here on, an exception of a signal's handler is the worker's.
        unblock_all()
        result = function(sock, *args)
        if isinstance(result, types.CoroutineType):
            import asyncio
            result = asyncio.run(result)
        if result is not None:
            sys.exit(result)
    except SystemExit as leaving:
        code = leaving.code
        if code is None:
            status = 0
        elif isinstance(code, int):
            status = code & 0xff
        else:
            print(code, file=sys.stderr)
            status = 1
    except BaseException as error:
        ending.interrupted = isinstance(error, KeyboardInterrupt)
        # The runtime's own frames are nobody's concern.
        error = error.with_traceback(error.__traceback__.tb_next)
        sys.excepthook(type(error), error, error.__traceback__)
        status = 1

    if 'threading' in sys.modules:
        try:
            sys.modules['threading']._shutdown()
        except BaseException as error:
            sys.excepthook(type(error), error, error.__traceback__)
    ending.leave(status)
