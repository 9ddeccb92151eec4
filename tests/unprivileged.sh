#!/bin/sh
# unprivileged.sh PROGRAM [ARGUMENT...]: runs a test without any capability, like a user that
# is not root, but as the owner of its files.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null
then
  exec setpriv --bounding-set=-all --inh-caps=-all -- "$@"
fi
exec "$@"
