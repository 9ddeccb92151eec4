# digests_worker.py: what the workers of digests.py do
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import hashlib
import os

import gspawnfork


def digest(request):
    with open(os.fsdecode(request), 'rb') as file:
        hashed = hashlib.sha256()
        while data := file.read(1 << 20):
            hashed.update(data)
        return hashed.hexdigest().encode()


def worker(sock):
    return gspawnfork.serve_jobs(sock, digest)
