# A short form of `make torture`: random work under faults, on a cluster of its own.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

my $result = run_log([ 'bash', 'test/torture/run', '--rounds', 10, '--seed', 20261121 ], '>', \my $stdout, '2>', \my $stderr);
ok($result, 'ten rounds of torture') or diag "$stdout\n$stderr";
like($stdout, qr/^round 10: \d{4,} transactions, \d{3,} transfers acknowledged/m, 'with a load worth the name');

done_testing();
