# app.py: an application in Python outside of the tree
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import socket

import gi

gi.require_version('GFork', '1.0')
from gi.repository import GFork

template = GFork.Template.new()
template.send_arg('hello')
conversation, process = template.run('outside:answer', None)
with socket.fromfd(conversation.get_fd(), socket.AF_UNIX, socket.SOCK_STREAM) as channel:
    channel.setblocking(True)
    print(channel.recv(100).decode(), end='')
assert process.wait_check(None)
