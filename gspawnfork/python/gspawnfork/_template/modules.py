# modules.py: what was loaded, and where it is looked for
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import importlib
import os
import sys

from ..jobs import describe_exception
from .wire import DETAIL, FUNCTION, MODULE, Failure

HERE = os.path.dirname(os.path.abspath(__file__))


class Modules:
    def __init__(self):
        self.newest_first = []
        self.by_path = {}
        self.own_path = self.known_path = list(sys.path)
        self.told = []
        self.set_path([])

    def set_path(self, directories):
        """Sets the directories in which modules are looked for before all others."""
        self.told = directories
        path = self.told + os.environ.get('GFORK_MODULE_PATH', '').split(':')
        path = [directory for directory in path if directory.startswith('/')]
        # What the code here has added itself stays.
        added = [directory for directory in sys.path if directory not in self.known_path]
        self.known_path = path + self.own_path
        sys.path[:] = list(dict.fromkeys(path + added + self.own_path))
        importlib.invalidate_caches()

    def add_path(self, directories):
        """Adds the directories in which an application in Python looks for modules."""
        self.own_path = list(dict.fromkeys(list(directories) + self.own_path))
        self.set_path(self.told)

    def load_file(self, path):
        import importlib.machinery
        import importlib.util

        if path not in self.by_path:
            # Not the name of the file, which may be that of a module of the standard
            # library, and no dot, which would make it one of a package.
            name = path.replace('%', '%25').replace('.', '%2E')
            loader = importlib.machinery.SourceFileLoader(name, path)
            spec = importlib.util.spec_from_loader(name, loader)
            module = importlib.util.module_from_spec(spec)
            # Some look themselves up while they are being loaded.
            sys.modules[name] = module
            try:
                loader.exec_module(module)
            except BaseException:
                sys.modules.pop(name, None)
                raise
            self.by_path[path] = module
        return self.by_path[path]

    def require(self, name):
        try:
            if name.startswith('/'):
                module = self.load_file(name)
            else:
                # importlib needs long to find that it is there.
                module = sys.modules.get(name)
                if module is None:
                    module = importlib.import_module(name)
        except BaseException as error:
            raise Failure(MODULE, describe(error)) from error
        if module not in self.newest_first:
            self.newest_first.insert(0, module)
        return module

    def find(self, function):
        """Finds the function `name` in the modules or in evaluated code, or `module:name`."""
        module, colon, name = function.rpartition(':')
        places = [self.require(module)] if colon else self.newest_first + [sys.modules['__main__']]
        try:
            found = None
            for place in places:
                found = getattr(place, name, None)
                if found is not None:
                    break
        except Exception as error:
            # Modules may have a __getattr__() of their own.
            raise Failure(FUNCTION, describe(error)) from error
        if colon:
            reason = 'the module does not export it'
        else:
            reason = ('no loaded module exports it' if self.newest_first
                      else 'no module is loaded')
        if not callable(found):
            raise Failure(FUNCTION, reason)
        return found


def describe(error):
    """Describes an exception in one line: its type, its message and where it comes from."""
    text = describe_exception(error)

    # A syntax error says itself where it is.
    if not isinstance(error, SyntaxError):
        traceback = error.__traceback__
        place = None
        while traceback is not None:
            file = traceback.tb_frame.f_code.co_filename
            if os.path.dirname(file) != HERE and not file.startswith('<frozen importlib'):
                place = f'{file}, line {traceback.tb_lineno}'
            traceback = traceback.tb_next
        if place is not None:
            text += f' ({place})'
    return text.replace(DETAIL, ' ')
