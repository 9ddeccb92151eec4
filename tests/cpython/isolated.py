# isolated.py: lets the interpreter that a test starts know the start method
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Some tests start an interpreter by the option -I, with which it looks for modules in no
place that an environment variable names, and give it a program that names the start method
without importing what registers it. That cannot work with a method that is not CPython's own.
Here these tests start it without the option, and with a sitecustomize that imports it."""

import functools
import os
import sys
from test.support import script_helper

SITE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'site')


def lift(cls, name):
    """Makes a test that does so one that does not."""
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
