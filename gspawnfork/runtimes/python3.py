# python3.py: the program of the runtime python3: finds the package that does the work
#
# Very old interpreters can read this file, too, so that they can report that they are too old.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import os
import sys

OLDEST = (3, 8)


def N_(text):
    """Marks what the application translates."""
    return text


def refuse(argv):
    """Sends an ERROR of the code NOT_SUPPORTED, instead of HELLO."""
    import struct

    version = '%d.%d.%d' % sys.version_info[:3]
    reason = N_('Python is too old, the oldest that works is 3.8') + '\x1f' + version
    text = '\0' + reason + '\0'
    frame = struct.pack('=IBBHII', 8 + len(text), 66, 0, 0, 10, 0) + text.encode('utf-8')
    try:
        os.write(int(argv[3]), frame)
    except (IndexError, ValueError, OSError):
        sys.stderr.write('%s: %s: %s\n' % (argv[0], reason.replace('\x1f', ': '), sys.executable))
    sys.exit(2)


def find_package():
    """Imports the package. It stands beside the runtimes, whatever the module path of the
    interpreter is."""
    here = os.path.dirname(os.path.abspath(__file__))
    package = os.path.join(os.path.dirname(here), 'python')
    # The interpreter puts the program's own directory first, unless it is isolated.
    if sys.path and os.path.realpath(sys.path[0] or '.') == os.path.realpath(here):
        del sys.path[0]
    if not os.path.isdir(os.path.join(package, 'gspawnfork')):
        import gspawnfork._template
        return gspawnfork._template

    sys.path.insert(0, package)
    try:
        import gspawnfork._template
    finally:
        sys.path.remove(package)
    return gspawnfork._template


if __name__ == '__main__':
    if sys.version_info < OLDEST:
        refuse(sys.argv)
    find_package().start(sys.argv)
