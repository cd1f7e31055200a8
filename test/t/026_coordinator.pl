# Thousands of TCC transactions over 64 connections that break, with calls repeated
# and out of order: each ends one way, on all its branches.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = ledger_node('coordinator', 'max_connections = 100', 'log_min_messages = fatal');

foreach my $run ([ 'too little stock' ], [ 'enough stock', '--units', '10000', '--seed', '2' ])
{
	my ($name, @options) = @$run;
	my $result = run_log([ "$ENV{LEDGER_BUILD}/coordinator", '--dbname', $node->connstr('postgres'), @options ], '>', \my $stdout, '2>', \my $stderr);
	ok($result, "$name: the program is content") or diag "$stdout\n$stderr";
	like($stdout, qr/^ended: [1-9]\d* confirmed, [1-9]\d* canceled, [1-9]\d* timed out, of 3000$/m, "$name: all have ended");
	like($stdout, qr/answers lost [1-9]/, "$name: connections broke");
	note $stdout;
	healthy($node, 'postgres', $name);
}

$node->stop;
done_testing();
