# __init__.py: the ways into the template process: a template that is an interpreter
#
# It does what serve/ does for modules in C, command by command, with nothing but the
# standard library; docs/runtimes.md tells the protocol. What it imports is there in
# every worker, so it is little.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import os
import signal
import socket
import stat
import sys
import types

import gspawnfork

from . import signals
from .arguments import open_socket
from .ending import Files, flush_streams
from .modules import Modules
from .process import Title, close_all_but, list_descriptors, make_eventfd
from .signals import Dispositions
from .template import Template
from .wire import (DETAIL, HELLO, ID, PROTOCOL, PROTOCOL_VERSION, SERVE_OPTION, Report,
                   make_frame)


def find_control_socket(argv):
    """Returns the control socket that the command line names."""
    if argv[1] != SERVE_OPTION:
        raise ValueError
    sock = open_socket(int(argv[3]), True)
    if sock.type != socket.SOCK_STREAM:
        raise ValueError
    return sock


def start(argv):
    """Serves the application that has executed this interpreter."""
    try:
        sock = find_control_socket(argv)
    except (IndexError, ValueError, OSError):
        sys.exit(f'{argv[0]}: this program is started by the gspawnfork library')

    close_all_but([sock.fileno()])
    sock.set_inheritable(False)
    if argv[2] != str(PROTOCOL_VERSION):
        reason = ('the helper and the application speak different versions of the protocol'
                  f'{DETAIL}{PROTOCOL_VERSION}, {argv[2][:16]}')
        send(sock, Report(PROTOCOL, 0, b'', reason).to_frame())
        sys.exit(2)
    send(sock, make_frame(HELLO, ID.pack(PROTOCOL_VERSION)))

    sys.argv[:] = ['']
    # What is evaluated has a __main__ of its own.
    main = types.ModuleType('__main__')
    main.__builtins__ = __builtins__
    # The program's is referred to by what it has started.
    main_of_program, sys.modules['__main__'] = sys.modules['__main__'], main

    template = Template(sock, Title(), Modules(), Dispositions(True))
    gspawnfork._template_here = template
    template.serve()


def send(sock, frame):
    """Sends a frame to the application. If the application has ended, the commands that it
    has sent are carried out nevertheless."""
    try:
        sock.send(frame, socket.MSG_NOSIGNAL)
    except OSError:
        pass


def fork_main(sock):
    """Forks the application, for GFork.Template.new_from_main(), with all signals blocked. In
    the fork, it carries out the commands that arrive on the socket, and does not return.

    Returns the process ID, or a negative error number."""
    # What was written so far is written once.
    flush_streams(True)
    Files().flush()
    try:
        pid = os.fork()
    except OSError as error:
        return -error.errno
    if pid == 0:
        serve_fork(sock)
    return pid


def serve_fork(sock):
    try:
        signal.set_wakeup_fd(-1)
        leave_descriptors(sock)
        dispositions = Dispositions(False)
        template = Template(open_socket(sock, True), Title(), Modules(), dispositions)
        # What the application has registered for its end is left to it.
        template.ending.raise_barrier()
        template.ending.raised_by = -1
        template.seed()
        gspawnfork._template_here = template
        template.serve()
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        os._exit(127)


def leave_descriptors(keep):
    """Closes all that the application has open. Its objects will close their descriptors by
    number later, and must not close descriptors of the template then. So each number is
    taken by something else."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.dup2(null, 0)
    for fd in list_descriptors():
        if fd > 2 and fd not in (keep, null):
            # GLib waits for its eventfds; those that are not their like have a type.
            other = null if stat.S_IFMT(os.fstat(fd).st_mode) else make_eventfd()
            os.dup2(other, fd, False)
            if other != null:
                os.close(other)
    os.close(null)
    os.set_inheritable(keep, False)
