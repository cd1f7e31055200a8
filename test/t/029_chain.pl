# The chain across crashes, restarts, prepared transactions and restores: it has no gap,
# a digest that was given stays true, and coming back costs what came since the last seal.

use strict;
use warnings;

use IPC::Run ();
use LedgerTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = ledger_node('chain', 'ledger.seal_interval = 1', 'ledger.fold_interval = 100ms', 'restart_after_crash = on', 'max_connections = 120');
create_ledger($node, 'postgres');
my $sql = sub { return $node->safe_psql('postgres', $_[0]) };
$sql->(q{SELECT ledger.alter_account('a', floor => -1000000)});

sub proves
{
	my ($digest, $name, $database) = @_;
	return is($node->safe_psql($database // 'postgres', "SELECT * FROM ledger.verify_digest('$digest')"), '', "$name: the digest still fits");
}

# --- the worker seals

ok($node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM ledger.seal_records'), 'the worker seals what is there');
is($sql->('SELECT sum(transfers) FROM ledger.seal_records'), '1', 'all of it');
sleep 3;
is($sql->('SELECT count(*) FROM ledger.seal_records'), '1', 'and makes no seal of nothing');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'ledger worker'}), 'and goes');
$sql->("SELECT ledger.transfer('a', 'b', 1)");
ok($node->poll_query_until('postgres', 'SELECT count(*) = 2 FROM ledger.seal_records'), 'it comes back for more');

# What is prepared meanwhile is sealed once it is committed, though nobody says so.
$sql->("BEGIN; SELECT ledger.transfer('a', 'b', 1); PREPARE TRANSACTION 'quiet'");
sleep 2;
$sql->("COMMIT PREPARED 'quiet'");
ok($node->poll_query_until('postgres', 'SELECT sum(transfers) = 3 FROM ledger.seal_records'), 'and for what a prepared transaction leaves');

# --- kill -9 under load, with seals made all the while

my $load = sub {
	my ($clients, $seconds) = @_;
	my $script = PostgreSQL::Test::Utils::tempdir() . '/load.sql';
	append_to_file($script, q{
\set i random(1, 10)
BEGIN;
SELECT ledger.transfer('a', 'b', 0.01, metadata => jsonb_build_object('i', :i));
SAVEPOINT s;
SELECT ledger.transfer('a', 'b', 0.01);
\if :i < 4
ROLLBACK TO s;
\endif
SELECT ledger.transfer('b', 'a', 0.01);
\if :i = 1
ROLLBACK;
\else
COMMIT;
\endif
}) unless -e $script;
	my ($out, $err) = ('', '');
	return IPC::Run::start([ 'pgbench', '-n', '-c', $clients, '-j', 2, '-T', $seconds, '-f', $script, $node->connstr('postgres') ], '>', \$out, '2>', \$err);
};
my @digests;
foreach my $round (1 .. 3)
{
	my $running = $load->(64, 30);
	foreach my $look (1 .. 3)
	{
		select undef, undef, undef, 0.4;
		# Even one who does not wait for the disk gets a digest that lasts.
		push @digests, $sql->('SET synchronous_commit = off; SELECT ledger.seal(); SELECT ledger.digest()') =~ s/.*\n//sr;
	}
	if ($round < 3)
	{
		my $victim = $sql->(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() LIMIT 1});
		kill 9, $victim;
	}
	else
	{
		kill 9, $node->{_pid};
	}
	$running->finish;
	$round < 3 ? $node->poll_query_until('postgres', 'SELECT true') : start_again($node);
	healthy($node, 'postgres', "killed, round $round");
	proves($_, "killed, round $round") foreach $digests[0], $digests[-1];
	moved($node, 'postgres', 'a', 'b', 1, "killed, round $round: it goes on");
	healthy($node, 'postgres', "killed, round $round, gone on");
}
is($sql->('SELECT count(*) FROM (SELECT lane, max(seq) - count(*) AS gap FROM ledger_data.transfer GROUP BY lane) AS l WHERE gap <> 0'), '0', 'no lane has a gap');
cmp_ok($sql->('SELECT count(DISTINCT lane) FROM ledger_data.transfer'), '>', 30, 'there are many lanes');
cmp_ok($sql->('SELECT count(DISTINCT lane) FROM ledger_data.transfer'), '<=', 120, 'but no more than sessions');

# --- coming back reads what no seal covers, not all

$node->append_conf('postgresql.conf', 'ledger.worker = off');
$node->restart;
$sql->("SELECT count(ledger.transfer('a', 'b', 0.01)) FROM generate_series(1, 5000)");
sleep 1;    # ids of so many at once are ahead of the clock
$sql->('SELECT ledger.seal()');
$sql->("SELECT count(ledger.transfer('a', 'b', 0.01)) FROM generate_series(1, 20)");
$node->restart;
$sql->("SELECT pg_stat_reset(); SELECT pg_sleep(0.5)");
$sql->("SELECT ledger.transfer('a', 'b', 0.01)");
$sql->('SELECT pg_sleep(1)');
cmp_ok($sql->(q{SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'transfer_pkey'}), '<', 100, 'the first write after a restart reads the rest alone');
healthy($node, 'postgres', 'after the restart');

# --- prepared transactions keep their lane

foreach my $restart ('', 'fast', 'immediate')
{
	my $name = $restart || 'no restart';
	$sql->("BEGIN; SELECT ledger.transfer('a', 'b', 1); SAVEPOINT s; SELECT ledger.transfer('a', 'b', 1); ROLLBACK TO s; SELECT ledger.transfer('a', 'b', 2); PREPARE TRANSACTION 'x'");
	$sql->("BEGIN; SELECT ledger.transfer('a', 'b', 1); PREPARE TRANSACTION 'y'");
	$sql->("SELECT ledger.transfer('a', 'b', 1); SELECT ledger.seal()");
	my $digest = $sql->('SELECT ledger.digest()');
	$node->restart if $restart eq 'fast';
	if ($restart eq 'immediate') { $node->stop('immediate'); $node->start; }
	moved($node, 'postgres', 'a', 'b', 1, "$name: others go on");
	$sql->('SELECT ledger.seal()');
	healthy($node, 'postgres', "$name: two prepared");
	$sql->("COMMIT PREPARED 'x'");
	healthy($node, 'postgres', "$name: one committed");
	$node->restart if $restart eq 'fast';    # nobody has come by its lane yet
	$sql->("ROLLBACK PREPARED 'y'");
	$sql->("SELECT ledger.transfer('a', 'b', 1); SELECT ledger.seal(); SELECT ledger.transfer('a', 'b', 1)");
	# Every session's lane is claimed once: those of the two are found free.
	$node->pgbench('--no-vacuum --client=20 --transactions=5', 0, [qr{processed: 100/100}], [qr/^$/], "$name: twenty sessions",
		{ "029_chain_$name" => "SELECT ledger.transfer('a', 'b', 0.01);" });
	healthy($node, 'postgres', "$name: both ended");
	proves($digest, $name);
	is($sql->('SELECT lanes_in_use FROM ledger.stat'), '0', "$name: no lane is lost");
}

# --- a prepared transaction is committed while its lane is being recovered

foreach my $round (1 .. 3)
{
	$sql->(q{BEGIN; SELECT count(*) FROM ledger.transfer_batch(array_fill('world'::text, ARRAY[150000]), array_fill('a'::text, ARRAY[150000]),
		array_fill(0.01, ARRAY[150000])); PREPARE TRANSACTION 'big'});
	$node->restart;
	my $delay = 0.015 * $round;    # reading so many takes longer
	my @both = map { IPC::Run::start([ 'psql', '-XqAt', (map { ('-c', $_) } 'SELECT pg_sleep(0.1)', @$_), $node->connstr('postgres') ], '>', \my $out, '2>', \my $err) }
		["SELECT ledger.transfer('world', 'a', 1)"], ["SELECT pg_sleep($delay)", q{COMMIT PREPARED 'big'}];
	$_->finish foreach @both;
	$sql->(q{COMMIT PREPARED 'big'}) if $sql->('SELECT count(*) FROM pg_prepared_xacts');
	$node->pgbench('--no-vacuum --client=10 --transactions=5', 0, [qr{processed: 50/50}], [qr/^$/], "round $round: ten sessions",
		{ "029_chain_race_$round" => "SELECT ledger.transfer('a', 'b', 0.01);" });
	$sql->('SELECT ledger.seal()');
	is($sql->('SELECT * FROM ledger.verify()'), '', "round $round: the lane goes on where the transaction left it");
}

# --- restored and copied, it goes on from there

my $digest = $sql->('SELECT ledger.seal(); SELECT ledger.digest()') =~ s/.*\n//sr;
my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('postgres') ], 'dumped');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'pg_restore', '-e', '-j', '2', '-d', $node->connstr('restored'), $dump ], 'restored');
proves($digest, 'restored', 'restored');
moved($node, 'restored', 'a', 'b', 1, 'restored: it goes on');
is($node->safe_psql('restored', 'SELECT ledger.seal()'), $node->safe_psql('restored', 'SELECT max(number) FROM ledger.seal_records'), 'restored: it seals');
healthy($node, 'restored', 'restored');
proves($digest, 'restored, gone on', 'restored');
is($node->safe_psql('restored', 'SELECT count(*) FROM ledger.consistency_proof(' . ($digest =~ /"seal": (\d+)/)[0] . ')'), '1', 'its newest digest follows on that of the original');

# --- a verification shows how far it is

$sql->("SELECT count(ledger.transfer('a', 'b', 0.01)) FROM generate_series(1, 100000)");
my ($out, $err) = ('', '');
my $verification = IPC::Run::start([ 'psql', '-XqAt', '-c', "SELECT count(*) FROM generate_series(1, 2000) AS i CROSS JOIN LATERAL ledger.verify(CASE WHEN i > 0 THEN 'transfers' END)",
	$node->connstr('postgres') ], '>', \$out, '2>', \$err);
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM ledger.verify_progress AS p JOIN pg_stat_activity AS s USING (pid)
	WHERE p.done > 0 AND p.total > 100000 AND p.done <= p.total + 1000 AND p.began_at <= clock_timestamp()}), 'a verification shows how far it is');
$sql->(q{SELECT pg_cancel_backend(pid) FROM ledger.verify_progress});
$verification->finish;
is($sql->('SELECT count(*) FROM ledger.verify_progress'), '0', 'and nothing when it is canceled');

$node->stop;
done_testing();
