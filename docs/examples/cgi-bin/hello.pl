#!/usr/bin/perl
# hello.pl: what a request comes to in Perl
#
# SPDX-FileCopyrightText: The gspawnfork developers
# SPDX-License-Identifier: LGPL-2.1-or-later

use strict;
use warnings;

my $body = do { local $/; <STDIN> } // '';

print "Status: 201 Created\r\nContent-Type: text/plain\r\n\r\n";
print "Hello from Perl, $ENV{REQUEST_METHOD} of ", length $body, " bytes.\n";
