# wire.py: the protocol's numbers and layouts, which docs/runtimes.md tells
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import os
import socket
import struct

PROTOCOL_VERSION = 1
SERVE_OPTION = '--gspawnfork-serve'

(REQUIRE, CALL, EVAL, ARG, ARG_FD, ARG_MEMFD, SETENV, UNSETENV, CHDIR, MAP_FD,
 MODULE_PATH, FORK, SYNC, RUN, EXEC, KILL, CLOSE, ENVIRON, SETSID, LIMIT, DIE,
 CONFINE) = range(1, 23)
READY, SYNCED, ERROR, EXITED, HELLO = range(64, 69)

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
KILL_BODY = struct.Struct('=Ii')
LIMIT_BODY = struct.Struct('=IIQ')

MAX_PAYLOAD = 16 * 1024 * 1024
MAX_FDS = 253
READ_SIZE = 16 * 1024
MAX_QUEUED_FDS = 16 * MAX_FDS
MAX_SUBJECT = 4096
MAX_REASON = 4096
CONTROL_SIZE = socket.CMSG_SPACE(MAX_FDS * TARGET.size)

# What follows it in a reason, up to the next one, is not translated.
DETAIL = '\x1f'

# Flags of EXEC.
SOCKET_STDIN = 1 << 0
SEARCH_PATH = 1 << 3
STDERR_MERGE = 1 << 9


class Failure(Exception):
    """An error: its code, and its reason, which is a fact without a sentence around it."""

    def __init__(self, code, reason):
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Report:
    """The error with which a template answers in which a command has failed."""

    def __init__(self, code, verb, subject, reason):
        self.code = code
        self.verb = verb
        self.subject = subject.split(b'\0')[0][:MAX_SUBJECT]
        self.reason = encode(reason).replace(b'\0', b'?')[:MAX_REASON]

    def to_frame(self):
        payload = (ERROR_HEAD.pack(self.code, self.verb)
                   + self.subject + b'\0' + self.reason + b'\0')
        return make_frame(ERROR, payload)


def make_frame(verb, payload, n_fds=0):
    return HEADER.pack(len(payload), verb, n_fds, 0) + payload


def encode(text):
    return text.encode('utf-8', 'surrogateescape')


def decode(data):
    """Decodes a string from a frame. Bytes that are not UTF-8 are restored when it is
    encoded again."""
    return data.decode('utf-8', 'surrogateescape')


def decode_name(data):
    """Decodes the name of a module or function. A path has the file system's encoding."""
    return os.fsdecode(data) if data.startswith(b'/') else decode(data)
