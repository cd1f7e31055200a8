# Audit triggers under prepared transactions, restarts, kills, dumps and replication; and
# the hashes of all they logged, recomputed here from docs/chain-format.md alone.

use strict;
use warnings;

use Digest::SHA qw(sha256);
use LedgerTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# An audit record as bytes: the columns of ledger.audit_records, in their order.
my @integers = qw(id lane seq txid);
my @texts = qw(relation operation key old new actor acting_as application client);

sub record_bytes
{
	my ($record) = @_;
	my $bytes = "\x01\x02";
	$bytes .= "\x01" . pack('q>', $record->{$_}) foreach @integers;
	$bytes .= "\x02" . pack('q>', $record->{at_us}) . "\x01" . pack('q>', $record->{relation_oid});
	$bytes .= defined $record->{$_} ? "\x03" . pack('N', length $record->{$_}) . $record->{$_} : "\x00" foreach @texts;
	return $bytes;
}

# The rows of an export in COPY's text format.
sub exported
{
	my ($node, $database) = @_;
	my @columns = ('id', 'lane', 'seq', 'txid', 'at_us', 'relation_oid', @texts, 'hash');
	my %escapes = (b => "\b", f => "\f", n => "\n", r => "\r", t => "\t", v => "\x0b", '\\' => '\\');
	my $file = PostgreSQL::Test::Utils::tempdir() . '/audit.copy';
	$node->command_ok([ 'psql', '-Xq', '-d', $node->connstr($database), '-c', "SET client_encoding = 'UTF8'", '-c',
			"\\copy (SELECT * FROM ledger.audit_records ORDER BY id) TO '$file'" ], "export of $database");
	my @records;
	foreach my $line (split /\n/, slurp_file($file))
	{
		my %record;
		@record{@columns} = map { my $v = $_; $v eq '\N' ? undef : $v =~ s/\\(.)/$escapes{$1}/gr } split /\t/, $line, -1;
		push @records, \%record;
	}
	return @records;
}

# Every lane is a chain without a gap, and every hash is what it should be.
sub chained
{
	my ($node, $database, $name) = @_;
	my (%head, @problems);
	my @records = exported($node, $database);
	foreach my $record (@records)
	{
		my $head = $head{ $record->{lane} } //= { seq => 0, hash => "\0" x 32 };
		my $hash = sha256($head->{hash} . record_bytes($record));
		push @problems, "seq of $record->{id}" if $record->{seq} != $head->{seq} + 1;
		push @problems, "hash of $record->{id}" if unpack('H*', $hash) ne $record->{hash};
		push @problems, "lane of $record->{id}" if (($record->{id} >> 6) & 1023) != $record->{lane};
		$head{ $record->{lane} } = { seq => $record->{seq}, hash => $hash };
	}
	is(join(', ', @problems), '', "$name: " . scalar(@records) . ' records are chained');
	healthy($node, $database, $name);
	return scalar @records;
}

# What was logged of a table, as rows.
sub logged
{
	my ($node, $database, $table) = @_;
	return $node->safe_psql($database,
		"SELECT string_agg(operation || coalesce(' ' || (key ->> 'id'), ''), ', ' ORDER BY id) FROM ledger.audit_log WHERE relation = '$table'");
}

my $node = ledger_node('audit', 'wal_level = logical', 'restart_after_crash = on');
$node->safe_psql('postgres', q{
	CREATE EXTENSION ledger;
	CREATE TABLE t (id integer PRIMARY KEY, note text, secret text);
	SELECT ledger.enable_audit('t', '{secret}');
	INSERT INTO t VALUES (1, E'tab\t newline\n backslash \\\\ quote " é', 'hush');
});

# Prepared transactions, also across a restart and a crash, ended in either way.
foreach my $mode ('no restart', 'fast', 'immediate')
{
	$node->safe_psql('postgres', q{
		BEGIN;
		INSERT INTO t VALUES (2);
		SAVEPOINT s;
		INSERT INTO t VALUES (3);
		ROLLBACK TO s;
		UPDATE t SET note = 'x' WHERE id = 2;
		PREPARE TRANSACTION 'kept';
	});
	$node->safe_psql('postgres', q{BEGIN; INSERT INTO t VALUES (4); PREPARE TRANSACTION 'gone'});
	my $before = logged($node, 'postgres', 'public.t');
	$node->restart if $mode eq 'fast';
	if ($mode eq 'immediate') { $node->stop('immediate'); $node->start; }
	$node->safe_psql('postgres', 'INSERT INTO t VALUES (5)');
	$node->safe_psql('postgres', q{COMMIT PREPARED 'kept'});
	$node->safe_psql('postgres', q{ROLLBACK PREPARED 'gone'});
	$node->safe_psql('postgres', 'DELETE FROM t WHERE id > 1');
	like(logged($node, 'postgres', 'public.t'), qr/^\Q$before\E, (INSERT 2, UPDATE 2, INSERT 5|INSERT 5, INSERT 2, UPDATE 2), DELETE \d, DELETE \d$/,
		"$mode: what was prepared and committed is logged");
	chained($node, 'postgres', "prepared, $mode");
}

# DML on a partition itself, which no statement trigger sees, is written at PREPARE.
$node->safe_psql('postgres', q{
	CREATE TABLE p (id integer PRIMARY KEY) PARTITION BY RANGE (id);
	CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100);
	SELECT ledger.enable_audit('p');
	BEGIN;
	INSERT INTO p1 VALUES (1), (2);
	PREPARE TRANSACTION 'p';
	COMMIT PREPARED 'p';
	INSERT INTO p1 VALUES (3);
	BEGIN;
	SAVEPOINT s;
	INSERT INTO p1 VALUES (4);
	RELEASE s;
	SAVEPOINT s;
	INSERT INTO p1 VALUES (5);
	ROLLBACK TO s;
	COMMIT;
});
is(logged($node, 'postgres', 'public.p1'), 'ENABLE, INSERT 1, INSERT 2, INSERT 3, INSERT 4', 'a partition by itself');

# Replicas' triggers are not the only ones that fire.
$node->safe_psql('postgres', 'SET session_replication_role = replica; INSERT INTO t VALUES (6)');
like(logged($node, 'postgres', 'public.t'), qr/INSERT 6$/, 'session_replication_role is no way round');

# A client by TCP/IP would be named; here all are local.
is($node->safe_psql('postgres', 'SELECT count(*) FROM ledger.audit_log WHERE client IS NOT NULL'), '0', 'local clients have no address');

# A backend killed under load: what committed is logged, nothing else.
$node->safe_psql('postgres', q{
	CREATE TABLE load (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, client integer, amount numeric);
	SELECT ledger.enable_audit('load');
});
my $script = PostgreSQL::Test::Utils::tempdir() . '/load.pgbench';
append_to_file($script, q{
BEGIN;
INSERT INTO load (client, amount) SELECT :client_id, i FROM generate_series(1, 20) AS i;
SAVEPOINT s;
UPDATE load SET amount = amount + 1 WHERE client = :client_id AND id = (SELECT max(id) FROM load WHERE client = :client_id);
ROLLBACK TO s;
DELETE FROM load WHERE client = :client_id AND id = (SELECT max(id) FROM load WHERE client = :client_id);
COMMIT;
});
foreach my $round (1 .. 3)
{
	my $pgbench = IPC::Run::start([ 'pgbench', '-n', '-c', '8', '-j', '2', '-T', '20', '-f', $script, $node->connstr('postgres') . ' application_name=load' ],
		'<', \undef, '>', \my $out, '2>', \my $err);
	$node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'load'") or die 'no load';
	sleep 2;
	my $victim = $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE application_name = 'load' LIMIT 1");
	cmp_ok($victim, '>', 1, "round $round: there is a victim");
	kill 'KILL', $victim;
	$pgbench->finish;
	$node->poll_query_until('postgres', 'SELECT 1', '1') or die 'no recovery';
	is($node->safe_psql('postgres', q{
		WITH last AS (SELECT DISTINCT ON (key::text) operation, new::jsonb AS new FROM ledger.audit_log WHERE relation = 'public.load' AND key IS NOT NULL ORDER BY key::text, id DESC),
		     told AS (SELECT new FROM last WHERE operation <> 'DELETE')
		SELECT count(*) FROM ((TABLE told EXCEPT ALL SELECT to_jsonb(l) FROM load AS l) UNION ALL (SELECT to_jsonb(l) FROM load AS l EXCEPT ALL TABLE told)) AS t}),
		'0', "round $round: the log tells the table's rows");
	cmp_ok(chained($node, 'postgres', "killed, round $round"), '>', 100, "round $round: there was load");
}

# Without the library nothing is written unseen.
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
refused($node, 'postgres', 'INSERT INTO t VALUES (7)', 'LG901', 'not preloaded: an audited table is not written to');
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'ledger'");
$node->restart;

# A dump brings records and triggers along; auditing goes on, and so do the chains.
my $dump = PostgreSQL::Test::Utils::tempdir() . '/audit.dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('postgres') ], 'pg_dump');
my $count = $node->safe_psql('postgres', 'SELECT count(*) FROM ledger.audit_log');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'pg_restore', '-e', '-d', $node->connstr('restored'), $dump ], 'pg_restore');
is(chained($node, 'restored', 'restored'), $count, 'restored: the records are those that were there, restoring made none');
$node->safe_psql('restored', 'INSERT INTO t VALUES (8)');
$node->safe_psql('restored', 'INSERT INTO p VALUES (8)');
is($node->safe_psql('restored', 'SELECT count(*) FROM ledger.audit_log'), $count + 2, 'restored: auditing goes on');
is($node->safe_psql('restored', "SELECT string_agg(DISTINCT tgenabled, '') FROM pg_trigger WHERE tgname LIKE 'ledger_audit%'"), 'A', 'restored: always');
is($node->safe_psql('restored', "SELECT new::jsonb ? 'secret' FROM ledger.audit_log WHERE relation = 'public.t' ORDER BY id DESC LIMIT 1"), 'f',
	'restored: what was secret stays so');
chained($node, 'restored', 'restored, written to');

# Logical replication: what the subscriber applies is logged there.
my $subscriber = ledger_node('subscriber');
$subscriber->safe_psql('postgres', q{
	CREATE EXTENSION ledger;
	CREATE TABLE r (id integer PRIMARY KEY, note text);
	SELECT ledger.enable_audit('r');
});
$node->safe_psql('postgres', q{
	CREATE TABLE r (id integer PRIMARY KEY, note text);
	INSERT INTO r VALUES (1, 'copied');
	CREATE PUBLICATION r FOR TABLE r;
});
my $connection = $node->connstr('postgres');
$subscriber->safe_psql('postgres', "CREATE SUBSCRIPTION r CONNECTION \$\$$connection\$\$ PUBLICATION r");
$subscriber->wait_for_subscription_sync($node, 'r');
$node->safe_psql('postgres', q{
	BEGIN;
	INSERT INTO r SELECT i, 'applied' FROM generate_series(2, 4) AS i;
	UPDATE r SET note = 'again' WHERE id = 3;
	DELETE FROM r WHERE id = 4;
	COMMIT;
	TRUNCATE r;
});
$node->wait_for_catchup('r');
is(logged($subscriber, 'postgres', 'public.r'), 'ENABLE, INSERT 1, INSERT 2, INSERT 3, INSERT 4, UPDATE 3, DELETE 4, TRUNCATE',
	'a subscriber logs what it applies');
chained($subscriber, 'postgres', 'subscriber');
$subscriber->safe_psql('postgres', 'DROP SUBSCRIPTION r');

$_->stop foreach $node, $subscriber;
done_testing();
