#!/usr/bin/env python3
"""corpus.py: writes the seeds of the fuzz targets, from what the protocol says.

    python3 tests/fuzz/corpus.py

Each seed is a conversation: a usual one, or one with a single fault. fuzz.h and the head of
each target describe the inputs. What a fuzzer has found is kept beside them, under other names.

SPDX-FileCopyrightText: The gspawnfork developers
SPDX-License-Identifier: LGPL-2.1-or-later
"""

import os
import struct

DIRECTORY = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'corpus')

(REQUIRE, CALL, EVAL, ARG, ARG_FD, ARG_MEMFD, SETENV, UNSETENV, CHDIR, MAP_FD, MODULE_PATH,
 FORK, SYNC, RUN, EXEC, KILL, CLOSE, ENVIRON, SETSID, LIMIT, DIE) = range(1, 22)
READY, SYNCED, ERROR, EXITED = range(64, 68)

# enum fuzz_kind; SAME has all descriptors of a message be of that kind
NULL, SEALED, OPEN, NO_NUL, SOCKET, PIPE, REAPED, UNREAPED = range(8)
SAME = 0x80
MEMORY = 70000


def frame(verb, payload=b'', n_fds=0, length=None, zero=0):
    return struct.pack('=IBBH', len(payload) if length is None else length, verb, n_fds,
                       zero) + payload


def strings(*words):
    return b''.join(word.encode() + b'\0' for word in words)


def message(bytes, n_fds=0, kind=NULL):
    """One sendmsg(), with descriptors."""
    return struct.pack('=BBH', n_fds, kind, len(bytes)) + bytes


def with_fds(verb, payload=b'', n_fds=1, kind=NULL):
    return message(frame(verb, payload, n_fds), n_fds, kind | SAME)


def pid_frame(verb, pid=1234, n_fds=0):
    return frame(verb, struct.pack('=iI', pid, 0), n_fds)


def error_frame(code=4, verb=REQUIRE, subject='module', reason='no such file\x1f/a:/b'):
    return frame(ERROR, struct.pack('=II', code, verb) + strings(subject, reason))


def exited_frame(identifier=0, status=0):
    return frame(EXITED, struct.pack('=IiqqQ', identifier, status, 1000, 2000, 1 << 20))


def memfd(length, kind=ord('b')):
    return struct.pack('=QII', length, kind, 0)


# ——— What goes to the process ———

REQUIRE_IT = frame(REQUIRE, strings('/directory/module.so'))
RUN_IT = frame(RUN, strings('run'))

COMMANDS = {
    'prepare': [message(REQUIRE_IT + frame(SYNC))],
    'launch': [message(REQUIRE_IT + frame(ARG, b'shello') + frame(ARG, b'b\0\1\2') + RUN_IT)],
    'qualified': [message(frame(MODULE_PATH, strings('/directory:relative:'))
                          + frame(RUN, strings('module:run')))],
    'escape': [message(frame(MODULE_PATH, strings('/directory'))
                       + frame(REQUIRE, strings('../secret')) + frame(SYNC))],
    'relative': [message(frame(REQUIRE, strings('./module.so')) + frame(SYNC))],
    'call': [message(REQUIRE_IT + frame(ARG, b'sfor the call')
                     + frame(CALL, strings('call', 'one', '', 'three')) + RUN_IT)],
    'eval': [message(frame(EVAL, strings('1 + 1')) + frame(SYNC) + frame(SYNC))],
    'environment': [message(frame(SETENV, strings('NAME', 'value'))
                            + frame(UNSETENV, strings('NAME')) + frame(CHDIR, strings('/'))
                            + frame(SYNC))],
    'setenv-cut': [message(frame(SETENV, strings('NAME')) + frame(SYNC))],
    'descriptors': [message(REQUIRE_IT), with_fds(ARG_FD, n_fds=9, kind=PIPE),
                    with_fds(MAP_FD, struct.pack('=i', 20)), message(RUN_IT)],
    'descriptors-together': [message(REQUIRE_IT + frame(ARG_FD, n_fds=2) + frame(ARG_FD, n_fds=1)
                                     + RUN_IT, 3)],
    'map-anywhere': [with_fds(MAP_FD, struct.pack('=i', target)) for target in
                     (0, 1, 2, 3, 7, 7, -1, 0x7fffffff)] + [message(frame(SYNC))],
    'memfd-sealed': [message(REQUIRE_IT), with_fds(ARG_MEMFD, memfd(MEMORY), kind=SEALED),
                     message(RUN_IT)],
    'memfd-open': [message(REQUIRE_IT), with_fds(ARG_MEMFD, memfd(MEMORY, ord('s')), kind=OPEN),
                   message(RUN_IT)],
    'memfd-no-nul': [message(REQUIRE_IT), with_fds(ARG_MEMFD, memfd(MEMORY), kind=NO_NUL),
                     message(RUN_IT)],
    'memfd-short': [with_fds(ARG_MEMFD, memfd(MEMORY + 1), kind=SEALED), message(frame(SYNC))],
    'memfd-huge': [with_fds(ARG_MEMFD, memfd(2 ** 64 - 1), kind=SEALED), message(frame(SYNC))],
    'memfd-none': [with_fds(ARG_MEMFD, memfd(1), kind=PIPE), message(frame(SYNC))],
    'fork': [with_fds(FORK, struct.pack('=I', 0), kind=SOCKET),
             with_fds(FORK, struct.pack('=I', 1) + strings('run'), kind=SOCKET),
             message(frame(KILL, struct.pack('=Ii', 0, 15)) + frame(SYNC))],
    'fork-hint': [message(REQUIRE_IT), with_fds(FORK, struct.pack('=I', 0) + strings('run'),
                                                kind=SOCKET), message(frame(SYNC, b'x'))],
    'fork-no-socket': [with_fds(FORK, struct.pack('=I', 0), kind=PIPE), message(frame(SYNC))],
    'fork-failed': [message(frame(REQUIRE, strings('missing'))),
                    with_fds(FORK, struct.pack('=I', 7), kind=SOCKET), message(RUN_IT)],
    'execute': [message(frame(ARG, b'sword')), with_fds(ARG_FD, n_fds=2),
                with_fds(EXEC, struct.pack('=I', 15) + strings('/bin/true', 'x'), kind=SOCKET),
                message(frame(SYNC))],
    'execute-nul': [message(frame(ARG, b's\0')),
                    with_fds(EXEC, struct.pack('=I', 0) + strings('true'), kind=SOCKET),
                    message(frame(CLOSE))],
    'close': [message(frame(CLOSE) + frame(KILL, struct.pack('=Ii', 0, 9)))],
    'many-syncs': [message(frame(SYNC) * 60)],
    'failed-syncs': [message(frame(REQUIRE, strings('x' * 5000)) + frame(SYNC) * 40)],
    'no-terminator': [message(frame(REQUIRE, b'module'))],
    'too-short': [message(frame(FORK, b'12', 1), 1)],
    'no-command': [message(frame(99, b'what'))],
    'too-long': [message(frame(ARG, b'x', length=0x1000001))],
    'longest': [message(frame(ARG, b'x', length=0x1000000))],
    'reserved': [message(frame(SYNC, zero=1))],
    'too-few-descriptors': [message(frame(ARG_FD, n_fds=3), 2)],
    'too-many-descriptors': [message(frame(SYNC), 253, PIPE | SAME)],
    'cut': [message(frame(REQUIRE, strings('module'))[:11])],
    'byte-by-byte': [message(bytes([byte])) for byte in REQUIRE_IT + frame(SYNC)],
    'rubbish': [message(b'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')],
    'nothing': [],
}

# What a program can be given that is started without a fork
PROGRAM = message(frame(ENVIRON, strings('A=1', 'B=2', 'A=3')) + frame(SETENV, strings('C', '4'))
                  + frame(UNSETENV, strings('B')) + frame(CHDIR, strings('/')) + frame(SETSID)
                  + frame(LIMIT, struct.pack('=IIQ', 0, 0, 2)) + frame(DIE)
                  + frame(ARG, b'sword') + frame(ARG_FD, n_fds=1)
                  + frame(MAP_FD, struct.pack('=i', 4), n_fds=1)
                  + frame(EXEC, struct.pack('=I', 15) + strings('true', 'x'), n_fds=1),
                  3, SOCKET | SAME)


# ——— What comes from it ———

(ANSWER, PREPARE, RUN_ASYNC, EXEC_ASYNC, DETACH, FORK_IT, SEND, SEND_LONG, CANCEL, CLOSE_IT, DROP,
 ITERATE, LISTEN, HANG_UP, SPARES, PROCESSES, SELECT) = range(17)


def do(*numbers):
    return bytes(numbers)


def answer(bytes, n_fds=0, kind=NULL):
    return do(ANSWER) + message(bytes, n_fds, kind | SAME)


TURN = do(ITERATE, 15)

CONVERSATIONS = {
    'prepare': [do(PREPARE), answer(pid_frame(SYNCED)), TURN],
    'run': [do(SEND, 0, RUN_ASYNC), answer(pid_frame(READY)), TURN, do(PROCESSES), TURN],
    'run-pidfd': [do(RUN_ASYNC), answer(pid_frame(READY, n_fds=1), 1, REAPED), TURN,
                  do(PROCESSES), TURN],
    'run-unreaped': [do(RUN_ASYNC), answer(pid_frame(READY, n_fds=1), 1, UNREAPED), TURN,
                     do(PROCESSES), TURN],
    'run-no-pidfd': [do(RUN_ASYNC), answer(pid_frame(READY, n_fds=1), 1, PIPE), TURN,
                     do(PROCESSES), TURN],
    'run-pid-0': [do(RUN_ASYNC), answer(pid_frame(READY, 0)), TURN],
    'run-pid-minus-1': [do(RUN_ASYNC), answer(pid_frame(READY, -1)), TURN],
    'prepare-pid-0': [do(PREPARE), answer(pid_frame(SYNCED, 0)), TURN],
    'execute': [do(EXEC_ASYNC), answer(pid_frame(READY)), TURN, do(HANG_UP, 1), TURN],
    'execute-fails': [do(EXEC_ASYNC), answer(pid_frame(READY)),
                      answer(error_frame(7, EXEC, '/program', 'Permission denied')), TURN],
    'execute-ready-twice': [do(EXEC_ASYNC), answer(pid_frame(READY) * 2), TURN],
    'detach': [do(DETACH), answer(pid_frame(SYNCED)), TURN, do(PREPARE),
               answer(pid_frame(SYNCED)), TURN],
    'error': [do(SEND, 2, PREPARE), answer(error_frame()), TURN, do(RUN_ASYNC),
              answer(error_frame()), TURN],
    'fork': [do(FORK_IT, SELECT, 1, 0, RUN_ASYNC, LISTEN, SELECT, 1, 1),
             answer(pid_frame(READY)), TURN, do(PROCESSES, SELECT, 0, 0),
             answer(exited_frame(0, 0x100)), TURN],
    'fork-signaled': [do(FORK_IT, SELECT, 1, 0, RUN_ASYNC, LISTEN, SELECT, 1, 1),
                      answer(pid_frame(READY)), TURN, do(PROCESSES, SELECT, 0, 0),
                      answer(exited_frame(0, 9)), TURN],
    'fork-stopped': [do(FORK_IT, SELECT, 1, 0, RUN_ASYNC, LISTEN, SELECT, 1, 1),
                     answer(pid_frame(READY)), TURN, do(PROCESSES, SELECT, 0, 0),
                     answer(exited_frame(0, 0x137f)), TURN],
    'fork-refused': [do(FORK_IT, SELECT, 1, 0, PREPARE, LISTEN, SELECT, 0, 1),
                     answer(error_frame(3, FORK, '', 'a thread')), do(HANG_UP, 1, SELECT, 0, 0),
                     answer(exited_frame(0, -1)), TURN],
    'orphan': [do(FORK_IT, SELECT, 1, 0, RUN_ASYNC, LISTEN, SELECT, 1, 1),
               answer(pid_frame(READY, n_fds=1), 1, UNREAPED), TURN,
               do(PROCESSES, SELECT, 0, 0, HANG_UP, 1), TURN],
    'spares': [do(SPARES, 3), TURN, do(FORK_IT, LISTEN, SELECT, 1, 1, RUN_ASYNC),
               answer(pid_frame(READY)), TURN],
    'long': [do(SEND_LONG, PREPARE, LISTEN), answer(pid_frame(SYNCED)), TURN],
    'cancel': [do(PREPARE, RUN_ASYNC), TURN, do(CANCEL), TURN, answer(pid_frame(SYNCED))],
    'cancel-prepare': [do(PREPARE, CANCEL, PREPARE), answer(pid_frame(SYNCED) * 2), TURN],
    'close': [do(PREPARE, RUN_ASYNC, CLOSE_IT), TURN, answer(pid_frame(SYNCED)), TURN],
    'drop': [do(FORK_IT, DROP), TURN, answer(exited_frame(0, 0)), TURN],
    'exited-unknown': [answer(exited_frame(77, 0)), do(PREPARE), answer(pid_frame(SYNCED)), TURN],
    'exited-short': [do(PREPARE), answer(frame(EXITED, b'1234')), answer(pid_frame(SYNCED)), TURN],
    'ready-unasked': [answer(pid_frame(READY)), do(PREPARE), TURN],
    'ready-for-sync': [do(PREPARE), answer(pid_frame(READY)), TURN],
    'ready-twice': [do(RUN_ASYNC), answer(pid_frame(READY) * 2), TURN],
    'ready-and-talk': [do(RUN_ASYNC), answer(pid_frame(READY) + b'conversation'), TURN],
    'ready-long': [do(RUN_ASYNC), answer(frame(READY, bytes(9))), TURN],
    'ready-two-descriptors': [do(RUN_ASYNC), answer(pid_frame(READY, n_fds=2), 2), TURN],
    'synced-unasked': [answer(pid_frame(SYNCED)), do(PREPARE), TURN],
    'synced-for-run': [do(RUN_ASYNC), answer(pid_frame(SYNCED)), TURN],
    'error-bad-code': [do(PREPARE), answer(error_frame(99)), TURN],
    'error-no-nul': [do(PREPARE), answer(frame(ERROR, struct.pack('=II', 0, 0) + b'what')), TURN],
    'error-one-string': [do(PREPARE), answer(frame(ERROR, bytes(8) + b'subject\0')), TURN],
    'error-not-utf-8': [do(PREPARE),
                        answer(frame(ERROR, bytes(8) + b'\xff\xfe\0\xc3\x28%s%n\0')), TURN],
    'error-unasked': [answer(error_frame(9, 0, '', 'malformed frame')), do(HANG_UP, 0, PREPARE),
                      TURN],
    'error-verbs': [part for verb in range(18)
                    for part in (do(PREPARE), answer(error_frame(0, verb)), TURN)],
    'command': [do(PREPARE), answer(frame(SYNC)), TURN],
    'too-long': [do(PREPARE), answer(frame(ERROR, b'x', length=0xffffffff)), TURN],
    'reserved': [do(PREPARE), answer(frame(SYNCED, bytes(8), zero=7)), TURN],
    'too-few-descriptors': [do(PREPARE), answer(pid_frame(SYNCED, n_fds=1)), TURN],
    'too-many-descriptors': [do(PREPARE), answer(pid_frame(SYNCED), 253, PIPE), TURN],
    'descriptors-for-nothing': [do(PREPARE)] + [answer(b'\0', 8)] * 40 + [TURN],
    'cut': [do(PREPARE), answer(pid_frame(SYNCED)[:11]), do(HANG_UP, 0), TURN],
    'byte-by-byte': [do(RUN_ASYNC)] + [answer(bytes([byte])) + do(ITERATE, 1)
                                         for byte in pid_frame(READY)] + [TURN],
    'rubbish': [do(PREPARE), answer(b'HTTP/1.1 400 Bad Request\r\n\r\n'), TURN],
    'nothing': [do(PREPARE, HANG_UP, 1), TURN],
}


def behaviour(language=0, forks=0, waits=0, busy=0, failing=0, for_child=b''):
    return struct.pack('=BBBBBH', language, forks, waits, busy, failing,
                       len(for_child)) + for_child


def write(target, name, bytes):
    directory = os.path.join(DIRECTORY, target)
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, name), 'wb') as file:
        file.write(bytes)


def job(text, identifier=1, length=None, zero=0):
    head = struct.pack('=IIQ', identifier, zero, len(text) if length is None else length)
    return frame(96, head + text)


def long_job(length, kind):
    return with_fds(96, struct.pack('=IIQ', 1, 0, length), kind=kind)


def write_jobs():
    for name, seed in {
        'one': message(job(b'abc')),
        'empty': message(job(b'')),
        'fails': message(job(b'f') + job(b'x', 2)),
        'large-reply': message(job(b'l')),
        'many': message(b''.join(job(b'n', i) for i in range(20))),
        'apart': message(job(b'abc')[:5]) + message(job(b'abc')[5:]),
        'cut': message(job(b'abc')[:-1]),
        'wrong-length': message(job(b'abc', length=2)),
        'too-long': message(job(b'abc', length=1 << 60)),
        'not-zero': message(job(b'abc', zero=1)),
        'no-job': message(frame(113, bytes(16))),
        'short': message(frame(96, bytes(15))),
        'sealed': long_job(70000, SEALED),
        'open': long_job(70000, OPEN),
        'no-nul': long_job(70000, NO_NUL),
        'too-short-memory': long_job(70001, SEALED),
        'socket': long_job(70000, SOCKET),
        'no-descriptor': message(frame(96, struct.pack('=IIQ', 1, 0, 70000))),
    }.items():
        write('jobs', name, seed)


def main():
    write_jobs()
    for name, messages in COMMANDS.items():
        bytes = b''.join(messages)
        write('reader', f'command-{name}', b'\1' + bytes)
        write('serve', name, behaviour() + bytes)

    for number, (name, messages) in enumerate(sorted(COMMANDS.items())):
        bytes = b''.join(messages)
        child = message(REQUIRE_IT + RUN_IT)
        write('serve', f'{name}-as-child', behaviour(forks=1, for_child=child) + bytes)
        write('serve', f'{name}-language', behaviour(language=1, busy=number) + bytes)
        write('serve', f'{name}-trouble',
              behaviour(forks=0x34, waits=0x55, busy=0xaa, failing=1 + number % 5) + bytes)

    # The first bit of `forks` says whether there are threads.
    fork = with_fds(FORK, struct.pack('=I', 0), kind=SOCKET) + message(frame(SYNC))
    write('serve', 'program', behaviour(for_child=PROGRAM) + fork)
    write('serve', 'program-as-child', behaviour(forks=2, for_child=PROGRAM) + fork)
    write('serve', 'program-without-vfork', behaviour(forks=6, for_child=PROGRAM) + fork)

    for name, parts in CONVERSATIONS.items():
        write('application', name, b''.join(parts))

    for name, answers in {
            'ready': pid_frame(READY), 'ready-and-talk': pid_frame(READY) + b'hello',
            'exited': exited_frame() * 3, 'error': error_frame(), 'synced': pid_frame(SYNCED) * 5,
            'long-error': error_frame(reason='x' * 3000)}.items():
        write('reader', f'answer-{name}', b'\0' + message(answers))
        write('reader', f'exact-{name}', b'\2' + message(answers))


if __name__ == '__main__':
    main()
