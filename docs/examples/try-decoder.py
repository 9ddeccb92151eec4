# try-decoder.py: has decoder.py unpack files, good ones and bad ones
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import gzip
import pathlib
import subprocess
import sys
import tempfile

import gi

gi.require_version('GFork', '1.0')
from gi.repository import GFork  # noqa: E402

Features = GFork.SandboxFeatures
if GFork.Sandbox.get_features() != (Features.FILES | Features.NETWORK | Features.SIGNALS |
                                    Features.SYSTEM_CALLS):
    print('1..0 # SKIP the kernel lacks a part of what confines')
    sys.exit()

with tempfile.TemporaryDirectory() as directory:
    good, cut, bad = (pathlib.Path(directory, name) for name in ('good', 'cut', 'bad'))
    packed = gzip.compress(bytes(300_000))
    good.write_bytes(packed)
    cut.write_bytes(packed[:-10])
    bad.write_bytes(b'not packed at all')
    program = pathlib.Path(__file__).with_name('decoder.py')
    lines = subprocess.run([sys.executable, program, good, cut, bad], check=True,
                           capture_output=True, text=True).stdout.splitlines()

print('1..3')
print('ok 1' if lines[0] == f'{good}: 300000 bytes' else f'not ok 1 {lines}')
print('ok 2' if 'cut off' in lines[1] else f'not ok 2 {lines}')
print('ok 3' if 'header' in lines[2] else f'not ok 3 {lines}')
