# try-greeter.py PROGRAM: has the server greet, and end with all of its workers
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import os
import signal
import socket
import subprocess
import sys

server = subprocess.Popen(sys.argv[1], stdout=subprocess.PIPE, text=True)
port = int(server.stdout.readline().split()[1])


def ask():
    """The process that answers."""
    with socket.create_connection(('127.0.0.1', port)) as client:
        with client.makefile() as lines:
            words = lines.readline().split()
            assert words[:3] == ['Hello', 'from', 'process']
            return int(words[3].rstrip('!'))


for _ in range(20):
    worker = ask()
print('ok 1 greets')

for signum in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    os.kill(worker, signum)
while ask() != worker:
    pass
print('ok 2 a worker does not end by what is sent to all processes')

server.send_signal(signal.SIGHUP)
answered = {worker}
while len(answered) <= 4:
    answered.add(ask())
print('ok 3 has new workers after SIGHUP')

server.send_signal(signal.SIGTERM)
assert server.wait() == 0
# Nobody has the other end any more, the workers neither.
assert server.stdout.read() == ''
print('ok 4 ends with its workers')
print('1..4')
