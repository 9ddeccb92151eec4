# aio_worker.py: the functions that tests of gspawnfork.aio run in workers
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import os
import signal


def echo(sock):
    while data := sock.recv(1000):
        sock.sendall(data)


def return_five(sock):
    return 5


def stay(sock, pipe):
    """Lives until it is killed. The pipe has a byte as soon as it runs, and then ends
    together with it."""
    pipe.write(b'!')
    signal.pause()


def kill_itself(sock):
    os.kill(os.getpid(), signal.SIGKILL)
