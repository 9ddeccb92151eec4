#!/usr/bin/perl

# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

# What AnyEvent::Fork needs for a process that exits at once.
#
#     echo 100 | perl anyevent-fork.pl new
#
# The argument is the constructor, new or new_exec. Reads numbers, one a line.
# For each it makes as many processes, one after another through the event loop,
# and writes how many nanoseconds one of them took on average.

use strict;
use warnings;

use AnyEvent;
use AnyEvent::Fork;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

my $constructor = shift // "new";

sub make_process {
   my $ended = AE::cv;
   my $process = AnyEvent::Fork->$constructor;
   my $pid = $process->pid;
   my $watcher;

   # The program that the module's own documentation measures.
   $process->run ("CORE::exit", sub {
      my $socket = shift;

      $watcher = AE::io $socket, 0, sub {
         $ended->() unless sysread $socket, my $byte, 1;
      };
   });

   $ended->recv;
   waitpid $pid, 0 if $pid;
}

$| = 1;
print "ready AnyEvent::Fork $AnyEvent::Fork::VERSION, ", AnyEvent::detect, "\n";

while (my $n = <STDIN>) {
   my $start = clock_gettime (CLOCK_MONOTONIC);

   make_process for 1 .. $n;

   printf "%.0f\n", (clock_gettime (CLOCK_MONOTONIC) - $start) / ($n || 1) * 1e9;
}
