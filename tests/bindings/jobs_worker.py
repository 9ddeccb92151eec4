# jobs_worker.py: workers for test_pool.py
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import os
import signal

import gspawnfork


class Mute(Exception):
    def __str__(self):
        raise RuntimeError('it says nothing')


def do_job(request):
    word, _, rest = request.partition(b' ')
    if word == b'raise':
        raise ValueError(rest.decode())
    if word == b'mute':
        raise Mute
    if word == b'large':
        return b'x' * int(rest)
    if word == b'length':
        return str(len(request)).encode()
    if word == b'number':
        return 5
    if word == b'view':
        return memoryview(bytearray(rest))
    if word == b'exit':
        raise SystemExit(int(rest))
    if word == b'forever':
        signal.pause()
    if word == b'print':
        print('# printed by a worker')
        return None
    return request.upper()


def worker(sock):
    return gspawnfork.serve_jobs(sock, do_job)


def ready_worker(sock):
    os.environ['READY'] = 'yes'
    gspawnfork.worker_ready(sock)
    sock.sendall(sock.recv(100))
    sock.recv(1)
