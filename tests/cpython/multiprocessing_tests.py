# multiprocessing_tests.py: CPython's tests of multiprocessing, all classes that have to do
# with processes, made as its own test_multiprocessing_forkserver.py makes them
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import test._test_multiprocessing as tests

import isolated

PRELOAD = ['__main__', 'multiprocessing_tests']

tests.install_tests_in_module_dict(globals(), 'gspawnfork')

for name in list(globals()):
    if name.startswith('WithThreads'):
        del globals()[name]

# `python -I` knows no method of a third party.
isolated.lift(TestNoForkBomb, 'test_noforkbomb')
