# decoder.py: unpacks files by workers that can do nothing else
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import sys

import gi

gi.require_version('GFork', '1.0')
from gi.repository import GFork, GLib

template = GFork.Template.new_python()
template.require('decoder_worker')       # outside the sandbox, with all that it imports
template.confine(GFork.Sandbox.new())    # from here on, inside

pool = GFork.Pool.new(template, 'decoder_worker:worker')
pool.set_max_jobs(100)                   # a worker that was taken over does not stay for long
pool.set_max_restarts(GLib.MAXUINT32)    # files that crash a worker do not make the pool fail
pool.set_restart_delay(0)                # nor does the next file wait

with pool:                               # starts it, and stops it
    for path in sys.argv[1:]:
        with open(path, 'rb') as file:
            packed = file.read()
        try:
            print(f'{path}: {len(pool.call(packed))} bytes')
        except GLib.Error as error:
            print(f'{path}: {error.message}')
