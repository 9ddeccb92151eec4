# isolated.py: has interpreters that tests start know the start method
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Some tests start an interpreter with the option -I, so that environment variables do not say
where modules are, and use the start method there without importing the module that registers
it. That works only with CPython's own methods. Here these tests start the interpreter without
the option, and with a sitecustomize that imports the module."""

import functools
import os
import sys
from test.support import script_helper

SITE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'site')


def lift(cls, name):
    """Has a test start interpreters without the option -I."""
    original = getattr(cls, name)

    @functools.wraps(original)
    def lifted(self):
        namespaces = [vars(script_helper), original.__globals__]
        saved = [namespace.copy() for namespace in namespaces]
        path = os.pathsep.join([SITE, os.environ.get('PYTHONPATH', '')])
        try:
            for namespace in namespaces:
                for helper in 'assert_python_ok', 'assert_python_failure':
                    if helper in namespace:
                        namespace[helper] = functools.partial(
                            namespace[helper], __isolated=False, PYTHONPATH=path)
            original(self)
        finally:
            for namespace, before in zip(namespaces, saved):
                namespace.update(before)

    setattr(cls, name, lifted)
