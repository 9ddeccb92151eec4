#!/usr/bin/python3
# hello.py: what a request comes to in Python
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import json
import os
import sys

body = sys.stdin.buffer.read()
print('Content-Type: application/json\n')
print(json.dumps({'environment': dict(os.environ), 'directory': os.getcwd(),
                  'body': body.decode(errors='replace')}))
