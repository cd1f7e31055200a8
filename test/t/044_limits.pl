# Shared memory at its limits: every lane, every effect, every entry for a database.
# What does not fit is LG902, and there is room again when something has ended.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $in_use = 'SELECT lanes_in_use, prepared_effects FROM ledger.stat';
my $used = 'SELECT count(*) FROM ledger_data.slots() WHERE users > 0';

# Transactions that are prepared one after the other, each a transfer between two accounts.
sub prepare
{
	my ($node, $first, $last, $source, $destination) = @_;
	return $node->safe_psql('postgres', join ";\n", map {
		(my $to = $destination) =~ s/#/$_/;
		"BEGIN; SELECT ledger.transfer('$source', '$to', 0.01) > 0; PREPARE TRANSACTION 'p$_'" } $first .. $last);
}

sub end_prepared
{
	my ($node, $how, $count) = @_;
	return $node->safe_psql('postgres', $node->safe_psql('postgres',
			qq{SELECT format('$how PREPARED %L;', gid) FROM pg_prepared_xacts ORDER BY prepared } . ($count ? "LIMIT $count" : '')));
}

# Every lane: there are 1,024, and each prepared transaction keeps one.
my $node = ledger_node('limits', 'fsync = off', 'max_prepared_transactions = 1030', 'ledger.databases = 4', 'shared_buffers = 64MB');
create_ledger($node, 'postgres');
$node->safe_psql('postgres', "SELECT count(ledger.open_account('n' || i, 'USD')) FROM generate_series(1, 1025) AS i");
prepare($node, 1, 1024, 'world', 'n#');
is($node->safe_psql('postgres', $in_use), '1024|2048', '1,024 transactions have every lane');
foreach my $when ('before a crash', 'after it')
{
	refused($node, 'postgres', "SELECT ledger.transfer('a', 'b', 1)", 'LG902', "$when: who needs another one is refused");
	refused($node, 'postgres', "SELECT ledger.open_account('late', 'USD')", 'LG902', "$when: so is a new account, whose id a lane makes");
	is(balance($node, 'postgres', 'a'), '100.00', "$when: reading needs none");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM ledger.check_invariants()'), '0', "$when: the invariants hold");
	next if $when eq 'after it';
	$node->stop('immediate');
	$node->start;
}
end_prepared($node, 'ROLLBACK', 1);
moved($node, 'postgres', 'a', 'b', 1, 'one has ended, and there is room for one');
end_prepared($node, 'COMMIT', 500);
end_prepared($node, 'ROLLBACK');
moved($node, 'postgres', 'a', 'b', 1, 'all have ended');
is($node->safe_psql('postgres', "SELECT sum(posted) FROM ledger.accounts WHERE account ~ '^n'"), '5.00', '500 of them were committed');
is($node->safe_psql('postgres', "SELECT count(*) FROM (SELECT ledger.balance('n' || i), ledger.try_transfer('n' || i, 'a', 1) FROM generate_series(1, 1025) AS i OFFSET 0) AS t"), '1025', 'each account is used again');
is($node->safe_psql('postgres', $in_use), '0|0', 'no lane is taken and nothing is pending');
is($node->safe_psql('postgres', $used), '0', 'and no account is in use');
healthy($node, 'postgres', 'after every lane was taken');

# Every entry for a database. One that is dropped makes room.
my $first = "SELECT ledger.create_asset('USD', 2)";
foreach my $i (1 .. 5)
{
	$node->safe_psql('postgres', "CREATE DATABASE d$i");
	$node->safe_psql("d$i", 'CREATE EXTENSION ledger');
	if ($i < 4) { $node->safe_psql("d$i", $first); next; }
	refused($node, "d$i", $first, 'LG902', "database $i of four");
	is($node->safe_psql("d$i", 'SELECT count(*) FROM ledger.accounts; SELECT * FROM ledger.check_invariants(); SELECT * FROM ledger.verify()'), '0', "database $i: reading works");
}
moved($node, 'postgres', 'a', 'b', 1, 'the others go on');
$node->safe_psql('postgres', 'DROP DATABASE d1');
is($node->safe_psql('d4', $first), '', 'one was dropped, and the fourth has its place');
refused($node, 'd5', $first, 'LG902', 'the next one must wait');
$node->safe_psql('d2', 'DROP EXTENSION ledger CASCADE');
$node->safe_psql('postgres', 'DROP DATABASE d2');
is($node->safe_psql('d5', $first), '', 'an extension was dropped with its database, and the fifth has its place');
healthy($node, $_, "$_ at the end") foreach qw(postgres d3 d4 d5);

# Effects: as many as slots. Twenty prepared transactions between two accounts need forty.
$node->append_conf('postgresql.conf', "ledger.slots = 16\nmax_prepared_transactions = 30");
$node->restart;
prepare($node, 1, 8, 'world', 'a');
is($node->safe_psql('postgres', $in_use), '8|16', 'eight prepared transactions have every effect');
refused($node, 'postgres', "BEGIN; SELECT ledger.transfer('world', 'b', 1); PREPARE TRANSACTION 'more'", 'LG902', 'a ninth is refused');
is($node->safe_psql('postgres', $in_use), '8|16', 'and leaves nothing behind');
moved($node, 'postgres', 'world', 'b', 1, 'what is not prepared goes on');
end_prepared($node, 'COMMIT', 1);
moved($node, 'postgres', 'world', 'a', 1, 'one has ended');
prepare($node, 9, 9, 'world', 'a');
is($node->safe_psql('postgres', $in_use), '8|16', 'and another one has its place');
end_prepared($node, 'COMMIT');
healthy($node, 'postgres', 'after every effect was taken');

# Prepared with room, and then a server without: who meets too many effects is refused.
$node->append_conf('postgresql.conf', 'ledger.slots = 64');
$node->restart;
prepare($node, 1, 20, 'world', 'a');
$node->append_conf('postgresql.conf', 'ledger.slots = 16');
$node->stop('immediate');
$node->start;
refused($node, 'postgres', "SELECT ledger.transfer('world', 'b', 1)", 'LG902', 'twenty effects of one account where there is room for sixteen');
is($node->safe_psql('postgres', $used), '0', 'what was begun for it is undone');
moved($node, 'postgres', 'b', 'n1', 1, 'other accounts go on');
is($node->safe_psql('postgres', 'SELECT count(*) FROM ledger.check_invariants()'), '0', 'the invariants hold');
end_prepared($node, 'COMMIT', 10);
end_prepared($node, 'ROLLBACK');
moved($node, 'postgres', 'world', 'a', 1, 'they have ended, and the account is used again');
is($node->safe_psql('postgres', $in_use), '0|0', 'nothing is pending');
healthy($node, 'postgres', 'after too many effects');

# The least of everything.
$node->append_conf('postgresql.conf', join "\n", 'ledger.databases = 1', 'max_prepared_transactions = 0', 'max_worker_processes = 0',
	'max_connections = 12', 'superuser_reserved_connections = 0', 'max_wal_senders = 0', 'shared_buffers = 128kB', 'ledger.fold_interval = 10ms', '');
$node->restart;
moved($node, 'postgres', 'world', 'a', 1, 'the least: transfers');
refused($node, 'd4', "SELECT ledger.create_asset('EUR', 2)", 'LG902', 'the least: one database');
refused($node, 'postgres', "BEGIN; SELECT ledger.transfer('world', 'a', 1); PREPARE TRANSACTION 'p'", '55000', 'the least: nothing is prepared');
is($node->safe_psql('postgres', $in_use), '0|0', 'the least: and nothing stays of it');
is($node->safe_psql('postgres', 'SELECT ledger.fold() > 0, ledger.seal() > 0'), 't|t', 'the least: folding and sealing by hand');
healthy($node, 'postgres', 'the least');

$node->stop;
done_testing();
