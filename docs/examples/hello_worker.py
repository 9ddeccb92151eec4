# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import os


def hello(sock, greeting):
    name = sock.recv(100).decode()
    sock.sendall(f'{greeting}, {name}! This is process {os.getpid()}.'.encode())
