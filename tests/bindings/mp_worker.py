# mp_worker.py: the functions that tests of multiprocessing run in processes
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import hashlib
import multiprocessing
import multiprocessing.shared_memory
import os
import signal
import socket
import stat
import sys

pid = os.getpid()


def send_result(connection, function, *args):
    connection.send(function(*args))


def nothing():
    pass


def kill_itself():
    os.kill(os.getpid(), signal.SIGKILL)


def send_and_wait(connection):
    connection.send(os.getpid())
    connection.recv()


def send_all(connections):
    for i, connection in enumerate(connections):
        connection.send(i)


def digest(data):
    return hashlib.sha256(data).hexdigest()


def tell_parent():
    parent = multiprocessing.parent_process()
    return parent.pid, parent.is_alive()


def say_when_parent_ends():
    multiprocessing.parent_process().join()
    print('the parent has ended', flush=True)


def tell_surroundings():
    return dict(os.environ), os.getcwd(), sys.argv, sys.path


def listening_sockets():
    found = []
    for fd in map(int, os.listdir('/proc/self/fd')):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                with socket.socket(fileno=os.dup(fd)) as sock:
                    if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                        found.append(fd)
        except OSError:
            pass
    return found


def count(queue, lock, value, event):
    event.wait()
    for _ in range(100):
        with lock:
            value.value += 1
    queue.put(os.getpid())


def write_to_shared_memory(name):
    memory = multiprocessing.shared_memory.SharedMemory(name)
    memory.buf[:5] = b'hello'
    memory.close()


def start_another():
    import gspawnfork.multiprocessing

    context = gspawnfork.multiprocessing.context
    queue = context.SimpleQueue()
    process = context.Process(target=queue.put, args=('from below',))
    process.start()
    process.join()
    return queue.get()


def tell_method():
    return multiprocessing.get_start_method()


def print_method():
    print(multiprocessing.get_start_method(), end=' ')
    # What the default was where this process was started.
    multiprocessing.set_start_method('gspawnfork', force=True)
    print(multiprocessing.get_start_method(), flush=True)


def print_whether_gi():
    print('gi' in sys.modules, flush=True)


def print_flags():
    print(sys.flags.optimize, tuple(sys.flags), sys.warnoptions, sorted(sys._xoptions.items()),
          flush=True)


def print_executable():
    print(sys.executable, flush=True)


def was_imported_here():
    return pid == os.getpid()


def print_where_main_was_run():
    places = {os.getppid(): 'template', os.getpid(): 'process'}
    print(places[sys.modules['__main__'].pid], flush=True)


def inode_of_tracker():
    from multiprocessing import resource_tracker

    return os.fstat(resource_tracker._resource_tracker._fd).st_ino
