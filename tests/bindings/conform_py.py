# conform_py.py: the functions that conformance.py runs, in Python; conform.c describes them
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

kept = []


def conform_echo(sock):
    while data := sock.recv(1000):
        sock.sendall(data)


def conform_seven(sock):
    return 7


def conform_show(sock, *args):
    for arg in args:
        if isinstance(arg, (str, bytes)):
            data = arg.encode() if isinstance(arg, str) else arg
            sock.sendall(b'%d:%s\n' % (len(data), data))
        else:
            sock.sendall(b'fd\n')


def conform_keep(*args):
    kept.extend(args)


def conform_kept(sock):
    sock.sendall(' '.join(kept).encode())


def conform_fail():
    raise RuntimeError('this is why')
