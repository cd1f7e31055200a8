# Real movements: a bank's and a shop's. Every balance is the sum of its movements.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $data = $ENV{LEDGER_DATA} // '../shared/data';
my $replay = "$ENV{LEDGER_BUILD}/replay";
plan skip_all => "there is no $data/bank_transactions_1993.csv" unless -r "$data/bank_transactions_1993.csv";

my $node = ledger_node('replay');
$ENV{PGHOST} = $node->host;
$ENV{PGPORT} = $node->port;

sub replayed
{
	my ($format, $file) = @_;
	my $result = run_log([ $replay, '--format', $format, '--verify', $file ], '>', \my $stdout, '2>', \my $stderr);
	ok($result, "$format: the replay verifies") or diag "$stdout\n$stderr";
	healthy($node, 'postgres', $format);
	return $stdout;
}

my $bank = replayed('bank', "$data/bank_transactions_1993.csv");
like($bank, qr/^verified: 1230 accounts against the file's sums, 0 differ$/m, 'bank: all accounts');
is($node->safe_psql('postgres', 'SELECT count(*) FROM ledger.transfers'), '49102', 'bank: every whole line is a transfer');

my $retail = replayed('retail', "$data/online_retail_2010_12.csv");
like($retail, qr/^verified: 2190 SKUs in ledger\.stock, 0 differ$/m, 'retail: all SKUs');
is($node->safe_psql('postgres', 'SELECT count(*) FROM ledger.stock WHERE on_hand < 0 OR sold < 0'), '0', 'retail: nothing is oversold');

$node->stop;
done_testing();
