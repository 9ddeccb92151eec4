#!/bin/sh
# hello.sh: what a request comes to in a shell
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

printf 'Content-Type: text/plain\n\n'
echo "Hello from the shell, $REQUEST_METHOD $SCRIPT_NAME$PATH_INFO?$QUERY_STRING."
cat
