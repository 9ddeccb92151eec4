# digests.py: the SHA-256 digests of files, by a pool of workers, with progress
#
#   GFORK_MODULE_PATH=$PWD python3 digests.py FILE...
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import asyncio
import os
import sys

import gi

gi.require_version('GFork', '1.0')
from gi.repository import GFork, GLib

from gspawnfork import aio


async def main(paths):
    template = GFork.Template.new_python().require('digests_worker')
    pool = GFork.Pool.new(template, 'digests_worker:worker')

    async def digest(path):
        try:
            return path, (await aio.pool_call(pool, os.fsencode(os.path.abspath(path)))).decode()
        except GLib.Error as error:
            return path, error.message

    with pool:
        for done, job in enumerate(asyncio.as_completed(map(digest, paths)), 1):
            path, result = await job
            print(f'[{done}/{len(paths)}] {result}  {path}')


asyncio.run(main(sys.argv[1:] or [__file__]))
