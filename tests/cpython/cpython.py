# cpython.py FILE [PATTERN...]: runs tests of CPython's own with the start method "gspawnfork"
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

"""FILE is one that is beside this one. It makes test classes of CPython's, as
test_multiprocessing_forkserver.py does. PATTERN selects classes, all that match one of them,
or, if it begins with "!", excludes them. The results are printed as TAP."""

import fnmatch
import importlib
import os
import sys
import unittest

import gspawnfork.multiprocessing

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, os.pardir, 'bindings'))

import tap
from test import support

# Between the results it would print times.
support.verbose = 0


def is_wanted(name, patterns):
    included = [pattern for pattern in patterns if not pattern.startswith('!')] or ['*']
    excluded = [pattern[1:] for pattern in patterns if pattern.startswith('!')]
    return (any(fnmatch.fnmatchcase(name, pattern) for pattern in included)
            and not any(fnmatch.fnmatchcase(name, pattern) for pattern in excluded))


def main():
    module = importlib.import_module(sys.argv[1].removesuffix('.py'))
    gspawnfork.multiprocessing.context.set_preload(module.PRELOAD)
    for name in list(vars(module)):
        thing = getattr(module, name)
        if (isinstance(thing, type) and issubclass(thing, unittest.TestCase)
                and not is_wanted(name, sys.argv[2:])):
            delattr(module, name)
    tap.main(module=module)


if __name__ == '__main__':
    main()
