# Prepared transactions keep their value in flight, also across restarts and crashes.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $node = ledger_node('prepared');
create_ledger($node, 'postgres');

foreach my $mode ('no restart', 'fast', 'immediate')
{
	# a has 100; 70 on its way out, 500 on its way in, and 30 of a savepoint that is not.
	$node->safe_psql('postgres', q{
		BEGIN;
		SELECT ledger.transfer('a', 'b', 70);
		SAVEPOINT s;
		SELECT ledger.transfer('a', 'b', 30);
		ROLLBACK TO s;
		PREPARE TRANSACTION 'out';
		BEGIN;
		SAVEPOINT s;
		SELECT ledger.transfer('world', 'a', 500);
		RELEASE s;
		PREPARE TRANSACTION 'in';
	});
	$node->restart if $mode eq 'fast';
	if ($mode eq 'immediate') { $node->stop('immediate'); $node->start; }

	refused($node, 'postgres', "SELECT ledger.transfer('a', 'b', 30.01)", 'LG009', "$mode: what is certain is not passed");
	is($node->safe_psql('postgres', "SELECT ledger.try_transfer('a', 'b', 30.01) IS NULL"), 't', "$mode: nor tried");
	refused($node, 'postgres', "SELECT ledger.transfer('a', 'b', 600.01)", 'LG001', "$mode: short whatever happens");
	refused($node, 'postgres', "SELECT ledger.close_account('b')", 'LG009', "$mode: an account with prepared movements is not closed") if $mode eq 'no restart';
	moved($node, 'postgres', 'a', 'b', 30, "$mode: what is certain can be moved");
	healthy($node, 'postgres', "$mode, while prepared");

	# One prepared before the restart, one after it.
	$node->safe_psql('postgres', "BEGIN; SELECT ledger.transfer('world', 'a', 5); PREPARE TRANSACTION 'late'");
	$node->safe_psql('postgres', "ROLLBACK PREPARED 'out'");
	refused($node, 'postgres', "SELECT ledger.transfer('a', 'b', 70.01)", 'LG009', "$mode: rolled back, its outflow is given back");
	moved($node, 'postgres', 'a', 'b', 70, "$mode: and no more than that");
	$node->safe_psql('postgres', "COMMIT PREPARED 'in'");
	moved($node, 'postgres', 'a', 'b', 500, "$mode: committed, its inflow can be spent");
	refused($node, 'postgres', "SELECT ledger.transfer('a', 'b', 5)", 'LG009', "$mode: but not the other's");
	$node->safe_psql('postgres', "COMMIT PREPARED 'late'");
	moved($node, 'postgres', 'a', 'b', 5, "$mode: until that is committed too");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_prepared_xacts'), '0', "$mode: nothing is prepared any more");
	healthy($node, 'postgres', "$mode, at the end");
	is($node->safe_psql('postgres', 'SELECT lanes_in_use, prepared_effects FROM ledger.stat'), '0|0', "$mode: no lane is taken and nothing is pending");
	is($node->safe_psql('postgres', "SELECT ledger.transfer('b', 'a', 100) > 0"), 't', "$mode: ready for another round");
}
is(balance($node, 'postgres', 'b'), '1515.00', 'the sums are right');

# Holds set aside and posted in it: what it changes of an account's two quantities differs,
# and each is right while it is prepared and after, to the cent.
$node->safe_psql('postgres', q{
	SELECT ledger.open_account('p', 'USD'), ledger.open_account('q', 'USD');
	SELECT ledger.transfer('world', 'p', 100), ledger.transfer('world', 'q', 50)});

# An account's spendable amount is between the first two, its projected one between the others.
sub bounds_are
{
	my ($name, $account, $low, $high, $projected_low, $projected_high) = @_;
	my $alter = "SELECT ledger.alter_account('$account', %s)";
	my $between = $low == $high ? 'LG001' : 'LG009';
	my $between_projected = $projected_low == $projected_high ? 'LG005' : 'LG009';
	is($node->safe_psql('postgres', 'BEGIN; ' . sprintf($alter, "floor => $low, ceiling => $projected_high") . '; ROLLBACK'), '', "$name: $account may be limited to its bounds");
	refused($node, 'postgres', sprintf($alter, "floor => $low + 0.01"), $between, "$name: $account with a floor a cent higher");
	refused($node, 'postgres', sprintf($alter, "floor => $high + 0.01"), 'LG001', "$name: $account with a floor above everything");
	refused($node, 'postgres', sprintf($alter, "ceiling => $projected_high - 0.01"), $between_projected, "$name: $account with a ceiling a cent lower");
	refused($node, 'postgres', sprintf($alter, "ceiling => $projected_low - 0.01"), 'LG005', "$name: $account with a ceiling below everything");
	return;
}

foreach my $mode ('no restart', 'fast', 'immediate')
{
	foreach my $end ('ROLLBACK', 'COMMIT')
	{
		my ($p, $q) = map { balance($node, 'postgres', $_) } 'p', 'q';
		my $id = $node->safe_psql('postgres', "SELECT ledger.hold('p', 'q', 10)");
		$node->safe_psql('postgres', qq{
			BEGIN;
			SELECT ledger.transfer('p', 'q', 1), ledger.post_hold($id, 3, final => false), ledger.hold('p', 'q', 5), ledger.hold('q', 'p', 2);
			PREPARE TRANSACTION 'both'});
		$node->restart if $mode eq 'fast';
		if ($mode eq 'immediate') { $node->stop('immediate'); $node->start; }
		bounds_are("$mode, prepared", 'p', $p - 16, $p - 10, $p - 2, $p);
		bounds_are("$mode, prepared", 'q', $q, $q + 2, $q + 10, $q + 16);
		healthy($node, 'postgres', "$mode, with holds prepared");
		$node->safe_psql('postgres', "$end PREPARED 'both'");
		my ($spendable, $projected) = $end eq 'COMMIT' ? ($p - 16, $p - 2) : ($p - 10, $p);
		bounds_are("$mode, $end PREPARED", 'p', ($spendable) x 2, ($projected) x 2);
		($spendable, $projected) = $end eq 'COMMIT' ? ($q + 2, $q + 16) : ($q, $q + 10);
		bounds_are("$mode, $end PREPARED", 'q', ($spendable) x 2, ($projected) x 2);
		healthy($node, 'postgres', "$mode, $end PREPARED, with holds");
		$node->safe_psql('postgres', "SELECT ledger.void_hold(id) FROM ledger.holds WHERE 'p' IN (source, destination) AND state = 'open'");
	}
}

# The first transaction of a ledger: until it ends, the ledger is nobody's.
$node->safe_psql('postgres', 'CREATE DATABASE first');
$node->safe_psql('first', 'CREATE EXTENSION ledger');
foreach my $end ('ROLLBACK', 'COMMIT')
{
	$node->safe_psql('first', q{
		BEGIN;
		SELECT ledger.create_asset('USD', 2);
		SELECT ledger.open_account('world', 'USD', floor => NULL), ledger.open_account('a', 'USD');
		SELECT ledger.transfer('world', 'a', 100);
		PREPARE TRANSACTION 'first';
	});
	$node->stop('immediate');
	$node->start;
	refused($node, 'first', "SET lock_timeout = '100ms'; SELECT ledger.create_asset('EUR', 2)", '55P03', 'the first writer is waited for');
	$node->safe_psql('first', "$end PREPARED 'first'");
	healthy($node, 'first', "the first transaction, $end");
}
refused($node, 'first', "SELECT ledger.transfer('a', 'world', 100.01)", 'LG001', 'committed at last, the floor holds');
moved($node, 'first', 'a', 'world', 100, 'and all is there');

# A transaction that moves 1,000 accounts, prepared across a crash.
$node->safe_psql('postgres', q{
	SELECT count(ledger.open_account('n' || i, 'USD')) FROM generate_series(1, 1000) AS i;
	BEGIN;
	SELECT count(*) FROM ledger.transfer_batch(array_fill('b'::text, '{1000}'), ARRAY(SELECT 'n' || i FROM generate_series(1, 1000) AS i), array_fill(1.5, '{1000}'));
	PREPARE TRANSACTION 'many';
});
$node->stop('immediate');
$node->start;
refused($node, 'postgres', "SELECT ledger.transfer('b', 'a', 15.01)", 'LG009', 'a thousand outflows are held back');
refused($node, 'postgres', "SELECT ledger.transfer('n7', 'a', 1)", 'LG009', 'and the inflows not given');

# With fewer slots than it holds: who needs another one is refused, until it ends.
$node->append_conf('postgresql.conf', "ledger.slots = 16\nledger.database_share = 100");
$node->restart;
my $touch = 'SELECT count(*) FROM (SELECT ledger.try_transfer($$n$$ || i, $$a$$, 1) FROM generate_series(%d, %d) AS i OFFSET 0) AS t';
is($node->safe_psql('postgres', sprintf($touch, 1, 14)), '14', 'fourteen of the thousand and their destination fit into sixteen slots');
refused($node, 'postgres', sprintf($touch, 15, 20), 'LG902', 'more do not');
is($node->safe_psql('postgres', sprintf($touch, 1, 14)), '14', 'those that are there go on');
healthy($node, 'postgres', 'with few slots');
$node->safe_psql('postgres', "COMMIT PREPARED 'many'");
moved($node, 'postgres', 'n7', 'a', 1.5, 'committed, they are');
moved($node, 'postgres', 'n20', 'a', 1.5, 'also where there was no slot');
refused($node, 'postgres', "SELECT ledger.transfer('b', 'a', 15.01)", 'LG001', 'and gone for good');
healthy($node, 'postgres', 'a thousand accounts');

$node->stop;
done_testing();
