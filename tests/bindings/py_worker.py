# py_worker.py: the functions that tests run in workers in Python
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import asyncio
import gc
import json
import os
import random
import signal
import socket
import stat
import sys
import threading

import gspawnfork

memory = []
forks = threading.Event()


# Called

def remember(*args):
    memory.append(list(args))


def remember_sent():
    memory.append(gspawnfork.take_args())


def fail(*args):
    raise KeyError('no such key')


def leave(*args):
    sys.exit(3)


def start_thread():
    threading.Thread(target=forks.wait, name='sleepy', daemon=True).start()


def print_something():
    print('printed once')


# Run

def say(sock, thing):
    sock.sendall(json.dumps(thing).encode() + b'\n')


def tell(sock, *args):
    """Answers with all that a worker can say about itself."""
    with open('/proc/self/cmdline', 'rb') as file:
        title = file.read().rstrip(b'\0').decode()
    with open('/proc/self/comm') as file:
        name = file.read().strip()
    say(sock, {
        'args': [describe(arg) for arg in args],
        'blocking': sock.getblocking() and os.get_blocking(sock.fileno()),
        'cwd': os.getcwd(),
        'environment': dict(os.environ),
        'executable': sys.executable,
        'fds': sorted(fd for fd in map(int, os.listdir('/proc/self/fd')) if is_open(fd)),
        'own-fds': sorted([0, 1, 2, sock.fileno()]
                          + [arg.fileno() for arg in args if hasattr(arg, 'fileno')]),
        'memory': [list(map(describe, entry)) for entry in memory],
        'name': name,
        'path': sys.path,
        'pid': os.getpid(),
        'random': random.random(),
        'signals': [signum for signum in signal.valid_signals()
                    if callable(signal.getsignal(signum))],
        'mask': sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        'title': title,
    })


def is_open(fd):
    try:
        os.fstat(fd)
        return True
    except OSError:
        return False


def describe(arg):
    if isinstance(arg, bytes):
        return ['bytes', arg.decode('latin-1')]
    if isinstance(arg, str):
        return ['str', arg]
    if isinstance(arg, socket.socket):
        return ['socket', arg.family]
    return [type(arg).__name__, arg.mode]


def lengths(sock, *args):
    say(sock, [len(arg) for arg in args])


def echo(sock, *args):
    while data := sock.recv(4096):
        sock.sendall(data)


def echo_elsewhere(sock, other):
    other.setblocking(True)
    echo(other)


def write_to(sock, *files):
    for file in files:
        if isinstance(file, socket.socket):
            file.setblocking(True)
            file.sendall(b'written by the worker')
        else:
            file.write(b'written by the worker')


def read_from(sock, file):
    sock.sendall(file.read())


def send_back(sock):
    """Opens something and sends it to the application."""
    read_end, write_end = os.pipe()
    os.write(write_end, b'from the worker')
    socket.send_fds(sock, [b'!'], [read_end])


def exit_with(sock, status):
    sys.exit(int(status))


def exit_with_message(sock):
    sys.exit('so it ends')


def return_status(sock):
    return 5


def raise_error(sock):
    raise ValueError('this is expected')


def kill_itself(sock):
    os.kill(os.getpid(), signal.SIGKILL)


def at_exit(sock):
    import atexit
    atexit.register(sock.sendall, b'handler')


async def asynchronous(sock, word):
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_sendall(sock, word.encode())
    return 4


def frozen(sock):
    say(sock, gc.get_freeze_count())


def nothing(sock):
    pass
