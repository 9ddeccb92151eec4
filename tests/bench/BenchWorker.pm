# BenchWorker.pm: a module, for workers of AnyEvent::Fork: what bench-worker.c is for ours
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

package BenchWorker;

use strict;
use warnings;

sub run {
   return;
}

1;
