# python3.py: the template process for modules in Python: a template that is an interpreter
#
# It does what serve/serve.c does for modules in C, command by command, with nothing
# but the standard library; docs/runtimes.md tells the protocol. What it imports is
# there in every worker, so it is little. After a fork, every page that is written to
# costs a fault, and to use an object is to write to it, so the way from a fork to the
# run goes past the wrappers that the standard library has around its own C code, what
# can be done in the template is, and the code is rehearsed there.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import _signal
import _socket
import atexit
import errno
import fcntl
import gc
import importlib
import itertools
import mmap
import operator
import os
import resource
import select
import signal
import socket
import stat
import struct
import sys
import time
import types

PROTOCOL_VERSION = 1
SERVE_OPTION = '--gspawnfork-serve'

(REQUIRE, CALL, EVAL, ARG, ARG_FD, ARG_MEMFD, SETENV, UNSETENV, CHDIR, MAP_FD,
 MODULE_PATH, FORK, SYNC, RUN, EXEC, KILL, CLOSE) = range(1, 18)
READY, SYNCED, ERROR, EXITED, HELLO = range(64, 69)

SOL_SOCKET, SCM_RIGHTS = _socket.SOL_SOCKET, _socket.SCM_RIGHTS
MSG_DONTWAIT, MSG_NOSIGNAL = _socket.MSG_DONTWAIT, _socket.MSG_NOSIGNAL
MSG_CMSG_CLOEXEC, MSG_CTRUNC = _socket.MSG_CMSG_CLOEXEC, _socket.MSG_CTRUNC

# The codes of GForkError.
(FAILED, SPAWN, FORK_FAILED, THREADED, MODULE, FUNCTION, CALL_FAILED, EXEC_FAILED,
 LOST, PROTOCOL, NOT_SUPPORTED, CLOSED) = range(12)

HEADER = struct.Struct('=IBBH')
PID = struct.Struct('=iI')
ERROR_HEAD = struct.Struct('=II')
EXITED_BODY = struct.Struct('=IiqqQ')
MEMFD = struct.Struct('=QII')
ID = struct.Struct('=I')
TARGET = struct.Struct('=i')
READY_FRAME = struct.Struct('=IBBHiI')
KILL_BODY = struct.Struct('=Ii')

MAX_PAYLOAD = 16 * 1024 * 1024
MAX_FDS = 253
READ_SIZE = 16 * 1024
MAX_QUEUED_FDS = 16 * MAX_FDS
MAX_SUBJECT = 4096
MAX_REASON = 4096
CONTROL_SIZE = socket.CMSG_SPACE(MAX_FDS * struct.calcsize('i'))

# What follows it in a reason is not translated.
DETAIL = '\x1f'

SOCKET_STDIN = 1 << 0
SEARCH_PATH = 1 << 3

ALL_SEALS = 0xf

WRITE_ONLY = os.O_WRONLY | os.O_CLOEXEC

# A thread that was joined is still listed for a moment.
PATIENCE_MS = 50

# Code that CPython has run so often is as it stays.
REHEARSALS = 12

# Takes two arguments, does nothing, and is no code that the interpreter has to run.
ignore_signal = operator.is_


class Failure(Exception):
    """Why something did not work: a code, and a fact without a sentence around it."""

    def __init__(self, code, reason):
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Report:
    """What everyone is told who asks a template in which a command has failed."""

    def __init__(self, code, verb, subject, reason):
        self.code = code
        self.verb = verb
        self.subject = subject.split(b'\0')[0][:MAX_SUBJECT]
        self.reason = os.fsencode(reason).replace(b'\0', b'?')[:MAX_REASON]

    def to_frame(self):
        payload = (ERROR_HEAD.pack(self.code, self.verb)
                   + self.subject + b'\0' + self.reason + b'\0')
        return HEADER.pack(len(payload), ERROR, 0, 0) + payload


# ——— The process ———

class Title:
    """What ps and top show. Written through /proc, as it takes no ctypes."""

    def __init__(self):
        try:
            with open('/proc/self/stat', 'rb') as file:
                # The name in field 2 may hold anything, even parentheses.
                fields = file.read().rpartition(b')')[2].split()
            self.start, self.end = int(fields[45]), int(fields[46])
        except (OSError, ValueError, IndexError):
            self.start = self.end = 0

    def compose(self, what, parent):
        """The name and the command line."""
        size = max(self.end - self.start, 1)
        # A last byte that is no NUL would show the environment as well.
        text = b'gspawnfork: %s [%d]' % (what, parent)
        return what[:15], text[:size - 1].ljust(size, b'\0')

    def set(self, name, text):
        try:
            fd = os.open('/proc/self/comm', WRITE_ONLY)
            os.write(fd, name)
            os.close(fd)
            if self.start:
                fd = os.open('/proc/self/mem', WRITE_ONLY)
                os.pwrite(fd, text, self.start)
                os.close(fd)
        except OSError:
            pass


def list_threads():
    """The names of all threads but this one, or the reason why they are not known."""
    names = {}
    if 'threading' in sys.modules:
        names = {thread.native_id: thread.name
                 for thread in sys.modules['threading'].enumerate()}

    try:
        tasks = os.listdir('/proc/self/task')
    except OSError as error:
        return [f'/proc/self/task: {error.strerror}']

    threads = []
    for task in tasks:
        if int(task) == os.getpid():
            continue
        if int(task) in names:
            threads.append(names[int(task)])
            continue
        try:
            with open(f'/proc/self/task/{task}/comm', encoding='utf-8',
                      errors='replace') as file:
                threads.append(file.read().rstrip('\n'))
        except OSError:
            threads.append(task)
    return threads


def wait_for_threads():
    """The threads that are there, after those that are about to end have ended."""
    for _ in range(PATIENCE_MS):
        try:
            # The directory has a link for each of them and two of its own.
            if os.stat('/proc/self/task').st_nlink == 3:
                return []
        except OSError:
            break
        if not list_threads():
            return []
        time.sleep(0.001)
    return list_threads()


def close_all_but(keep):
    """Closes everything from 3 up but these."""
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
        there = range(first, end or min(os.sysconf('SC_OPEN_MAX'), 65536))
    for fd in there:
        if fd >= first and (end is None or fd < end):
            try:
                os.close(fd)
            except OSError:
                pass


def flush_streams():
    """What was printed is printed once, not by every fork."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass


# ——— What was sent for the run ———

class Bytes:
    """A string or bytes."""

    fd = -1

    def __init__(self, kind, data):
        self.kind = kind
        self.data = data

    def open(self):
        return os.fsdecode(self.data) if self.kind == b's' else self.data

    def close(self):
        pass


class Descriptor:
    def __init__(self, fd):
        self.fd = fd

    def open(self):
        """A socket, or an unbuffered file that is opened as the descriptor is."""
        if stat.S_ISSOCK(os.fstat(self.fd).st_mode):
            sock = socket.socket(fileno=self.fd)
            # Whether it waits is a property that all share who have it.
            if fcntl.fcntl(self.fd, fcntl.F_GETFL) & os.O_NONBLOCK:
                sock.setblocking(False)
            return sock

        access = fcntl.fcntl(self.fd, fcntl.F_GETFL) & os.O_ACCMODE
        mode = {os.O_RDONLY: 'rb', os.O_WRONLY: 'wb'}.get(access, 'r+b')
        try:
            return open(self.fd, mode, buffering=0)
        except OSError:
            # There is no such object of a directory.
            return self.fd

    def close(self):
        os.close(self.fd)


class Memory:
    """Bytes in memory that nobody can write to. Forks share it until it is used."""

    def __init__(self, kind, fd, length):
        self.kind = kind
        self.fd = fd
        self.length = length

    @property
    def data(self):
        with mmap.mmap(self.fd, self.length + 1, mmap.MAP_PRIVATE, mmap.PROT_READ) as memory:
            return memory[:self.length]

    def open(self):
        data = self.data
        self.close()
        return Bytes(self.kind, data).open()

    def close(self):
        os.close(self.fd)


# ——— The modules ———

class Modules:
    """What was loaded, and where it is looked for."""

    def __init__(self):
        self.newest_first = []
        self.by_path = {}
        self.own_path = self.known_path = list(sys.path)
        self.told = []
        self.set_path([])

    def set_path(self, directories):
        """Takes the directories that come before all others."""
        self.told = directories
        path = self.told + os.environ.get('GFORK_MODULE_PATH', '').split(':')
        path = [directory for directory in path if directory.startswith('/')]
        # What the code here has added itself stays.
        added = [directory for directory in sys.path if directory not in self.known_path]
        self.known_path = path + self.own_path
        sys.path[:] = list(dict.fromkeys(path + added + self.own_path))
        importlib.invalidate_caches()

    def add_path(self, directories):
        """Looks where the application, which is in Python, looks."""
        self.own_path = list(dict.fromkeys(list(directories) + self.own_path))
        self.set_path(self.told)

    def load_file(self, path):
        import importlib.util
        import importlib.machinery

        if path not in self.by_path:
            name = os.path.splitext(os.path.basename(path))[0]
            loader = importlib.machinery.SourceFileLoader(name, path)
            spec = importlib.util.spec_from_loader(name, loader)
            module = importlib.util.module_from_spec(spec)
            # Some look themselves up while they are being loaded.
            sys.modules.setdefault(name, module)
            try:
                loader.exec_module(module)
            except BaseException:
                if sys.modules.get(name) is module:
                    del sys.modules[name]
                raise
            self.by_path[path] = module
        return self.by_path[path]

    def require(self, name):
        try:
            if name.startswith('/'):
                module = self.load_file(name)
            else:
                module = importlib.import_module(name)
        except BaseException as error:
            raise Failure(MODULE, describe(error)) from error
        if module not in self.newest_first:
            self.newest_first.insert(0, module)
        return module

    def is_loaded(self, name):
        return name in (self.by_path if name.startswith('/') else sys.modules)

    def find(self, function):
        """`name` in the modules or what was evaluated, or `module:name`."""
        module, colon, name = function.rpartition(':')
        places = [self.require(module)] if colon else self.newest_first + [sys.modules['__main__']]
        try:
            found = next((getattr(place, name) for place in places if hasattr(place, name)), None)
        except Exception as error:
            # Modules may have a __getattr__() of their own.
            raise Failure(FUNCTION, describe(error)) from error
        if colon:
            reason = 'the module does not export it'
        else:
            reason = ('no loaded module exports it' if self.newest_first
                      else 'no module is loaded')
        if not callable(found):
            raise Failure(FUNCTION, reason)
        return found


def describe(error):
    """An exception in one line: its type, its message and where it comes from."""
    text = type(error).__name__
    try:
        message = str(error)
    except Exception:
        message = ''
    if message:
        text += f': {message}'

    # A syntax error says itself where it is.
    if not isinstance(error, SyntaxError):
        traceback = error.__traceback__
        place = None
        while traceback is not None:
            file = traceback.tb_frame.f_code.co_filename
            if file != __file__ and not file.startswith('<frozen importlib'):
                place = f'{file}, line {traceback.tb_lineno}'
            traceback = traceback.tb_next
        if place is not None:
            text += f' ({place})'
    return text.replace(DETAIL, ' ')


# ——— The template ———

class Template:
    def __init__(self, sock, title, modules):
        self.socket = sock
        self.title = title
        self.modules = modules
        self.pid = os.getpid()

        self.forked = False
        self.forked_just_now = False
        self.closed = False             # no more commands will come, but for KILL
        self.report = None              # what has failed
        self.unknown_code_ran = True    # since the threads were counted

        self.data = b''                 # read ahead; in pieces, it is a bytearray
        self.at = 0                     # what of it has been done
        self.fds = []
        self.out = bytearray()          # answers that the socket did not take yet

        self.arguments = []
        self.placements = []            # descriptors, and where they are wanted

        self.parent = None
        self.hint = None                # the RUN that the forks are likely to be told
        self.prepared = None            # the function and the title for that, …
        self.preparer = None            # … if this is the parent
        self.rehearsed = False
        self.reseed = None              # what has random numbers of its own

        self.children = {}              # pid → id
        self.wake = None                # what is read, and what SIGCHLD writes to
        self.poll = None

    # Leaving

    def leave(self, status):
        # In a fork, the handlers are another process's.
        if not self.forked:
            atexit._run_exitfuncs()
        flush_streams()
        os._exit(status)

    def give_up(self, reason, code=PROTOCOL):
        self.report = Report(code, 0, b'', reason)
        self.answer_failure()
        self.leave(1)

    # Answers

    def fail(self, code, verb, subject, reason):
        """Records the first thing that went wrong."""
        if self.report is None:
            self.report = Report(code, verb, subject, reason)

    def flush(self, flags=0):
        while self.out:
            try:
                n = self.socket.send(self.out, flags | MSG_NOSIGNAL)
            except BlockingIOError:
                return
            except OSError:
                # The end of file will be read in time.
                n = len(self.out)
            del self.out[:n]

    def answer(self, verb, payload):
        """Sends an answer, or keeps it until the socket takes it."""
        self.out += HEADER.pack(len(payload), verb, 0, 0) + payload
        self.flush(MSG_DONTWAIT)

    def answer_failure(self):
        self.out += self.report.to_frame()
        self.flush()

    def answer_ready(self):
        """Tells who this process is, with a descriptor that no later one answers to.
        If there is nobody to take it, there is nobody to run for."""
        if self.out:
            self.flush()
        pid = os.getpid()
        fd = -1
        try:
            fd = os.pidfd_open(pid)
            self.socket.sendmsg((READY_FRAME.pack(PID.size, READY, 1, 0, pid, 0),),
                                ((SOL_SOCKET, SCM_RIGHTS, TARGET.pack(fd)),), MSG_NOSIGNAL)
        except (AttributeError, OSError):
            # It can be done without.
            try:
                self.socket.send(READY_FRAME.pack(PID.size, READY, 0, 0, pid, 0), MSG_NOSIGNAL)
            except OSError:
                self.leave(0)
        if fd >= 0:
            os.close(fd)

    # Preparing

    def on_require(self, payload, fds):
        name = payload.split(b'\0')[0]
        self.expect_unknown_code()
        try:
            self.modules.require(os.fsdecode(name))
        except Failure as failure:
            self.fail(failure.code, REQUIRE, name, failure.reason)

    def on_call(self, payload, fds):
        name, *args = payload[:-1].split(b'\0')
        self.expect_unknown_code()
        try:
            function = self.modules.find(os.fsdecode(name))
            self.call(CALL, name, function, *map(os.fsdecode, args))
        except Failure as failure:
            self.fail(failure.code, CALL, name, failure.reason)

    def on_eval(self, payload, fds):
        code, *args = payload[:-1].split(b'\0')
        main = sys.modules['__main__'].__dict__
        main['args'] = list(map(os.fsdecode, args))
        self.expect_unknown_code()
        self.call(EVAL, code,
                  lambda: exec(compile(code, '<eval>', 'exec', dont_inherit=True), main))

    def expect_unknown_code(self):
        self.unknown_code_ran = True
        self.prepared = None

    def call(self, verb, subject, function, *args):
        self.offered = True
        try:
            function(*args)
        except BaseException as error:
            self.fail(CALL_FAILED, verb, subject, describe(error))
        finally:
            self.offered = False

    offered = False

    def take_args(self):
        """Inside a call: the arguments sent so far, which are then not passed to the run."""
        if not self.offered:
            return []
        taken, self.arguments = self.arguments, []
        return [argument.open() for argument in taken]

    def on_arg(self, payload, fds):
        self.arguments.append(Bytes(payload[:1], payload[1:]))

    def on_arg_fd(self, payload, fds):
        self.arguments += map(Descriptor, fds)
        fds.clear()

    def on_arg_memfd(self, payload, fds):
        length, kind, _ = MEMFD.unpack_from(payload)
        fd = fds.pop()
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size <= length:
            os.close(fd)
            self.fail(FAILED, ARG_MEMFD, b'', 'the shared memory is shorter than it should be'
                      f'{DETAIL}{length}')
            return

        memory = Memory(bytes([kind & 0xff]), fd, length)
        try:
            sealed = fcntl.fcntl(fd, fcntl.F_GET_SEALS) & ALL_SEALS == ALL_SEALS
        except (AttributeError, OSError):
            sealed = False
        if sealed:
            self.arguments.append(memory)
            return

        # Somebody could still write to it.
        data = bytearray()
        while len(data) < length:
            piece = os.pread(fd, min(length - len(data), 1 << 30), len(data))
            if not piece:
                break
            data += piece
        os.close(fd)
        if len(data) < length:
            self.fail(FAILED, ARG_MEMFD, b'', os.strerror(errno.ENODATA))
        else:
            self.arguments.append(Bytes(memory.kind, bytes(data)))

    def on_setenv(self, payload, fds):
        variable, *rest = payload.split(b'\0')
        if len(rest) < 2:
            self.fail(PROTOCOL, SETENV, variable, '')
            return
        try:
            os.environb[variable] = rest[0]
        except (OSError, ValueError):
            self.fail(FAILED, SETENV, variable, os.strerror(errno.EINVAL))

    def on_unsetenv(self, payload, fds):
        variable = payload.split(b'\0')[0]
        if not variable or b'=' in variable:
            self.fail(FAILED, UNSETENV, variable, os.strerror(errno.EINVAL))
        else:
            os.environb.pop(variable, None)

    def on_chdir(self, payload, fds):
        directory = payload.split(b'\0')[0]
        try:
            os.chdir(directory)
        except OSError as error:
            self.fail(FAILED, CHDIR, directory, error.strerror)

    def on_map_fd(self, payload, fds):
        target, = TARGET.unpack_from(payload)
        fd = fds.pop()
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if target < 0 or (limit != resource.RLIM_INFINITY and target >= limit):
            reason = ('RLIMIT_NOFILE does not let the process have that number'
                      f'{DETAIL}{limit}')
        elif any(target == other for _, other in self.placements):
            reason = f'a descriptor is asked for twice{DETAIL}{target}'
        else:
            self.placements.append([fd, target])
            return
        os.close(fd)
        self.fail(FAILED, MAP_FD, b'%d' % target, reason)

    def on_module_path(self, payload, fds):
        self.modules.set_path(os.fsdecode(payload.split(b'\0')[0]).split(':'))
        self.prepared = None

    # Forking

    def refuse_child(self, child_id, sock, report):
        """Answers in place of the process that there will not be. First reports that it
        will never end, so that nobody who has the answer waits for that."""
        self.answer(EXITED, EXITED_BODY.pack(child_id, -1, 0, 0, 0))
        try:
            os.set_blocking(sock, False)
            os.write(sock, report.to_frame())
        except OSError:
            pass

    def look_after_unknown_code(self):
        threads = wait_for_threads()
        if threads:
            raise Failure(THREADED, ', '.join(threads).replace(DETAIL, ' '))

        flush_streams()
        # Somebody may have asked for another handler.
        self.listen_to_ends()
        # Random numbers differ between forks. What the standard library has sees to that
        # itself.
        numpy = sys.modules.get('numpy')
        self.reseed = getattr(getattr(numpy, 'random', None), 'seed', None)
        # The collector would write to all that the forks share.
        gc.freeze()
        self.unknown_code_ran = False

    def prepare_to_fork(self):
        """What is the same for many forks."""
        self.prepare_to_reap()
        if not self.rehearsed:
            rehearse(self)
            self.rehearsed = True

    def prepare_to_reap(self):
        self.wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.poll = None
        self.listen_to_ends()

    def listen_to_ends(self):
        _signal.set_wakeup_fd(self.wake[1], warn_on_full_buffer=False)
        _signal.signal(_signal.SIGCHLD, ignore_signal)

    def stop_reaping(self):
        _signal.set_wakeup_fd(-1)
        _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
        for fd in self.wake:
            os.close(fd)
        self.wake = self.poll = None

    def prepare_for_hint(self):
        """Looks once for what every fork would look for, unless that may do anything
        else than look."""
        name = self.hint[:-1]
        function = os.fsdecode(name)
        module, colon, _ = function.rpartition(':')
        if colon and not self.modules.is_loaded(module):
            return
        try:
            self.prepared = (self.modules.find(function),
                             *self.title.compose(name, self.pid))
            self.preparer = self.pid
        except Failure:
            pass

    def become_child(self, sock):
        """Makes the fork another template. Whatever the parent had read ahead or had
        not sent yet is not its business."""
        for fd in self.fds:
            os.close(fd)
        self.fds = []
        self.data = b''
        self.at = 0
        self.out.clear()
        self.children.clear()
        self.stop_reaping()
        os.dup2(sock, self.socket.fileno(), False)
        os.close(sock)
        self.closed = False
        self.forked = True
        # Most are told at once to run something, and have no use for this title.
        self.untitled = self.parent = self.pid
        self.forked_just_now = True
        self.pid = os.getpid()

    def on_fork(self, payload, fds):
        child_id, = ID.unpack_from(payload)
        if self.report is not None:
            self.refuse_child(child_id, fds[0], self.report)
            return

        if len(payload) > ID.size:
            self.hint = payload[ID.size:]
            self.prepared = None
        try:
            if self.wake is None:
                self.prepare_to_fork()
            if self.hint is not None and (self.prepared is None or self.preparer != self.pid):
                self.prepare_for_hint()
            if self.unknown_code_ran:
                self.look_after_unknown_code()
            pid = os.fork()
        except Failure as failure:
            self.refuse_child(child_id, fds[0], Report(failure.code, FORK, b'', failure.reason))
        except OSError as error:
            self.refuse_child(child_id, fds[0], Report(FORK_FAILED, FORK, b'', error.strerror))
        else:
            if pid == 0:
                self.become_child(fds.pop())
                if self.reseed is not None:
                    self.reseed()
            else:
                self.children[pid] = child_id

    def on_close(self, payload, fds):
        # What is left to do is reaping. Whoever waits for the end of something that
        # was sent must not wait for that.
        self.closed = True
        for argument in self.arguments:
            argument.close()
        self.arguments = []
        for fd, _ in self.placements:
            os.close(fd)
        self.placements = []

    def on_kill(self, payload, fds):
        child_id, signum = KILL_BODY.unpack_from(payload)
        for pid, other in self.children.items():
            # It keeps its number as long as it was not collected.
            if other == child_id:
                try:
                    os.kill(pid, signum)
                except OSError:
                    pass

    def reap(self):
        """Collects whoever has ended and tells the application."""
        while self.children:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            # What a module has started is collected as well.
            child_id = self.children.pop(pid, None)
            if child_id is not None:
                user, system, max_rss, *_ = usage
                self.answer(EXITED,
                            EXITED_BODY.pack(child_id, status, round(user * 1000000),
                                             round(system * 1000000), max_rss * 1024))

    # Running

    def on_sync(self, payload, fds):
        if self.report is not None:
            self.answer_failure()
        else:
            # Whoever takes the template over numbers its children anew, and must not
            # be told of these. They are still reaped.
            if payload:
                self.children = dict.fromkeys(self.children)
            self.answer(SYNCED, PID.pack(self.pid, 0))

    def place(self, movable):
        """Puts every descriptor where it is wanted. What stands there and is still
        needed moves out of the way first: movable ones to anywhere, and of those to be
        placed as few as possible, because there may be hardly a free number below
        RLIMIT_NOFILE. Returns where the movable ones are."""
        wanted = {target: fd for fd, target in self.placements}
        standing = {fd: target for fd, target in self.placements}

        def move_aside(fd):
            lowest = 3
            while True:
                moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, lowest)
                if moved not in wanted:
                    os.close(fd)
                    return moved
                os.close(moved)
                lowest = moved + 1

        def place_chain(target):
            """And then, one after another, the one that wants the free number."""
            while target in wanted and wanted[target] in standing:
                fd = wanted[target]
                del standing[fd]
                if fd == target:
                    os.set_inheritable(fd, True)
                    return
                os.dup2(fd, target)
                os.close(fd)
                target = fd

        movable = [move_aside(fd) if fd in wanted else fd for fd in movable]
        # Each chain begins with a number that none of them stands at.
        for fd, target in self.placements:
            if target not in standing or fd == target:
                place_chain(target)
        # Those that are left want each other's numbers.
        while standing:
            fd, target = standing.popitem()
            moved = move_aside(fd)
            wanted[target] = moved
            standing[moved] = target
            place_chain(fd)
        return movable

    def place_for_run(self):
        if not self.placements:
            return
        holders = [argument for argument in self.arguments if argument.fd >= 0]
        control, *fds = self.place([self.socket.detach()] + [holder.fd for holder in holders])
        self.socket = _socket.socket(fileno=control)
        self.poll = None
        for holder, fd in zip(holders, fds):
            holder.fd = fd

    def on_run(self, payload, fds):
        name = payload.split(b'\0')[0]
        if self.report is None:
            try:
                if (payload == self.hint and self.prepared is not None
                        and self.preparer == self.parent):
                    function, *title = self.prepared
                else:
                    function = self.modules.find(os.fsdecode(name))
                    title = self.title.compose(name, os.getppid())
                self.place_for_run()
                args = [argument.open() for argument in self.arguments]
            except Failure as failure:
                self.fail(failure.code, RUN, name, failure.reason)
            except OSError as error:
                self.fail(FAILED, RUN, name, error.strerror)
        if self.report is not None:
            self.answer_failure()
            return

        self.title.set(*title)
        if self.wake is not None:
            self.stop_reaping()
        _signal.signal(_signal.SIGINT, _signal.default_int_handler)
        self.answer_ready()
        run(function, socket.socket(fileno=self.socket.detach()), args)

    def on_exec(self, payload, fds):
        if self.report is not None:
            self.answer_failure()
            return

        flags, = ID.unpack_from(payload)
        argv = payload[ID.size:-1].split(b'\0')
        program = argv[0]
        try:
            self.place_for_exec(argv, flags, fds)
            flush_streams()
            self.answer_ready()
            if self.wake is not None:
                self.stop_reaping()
            # What the interpreter ignores, a program expects to end it.
            for name in ('SIGPIPE', 'SIGXFZ', 'SIGXFSZ'):
                if hasattr(signal, name):
                    signal.signal(getattr(signal, name), signal.SIG_DFL)
            if flags & SEARCH_PATH:
                os.execvp(program, argv)
            else:
                os.execv(program, argv)
        except Failure as failure:
            self.fail(EXEC_FAILED, EXEC, program, failure.reason)
            self.answer_failure()
            return
        except (OSError, ValueError) as error:
            reason = getattr(error, 'strerror', None) or os.strerror(errno.EINVAL)
            self.fail(EXEC_FAILED, EXEC, program, reason)
            self.answer_failure()
        os._exit(127)

    def place_for_exec(self, argv, flags, fds):
        """The descriptors sent become 3, 4 and so on, and the socket those streams
        that were asked for."""
        strings = [argument for argument in self.arguments if not isinstance(argument, Descriptor)]
        descriptors = [argument for argument in self.arguments if isinstance(argument, Descriptor)]
        for string in strings:
            data = string.data
            if b'\0' in data:
                raise Failure(EXEC_FAILED, f'an argument holds a NUL{DETAIL}{len(argv)}')
            argv.append(data)

        taken = {target for _, target in self.placements}
        free = (number for number in itertools.count(3) if number not in taken)
        wanted = [(argument.fd, next(free)) for argument in descriptors]
        for stream in range(3):
            if flags & (SOCKET_STDIN << stream):
                wanted.append((os.dup(fds[0]), stream))
        for fd, target in wanted:
            if target in taken:
                raise Failure(EXEC_FAILED, f'a descriptor is asked for twice{DETAIL}{target}')
            self.placements.append([fd, target])
        os.close(fds.pop())

        control, = self.place([self.socket.detach()])
        self.socket = _socket.socket(fileno=control)
        self.poll = None
        close_all_but([target for _, target in self.placements] + [control])

    # The table and the loop

    STRINGS = 1 << 0    # the payload ends with a NUL, from the least length on
    PREPARES = 1 << 1   # not done any more once something has failed
    ANY_FDS = 1 << 2

    COMMANDS = {
        REQUIRE: (on_require, 1, 0, STRINGS | PREPARES),
        CALL: (on_call, 1, 0, STRINGS | PREPARES),
        EVAL: (on_eval, 1, 0, STRINGS | PREPARES),
        ARG: (on_arg, 1, 0, PREPARES),
        ARG_FD: (on_arg_fd, 0, 0, PREPARES | ANY_FDS),
        ARG_MEMFD: (on_arg_memfd, MEMFD.size, 1, PREPARES),
        SETENV: (on_setenv, 2, 0, STRINGS | PREPARES),
        UNSETENV: (on_unsetenv, 1, 0, STRINGS | PREPARES),
        CHDIR: (on_chdir, 1, 0, STRINGS | PREPARES),
        MAP_FD: (on_map_fd, TARGET.size, 1, PREPARES),
        MODULE_PATH: (on_module_path, 1, 0, STRINGS | PREPARES),
        FORK: (on_fork, ID.size, 1, 0),
        SYNC: (on_sync, 0, 0, 0),
        RUN: (on_run, 1, 0, STRINGS),
        EXEC: (on_exec, ID.size + 1, 1, STRINGS),
        KILL: (on_kill, KILL_BODY.size, 0, 0),
        CLOSE: (on_close, 0, 0, 0),
    }

    def next_frame(self):
        """The next complete frame, with its descriptors; None if there is none yet."""
        start = self.at + HEADER.size
        if len(self.data) < start:
            return None
        length, verb, n_fds, zero = HEADER.unpack_from(self.data, self.at)
        if length > MAX_PAYLOAD or zero != 0 or n_fds > MAX_FDS:
            self.give_up('malformed frame')
        if len(self.data) < start + length:
            return None
        # They were sent with the frame's first byte, so they are here.
        if n_fds > len(self.fds):
            self.give_up('malformed frame')

        self.at = start + length
        payload = bytes(self.data[start:self.at])
        fds, self.fds = self.fds[:n_fds], self.fds[n_fds:]
        return verb, payload, fds

    def handle_frames(self):
        """Does what has been read so far. A fork returns from here in both processes."""
        while (frame := self.next_frame()) is not None:
            verb, payload, fds = frame
            handle, length, n_fds, flags = self.COMMANDS.get(verb, (None, 0, 0, 0))
            if (handle is None or len(payload) < length
                    or (not flags & self.ANY_FDS and len(fds) != n_fds)
                    or (flags & self.STRINGS and payload[-1] != 0)):
                self.give_up('malformed command')
            if self.report is None or not flags & self.PREPARES:
                handle(self, payload, fds)
            for fd in fds:
                os.close(fd)

    def wait_for_commands(self):
        """Waits for something to read, reaping meanwhile."""
        if self.children and self.unknown_code_ran:
            self.listen_to_ends()
        self.reap()
        if not self.children and not self.out:
            return not self.closed

        if self.poll is None:
            self.poll = select.poll()
            self.poll.register(self.socket, select.POLLIN)
            if self.wake is not None:
                self.poll.register(self.wake[0], select.POLLIN)
        self.poll.modify(self.socket, select.POLLIN | (select.POLLOUT if self.out else 0))

        control = self.socket.fileno()
        readable = False
        for fd, events in self.poll.poll():
            if fd == control:
                if events & select.POLLOUT:
                    self.flush(MSG_DONTWAIT)
                readable = events & ~select.POLLOUT
            else:
                try:
                    os.read(fd, 512)
                except BlockingIOError:
                    pass
                self.reap()
        return readable

    def fill(self, flags):
        """Reads once. Returns whether that was not the end."""
        try:
            data, control, received, _ = self.socket.recvmsg(
                READ_SIZE, CONTROL_SIZE, flags | MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return True
        except OSError:
            return False

        for level, kind, content in control:
            if level == SOL_SOCKET and kind == SCM_RIGHTS:
                n = len(content) // TARGET.size
                self.fds += struct.unpack(f'={n}i', content[:n * TARGET.size])
        if received & MSG_CTRUNC or len(self.fds) > MAX_QUEUED_FDS:
            self.give_up('too many descriptors (see RLIMIT_NOFILE)', FAILED)
        if self.at == len(self.data):
            self.data = data
        elif isinstance(self.data, bytes):
            self.data = bytearray(self.data[self.at:] + data)
        else:
            del self.data[:self.at]
            self.data += data
        self.at = 0
        return bool(data)

    def serve(self):
        self.untitled = os.getppid()
        while True:
            alone = not self.children and not self.out
            if self.closed and alone:
                self.leave(0)
            if self.untitled and not self.forked_just_now:
                self.title.set(*self.title.compose(b'template', self.untitled))
                self.untitled = None
            self.forked_just_now = False

            # With nobody to look after, reading can do the waiting.
            if not alone and not self.wait_for_commands():
                continue

            # At the end, the application is gone or does not want to know any more.
            if not self.fill(0 if alone else MSG_DONTWAIT):
                self.leave(0)
            self.handle_frames()


class Rehearsed(BaseException):
    """The end of a rehearsal."""


def end_rehearsal(sock, *args):
    sock.close()
    raise Rehearsed


def rehearse(template):
    """Does what a fork does up to its run. Code that has been run a few times is rewritten
    by CPython, and what it has looked up is remembered, which every fork would write to
    its own copies of."""
    sigint = _signal.getsignal(_signal.SIGINT)
    prepared = (end_rehearsal, *template.title.compose(b'template', os.getppid()))
    commands = HEADER.pack(2, ARG, 0, 0) + b'sx' + HEADER.pack(2, RUN, 0, 0) + b'x\0'

    for _ in range(REHEARSALS):
        application, control = socket.socketpair()
        fork = Template(_socket.socket(fileno=os.dup(control.fileno())), template.title,
                        template.modules)
        fork.hint, fork.prepared, fork.preparer = b'x\0', prepared, fork.pid
        fork.prepare_to_reap()
        fork.become_child(control.detach())
        application.send(commands)
        fork.fill(0)
        try:
            fork.handle_frames()
        except Rehearsed:
            pass
        application.close()

    _signal.signal(_signal.SIGINT, sigint)
    template.listen_to_ends()


def run(function, sock, args):
    """Enters the worker, and leaves as a program would, but for the destruction of all
    that the forks share."""
    status = 0
    try:
        result = function(sock, *args)
        if isinstance(result, types.CoroutineType):
            import asyncio
            result = asyncio.run(result)
        if result is not None:
            sys.exit(result)
    except Rehearsed:
        raise
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
        # The runtime's own frames are nobody's concern.
        error = error.with_traceback(error.__traceback__.tb_next)
        sys.excepthook(type(error), error, error.__traceback__)
        status = 1

    if 'threading' in sys.modules:
        try:
            sys.modules['threading']._shutdown()
        except BaseException:
            status = status or 1
    atexit._run_exitfuncs()
    flush_streams()
    os._exit(status)


def start(argv):
    try:
        if argv[1] != SERVE_OPTION:
            raise ValueError
        sock = socket.socket(fileno=int(argv[3]))
        if sock.type != socket.SOCK_STREAM:
            raise ValueError
    except (IndexError, ValueError, OSError):
        sys.exit(f'{argv[0]}: this program is started by the gspawnfork library')

    close_all_but([sock.fileno()])
    sock.set_inheritable(False)
    if argv[2] != str(PROTOCOL_VERSION):
        reason = ('the helper and the application speak different versions of the protocol'
                  f'{DETAIL}{PROTOCOL_VERSION}, {argv[2][:16]}')
        sock.send(Report(PROTOCOL, 0, b'', reason).to_frame(), socket.MSG_NOSIGNAL)
        sys.exit(2)
    sock.send(HEADER.pack(ID.size, HELLO, 0, 0) + ID.pack(PROTOCOL_VERSION), socket.MSG_NOSIGNAL)

    # The interpreter puts the program's own directory first.
    del sys.path[0]
    sys.argv[:] = ['']
    signal.signal(signal.SIGINT, signal.SIG_DFL)

    template = Template(_socket.socket(fileno=sock.detach()), Title(), Modules())
    # What is evaluated has a __main__ of its own, without what is here.
    template.program = sys.modules['__main__']
    main = sys.modules['__main__'] = types.ModuleType('__main__')
    main.__builtins__ = __builtins__
    api = sys.modules['gspawnfork'] = types.ModuleType('gspawnfork')
    api.take_args = template.take_args
    api.add_path = template.modules.add_path
    template.serve()


if __name__ == '__main__':
    start(sys.argv)
