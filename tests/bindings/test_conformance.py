# test_conformance.py: tests that conformance.py notices each fault of a runtime
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import concurrent.futures
import os
import subprocess
import sys
import unittest

import tap
import third_party

# So many are tried at once, since some faults withhold what the test waits for.
AT_ONCE = 4

HERE = os.path.dirname(os.path.abspath(__file__))


def run_conformance(fault, *tests, patience=60):
    """Returns what is said of each test: its name, and whether it has passed."""
    done = subprocess.run(
        [sys.executable, f'{HERE}/conformance.py', '--forks',
         '--eval', 'from conform_py import conform_keep; conform_keep(*args)',
         *(f'--test={name}' for name in tests),
         'conform_py', sys.executable, f'{HERE}/third_party.py', fault],
        env={**os.environ, 'GFORK_CONFORMANCE_PATIENCE': str(patience)},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    results = {}
    for line in done.stdout.splitlines():
        words = line.split()
        if words[:1] == ['ok'] or words[:2] == ['not', 'ok']:
            name = next(word for word in words if '.test_' in word)
            results[name.rpartition('.')[2]] = words[0] == 'ok'
    return results, done.stdout


class ConformanceTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pool = concurrent.futures.ThreadPoolExecutor(AT_ONCE)
        cls.noticed = {fault: cls.pool.submit(run_conformance, fault, test, patience=10)
                       for fault, test in third_party.FAULTS.items()}

    @classmethod
    def tearDownClass(cls):
        cls.pool.shutdown()

    def test_no_fault(self):
        results, output = run_conformance('none')
        self.assertEqual([name for name, passed in results.items() if not passed], [], output)
        self.assertGreaterEqual(set(results), set(third_party.FAULTS.values()))


def add_test(fault, noticed_by):
    def test(self):
        results, output = self.noticed[fault].result()
        self.assertEqual(results, {noticed_by: False}, output)

    setattr(ConformanceTest, 'test_' + fault.replace('-', '_'), test)


for each in third_party.FAULTS.items():
    add_test(*each)

if __name__ == '__main__':
    tap.main(sys.argv[1:])
