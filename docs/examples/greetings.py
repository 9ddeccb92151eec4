# greetings.py: runs several workers at the same time, with asyncio
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import asyncio

import gi

gi.require_version('GFork', '1.0')
from gi.repository import GFork

from gspawnfork import aio


async def greet(template, name):
    sock, process = await aio.run(template.fork().send('Hello'), 'hello')
    reader, writer = await asyncio.open_unix_connection(sock=sock)
    writer.write(name.encode())
    answer = await reader.read()  # up to the end of file: the worker has ended
    writer.close()
    return answer.decode(), await aio.wait(process)


async def main():
    template = GFork.Template.new_python().require('hello_worker')
    greetings = (greet(template, name) for name in ('Ada', 'Grace', 'Edsger'))
    for answer, status in await asyncio.wait_for(asyncio.gather(*greetings), 60):
        print(answer, 'Exit status:', status)


asyncio.run(main())
