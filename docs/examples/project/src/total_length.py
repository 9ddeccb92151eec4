# total_length.py: adds up the lengths of the strings that were sent
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later


def add_up(sock, *words):
    sock.sendall(str(sum(map(len, words))).encode())
