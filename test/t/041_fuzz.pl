# A short form of `make fuzz`: every function with random arguments, on a cluster of its own.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

my $result = run_log([ 'bash', 'test/fuzz/run', '--seconds', 20, '--seed', 20261121, 'arguments' ], '>', \my $stdout, '2>', \my $stderr);
ok($result, 'no finding') or diag "$stdout\n$stderr";
like($stdout, qr/of (\d+) functions \1 called/, 'every function was called');

done_testing();
