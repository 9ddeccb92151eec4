# sitecustomize.py: registers the start method when the interpreter starts
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import gspawnfork.multiprocessing  # noqa: F401
