# A new id is above every id the database holds, whatever came before its first use.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $node = ledger_node('ids');

# The year 2090, as of a clock that stood ahead.
my $future = (2090 - 2025) * 365 * 86_400_000 << 22;
my $restored = q{
	INSERT INTO ledger_data.asset VALUES (1, 2, 'USD', 0.01);
	INSERT INTO ledger_data.account SELECT i, 1, -9223372036854775807, 9223372036854775807, now(), 0, 'x' || i, '{}' FROM generate_series(1, 2) AS i;};
my $transfer = restored_transfer($future);

sub fresh
{
	my ($database, @statements) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $database") unless $database eq 'postgres';
	$node->safe_psql($database, 'CREATE EXTENSION ledger');
	chain_functions($node, $database);
	$node->safe_psql($database, $_) foreach @statements;
	return;
}

fresh('postgres', $restored, $transfer);
cmp_ok($node->safe_psql('postgres', "SELECT ledger.transfer('x2', 'x1', 1)"), '>', $future, 'above a transfer of the future');

# Sixteen sessions, each in a lane of its own.
$node->pgbench('--no-vacuum --client=16 --transactions=200', 0, [qr/processed: 3200\/3200/], [qr/^$/], 'sixteen sessions',
	{ '018_ids' => q{SELECT ledger.transfer('x1', 'x2', 0.01) FROM generate_series(1, 3);} });
is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT id) FROM ledger.transfers'), '9602|9602', 'every id is there once');
is($node->safe_psql('postgres', "SELECT count(*) FROM ledger.transfers WHERE id < $future"), '0', 'and above the first');
is($node->safe_psql('postgres', 'SELECT count(*) FROM ledger.transfers AS t JOIN ledger.transfers AS u ON u.id > t.id AND u.txid = t.txid AND u.created_at < t.created_at'),
	'0', 'in the order of time within a transaction');

# More than the 64 ids of a millisecond: the lane borrows the next.
is($node->safe_psql('postgres', q{
	WITH t AS MATERIALIZED (SELECT i, ledger.transfer('x1', 'x2', 0.01) AS id FROM generate_series(1, 1000) AS i)
	SELECT count(*) FROM (SELECT id > lag(id) OVER (ORDER BY i) AS grows FROM t) AS s WHERE grows}), '999', 'a thousand in one transaction grow');

# What did not commit is in the index as well.
$node->safe_psql('postgres', "BEGIN; SELECT count(ledger.transfer('x1', 'x2', 0.01)) FROM generate_series(1, 1000); ROLLBACK");
$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', "SELECT ledger.transfer('x2', 'x1', 1) > max(id) FROM ledger_data.transfer"), 't', 'above all of them after a crash');
healthy($node, 'postgres', 'at the end');

fresh('accounts', qq{
	INSERT INTO ledger_data.asset VALUES ($future, 2, 'USD', 0.01);
	INSERT INTO ledger_data.account SELECT $future + i, $future, -9223372036854775807, 9223372036854775807, now(), 0, 'x' || i, '{}' FROM generate_series(1, 2) AS i;});
cmp_ok($node->safe_psql('accounts', "SELECT ledger.transfer('x2', 'x1', 1)"), '>', $future, 'above an account of the future');
cmp_ok($node->safe_psql('accounts', "SELECT ledger.open_account('x3', 'USD')"), '>', $future, 'another account as well');

fresh('early');
refused($node, 'early', "SELECT ledger.transfer('x1', 'x2', 1)", 'LG002', 'a client comes before the restore');
$node->safe_psql('early', $_) foreach $restored, $transfer;
cmp_ok($node->safe_psql('early', "SELECT ledger.transfer('x2', 'x1', 1)"), '>', $future, 'above what was restored after it');
healthy($node, $_, "$_ restored") foreach 'accounts', 'early';

$node->stop;
done_testing();
