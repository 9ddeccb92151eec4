# execute.py: execv() with a search in PATH, scripts without #!, and reasons that users can act on
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import errno
import os

from .wire import DETAIL, EXEC_FAILED, Failure, decode

SHELL = b'/bin/sh'
DEFAULT_PATH = b'/bin:/usr/bin'

# The kernel itself looks at no more of a first line.
MAX_FIRST_LINE = 256

# What is not in one directory may be in another one.
NOT_HERE = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ESTALE, errno.ENODEV,
            errno.ETIMEDOUT}

# What may be true of the interpreter in the first line.
OF_INTERPRETER = {errno.ENOENT, errno.EACCES, errno.ENOTDIR, errno.ELOOP, errno.ENOEXEC}


def read_first_line(path):
    """Returns the beginning of a file, up to the end of its first line, or None if it cannot
    be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        return os.read(fd, MAX_FIRST_LINE).partition(b'\n')[0]
    except OSError:
        return None
    finally:
        os.close(fd)


def execute_file(path, argv):
    """Executes a file. If the kernel does not know its format and it looks like text, it is
    run by the shell. Returns the error."""
    try:
        os.execv(path, argv)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            return error
        line = read_first_line(path)
        if line is None or b'\0' in line:
            return error
        try:
            os.execv(SHELL, [SHELL, path] + argv[1:])
        except OSError:
            return error
    except ValueError:
        return OSError(errno.EINVAL, os.strerror(errno.EINVAL))


def find_and_execute(program, argv):
    """Executes a program that is looked up in PATH. Returns the path that the error is
    about, and the error."""
    denied = None
    for directory in os.environb.get(b'PATH', DEFAULT_PATH).split(b':'):
        path = directory + b'/' + program if directory else program
        error = execute_file(path, argv)
        if error.errno == errno.EACCES:
            denied = denied or error
        elif error.errno not in NOT_HERE or (error.errno == errno.ENOENT
                                             and os.access(path, os.X_OK)):
            return path, error
    return program, denied or OSError(errno.ENOENT, os.strerror(errno.ENOENT))


def execute(argv, search):
    """Executes the program argv[0] in this process. Raises Failure if that is not possible."""
    path = argv[0]
    if search and path and b'/' not in path:
        path, error = find_and_execute(path, argv)
    else:
        error = execute_file(path, argv)
    raise Failure(EXEC_FAILED, describe(path, error))


def describe(path, error):
    """Returns the reason of an error. If the file exists and may be executed, the error is
    about its interpreter."""
    line = None
    if error.errno in OF_INTERPRETER and b'/' in path and os.access(path, os.X_OK):
        line = read_first_line(path)
    if line is None or not line.startswith(b'#!'):
        return os.strerror(error.errno)

    interpreter = (line[2:].lstrip(b' \t').replace(b'\t', b' ').split(b' ') or [b''])[0]
    shown = bytes(ord('?') if byte < ord(' ') else byte for byte in interpreter)
    return (f'the interpreter in its first line cannot be executed{DETAIL}{decode(shown)}'
            f'{DETAIL}{os.strerror(error.errno)}')
