# try-prefork.py PREFORK: asks the server of prefork.c, while its workers are killed and
# replaced
#
# Requests fail only if they are with a worker that is killed, and none fails because the
# workers are replaced.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import http.client
import os
import signal
import subprocess
import sys
import threading

N_CLIENTS = 4
N_KILLS = 3
N_REPLACEMENTS = 2


class Clients:
    """Threads that ask the server, one request after another, until they are stopped."""

    def __init__(self, port):
        self.port = port
        self.stopped = False
        self.pids = set()
        self.n_failed = 0
        self.changed = threading.Condition()
        self.threads = [threading.Thread(target=self.run) for _ in range(N_CLIENTS)]
        for thread in self.threads:
            thread.start()

    def ask(self):
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=60)
        try:
            connection.request('GET', '/')
            return int(connection.getresponse().read().split()[-1].rstrip(b'!'))
        finally:
            connection.close()

    def run(self):
        while not self.stopped:
            try:
                pid = self.ask()
            except (http.client.HTTPException, OSError):
                pid = None
            with self.changed:
                if pid is None:
                    self.n_failed += 1
                else:
                    self.pids.add(pid)
                self.changed.notify_all()

    def wait_for_pid(self, known):
        """A process that has answered and is not among those."""
        with self.changed:
            self.changed.wait_for(lambda: self.pids - known)
            return next(iter(self.pids - known))

    def stop(self):
        self.stopped = True
        for thread in self.threads:
            thread.join()


def main():
    server = subprocess.Popen([sys.argv[1], '0', '2'], stdout=subprocess.PIPE, text=True)
    line = ''
    while not line.startswith('http'):
        line = server.stdout.readline()
    clients = Clients(int(line.rstrip('/\n').rsplit(':', 1)[1]))

    killed = set()
    for _ in range(N_KILLS):
        pid = clients.wait_for_pid(killed)
        os.kill(pid, signal.SIGKILL)
        killed.add(pid)
        # The one in its place serves before the next one is killed.
        while not server.stdout.readline().startswith('started'):
            pass
    n_failed = clients.n_failed
    print(f'{N_KILLS} workers killed, {n_failed} requests failed')
    assert n_failed <= N_KILLS * N_CLIENTS

    clients.stop()
    clients = Clients(clients.port)
    for _ in range(N_REPLACEMENTS):
        old = set(clients.pids) or {clients.wait_for_pid(set())}
        server.send_signal(signal.SIGHUP)
        while server.stdout.readline() != 'replaced\n':
            pass
        clients.wait_for_pid(old)
    clients.stop()
    print(f'{N_REPLACEMENTS} replacements, {clients.n_failed} requests failed')
    assert clients.n_failed == 0

    server.terminate()
    assert server.wait() == 0


main()
