# test_summarize.py: tests of the example summarize.py
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import os
import pty
import subprocess
import sys
import tempfile
import unittest

import tap

EXAMPLE = os.path.join(os.environ['GFORK_TEST_EXAMPLES'], 'summarize.py')


class TestSummarize(unittest.TestCase):
    def summarize(self, files, **how):
        with tempfile.TemporaryDirectory() as folder:
            for name, lines in files.items():
                with open(os.path.join(folder, name), 'w') as file:
                    file.write('\n'.join(['value', *lines]))
            done = subprocess.run([sys.executable, EXAMPLE, folder], text=True,
                                  stdout=subprocess.PIPE, **how)
        self.assertEqual(done.returncode, 0)
        return done.stdout.splitlines()

    def test_results(self):
        files = {f'{i:02}.csv': ['1', '2', str(i)] for i in range(12)}
        # One at the beginning, where others run beside it, and one at the end
        files['01.csv'] = files['11.csv'] = ['inf']
        files['05.csv'] = ['rubbish']
        lines = self.summarize(files, stderr=subprocess.DEVNULL)
        self.assertEqual(len(lines), 12)
        self.assertEqual(lines[0], '00.csv: 3 values, 1.00 on average')
        self.assertEqual(lines[1], '01.csv: its process crashed')
        self.assertRegex(lines[5], '05.csv: ValueError: .*rubbish')
        self.assertEqual(lines[10], '10.csv: 3 values, 4.33 on average')
        self.assertEqual(lines[11], '11.csv: its process crashed')
        self.assertEqual([line for line in lines if 'crashed' in line], [lines[1], lines[11]])

    def test_progress(self):
        terminal, side = pty.openpty()
        self.summarize({f'{i}.csv': ['1'] for i in range(3)}, stderr=side)
        os.close(side)
        output = os.read(terminal, 10000).decode()
        os.close(terminal)
        self.assertIn('\r[' + 10 * '#' + 20 * ' ' + '] 1 of 3', output)
        self.assertTrue(output.endswith('\r[' + 30 * '#' + '] 3 of 3\r\n'), output)


if __name__ == '__main__':
    tap.main()
