# futures_tests.py: CPython's tests of concurrent.futures, all classes that have to do with
# processes
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import test.test_concurrent_futures as tests

import isolated

PRELOAD = ['__main__', 'test.test_concurrent_futures', 'futures_tests']

setUpModule = tests.setUpModule

SUFFIX = 'ForkserverMixin'

# For each class with forkserver there is one here.
for name, thing in vars(tests).items():
    if 'Forkserver' in name and name.endswith('Test'):
        globals()[name.replace('Forkserver', 'Gspawnfork')] = type(
            name.replace('Forkserver', 'Gspawnfork'), (thing,), {
                '__module__': __name__,
                'ctx': 'gspawnfork',
            })

# `python -I` knows no method of a third party.
isolated.lift(ProcessPoolGspawnforkProcessPoolShutdownTest, 'test_interpreter_shutdown')
isolated.lift(ProcessPoolGspawnforkProcessPoolShutdownTest,
              'test_submit_after_interpreter_shutdown')
