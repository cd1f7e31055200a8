# Plans that must not depend on what the statistics say, where most transfers come from
# one account. balance(), balance_at(), statement() and the views find one account's transfers
# by the indexes: the planner, which expected as much of any account, read the whole table.
# check_invariants() adds up the transfers of all accounts once: the planner expects few
# sources, and put the sums inside a loop over the accounts.

use strict;
use warnings;

use LedgerTest;
use Test::More;

my $node = ledger_node('plans', "session_preload_libraries = 'auto_explain'", 'auto_explain.log_nested_statements = on',
	'auto_explain.log_analyze = on', 'auto_explain.log_timing = off', 'autovacuum = off');
create_ledger($node, 'postgres');
$node->safe_psql('postgres', q{
	SELECT count(ledger.open_account('n' || i, 'USD')) FROM generate_series(1, 1000) AS i;
	SELECT count(ledger.transfer('world', 'n' || i, 10)) FROM generate_series(1, 1000) AS i;
	SELECT ledger.create_stock('cup', 10);
	ANALYZE;
	SELECT count(t.*) FROM generate_series(1, 5), ledger.transfer_batch(
		(SELECT array_agg('n' || i) FROM generate_series(1, 1000) AS i), array_fill('a'::text, ARRAY[1000]), array_fill(1::numeric, ARRAY[1000])) AS t;
});

sub plans_of
{
	my ($sql) = @_;
	my $plans;
	$node->psql('postgres', "SET auto_explain.log_min_duration = 0; SET client_min_messages = log; $sql", stderr => \$plans);
	return $plans;
}

# What a read answers, and how often it then has read the transfers from end to end, and by an index.
sub scans_of
{
	my ($read) = @_;
	return $node->safe_psql('postgres',
		"BEGIN; $read; SELECT seq_scan, idx_scan FROM pg_stat_xact_user_tables WHERE relid = 'ledger_data.transfer'::regclass");
}

is(scans_of(q{SELECT posted FROM ledger.balance('n1')}), "9.00\n0|2", 'balance() reads the transfers by their two indexes');
is(scans_of(q{SELECT ledger.balance_at('n1', now())}), "9.00\n0|2", 'so does balance_at()');
is(scans_of(q{SELECT count(*) FROM ledger.statement('n1')}), "2\n0|2", 'and statement()');
is(scans_of(q{SELECT posted FROM ledger.accounts WHERE account = 'n1'}), "9.00\n0|2", 'and the view of accounts, for one');
is(scans_of(q{SELECT available, sold FROM ledger.stock WHERE sku = 'cup'}), "10|0\n0|4", 'and that of stock, for the two accounts of one');

$node->safe_psql('postgres', q{
	SELECT count(ledger.open_account('m' || i, 'USD')), count(ledger.transfer('world', 'm' || i, 1)) FROM generate_series(1, 8000) AS i;
	ANALYZE;
});
my $plans = plans_of('SELECT * FROM ledger.check_invariants()');

# A grouped sum, and the line above that says how often it was read.
my @groups = $plans =~ /(\S*Aggregate .*)\n\s*Group Key: /g;
cmp_ok(scalar(grep { !/never executed/ } @groups), '>=', 3, 'sums by account are in the plans');
is(join("\n", grep { /loops=(?!1\))/ } @groups), '', 'each is read once');

healthy($node, 'postgres', 'a thousand accounts');
$node->stop;
done_testing();
