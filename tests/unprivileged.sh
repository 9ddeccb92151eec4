#!/bin/sh
# unprivileged.sh PROGRAM [ARGUMENT...]: runs a test as other users than root would,
# by taking all capabilities away, but as the owner of its files.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

set -eu

if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null
then
  exec setpriv --bounding-set=-all --inh-caps=-all -- "$@"
fi
exec "$@"
