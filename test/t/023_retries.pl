# Ten thousand requests, each sent one to five times over 64 connections that
# break: ten thousand effects, and the same answer each time.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = ledger_node('retries', 'max_connections = 100', 'ledger.purge_interval = 1s');

foreach my $run ([ 'enough stock', qr/^effects: 2500 transfers, 2500 pieces sold, 5000 rows; 10000 requests$/m ],
	[ 'too little stock', qr/^effects: 2500 transfers, 700 pieces sold, 5000 rows; 10000 requests$/m, '--units', '700', '--seed', '2' ])
{
	my ($name, $effects, @options) = @$run;
	my $result = run_log([ "$ENV{LEDGER_BUILD}/retries", '--dbname', $node->connstr('postgres'), @options ], '>', \my $stdout, '2>', \my $stderr);
	ok($result, "$name: the program is content") or diag "$stdout\n$stderr";
	like($stdout, $effects, "$name: one effect a request");
	like($stdout, qr/answers lost [1-9]/, "$name: connections broke");
	note $stdout;
	healthy($node, 'postgres', $name);
}

$node->stop;
done_testing();
