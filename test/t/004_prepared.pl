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
$node->append_conf('postgresql.conf', 'ledger.slots = 16');
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
