# template.py: the commands that a template carries out, and the loop that reads them
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import errno
import itertools
import os
import resource
import select
import sys

from . import signals
from .arguments import Bytes, Descriptor, open_socket, take_memory
from .attributes import Attributes, Refused
from .children import UNKNOWN_STATUS, Children
from .clibrary import CLibrary
from .confine import HEAD, Confinement
from .ending import Ending, Files, flush_streams, run
from .execute import execute
from .modules import describe
from .placing import place
from .process import close_all_but, has_threads, wait_for_threads
from .wire import (ARG, ARG_FD, ARG_MEMFD, CALL, CALL_FAILED, CHDIR, CLOSE, CONFINE, DETAIL, DIE,
                   ENVIRON, EVAL, EXEC, EXEC_FAILED, FAILED, FORK, FORK_FAILED, ID, KILL, KILL_BODY, LIMIT,
                   LIMIT_BODY, MAP_FD, MEMFD, MODULE_PATH, PID, PROTOCOL, REQUIRE, RUN,
                   SEARCH_PATH, SETENV, SETSID, SOCKET_STDIN, STDERR_MERGE, SYNC, SYNCED, TARGET, THREADED, UNSETENV, Failure, Report, decode,
                   decode_name)
from .channel import MSG_DONTWAIT, Channel

# Modules whose libraries start threads when they are loaded, and what keeps them from it.
WITHOUT_THREADS = {
    'numexpr': 'NUMEXPR_NUM_THREADS',
    'numpy': 'OPENBLAS_NUM_THREADS',
    'scipy': 'OPENBLAS_NUM_THREADS',
}

# An error names no more of the code that has started threads.
MAX_STARTER = 100


class Template:
    def __init__(self, sock, title, modules, dispositions):
        self.channel = Channel(sock)
        self.children = Children(self.channel)
        self.title = title
        self.modules = modules
        self.dispositions = dispositions
        self.files = Files()
        self.clibrary = CLibrary()
        self.confinement = Confinement()
        self.ending = Ending(self.files, self.clibrary)
        self.pid = os.getpid()

        self.forked_just_now = False
        self.parent = os.getppid()      # for the title, unless that is set
        self.closed = False             # no more commands will come, but for KILL
        self.report = None              # what has failed
        self.unknown_code_ran = True    # since the last fork
        self.has_seeds = False          # of random numbers, other than the standard library's
        self.starter = b''              # the code that was followed by threads
        self.remedy = ''                # what keeps it from that

        self.arguments = []
        self.placements = []            # descriptors, and where they are wanted
        self.attributes = Attributes()
        self.template = None            # that this is a fork of
        self.offered = False            # the arguments, to a function that is called

        self.poll = None
        self.polled = False             # what else than the control socket it looks at
        dispositions.leave_code()

    def leave(self, status):
        self.ending.leave(status)

    def give_up(self, failure):
        self.channel.answer_failure(Report(failure.code, 0, b'', failure.reason))
        self.leave(1)

    def fail(self, code, verb, subject, reason):
        """Records the first failure. Later ones are not reported."""
        if self.report is None:
            self.report = Report(code, verb, subject, reason)

    # Preparing

    def run_unknown_code(self, verb, subject, function, *args):
        self.unknown_code_ran = True
        before = set(sys.modules)
        self.dispositions.enter_code()
        try:
            function(*args)
        except Failure as failure:
            self.fail(failure.code, verb, subject, failure.reason)
        except BaseException as error:
            self.fail(CALL_FAILED, verb, subject, describe(error))
        self.dispositions.leave_code()
        self.children.recover()
        self.look_for_threads(subject, before)

    def look_for_threads(self, subject, before):
        """Records the module or function after which there was a thread for the first time,
        and, if it is known, how to prevent that."""
        if not has_threads():
            self.starter, self.remedy = b'', ''
        elif not self.starter:
            self.starter = subject[:MAX_STARTER]
            for module, variable in WITHOUT_THREADS.items():
                if module in sys.modules and module not in before:
                    self.remedy = f'{module} starts none after setenv ("{variable}", "1")'
                    break

    def on_require(self, payload, fds):
        name = payload.split(b'\0')[0]
        self.run_unknown_code(REQUIRE, name, self.modules.require, decode_name(name))

    def on_call(self, payload, fds):
        name, *args = payload[:-1].split(b'\0')
        self.run_unknown_code(CALL, name, self.call, name, args)

    def call(self, name, args):
        function = self.modules.find(decode_name(name))
        self.offered = True
        try:
            function(*map(decode, args))
        except BaseException as error:
            raise Failure(CALL_FAILED, describe(error)) from error
        finally:
            self.offered = False

    def on_eval(self, payload, fds):
        code, *args = payload[:-1].split(b'\0')
        main = sys.modules['__main__'].__dict__
        main['args'] = list(map(decode, args))
        self.run_unknown_code(
            EVAL, code,
            lambda: exec(compile(decode(code), '<eval>', 'exec', dont_inherit=True), main))

    def take_args(self):
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
        try:
            self.arguments.append(take_memory(payload, fds.pop()))
        except Failure as failure:
            self.fail(failure.code, ARG_MEMFD, b'', failure.reason)

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

    def on_environ(self, payload, fds):
        *strings, rest = payload.split(b'\0')
        if rest:
            self.fail(PROTOCOL, ENVIRON, b'', '')
            return
        for string in strings:
            if string.find(b'=') <= 0:
                self.fail(FAILED, ENVIRON, string, os.strerror(errno.EINVAL))
                return
        os.environb.clear()
        for string in strings:
            variable, _, value = string.partition(b'=')
            os.environb.setdefault(variable, value)

    # What applies to what is run

    def on_setsid(self, payload, fds):
        self.attributes.leads_session = True

    def on_limit(self, payload, fds):
        number, _, value = LIMIT_BODY.unpack_from(payload)
        try:
            self.attributes.set_limit(number, value)
        except Refused as refused:
            self.fail(refused.code, refused.verb, refused.subject, refused.reason)

    def on_die(self, payload, fds):
        self.attributes.dies = True

    # More that prepares

    def on_chdir(self, payload, fds):
        directory = payload.split(b'\0')[0]
        try:
            os.chdir(directory)
        except OSError as error:
            self.fail(FAILED, CHDIR, directory, error.strerror)

    def on_confine(self, payload, fds):
        try:
            self.confinement.confine(payload, fds)
        except Failure as failure:
            self.fail(failure.code, CONFINE, b'', failure.reason)

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

    def on_sync(self, payload, fds):
        if self.report is not None:
            self.channel.answer_failure(self.report)
        else:
            # Another application takes the template over. It numbers its children anew,
            # and must not hear of these. They are still reaped.
            if payload:
                self.children.disown()
            self.channel.answer(SYNCED, PID.pack(self.pid, 0))

    # Forking

    def on_fork(self, payload, fds):
        child_id, = ID.unpack_from(payload)
        if self.report is not None:
            self.refuse_child(child_id, fds[0], self.report)
            return

        try:
            if self.children.wake is None:
                self.children.listen()
            if self.unknown_code_ran:
                self.look_after_unknown_code()
            pid = os.fork()
        except Failure as failure:
            self.refuse_child(child_id, fds[0],
                              Report(failure.code, FORK, self.starter, failure.reason))
        except OSError as error:
            self.refuse_child(child_id, fds[0], Report(FORK_FAILED, FORK, b'', error.strerror))
        else:
            if pid == 0:
                self.become_child(fds.pop())
            else:
                self.children.add(pid, child_id)

    def refuse_child(self, child_id, sock, report):
        """Answers in place of a fork that could not be made. It reports first that how the
        fork ended cannot be known, so that nobody who has the answer waits for its end."""
        self.children.report(child_id, UNKNOWN_STATUS)
        try:
            os.set_blocking(sock, False)
            os.write(sock, report.to_frame())
        except OSError:
            pass

    def look_after_unknown_code(self):
        threads = wait_for_threads()
        if threads:
            reason = ', '.join(threads).replace(DETAIL, ' ')
            if self.remedy:
                reason += DETAIL + self.remedy
            raise Failure(THREADED, reason)

        flush_streams(True)
        self.clibrary.look()
        self.clibrary.flush()
        self.has_seeds = self.clibrary.libc is not None or 'numpy' in sys.modules
        self.dispositions.look()
        self.ending.raise_barrier()
        # Last, so that what was made here is not collected in the forks, either.
        self.files.flush_and_freeze()
        self.unknown_code_ran = False

    def become_child(self, sock):
        self.children.forget()
        self.channel.replace(sock)
        self.closed = False
        self.parent = self.template = self.pid
        self.pid = os.getpid()
        # Most receive at once what they are to run, and have no use for another title.
        self.forked_just_now = True
        if self.has_seeds:
            self.seed()

    def seed(self):
        """Is called in a fork, so that random numbers differ between forks. Those of the
        standard library do anyway."""
        self.clibrary.seed()
        numpy = sys.modules.get('numpy')
        seed = getattr(getattr(numpy, 'random', None), 'seed', None)
        if seed is not None:
            seed()

    def on_close(self, payload, fds):
        # What is left to do is reaping. Nobody who waits for the end of something that
        # was sent must wait for that.
        self.closed = True
        for argument in self.arguments:
            argument.close()
        self.arguments = []
        for fd, _ in self.placements:
            os.close(fd)
        self.placements = []

    def on_kill(self, payload, fds):
        self.children.kill(*KILL_BODY.unpack_from(payload))

    # Running

    def become_worker(self, verb, subject, set_dispositions):
        """Makes this process a worker or program. Returns whether the application still
        wants it."""
        signals.block_all()
        self.children.stop()
        if self.unknown_code_ran:
            self.dispositions.look()
        try:
            self.attributes.apply(self.template)
            # After those: the worker must not reach what kills it with the application.
            self.confinement.confine_worker()
        except Refused as refused:
            self.fail(refused.code, refused.verb, refused.subject, refused.reason)
            self.channel.answer_failure(self.report)
            self.leave(1)
        except Failure as failure:
            self.fail(failure.code, verb, subject, failure.reason)
            self.channel.answer_failure(self.report)
            self.leave(1)
        # After those: until it leads its own session, it gets the signals of the group.
        signals.discard_pending()
        set_dispositions()
        return self.channel.answer_ready(self.attributes.ready_flags)

    def place_control(self, movable):
        """Places the descriptors of MAP_FD. The control socket and the descriptors in
        @movable may get other numbers. Returns the new numbers of @movable."""
        own = [self.channel.socket.detach()] + self.confinement.scope
        moved = place(self.placements, own + movable)
        control, *self.confinement.scope = moved[:len(own)]
        self.channel.socket = open_socket(control, True)
        self.polled = False
        return moved[len(own):]

    def place_for_run(self):
        if not self.placements:
            return
        holders = [argument for argument in self.arguments if argument.fd >= 0]
        for holder, fd in zip(holders, self.place_control([holder.fd for holder in holders])):
            holder.fd = fd

    def on_run(self, payload, fds):
        name = payload.split(b'\0')[0]
        if self.report is None:
            try:
                function = self.modules.find(decode_name(name))
                self.place_for_run()
                if getattr(function, 'takes_descriptors', False):
                    args = [argument.fd if isinstance(argument, Descriptor) else argument.open()
                            for argument in self.arguments]
                else:
                    args = [argument.open() for argument in self.arguments]
            except Failure as failure:
                self.fail(failure.code, RUN, name, failure.reason)
            except OSError as error:
                self.fail(FAILED, RUN, name, error.strerror)
        if self.report is not None:
            self.channel.answer_failure(self.report)
            return

        self.title.set(name, os.getppid())
        if not self.become_worker(RUN, name, self.dispositions.set_for_worker):
            self.leave(0)
        run(function, self.channel.socket, args, self.ending)

    def on_exec(self, payload, fds):
        if self.report is not None:
            self.channel.answer_failure(self.report)
            return

        flags, = ID.unpack_from(payload)
        argv = payload[ID.size:-1].split(b'\0')
        program = argv[0]
        try:
            self.place_for_exec(argv, flags, fds)
        except Failure as failure:
            self.fail(EXEC_FAILED, EXEC, program, failure.reason)
            self.channel.answer_failure(self.report)
            return

        flush_streams(True)
        self.files.flush()
        self.clibrary.look()
        self.clibrary.flush()
        if not self.become_worker(EXEC, program, self.dispositions.set_for_program):
            os._exit(0)
        try:
            execute(argv, flags & SEARCH_PATH)
        except Failure as failure:
            self.fail(failure.code, EXEC, program, failure.reason)
            self.channel.answer_failure(self.report)
        os._exit(127)

    def place_for_exec(self, argv, flags, fds):
        """Places the descriptors for a program. Those that were sent get the lowest free
        numbers from 3 on. The standard streams that the flags name get the socket."""
        strings = [argument for argument in self.arguments if not isinstance(argument, Descriptor)]
        descriptors = [argument for argument in self.arguments if isinstance(argument, Descriptor)]
        for string in strings:
            data = string.data
            if b'\0' in data:
                raise Failure(EXEC_FAILED, f'an argument holds a NUL{DETAIL}{len(argv)}')
            argv.append(data)

        taken = {target for _, target in self.placements}
        if flags & STDERR_MERGE and (2 in taken or flags & SOCKET_STDIN << 2):
            raise Failure(EXEC_FAILED, f'a descriptor is asked for twice{DETAIL}2')
        free = (number for number in itertools.count(3) if number not in taken)
        wanted = [(argument.fd, next(free)) for argument in descriptors]
        try:
            for stream in range(3):
                if flags & (SOCKET_STDIN << stream):
                    wanted.append((os.dup(fds[0]), stream))
            for fd, target in wanted:
                if target in taken:
                    raise Failure(EXEC_FAILED,
                                  f'a descriptor is asked for twice{DETAIL}{target}')
                self.placements.append([fd, target])
            os.close(fds.pop())

            self.place_control([])
            if flags & STDERR_MERGE:
                os.dup2(1, 2)
        except OSError as error:
            raise Failure(EXEC_FAILED, error.strerror) from error
        self.children.stop()
        close_all_but([target for _, target in self.placements]
                      + [self.channel.socket.fileno()] + self.confinement.scope)

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
        ENVIRON: (on_environ, 0, 0, PREPARES),
        SETSID: (on_setsid, 0, 0, PREPARES),
        LIMIT: (on_limit, LIMIT_BODY.size, 0, PREPARES),
        DIE: (on_die, 0, 0, PREPARES),
        CONFINE: (on_confine, HEAD.size, 0, PREPARES | ANY_FDS),
    }

    def handle_frames(self):
        """Carries out the commands that were read so far. A fork returns from here in both
        processes."""
        while True:
            frame = self.channel.next_frame()
            if frame is None:
                return
            verb, payload, fds = frame
            handle, length, n_fds, flags = self.COMMANDS.get(verb, (None, 0, 0, 0))
            if (handle is None or len(payload) < length
                    or (not flags & self.ANY_FDS and len(fds) != n_fds)
                    or (flags & self.STRINGS and payload[-1] != 0)):
                raise Failure(PROTOCOL, 'malformed command')
            if self.report is None or not flags & self.PREPARES:
                handle(self, payload, fds)
            for fd in fds:
                os.close(fd)

    def wait_for_commands(self):
        """Waits until there is something to read, and reaps children meanwhile. Returns
        whether there is something to read."""
        if self.polled is not self.children.wake:
            self.polled = self.children.wake
            self.poll = select.poll()
            self.poll.register(self.channel.socket, select.POLLIN)
            if self.children.wake is not None:
                self.poll.register(self.children.wake[0], select.POLLIN)
        self.poll.modify(self.channel.socket,
                         select.POLLIN | (select.POLLOUT if self.channel.out else 0))

        control = self.channel.socket.fileno()
        readable = False
        for fd, events in self.poll.poll():
            if fd == control:
                if events & select.POLLOUT:
                    self.channel.flush(MSG_DONTWAIT)
                readable = events & ~select.POLLOUT
            else:
                self.children.on_wake()
        return readable

    def serve(self):
        try:
            while self.serve_once():
                pass
        except Failure as failure:
            self.give_up(failure)
        self.leave(0)

    def serve_once(self):
        """Waits for commands and carries them out. Returns whether more can come."""
        alone = not self.children and not self.channel.out
        if self.closed and alone:
            return False
        if self.parent is not None and not self.forked_just_now:
            self.title.set(b'template', self.parent)
            self.parent = None
        self.forked_just_now = False

        # With no child to look after, reading is all the waiting there is.
        if not alone and not self.wait_for_commands():
            return True

        # At the end of file the application has ended, or does not want to know any more.
        if not self.channel.fill(0 if alone else MSG_DONTWAIT):
            return False
        self.handle_frames()
        return True
