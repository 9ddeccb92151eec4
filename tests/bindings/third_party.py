# third_party.py FAULT: a runtime as a third party might write it, with one fault
#
# It was written from docs/runtimes.md alone, for functions in Python. test_conformance.py
# tries the conformance test with it. FAULT is one of FAULTS, or "none".
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import ctypes
import errno
import fcntl
import importlib
import os
import resource
import select
import signal
import socket
import stat
import struct
import sys

from peer import (
    ALL_SEALS, ARG, ARG_FD, ARG_MEMFD, CALL, CALL_FAILED, CHDIR, CLOSE, CONFINE, DIE, ENVIRON,
    ERROR, EVAL, EXEC, EXEC_FAILED, EXITED, FAILED, FORK, FORK_FAILED, FUNCTION, HAS_ACCESS,
    HAS_SCOPE, HELLO, KILL, LEADS_GROUP, LIMIT, MAP_FD, MODULE_ERROR, MODULE_PATH, PROTOCOL,
    READY, REQUIRE, RUN, SEARCH_PATH, SETENV, SETSID, SOCKET_STDIN, STDERR_MERGE, SYNC, SYNCED,
    UNSETENV, frame)

# Each with the test that has to notice it.
FAULTS = {
    'ignores-map-fd': 'test_placed_descriptors_of_a_worker',
    'ignores-map-fd-in-exec': 'test_exec_fills_free_numbers',
    'ignores-module-path': 'test_module_path',
    'ignores-eval': 'test_eval_that_fails',
    'inheritable-socket': 'test_socket_of_a_worker',
    'blocked-sigchld': 'test_signals_of_a_worker',
    'runs-without-ready': 'test_run_that_was_given_up',
    'executes-without-ready': 'test_exec_that_was_given_up',
    'ignores-exec-flags': 'test_exec_with_the_socket_as_error',
    'always-searches-path': 'test_exec_looks_into_path_if_it_is_told',
    'keeps-what-was-read-ahead': 'test_descriptors_read_ahead_are_the_parents',
    'keeps-inherited': 'test_inherited_descriptors_are_closed',
    'ends-without-hello': 'test_an_application_that_has_ended',
    'ends-with-its-group': 'test_signals_to_the_group',
    'ignores-no-signals': 'test_ignored_signals_of_a_worker',
    'waits-for-others': 'test_children_of_others_are_left_alone',
    'ignores-environ': 'test_environ',
    'leads-no-session': 'test_session_and_limits',
    'limits-nothing': 'test_session_and_limits',
    'lives-on': 'test_die_with_the_template',
    'confines-nothing': 'test_confine',
    'filters-nothing': 'test_confine',
    'separates-nothing': 'test_confine',
    'kills-no-group': 'test_kill_a_group',
    'merges-nothing': 'test_merged_streams',
    'runs-no-script': 'test_script_without_interpreter',
}

# What the whole group is sent by a terminal or a service manager.
OF_THE_GROUP = [signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM, signal.SIGTSTP,
                signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM,
                signal.SIGPROF, signal.SIGIO, signal.SIGPIPE]
MAY_BE_IGNORED = [signal.SIGINT, signal.SIGQUIT, signal.SIGHUP]

fault = None


LIMITS = [('cpu-time', resource.RLIMIT_CPU), ('memory', resource.RLIMIT_AS),
          ('file-size', resource.RLIMIT_FSIZE), ('open-files', resource.RLIMIT_NOFILE),
          ('processes', resource.RLIMIT_NPROC), ('core', resource.RLIMIT_CORE)]
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 22, 38
FILTER = 2
LANDLOCK_RESTRICT_SELF = 446


def first_line(path):
    with open(path, 'rb') as file:
        return file.readline(256)


def watch(parent, process):
    """Kills a process when its parent has ended."""
    fds = [os.pidfd_open(parent), os.pidfd_open(process)]
    if os.fork() == 0:
        if os.fork() != 0:
            os._exit(0)
        os.setsid()
        os.closerange(0, 3)
        close_all_but(fds)
        ended, _, _ = select.select(fds, [], [])
        if fds[1] not in ended:
            signal.pidfd_send_signal(fds[1], signal.SIGKILL)
        os._exit(0)
    os.wait()
    for fd in fds:
        os.close(fd)


class Failure(Exception):
    def __init__(self, code, reason, subject=None):
        super().__init__(reason)
        self.code = code
        self.subject = subject


def close_all_but(keep):
    for fd in map(int, os.listdir('/proc/self/fd')):
        if fd > 2 and fd not in keep:
            try:
                os.close(fd)
            except OSError:
                pass    # that of the directory


class Runtime:
    def __init__(self, sock):
        self.socket = sock
        self.data = b''
        self.fds = []
        self.report = None          # the ERROR for all who ask
        self.closed = False
        self.forked = False
        self.leads_session = self.dies = False
        self.limits = {}
        self.scope = []             # a ruleset for each that runs or executes
        self.modules = []           # the newest first
        self.directories = []
        self.arguments = []         # str, bytes or descriptors
        self.targets = {}           # number → descriptor
        self.out = b''
        self.own_path = list(sys.path)
        self.ignored = [number for number in MAY_BE_IGNORED
                        if signal.getsignal(number) == signal.SIG_IGN
                        and fault != 'ignores-no-signals']
        self.set_module_path('')
        self.listen()

    # Signals and children

    def listen(self):
        """In a template: the ends of children are read, and the group's signals do nothing."""
        self.children = {}          # id → process
        self.wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(self.wake[1], warn_on_full_buffer=False)
        for number in OF_THE_GROUP + [signal.SIGCHLD]:
            if fault != 'ends-with-its-group' or number == signal.SIGCHLD:
                signal.signal(number, lambda *_: None)
            else:
                signal.signal(number, signal.SIG_DFL)
            signal.siginterrupt(number, False)

    def forget_signals(self):
        """In a worker or program: they are as they were."""
        signal.set_wakeup_fd(-1)
        for fd in self.wake:
            os.close(fd)
        for number in OF_THE_GROUP + [signal.SIGCHLD]:
            signal.signal(number, signal.SIG_IGN if number in self.ignored else signal.SIG_DFL)

    def reap(self):
        if fault == 'waits-for-others':
            self.reap_all()
        for child_id, pid in list(self.children.items()):
            ended, status, usage = os.wait4(pid, os.WNOHANG)
            if ended:
                del self.children[child_id]
                self.answer(EXITED, struct.pack(
                    '=IiqqQ', child_id, status, int(usage.ru_utime * 1e6),
                    int(usage.ru_stime * 1e6), usage.ru_maxrss * 1024))

    def reap_all(self):
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                for child_id in [key for key, own in self.children.items() if own == pid]:
                    del self.children[child_id]
                    self.answer(EXITED, struct.pack('=IiqqQ', child_id, status, 0, 0, 0))
        except ChildProcessError:
            pass

    # Answers

    def answer(self, verb, payload):
        self.out += frame(verb, payload)
        self.flush(socket.MSG_DONTWAIT)

    def flush(self, flags=0):
        try:
            while self.out:
                self.out = self.out[self.socket.send(self.out, flags | socket.MSG_NOSIGNAL):]
        except BlockingIOError:
            pass
        except OSError:
            self.out = b''

    def fail(self, code, verb, subject, reason):
        if self.report is None:
            self.report = (struct.pack('=II', code, verb) + subject + b'\0'
                           + reason.encode().replace(b'\0', b'?') + b'\0')

    def answer_report(self):
        self.answer(ERROR, self.report)
        self.flush()

    def give_up(self, reason):
        self.report = None
        self.fail(PROTOCOL, 0, b'', reason)
        self.answer_report()
        os._exit(1)

    def apply(self):
        """What the worker or program is to have, immediately before READY."""
        name = None
        if self.leads_session and fault != 'leads-no-session':
            os.setsid()
        if self.dies and self.forked and fault != 'lives-on':
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        elif self.dies and not self.forked:
            watch(os.getppid(), os.getpid())
        try:
            for number, value in self.limits.items():
                name, kind = LIMITS[number]
                if value == (1 << 64) - 1:
                    value = resource.RLIM_INFINITY
                if fault != 'limits-nothing':
                    resource.setrlimit(kind, (value, value))
        except (OSError, ValueError) as error:
            self.fail(FAILED, LIMIT, name.encode(), str(error))
            self.answer_report()
            os._exit(1)

    def confine(self, payload, fds):
        has, _ = struct.unpack_from('=II', payload)
        rules = payload[8:]
        if len(fds) != bool(has & HAS_ACCESS) + bool(has & HAS_SCOPE) or len(rules) % 8:
            raise Failure(PROTOCOL, 'malformed command')
        library = ctypes.CDLL(None)
        library.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if has & HAS_ACCESS and fault != 'confines-nothing':
            library.syscall(LANDLOCK_RESTRICT_SELF, fds[0], 0)
        if rules and fault != 'filters-nothing':
            buffer = ctypes.create_string_buffer(rules)
            program = struct.pack('HP', len(rules) // 8, ctypes.addressof(buffer))
            library.prctl(PR_SET_SECCOMP, FILTER, program)
        if has & HAS_SCOPE:
            self.scope = [os.dup(fds[-1])]

    def separate(self):
        for fd in self.scope:
            if fault != 'separates-nothing':
                ctypes.CDLL(None).syscall(LANDLOCK_RESTRICT_SELF, fd, 0)
            os.close(fd)
        self.scope = []

    def answer_ready(self, without):
        pid = os.getpid()
        flags = LEADS_GROUP if self.leads_session else 0
        self.apply()
        try:
            self.flush()
            pidfd = os.pidfd_open(pid)
            rights = socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack('i', pidfd)
            self.socket.sendmsg([frame(READY, struct.pack('=iI', pid, flags), 1)], [rights],
                                socket.MSG_NOSIGNAL)
            os.close(pidfd)
        except OSError:
            if fault != without:
                os._exit(0)

    # Preparing

    def set_module_path(self, directories):
        if fault == 'ignores-module-path':
            directories = ''
        path = directories.split(':') + os.environ.get('GFORK_MODULE_PATH', '').split(':')
        sys.path[:] = [place for place in path if place.startswith('/')] + self.own_path
        importlib.invalidate_caches()

    def require(self, name):
        try:
            module = importlib.import_module(name)
        except BaseException as error:
            raise Failure(MODULE_ERROR, repr(error))
        if module not in self.modules:
            self.modules.insert(0, module)
        return module

    def find(self, function):
        module, colon, name = function.rpartition(':')
        for place in [self.require(module)] if colon else self.modules:
            if hasattr(place, name):
                return getattr(place, name)
        raise Failure(FUNCTION, 'there is no such function')

    def call(self, function, *args):
        try:
            function(*args)
        except BaseException as error:
            raise Failure(CALL_FAILED, repr(error))

    def evaluate(self, code, args):
        if fault != 'ignores-eval':
            self.call(exec, code, {'args': args})

    def take_memory(self, payload, fd):
        length, kind, _ = struct.unpack_from('=QII', payload)
        if os.fstat(fd).st_size <= length:
            raise Failure(FAILED, 'the file is too short')
        # It is copied, sealed or not.
        data = os.pread(fd, length, 0)
        self.arguments.append(data.decode() if kind == ord('s') else data)

    def set_environment(self, payload):
        *variables, rest = payload.split(b'\0')
        if rest:
            raise Failure(PROTOCOL, 'there is no last NUL')
        for variable in variables:
            if variable.find(b'=') < 1:
                raise Failure(FAILED, os.strerror(errno.EINVAL), variable)
        if fault != 'ignores-environ':
            os.environb.clear()
            for variable in reversed(variables):
                name, _, value = variable.partition(b'=')
                os.environb[name] = value

    def map_fd(self, payload, fds):
        number, = struct.unpack_from('=i', payload)
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if number < 0 or number >= limit or number in self.targets:
            raise Failure(FAILED, 'no descriptor can have that number, or it is taken')
        self.targets[number] = fds.pop()

    def prepare(self, verb, payload, fds):
        words = payload[:-1].split(b'\0')
        subject = words[0] if verb in (REQUIRE, CALL, EVAL, SETENV, UNSETENV, CHDIR) else b''
        texts = [os.fsdecode(word) for word in words]
        try:
            if verb == REQUIRE:
                self.require(texts[0])
            elif verb == CALL:
                self.call(self.find(texts[0]), *texts[1:])
            elif verb == EVAL:
                self.evaluate(texts[0], texts[1:])
            elif verb == ARG:
                data = payload[1:]
                self.arguments.append(data.decode() if payload[:1] == b's' else data)
            elif verb == ARG_FD:
                self.arguments += fds
                fds.clear()
            elif verb == ARG_MEMFD:
                self.take_memory(payload, fds[0])
            elif verb == SETENV:
                os.environb[words[0]] = words[1]
            elif verb == UNSETENV:
                if b'=' in words[0]:
                    raise Failure(FAILED, os.strerror(errno.EINVAL))
                os.environb.pop(words[0], None)
            elif verb == CHDIR:
                os.chdir(words[0])
            elif verb == MAP_FD:
                subject = b'%d' % struct.unpack_from('=i', payload)
                self.map_fd(payload, fds)
            elif verb == MODULE_PATH:
                self.set_module_path(texts[0])
            elif verb == ENVIRON:
                self.set_environment(payload)
            elif verb == SETSID:
                self.leads_session = True
            elif verb == DIE:
                self.dies = True
            elif verb == CONFINE:
                subject = b''
                self.confine(payload, fds)
            elif verb == LIMIT:
                number, _, value = struct.unpack_from('=IIQ', payload)
                subject = b'%d' % number
                if number >= len(LIMITS):
                    raise Failure(FAILED, os.strerror(errno.EINVAL))
                self.limits[number] = value
        except Failure as failure:
            self.fail(failure.code, verb, failure.subject or subject, str(failure))
        except (OSError, ValueError) as error:
            self.fail(FAILED, verb, subject, str(error))

    # Forking

    def fork(self, payload, fds):
        child_id, = struct.unpack_from('=I', payload)
        report = self.report
        if report is None:
            try:
                pid = os.fork()
            except OSError as error:
                report = struct.pack('=II', FORK_FAILED, FORK) + b'\0%b\0' % error.strerror.encode()
        if report is not None:
            self.answer(EXITED, struct.pack('=IiqqQ', child_id, -1, 0, 0, 0))
            os.set_blocking(fds[0], False)
            try:
                os.write(fds[0], frame(ERROR, report))
            except OSError:
                pass
        elif pid != 0:
            self.children[child_id] = pid
        else:
            self.socket.close()
            self.socket = socket.socket(fileno=fds.pop())
            self.data = self.out = b''
            if fault != 'keeps-what-was-read-ahead':
                for fd in self.fds:
                    os.close(fd)
            self.fds = []
            self.closed = False
            self.forked = True
            signal.set_wakeup_fd(-1)
            for fd in self.wake:
                os.close(fd)
            self.listen()

    # Running

    def place(self, targets, movable):
        """Everything moves above all numbers that are asked for, and then into its place."""
        above = max(targets, default=2) + 1
        if any(fd in targets for fd in movable):
            movable = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, above) for fd in movable]
        moved = {number: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, above)
                 for number, fd in targets.items()}
        for fd in targets.values():
            os.close(fd)
        for number, fd in moved.items():
            os.dup2(fd, number)
            os.close(fd)
        return movable

    def open(self, argument):
        if not isinstance(argument, int):
            return argument
        if stat.S_ISSOCK(os.fstat(argument).st_mode):
            return socket.socket(fileno=argument)
        return argument

    def run(self, payload):
        name = payload.split(b'\0')[0]
        if self.report is None:
            try:
                function = self.find(os.fsdecode(name))
            except Failure as failure:
                self.fail(failure.code, RUN, name, str(failure))
        if self.report is not None:
            self.answer_report()
            return

        self.separate()
        self.forget_signals()
        if self.targets and fault != 'ignores-map-fd':
            numbers = [argument for argument in self.arguments if isinstance(argument, int)]
            control, *numbers = self.place(self.targets, [self.socket.detach(), *numbers])
            self.socket = socket.socket(fileno=control)
            self.arguments = [numbers.pop(0) if isinstance(argument, int) else argument
                              for argument in self.arguments]
        if fault == 'blocked-sigchld':
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
        self.socket.set_inheritable(fault == 'inheritable-socket')
        self.answer_ready('runs-without-ready')
        try:
            status = function(self.socket, *map(self.open, self.arguments)) or 0
        except BaseException as error:
            sys.excepthook(type(error), error, error.__traceback__)
            status = 1
        os._exit(status)

    def collect(self, argv, flags, conversation):
        targets = {} if fault == 'ignores-map-fd-in-exec' else dict(self.targets)
        number = 3
        for argument in self.arguments:
            if isinstance(argument, int):
                while number in targets:
                    number += 1
                targets[number] = argument
                continue
            data = argument.encode() if isinstance(argument, str) else argument
            if b'\0' in data:
                raise Failure(EXEC_FAILED, 'an argument holds a NUL')
            argv.append(data)
        if flags & STDERR_MERGE and (2 in targets or flags & SOCKET_STDIN << 2):
            raise Failure(EXEC_FAILED, 'a number is asked for twice')
        for stream in range(3):
            if flags & SOCKET_STDIN << stream and fault != 'ignores-exec-flags':
                if stream in targets:
                    raise Failure(EXEC_FAILED, 'a number is asked for twice')
                targets[stream] = os.dup(conversation)
        return targets

    def execute(self, payload, fds):
        flags, = struct.unpack_from('=I', payload)
        argv = payload[4:-1].split(b'\0')
        program = argv[0]
        if self.report is None:
            try:
                targets = self.collect(argv, flags, fds[0])
            except Failure as failure:
                self.fail(failure.code, EXEC, program, str(failure))
        if self.report is not None:
            self.answer_report()
            return

        os.close(fds.pop())
        self.separate()
        self.forget_signals()
        control, = self.place(targets, [self.socket.detach()])
        self.socket = socket.socket(fileno=control)
        self.socket.set_inheritable(False)
        if flags & STDERR_MERGE and fault != 'merges-nothing':
            os.dup2(1, 2)
        close_all_but([*targets, control])
        self.answer_ready('executes-without-ready')
        # The interpreter ignores these.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        try:
            if flags & SEARCH_PATH or fault == 'always-searches-path':
                os.execvp(program, argv)
            os.execv(program, argv)
        except OSError as error:
            self.fail(EXEC_FAILED, EXEC, program, self.explain(program, argv, error))
        self.answer_report()
        os._exit(127)

    def explain(self, program, argv, error):
        """Executes a script that says no interpreter, or says which one is missing."""
        if not os.access(program, os.X_OK):
            return error.strerror
        line = first_line(program)
        if error.errno == errno.ENOEXEC and b'\0' not in line and fault != 'runs-no-script':
            os.execv('/bin/sh', ['/bin/sh', program] + argv[1:])
        if line.startswith(b'#!'):
            return f'{error.strerror}\x1f{line[2:].split()[0].decode()}'
        return error.strerror

    # The loop

    # The shortest payload, whether it ends with a NUL, and how many descriptors it has.
    COMMANDS = {
        REQUIRE: (1, True, 0), CALL: (1, True, 0), EVAL: (1, True, 0), ARG: (1, False, 0),
        ARG_FD: (0, False, None), ARG_MEMFD: (16, False, 1), SETENV: (2, True, 0),
        UNSETENV: (1, True, 0), CHDIR: (1, True, 0), MAP_FD: (4, False, 1),
        MODULE_PATH: (1, True, 0), FORK: (4, False, 1), SYNC: (0, False, 0), RUN: (1, True, 0),
        EXEC: (5, True, 1), KILL: (8, False, 0), CLOSE: (0, False, 0), ENVIRON: (0, False, 0),
        SETSID: (0, False, 0), LIMIT: (16, False, 0), DIE: (0, False, 0),
        CONFINE: (8, False, None),
    }

    def handle(self, verb, payload, fds):
        if verb == FORK:
            self.fork(payload, fds)
        elif verb == SYNC and self.report is None:
            self.answer(SYNCED, struct.pack('=iI', os.getpid(), 0))
        elif verb == SYNC:
            self.answer_report()
        elif verb == RUN:
            self.run(payload)
        elif verb == EXEC:
            self.execute(payload, fds)
        elif verb == KILL:
            child_id, number = struct.unpack_from('=Ii', payload)
            if child_id in self.children:
                pid = self.children[child_id]
                os.kill(pid if number > 0 or fault == 'kills-no-group' else -pid, abs(number))
        elif verb == CLOSE:
            self.closed = True
            for fd in [*self.targets.values(), *self.arguments]:
                if isinstance(fd, int):
                    os.close(fd)
            self.targets, self.arguments = {}, []
        elif self.report is None:
            self.prepare(verb, payload, fds)

    def handle_frames(self):
        while len(self.data) >= 8:
            length, verb, n_fds, zero = struct.unpack_from('=IBBH', self.data)
            least, ends, wanted = self.COMMANDS.get(verb, (None, False, 0))
            if zero != 0 or length > 16 << 20 or n_fds > 253 or n_fds > len(self.fds):
                self.give_up('malformed frame')
            if len(self.data) < 8 + length:
                return
            payload, self.data = self.data[8:8 + length], self.data[8 + length:]
            fds, self.fds = self.fds[:n_fds], self.fds[n_fds:]
            if (least is None or length < least or (ends and payload[-1] != 0)
                    or (wanted is not None and n_fds != wanted)):
                self.give_up('malformed command')
            self.handle(verb, payload, fds)
            for fd in fds:
                os.close(fd)

    def serve(self):
        while not self.closed or self.children or self.out:
            poll = select.poll()
            poll.register(self.wake[0], select.POLLIN)
            poll.register(self.socket, select.POLLIN | (select.POLLOUT if self.out else 0))
            ready = dict(poll.poll())
            if self.wake[0] in ready:
                os.read(self.wake[0], 4096)
                self.reap()
            events = ready.get(self.socket.fileno(), 0)
            if events & select.POLLOUT:
                self.flush(socket.MSG_DONTWAIT)
            if not events & ~select.POLLOUT:
                continue
            try:
                data, fds, _, _ = socket.recv_fds(self.socket, 65536, 253)
            except ConnectionResetError:
                data = b''
            if not data:
                break
            for fd in fds:
                os.set_inheritable(fd, False)
            self.data += data
            self.fds += fds
            self.handle_frames()
        os._exit(0)


def main(argv):
    global fault
    if len(argv) < 5 or argv[2] != '--gspawnfork-serve':
        sys.exit('This program is started by the gspawnfork library.')
    fault, version, control = argv[1], argv[3], int(argv[4])

    sock = socket.socket(fileno=control)
    sock.set_inheritable(False)
    if fault != 'keeps-inherited':
        close_all_but([control])
    if version != '1':
        reason = f'this runtime speaks version 1 of the protocol, not {version}'
        sock.send(frame(ERROR, struct.pack('=II', PROTOCOL, 0) + b'\0%b\0' % reason.encode()))
        sys.exit(1)
    try:
        sock.send(frame(HELLO, struct.pack('=I', 1)))
    except OSError:
        if fault == 'ends-without-hello':
            sys.exit(0)
    Runtime(sock).serve()


if __name__ == '__main__':
    main(sys.argv)
