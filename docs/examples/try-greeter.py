# try-greeter.py PROGRAM: has the server greet, and end with all of its workers
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import signal
import socket
import subprocess
import sys

server = subprocess.Popen(sys.argv[1], stdout=subprocess.PIPE, text=True)
port = int(server.stdout.readline().split()[1])
for _ in range(20):
    with socket.create_connection(('127.0.0.1', port)) as client:
        with client.makefile() as lines:
            assert lines.readline().startswith('Hello from process ')
print('ok 1 greets')

server.send_signal(signal.SIGTERM)
assert server.wait() == 0
# Nobody has the other end any more, the workers neither.
assert server.stdout.read() == ''
print('ok 2 ends with its workers')
print('1..2')
