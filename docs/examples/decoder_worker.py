# decoder_worker.py: unpacks what strangers have packed, in a sandbox
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import zlib

import gspawnfork

MAX_SIZE = 100 << 20


def unpack(request):
    decoder = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    data = decoder.decompress(request, MAX_SIZE)
    if not decoder.eof:
        raise ValueError('it is cut off, or too large')
    return data


def worker(sock):
    return gspawnfork.serve_jobs(sock, unpack)
