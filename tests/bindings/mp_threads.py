# mp_threads.py: a module that starts a thread when it is imported
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

import threading

threading.Thread(target=threading.Event().wait, name='sleepy', daemon=True).start()
