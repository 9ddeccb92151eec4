# tap.py: runs the tests of a unittest module and reports them as TAP
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import signal
import sys
import traceback
import unittest


class TapResult(unittest.TestResult):
    def report(self, test, ok, directive='', trace=''):
        for line in trace.splitlines():
            print(f'# {line}')
        print(f"{'ok' if ok else 'not ok'} {self.testsRun} {test.id()}{directive}", flush=True)

    def addSuccess(self, test):
        self.report(test, True)

    def addSkip(self, test, reason):
        self.report(test, True, f' # SKIP {reason}')

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.report(test, False, trace=''.join(traceback.format_exception(*error)))

    addError = addFailure


def select(suite, names):
    """The tests of these names, or all of them."""
    chosen = unittest.TestSuite()
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            chosen.addTests(select(test, names))
        elif not names or test.id().rpartition('.')[2] in names:
            chosen.addTest(test)
    return chosen


def main(names=(), module=None):
    # A shell's background job ignores some of these, and what it starts inherits that.
    for signum in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(signum) == signal.SIG_IGN:
            signal.signal(signum, signal.default_int_handler if signum == signal.SIGINT
                          else signal.SIG_DFL)

    module = module or sys.modules['__main__']
    suite = select(unittest.defaultTestLoader.loadTestsFromModule(module), names)
    print(f'1..{suite.countTestCases()}', flush=True)
    result = TapResult()
    suite.run(result)
    sys.exit(not result.wasSuccessful())
