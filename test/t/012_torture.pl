# A short form of `make torture`: random work under faults, a promotion among them, on
# servers of its own. And two runs with a fault planted: the checks can fail.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

my $result = run_log([ 'bash', 'test/torture/run', '--rounds', 8, '--round-ms', 900, '--seed', 20261121 ], '>', \my $stdout, '2>', \my $stderr);
ok($result, 'eight rounds of torture') or diag "$stdout\n$stderr";
like($stdout, qr/^round 8: \d{3,} transactions, \d{3,} acknowledged, \d{3,} transfers/m, 'with a load worth the name');
like($stdout, qr/promotion after/, 'with a promotion');

$result = run_log([ 'bash', 'test/torture/plants', 'lost', 'floor' ], '>', \$stdout, '2>', \$stderr);
ok($result, 'what is planted is found') or diag "$stdout\n$stderr";

done_testing();
