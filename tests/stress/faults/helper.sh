#!/bin/sh
# helper.sh: the helper, traced. strace is no parent of it, so that it is the
# application's child as ever.
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

# shellcheck disable=SC2086
exec strace -D $FAULTS_STRACE "$FAULTS_HELPER" "$@"
