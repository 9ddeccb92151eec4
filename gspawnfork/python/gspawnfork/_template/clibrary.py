# clibrary.py: what the C library keeps in memory and forks have to look after: output in
# buffers, and the state of random numbers
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import os
import sys

# The interpreter uses neither itself, so ctypes is loaded only if others may. The module
# sysconfig knows this path, too, and takes as much memory as all else here.
OWN_MODULES = os.path.join(sys.base_exec_prefix, getattr(sys, 'platlibdir', 'lib'),
                           'python%d.%d' % sys.version_info[:2], 'lib-dynload', '')


class CLibrary:
    def __init__(self):
        self.libc = self.glib = None
        self.n_modules = 0

    def look(self):
        """Is called after code has run that may have loaded modules in C."""
        if len(sys.modules) == self.n_modules:
            return
        self.n_modules = len(sys.modules)
        if self.libc is None and any(map(is_foreign, list(sys.modules.values()))):
            try:
                import ctypes
                self.libc = ctypes.CDLL(None)
            except (ImportError, OSError):
                return
        if self.libc is not None and self.glib is None:
            import ctypes
            try:
                self.glib = ctypes.CDLL('libglib-2.0.so.0', mode=os.RTLD_NOLOAD | os.RTLD_NOW)
            except OSError:
                # It is not loaded.
                pass

    def flush(self):
        if self.libc is not None:
            self.libc.fflush(None)

    def seed(self):
        """Is called in a fork, whose random numbers must differ from those of its siblings."""
        if self.libc is None:
            return
        for function in ('srand', 'srandom'):
            getattr(self.libc, function)(int.from_bytes(os.urandom(4), 'little'))
        if self.glib is not None:
            self.glib.g_random_set_seed(int.from_bytes(os.urandom(4), 'little'))


def is_foreign(module):
    """Whether a module is in C and not of the standard library, or is one that can call any
    function in C."""
    try:
        name, file = module.__name__, module.__file__
    except AttributeError:
        return False
    if name == '_ctypes':
        return True
    return (isinstance(file, str) and file.endswith('.so')
            and not file.startswith(OWN_MODULES))
