# A dump restored anywhere has the same balances and is a working ledger.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = ledger_node('source');
create_ledger($source, 'postgres');
$source->safe_psql('postgres', q{
	SELECT ledger.create_stock('sku', 10);
	SELECT ledger.deduct_stock('sku', 3);
	SELECT count(ledger.transfer('a', 'b', 0.10)) FROM generate_series(1, 100);
	SELECT ledger.fold();
	SELECT ledger.transfer('a', 'b', 5, metadata => '{"after": "the fold"}');
	SELECT ledger.reverse_transfer(max(id)) FROM ledger.transfers;
	SELECT ledger.alter_account('b', floor => 2.50, ceiling => 5000);
	CREATE ROLE app;
	SELECT ledger.grant_access('app', 'writer');
});
my $accounts = 'SELECT account, asset, posted, available, floor, ceiling, state FROM ledger.accounts ORDER BY account';
my $expected = $source->safe_psql('postgres', $accounts);
my $custom = PostgreSQL::Test::Utils::tempdir() . '/ledger.dump';
my $plain = PostgreSQL::Test::Utils::tempdir() . '/ledger.sql';
$source->command_ok([ 'pg_dump', '-Fc', '-f', $custom, $source->connstr('postgres') ], 'pg_dump, custom format');
$source->command_ok([ 'pg_dump', '-f', $plain, $source->connstr('postgres') ], 'pg_dump, plain format');

# What must hold of a restored ledger, whatever the numbers of its transactions.
sub works
{
	my ($node, $database, $name) = @_;
	is($node->safe_psql($database, $accounts), $expected, "$name: the balances are the same");
	healthy($node, $database, "$name, untouched");
	is($node->safe_psql($database, 'SELECT count(*) FROM ledger_data.installation'), '0', "$name: it belongs to nobody yet");
	my $highest = $node->safe_psql($database, 'SELECT max(id) FROM ledger.transfers');
	cmp_ok($node->safe_psql($database, "SELECT ledger.transfer('a', 'b', 1)"), '>', $highest, "$name: ids go on");
	is($node->safe_psql($database, 'SELECT txid > (SELECT max(txid) FROM ledger.transfers WHERE id < t.id) FROM ledger.transfers AS t ORDER BY id DESC LIMIT 1'),
		't', "$name: so do txids");
	is($node->safe_psql($database, "SELECT posted FROM ledger.balance('b')"), '11.00', "$name: a new transfer counts");
	refused($node, $database, "SELECT ledger.transfer('b', 'a', 8.51)", 'LG001', "$name: the floor holds");
	is($node->safe_psql($database, "SELECT ledger.deduct_stock('sku', 7)"), '0', "$name: stock can be sold");
	is($node->safe_psql($database, "SELECT ledger.fold() > 0; SELECT posted FROM ledger.balance('b')"), "t\n11.00", "$name: it folds");
	moved($node, $database, 'b', 'a', 1, "$name: and goes on");
	refused($node, $database, 'DELETE FROM ledger_data.transfer', 'LG401', "$name: the guards stand");
	refused($node, $database, 'INSERT INTO ledger_data.balance VALUES (1, 1, 1, 1)', 'LG401', "$name: and the door is shut");
	is($node->safe_psql($database, "SELECT has_function_privilege('app', 'ledger.transfer(text,text,numeric,text,jsonb)', 'EXECUTE')"), 't', "$name: grants came along");
	healthy($node, $database, $name);
	return;
}

sub restore
{
	my ($node, $database, $file) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	if ($file =~ /\.sql$/) { $node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $file, $node->connstr($database) ], "restore of $database"); }
	else { $node->command_ok([ 'pg_restore', '-e', '-d', $node->connstr($database), $file ], "restore of $database"); }
	return;
}

restore($source, 'same_custom', $custom);
works($source, 'same_custom', 'same cluster');
restore($source, 'same_plain', $plain);
works($source, 'same_plain', 'plain format');

# Into the same database, over a ledger in use.
$source->safe_psql('same_plain', 'SET ledger.allow_drop = on; DROP EXTENSION ledger; DROP SCHEMA IF EXISTS ledger, ledger_data');
$source->command_ok([ 'pg_restore', '-e', '-d', $source->connstr('same_plain'), $custom ], 'restore over a dropped ledger');
works($source, 'same_plain', 'dropped and restored');

# A copy by template goes its own way.
$source->safe_psql('postgres', 'CREATE DATABASE copied TEMPLATE same_custom');
moved($source, 'copied', 'a', 'b', 1, 'copied: it works');
is(balance($source, 'copied', 'b'), '11.00', 'copied: its balance is its own');
is(balance($source, 'same_custom', 'b'), '10.00', 'copied: the original is left alone');
refused($source, 'copied', 'INSERT INTO ledger_data.balance VALUES (1, 1, 1, 1)', 'LG401', 'copied: the guards stand');
is($source->safe_psql('copied', "SELECT ledger.fold() >= 0; SELECT posted FROM ledger.balance('b')"), "t\n11.00", 'copied: it folds');
healthy($source, 'copied', 'copied');
healthy($source, 'same_custom', 'the original');

# Several processes at once, in no order.
is($source->safe_psql('postgres', "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND connamespace = 'ledger_data'::regnamespace"),
	'0', 'no table must be restored before another');
$source->safe_psql('postgres', 'CREATE DATABASE same_jobs');
$source->command_ok([ 'pg_restore', '-e', '-j', '3', '-d', $source->connstr('same_jobs'), $custom ], 'restore by three processes');
works($source, 'same_jobs', 'three processes');

# What is prepared when the dump is made is not in it.
$source->safe_psql('postgres', "BEGIN; SELECT ledger.transfer('a', 'b', 2); PREPARE TRANSACTION 'p'");
my $during = PostgreSQL::Test::Utils::tempdir() . '/during.dump';
$source->command_ok([ 'pg_dump', '-Fc', '-f', $during, $source->connstr('postgres') ], 'a dump while a transaction is prepared');
$source->safe_psql('postgres', "COMMIT PREPARED 'p'");
restore($source, 'during', $during);
works($source, 'during', 'dumped while a transaction was prepared');
$source->safe_psql('postgres', "SELECT ledger.reverse_transfer(max(id)) FROM ledger.transfers");

# Clusters whose transactions have lower and far higher numbers.
my $lower = ledger_node('lower');
$lower->safe_psql('postgres', 'CREATE ROLE app');
cmp_ok($lower->safe_psql('postgres', 'SELECT pg_current_xact_id()::text::bigint'), '<',
	$source->safe_psql('postgres', 'SELECT max(folded_xid) FROM ledger_data.balance'), 'the other cluster is younger');
restore($lower, 'younger', $custom);
works($lower, 'younger', 'younger cluster');
my $again = PostgreSQL::Test::Utils::tempdir() . '/again.dump';
$expected = $lower->safe_psql('younger', $accounts);
$lower->command_ok([ 'pg_dump', '-Fc', '-f', $again, $lower->connstr('younger') ], 'a dump of the restored');
$lower->safe_psql('postgres', 'CREATE DATABASE second');
$lower->command_ok([ 'pg_restore', '-e', '-d', $lower->connstr('second'), $again ], 'and its restore');
is($lower->safe_psql('second', $accounts), $expected, 'second generation: the balances are the same');
moved($lower, 'second', 'a', 'b', 1, 'second generation: it works');
healthy($lower, 'second', 'second generation');

my $higher = PostgreSQL::Test::Cluster->new('higher');
$higher->init;
command_ok([ 'pg_resetwal', '-x', '100000000', '-f', '-D', $higher->data_dir ], 'a cluster with a far higher xid');
append_to_file($higher->data_dir . '/pg_xact/005F', "\0" x 262144);
configure($higher);
$higher->start;
$higher->safe_psql('postgres', 'CREATE ROLE app');
$expected = $source->safe_psql('postgres', $accounts);
restore($higher, 'older', $custom);
works($higher, 'older', 'older cluster');

# And a ledger that has lived there, back into the young one.
restore($higher, 'high', $custom);
$higher->safe_psql('high', q{SELECT ledger.reverse_transfer(ledger.transfer('a', 'b', 3)); SELECT ledger.fold()});
cmp_ok($higher->safe_psql('high', 'SELECT min(txid) FROM (SELECT txid FROM ledger.transfers ORDER BY id DESC LIMIT 2) AS t'),
	'>', 100_000_000, 'transactions of high numbers');
my $high = PostgreSQL::Test::Utils::tempdir() . '/high.dump';
$higher->command_ok([ 'pg_dump', '-Fc', '-f', $high, $higher->connstr('high') ], 'a dump of them');
restore($lower, 'low', $high);
works($lower, 'low', 'far younger cluster');
$lower->restart;
moved($lower, 'low', 'a', 'b', 1, 'far younger cluster: also after a restart');
healthy($lower, 'low', 'far younger cluster, restarted');

# One that was folded up to a transaction that is far off in the younger cluster.
$source->safe_psql('postgres', q{SELECT ledger.transfer('a', 'b', 1);
	DO $$ BEGIN FOR i IN 1..5000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$;
	SELECT ledger.fold()});
cmp_ok($lower->safe_psql('postgres', 'SELECT pg_current_xact_id()::text::bigint'), '<',
	$source->safe_psql('postgres', 'SELECT max(folded_xid) FROM ledger_data.balance'), 'folded up to a transaction that is still to come elsewhere');
my $folded = PostgreSQL::Test::Utils::tempdir() . '/folded.dump';
$source->command_ok([ 'pg_dump', '-Fc', '-f', $folded, $source->connstr('postgres') ], 'a dump of what is folded');
my $b = balance($source, 'postgres', 'b');
restore($lower, 'folded', $folded);
moved($lower, 'folded', 'a', 'b', 1, 'folded: it works');
is($lower->safe_psql('folded', "SELECT posted - $b FROM ledger.balance('b')"), '1.00', 'folded: a new transfer counts');
$lower->safe_psql('folded', 'SELECT ledger.fold()');
is($lower->safe_psql('folded', "SELECT posted - $b FROM ledger.balance('b')"), '1.00', 'folded: and counts once');
healthy($lower, 'folded', 'folded');

$_->stop foreach $source, $lower, $higher;
done_testing();
