#!/usr/bin/env python3
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import gi

gi.require_version('GFork', '1.0')
from gi.repository import GFork

template = GFork.Template.new_python().send('Hello')
socket, process = template.run('hello_worker:hello')

with GFork.python_socket(socket) as conversation:
    conversation.sendall(b'world')
    print(conversation.recv(100).decode())

process.wait_check()
