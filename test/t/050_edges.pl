# Edges: another default table access method, the ends of the range of a balance, many
# databases for few workers, and the memory of a slot.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $slots = 4096;
my $node = ledger_node('edges', 'fsync = off', "ledger.slots = $slots", 'ledger.databases = 32', 'max_worker_processes = 16', 'ledger.worker = off');
sub sql { my ($statement) = @_; return $node->safe_psql('postgres', $statement); }

sub gives
{
	my ($statement, $expected, $name) = @_;
	return is(answer($node, 'postgres', $statement), $expected, $name);
}

# --- the tables are heaps, whatever the default is

sql(q{CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler; ALTER DATABASE postgres SET default_table_access_method = 'heap2'});
create_ledger($node, 'postgres');
is(sql(q{SELECT string_agg(DISTINCT m.amname, ' ') FROM pg_class AS c JOIN pg_am AS m ON m.oid = c.relam
	WHERE c.relkind = 'r' AND c.relnamespace IN ('ledger'::regnamespace, 'ledger_data'::regnamespace)}), 'heap', 'every table of the ledger is a heap, whatever the default access method is');
sql('CREATE TABLE ordinary ()');
is(sql(q{SELECT amname FROM pg_am JOIN pg_class ON relam = pg_am.oid WHERE relname = 'ordinary'}), 'heap2', 'the default access method is in force');
$node->safe_psql('postgres', 'CREATE DATABASE updated');
$node->safe_psql('updated', q{CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler; CREATE EXTENSION ledger VERSION '0.1';
	SET default_table_access_method = 'heap2'; ALTER EXTENSION ledger UPDATE});
is($node->safe_psql('updated', q{SELECT count(*) FROM pg_class AS c JOIN pg_am AS m ON m.oid = c.relam WHERE m.amname = 'heap2'}), '0', 'an update makes heaps, too');
healthy($node, 'postgres', 'another access method');
# A table that was made of another one by hand is refused.
$node->safe_psql('postgres', 'CREATE DATABASE foreign_method');
$node->safe_psql('foreign_method', q{CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler; CREATE EXTENSION ledger;
	ALTER TABLE ledger_data.transfer SET ACCESS METHOD heap2});
refused($node, 'foreign_method', "SELECT ledger.create_asset('USD')", '55000', 'a table of another access method is refused');

# --- the ends of the range

my $max = '9223372036854775807';
sql(qq{SELECT ledger.create_asset('BIG', 0);
	SELECT ledger.open_account(name, 'BIG', floor => NULL) FROM unnest('{low,high,low2,high2,other}'::text[]) AS name;
	SELECT ledger.transfer('low', 'high', $max)});
foreach my $call (
	[ "ledger.transfer('low', 'other', 1)", 'a transfer from an account at the lower end' ],
	[ "ledger.transfer('other', 'high', 1)", 'a transfer to an account at the upper end' ],
	[ "ledger.hold('low', 'other', 1)", 'a hold from an account at the lower end' ],
	[ "ledger.hold('other', 'high', 1)", 'a hold for an account at the upper end' ],
	[ "ledger.try_transfer('low', 'other', 1)", 'try_transfer from an account at the lower end' ],
	[ "ledger.try_transfer('other', 'high', 1)", 'try_transfer to an account at the upper end' ],
	[ "ledger.transfer_batch('{low}', '{other}', '{1}')", 'an atomic batch from an account at the lower end' ],
	[ "ledger.transfer_batch('{other}', '{high}', '{1}')", 'an atomic batch to an account at the upper end' ])
{
	my ($statement, $name) = @$call;
	my ($status, $stdout, $stderr) = $node->psql('postgres', "SELECT $statement", extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	like($stderr, qr/ERROR:  LG013:/, "$name is out of range");
	unlike($stderr, qr/alter_account|lower its floor|raise the ceiling/i, "$name: the hint names no limit");
}
gives("SELECT string_agg(status, ' ' ORDER BY ordinal) FROM ledger.transfer_batch('{low,other,high}', '{other,high,other}', '{1,1,1}', atomic => false)",
	'balance_out_of_range balance_out_of_range ok', 'a batch that is not atomic has a status for it');
# What is set aside and what is to come count.
sql("SELECT ledger.hold('low2', 'high2', $max)");
gives("SELECT ledger.transfer('low2', 'other', 1)", 'LG013', 'a transfer from an account whose holds reach the lower end is out of range');
gives("SELECT ledger.transfer('other', 'high2', 1)", 'LG013', 'a transfer to an account whose expected holds reach the upper end is out of range');
# A limit that is there is told as such.
sql("SELECT ledger.open_account('floored', 'BIG'), ledger.open_account('capped', 'BIG', ceiling => 0)");
gives("SELECT ledger.transfer('floored', 'other', 1)", 'LG001', 'a floor that is there is insufficient balance');
gives("SELECT ledger.transfer('other', 'capped', 1)", 'LG005', 'a ceiling that is there is exceeded');
healthy($node, 'postgres', 'the ends of the range');

# --- the indexes of holds by their deadline have what is open and has one, nothing else

sql(q{SELECT ledger.open_account(name, 'BIG', floor => NULL) FROM unnest('{payer,payee}'::text[]) AS name;
	SELECT ledger.post_hold(ledger.hold('payer', 'payee', 5, ttl => '1 day')) FROM generate_series(1, 20);
	SELECT ledger.void_hold(ledger.hold('payer', 'payee', 5, ttl => '1 day')) FROM generate_series(1, 20);
	SELECT ledger.void_hold(ledger.hold('payer', 'payee', 5, ttl => NULL)) FROM generate_series(1, 20);
	SELECT ledger.hold('payer', 'payee', 5, ttl => NULL);
	SELECT ledger.post_hold(ledger.hold('payer', 'payee', 5, ttl => '1 day'), 2, final => false);
	SELECT ledger.hold('payer', 'payee', 5, ttl => '1 microsecond');
	SELECT ledger.expire_holds()});
sql('VACUUM (INDEX_CLEANUP ON) ledger_data.hold');
is(sql(q{SELECT string_agg(relname || ' ' || reltuples, ', ' ORDER BY relname) FROM pg_class
	WHERE relnamespace = 'ledger_data'::regnamespace AND relkind = 'i' AND relname LIKE 'hold%due%'}),
	'hold_credit_account_due_at_idx 1, hold_debit_account_due_at_idx 1, hold_due_at_idx 1', 'what is resolved, or has no deadline, is in no index by deadline');
is(sql(q{CREATE EXTENSION amcheck; SELECT count(bt_index_check(indexrelid, true)) FROM pg_index
	WHERE indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'ledger_data'::regnamespace)}), sql(q{SELECT count(*) FROM pg_index
	WHERE indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'ledger_data'::regnamespace)}), 'amcheck finds every row in every index');
foreach my $condition ("due_at < '2100-01-01'", "due_at > '-infinity'", "due_at <= 'infinity'", "due_at < 'infinity' AND amount > 0", 'amount < 5')
{
	sql("CREATE INDEX odd ON ledger_data.hold (amount) WHERE $condition");
	refused($node, 'postgres', "SELECT ledger.hold('payer', 'payee', 1)", '55000', "an index of holds WHERE $condition is refused");
	sql('DROP INDEX ledger_data.odd');
}
healthy($node, 'postgres', 'the indexes of holds');

# --- the memory of a slot

sub size_of { my ($name) = @_; return sql("SELECT size FROM pg_shmem_allocations WHERE name = '$name'"); }
my $size = size_of('ledger slots');
$node->append_conf('postgresql.conf', "ledger.slots = ${\ (2 * $slots)}");
$node->restart;
# Twice the slots: 128 bytes for each more, four for its place in the hash table, two for whose it is.
cmp_ok(abs(size_of('ledger slots') - $size - $slots * (128 + 4 + 2)), '<=', 256, 'a slot takes 128 bytes of shared memory, a bucket four, and its owner two');

# --- fourteen databases due at once, and the most workers there may be

my $databases = 14;
foreach my $i (1 .. $databases)
{
	$node->safe_psql('postgres', "CREATE DATABASE d$i");
	create_ledger($node, "d$i");
	$node->safe_psql("d$i", "SELECT count(ledger.hold('a', 'b', 1, '1 ms')) FROM generate_series(1, 20)");
}
# At work or waiting for work: one that is just leaving does not count.
my $workers = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'ledger worker' AND (state = 'active' OR wait_event_type = 'Extension')};
$node->append_conf('postgresql.conf', 'ledger.worker = on');
$node->reload;
my ($most, %waiting) = (0, map { ("d$_" => 1) } 1 .. $databases);
my $limit = time + $PostgreSQL::Test::Utils::timeout_default;
while (%waiting && time < $limit)
{
	my $seen = sql($workers);
	$most = $seen if $seen > $most;
	my ($next) = sort keys %waiting;
	delete $waiting{$next} if $node->safe_psql($next, q{SELECT count(*) FROM ledger.holds WHERE state <> 'expired'}) eq '0';
}
is(join(' ', sort keys %waiting), '', 'every one of fourteen databases that are due at once is served');
cmp_ok($most, '<=', 2, 'there are never more than two workers at a time');
is(answer($node, 'postgres', 'SHOW ledger.max_workers'), '2', 'two workers is the default');
$node->append_conf('postgresql.conf', 'ledger.max_workers = 1');
$node->reload;
ok($node->poll_query_until('postgres', "SELECT ($workers) <= 1"), 'with a lower setting fewer workers are left');
$node->safe_psql("d$_", "SELECT ledger.hold('a', 'b', 1, '1 ms')") foreach 1 .. 4;
ok($node->poll_query_until("d$_", q{SELECT count(*) = 0 FROM ledger.holds WHERE state <> 'expired'}), "d$_ is served by one worker at a time") foreach 1 .. 4;
healthy($node, "d$_", "d$_, served in turn") foreach 1, $databases;

$node->stop;
done_testing();
