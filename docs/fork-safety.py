#!/usr/bin/env python3
# fork-safety.py [--write]: tries which calls start threads in a template, and so make it
# one that cannot be forked; prints the table of fork-safety.md, or writes it there.
#
# Run it in `meson devenv`, with the interpreter that has gi. What is not installed is
# left out.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import pathlib
import re
import sys

import gi

gi.require_version('GFork', '1.0')
from gi.repository import GFork, GLib  # noqa: E402

GIO = 'from gi.repository import Gio, GLib\n'
GTK = "import gi\ngi.require_version('Gtk', '4.0')\nfrom gi.repository import Gtk\n"
PIXBUF = "import gi\ngi.require_version('GdkPixbuf', '2.0')\nfrom gi.repository import GdkPixbuf\n"
ITERATE = 'for i in range(5): GLib.MainContext.default().iteration(False)\n'

# What is done, in words and in code; the variable that has to be set before it, or ''.
TRIED = [
    ('Loading GLib and GIO', GIO, ''),
    ('`GMainLoop`, timeouts, idle functions', GIO + 'GLib.timeout_add(1, print)\n' + ITERATE, ''),
    ('`GFile` synchronously: `g_file_load_contents()`, `g_file_query_info()`',
     GIO + "Gio.File.new_for_path('/etc/passwd').load_contents(None)", ''),
    ('`GFile` asynchronously: `g_file_query_info_async()`',
     GIO + "Gio.File.new_for_path('/').query_info_async('*', 0, 0, None, print)", ''),
    ('`GUnixInputStream` on a pipe, asynchronously',
     'import os\n' + GIO + 'Gio.UnixInputStream.new(os.pipe()[0], True)'
     '.read_bytes_async(1, 0, None, print)\n' + ITERATE, ''),
    ('`GSocket`, and a source for it',
     'import socket\n' + GIO + 'kept = Gio.Socket.new_from_fd(socket.socketpair()[0].detach())', ''),
    ('`GSocketClient` to an address', GIO +
     "Gio.SocketClient().connect_to_host_async('127.0.0.1', 9, None, print)\n" + ITERATE, ''),
    ('`GResolver` on a name', GIO +
     "Gio.Resolver.get_default().lookup_by_name_async('localhost', None, print)", ''),
    ('`GFileMonitor`', GIO + "kept = Gio.File.new_for_path('/tmp').monitor(0, None)", ''),
    ('`g_unix_signal_add()`', GIO + 'GLib.unix_signal_add(0, 15, print)', ''),
    ('`g_child_watch_add()`', GIO + 'import os\npid = os.posix_spawn("/bin/true", ["true"], {})\n'
     'GLib.child_watch_add(0, pid, print)', ''),
    ('`GSubprocess`', GIO + "kept = Gio.Subprocess.new(['true'], 0)", ''),
    ('The first `GTask`', GIO + 'kept = Gio.Task.new(None, None, None)', ''),
    ('`g_task_run_in_thread()`, which many functions of GIO use',
     GIO + "kept = Gio.File.new_for_path('/').enumerate_children_async('*', 0, 0, None, print)", ''),
    ('`GDBusConnection`, to a bus or peer to peer',
     'import socket\n' + GIO +
     'a = Gio.Socket.new_from_fd(socket.socketpair()[0].detach()).connection_factory_create_connection()\n'
     'kept = Gio.DBusConnection.new(a, None, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT, None, None, print)',
     ''),
    ('`GApplication`, registered', GIO +
     "kept = Gio.Application(application_id='org.example.A', flags=0)\nkept.register(None)", ''),
    ('GdkPixbuf: loading it, and decoding', PIXBUF +
     "GdkPixbuf.Pixbuf.get_formats()\nloader = GdkPixbuf.PixbufLoader()\nloader.write(b'P3 1 1 1 0 0 0 ')\nloader.close()",
     ''),
    ('GTK 4: loading the library', "import ctypes\nctypes.CDLL('libgtk-4.so.1')", ''),
    ('GTK 4: `gtk_init()` with a display, which importing it in Python calls',
     GTK + 'assert Gtk.init_check()', ''),
    ('NumPy with OpenBLAS: importing it', 'import numpy', ''),
    ('NumPy with OpenBLAS: importing it, with `OPENBLAS_NUM_THREADS=1` set before', 'import numpy',
     'OPENBLAS_NUM_THREADS'),
    ('Python: `asyncio.run()`', 'import asyncio\nasyncio.run(asyncio.sleep(0))', ''),
    ('Python: `asyncio.to_thread()`, `ThreadPoolExecutor`',
     'import asyncio\nasyncio.run(asyncio.to_thread(print, end=""))\n'
     'import concurrent.futures as c\nkept = c.ThreadPoolExecutor(1)\nkept.submit(len, "")', ''),
    ('Python: `sqlite3.connect()`', 'import sqlite3\nkept = sqlite3.connect(":memory:")', ''),
]


def try_one(code, variable):
    """Returns the names of the threads, '' if there are none, None if it cannot be tried."""
    template = GFork.Template.new_python()
    if variable:
        template.setenv(variable, '1')
    try:
        template.eval(code).prepare()
    except GLib.Error as error:
        print(f'left out: {error.message}', file=sys.stderr)
        return None

    try:
        template.fork().prepare()
    except GLib.Error as error:
        if not error.matches(GFork.error_quark(), GFork.Error.THREADED):
            raise
        return error.message.rsplit(': ', 1)[1]
    return ''


def versions():
    found = [f'GLib {GLib.MAJOR_VERSION}.{GLib.MINOR_VERSION}.{GLib.MICRO_VERSION}',
             f'Python {sys.version.split()[0]}']
    try:
        import numpy
        found.append(f'NumPy {numpy.__version__}')
    except ImportError:
        pass
    return ', '.join(found)


def main():
    lines = ['| what is done in the template | threads that it starts |', '| --- | --- |']
    for words, code, variable in TRIED:
        threads = try_one(code, variable)
        if threads is not None:
            lines.append(f'| {words} | {threads or "none"} |')
    table = '\n'.join([*lines, '', f'Tried with {versions()}.', ''])

    if sys.argv[1:] != ['--write']:
        print(table)
        return
    page = pathlib.Path(__file__).with_name('fork-safety.md')
    text = re.sub(r'(<!-- table: .*? -->\n).*(<!-- end of table -->)',
                  lambda match: f'{match[1]}\n{table}\n{match[2]}', page.read_text(), flags=re.S)
    page.write_text(text)


main()
