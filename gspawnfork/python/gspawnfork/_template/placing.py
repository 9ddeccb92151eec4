# placing.py: puts descriptors at the numbers where they are wanted
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import fcntl
import os


def place(placements, movable):
    """Places descriptors at the numbers that they are to have. `placements` is a list of pairs
    of a descriptor and a number.

    A descriptor that has such a number and is still needed is moved away first. Those in
    `movable` may get any number. Of those to be placed, as few as possible are moved, because
    there may be hardly a free number below RLIMIT_NOFILE.

    Returns the new numbers of `movable`."""
    wanted = {target: fd for fd, target in placements}
    standing = {fd: target for fd, target in placements}

    def move_aside(fd):
        lowest = 3
        while True:
            moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, lowest)
            if moved not in wanted:
                os.close(fd)
                return moved
            os.close(moved)
            lowest = moved + 1

    def place_chain(target):
        """Places one descriptor, then the one that is to have the number that has become
        free, and so on."""
        while target in wanted and wanted[target] in standing:
            fd = wanted[target]
            del standing[fd]
            if fd == target:
                os.set_inheritable(fd, True)
                return
            os.dup2(fd, target)
            os.close(fd)
            target = fd

    movable = [move_aside(fd) if fd in wanted else fd for fd in movable]
    # Each chain begins with a number that none of them stands at.
    for fd, target in placements:
        if target not in standing or fd == target:
            place_chain(target)
    # Those that are left want each other's numbers.
    while standing:
        fd, target = standing.popitem()
        moved = move_aside(fd)
        wanted[target] = moved
        standing[moved] = target
        place_chain(fd)
    return movable
