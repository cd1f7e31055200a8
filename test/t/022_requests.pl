# Requests and keys through crashes, restarts, a promotion, a dump, prepared
# transactions and the worker: what was told stays told, what was not is fresh.

use strict;
use warnings;

use IPC::Run;
use LedgerTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = ledger_node('requests', 'ledger.purge_interval = 1d', 'max_connections = 250', 'max_locks_per_transaction = 10');
create_ledger($node, 'postgres');
$node->safe_psql('postgres', "SELECT ledger.create_stock('sku', 10)");

# What begin_request says: state|response|attempt.
sub begun
{
	my ($server, $database, $key, $options) = @_;
	return $server->safe_psql($database, "SELECT * FROM ledger.begin_request('$key'" . ($options // '') . ')');
}

# A statement in a session of its own that stays where it waits.
sub background
{
	my ($server, $statement) = @_;
	my %session = (out => '', err => '');
	$session{handle} = IPC::Run::start([ 'psql', '-XAtq', '-d', $server->connstr('postgres'), '-c', $statement ],
		'>', \$session{out}, '2>', \$session{err});
	return \%session;
}

sub wait_for_waiters
{
	my ($server, $count) = @_;
	return $server->poll_query_until('postgres',
		"SELECT count(*) = $count FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'SELECT ledger%'");
}

# --- kill -9 between begin and complete

foreach my $how ('kill -9', 'restart')
{
	my $k = $how eq 'restart' ? 'restart' : 'kill';
	my $id = $node->safe_psql('postgres', "SELECT ledger.transfer('world', 'a', 1, '$k-paid')");
	$node->safe_psql('postgres', "SELECT ledger.open_account('$k-poor', 'USD')");
	is($node->safe_psql('postgres', "SELECT ledger.try_transfer('$k-poor', 'a', 9, '$k-null') IS NULL"), 't', "$how: a NULL is told");
	is(begun($node, 'postgres', "$k-done"), 'new||1', "$how: a request is begun");
	$node->safe_psql('postgres', "SELECT ledger.complete_request('$k-done', '\"it is done\"')");
	is(begun($node, 'postgres', "$k-leased", ", lease => '2 s'"), 'new||1', "$how: another is begun and committed");
	my $token = $node->safe_psql('postgres', 'SELECT ledger.issue_request_token()');
	my $open = background($node, "BEGIN; SELECT ledger.begin_request('$k-open'), ledger.transfer('world', 'a', 2, '$k-open'); SELECT pg_sleep(100)");
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'") or die;
	is(begun($node, 'postgres', "$k-open"), 'in_progress||1', "$how: a third is open");

	if ($how eq 'restart')
	{
		$node->restart;
	}
	else
	{
		kill 'KILL', (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];
		eval { $open->{handle}->finish };
		start_again($node);
	}
	is(begun($node, 'postgres', "$k-open"), 'new||1', "$how: what was open is fresh");
	is($node->safe_psql('postgres', "SELECT ledger.transfer('world', 'a', 2, '$k-open') > $id"), 't', "$how: so is its key");
	is($node->safe_psql('postgres', "SELECT ledger.transfer('world', 'a', 1, '$k-paid')"), $id, "$how: a key tells the same");
	$node->safe_psql('postgres', "SELECT ledger.transfer('world', '$k-poor', 9)");
	is($node->safe_psql('postgres', "SELECT ledger.try_transfer('$k-poor', 'a', 9, '$k-null') IS NULL"), 't', "$how: NULL stays NULL");
	is(begun($node, 'postgres', "$k-done"), 'completed|"it is done"|1', "$how: a response is there");
	like(begun($node, 'postgres', "$k-leased"), qr/in_progress\|\|1|new\|\|2/, "$how: the lease goes on");
	$node->poll_query_until('postgres', "SELECT leased_until < clock_timestamp() OR attempt = 2 FROM ledger.requests WHERE key = '$k-leased'") or die;
	$node->safe_psql('postgres', "SELECT ledger.begin_request('$k-leased')");
	is($node->safe_psql('postgres', "SELECT state, attempt FROM ledger.requests WHERE key = '$k-leased'"), 'in_progress|2', "$how: and is taken over when it ran out");
	refused($node, 'postgres', "SELECT ledger.complete_request('$k-leased', attempt => 1)", 'LG305', "$how: the first holder is refused");
	refused($node, 'postgres', "SELECT ledger.complete_request('$k-leased')", 'LG305', "$how: and so is who does not say which he is");
	is($node->safe_psql('postgres', "SELECT state FROM ledger.begin_request('$token', require_token => true)"), 'new', "$how: a token is good");
	healthy($node, 'postgres', $how);
	eval { $open->{handle}->finish };
}

# --- many callers of a fresh key: exactly one is new, nobody waits long

{
	$node->safe_psql('postgres', q{
		CREATE TABLE told (key text, state text);
		CREATE FUNCTION fresh(key text) RETURNS void LANGUAGE plpgsql AS $$
		DECLARE
			begun text := (SELECT state FROM ledger.begin_request(key));
		BEGIN
			INSERT INTO told VALUES (key, begun);
			PERFORM pg_sleep(0.001);
			IF begun = 'new' THEN
				PERFORM ledger.complete_request(key, to_jsonb(repeat('x', 300)));
			END IF;
		END
		$$;
	});
	my $script = PostgreSQL::Test::Utils::tempdir() . '/fresh.sql';
	append_to_file($script, "\\set k random(1, 300)\nSELECT fresh('fresh-' || :k);\n");
	$node->command_ok([ 'pgbench', '-n', '-c', '50', '-t', '60', '-f', $script, '-d', 'postgres', '-h', $node->host, '-p', $node->port ], '50 clients begin');
	is($node->safe_psql('postgres', "SELECT count(*) FROM (SELECT key FROM told GROUP BY key HAVING count(*) FILTER (WHERE state = 'new') <> 1) AS odd"),
		'0', 'each key was new once');
	is($node->safe_psql('postgres', "SELECT string_agg(DISTINCT state, ' ' ORDER BY state) FROM told"), 'completed in_progress new', 'and in progress or completed for the others');
	# Two hundred at the same moment: a locked table holds them until all are there.
	$node->safe_psql('postgres', 'CREATE TABLE gate (); CREATE TABLE crowd (state text)');
	my $gate = background($node, 'BEGIN; LOCK gate; SELECT pg_sleep(100)');
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_locks WHERE relation = 'gate'::regclass") or die;
	append_to_file("$script.crowd", "INSERT INTO crowd SELECT r.state FROM (SELECT count(*) AS c FROM gate OFFSET 0) AS g, ledger.begin_request('crowd-' || g.c) AS r;\n");
	my $crowd = IPC::Run::start([ 'pgbench', '-n', '-c', '200', '-t', '1', '-f', "$script.crowd", '-d', 'postgres', '-h', $node->host, '-p', $node->port ],
		'>', \my $out, '2>', \my $err);
	ok($node->poll_query_until('postgres', "SELECT count(*) = 200 FROM pg_locks WHERE relation = 'gate'::regclass AND NOT granted"), '200 callers are waiting');
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
	eval { $gate->{handle}->finish };
	ok($crowd->finish, 'all 200 are answered') or diag $err;
	is($node->safe_psql('postgres', 'SELECT state, count(*) FROM crowd GROUP BY state ORDER BY state'), "in_progress|199\nnew|1", 'one is new, 199 in progress');
}

# --- more keys in one transaction than the lock table has room for

{
	my $batch = "SELECT status, count(*) FROM ledger.transfer_batch(array_fill('world'::text, '{10000}'), array_fill('a'::text, '{10000}'),"
	  . " array_fill(0.01, '{10000}'), (SELECT array_agg('b-' || i) FROM generate_series(1, 10000) AS i), %s) GROUP BY status";
	is($node->safe_psql('postgres', sprintf($batch, 'true')), 'ok|10000', 'ten thousand keys in a batch');
	is($node->safe_psql('postgres', sprintf($batch, 'false')), 'duplicate|10000', 'once');
	cmp_ok($node->safe_psql('postgres', 'SELECT (setting::int * (250 + 20)) FROM pg_settings WHERE name = $$max_locks_per_transaction$$'), '<', 10_000,
		'with a lock table that is smaller');
}

# --- prepared transactions, also across a restart

foreach my $end ('COMMIT', 'ROLLBACK')
{
	$node->safe_psql('postgres', "BEGIN; SELECT ledger.transfer('world', 'a', 3, 'p-$end'); SELECT ledger.begin_request('p-$end'); PREPARE TRANSACTION 'p'");
	$node->restart;
	is(begun($node, 'postgres', "p-$end"), 'in_progress||1', "$end PREPARED: a prepared request is in progress");
	my $waiter = background($node, "SELECT ledger.transfer('world', 'a', 3, 'p-$end')");
	ok(wait_for_waiters($node, 1), "$end PREPARED: a call under its key waits");
	$node->safe_psql('postgres', "$end PREPARED 'p'");
	$waiter->{handle}->finish;
	is($node->safe_psql('postgres', "SELECT transfer_id FROM ledger.requests WHERE key = 'p-$end' AND kind = 'call'") . "\n", $waiter->{out},
		"$end PREPARED: then it tells what is");
	like(begun($node, 'postgres', "p-$end"), $end eq 'COMMIT' ? qr/^in_progress/ : qr/^new/, "$end PREPARED: and so does the request");
}

# --- who waits can be cancelled and terminated, and nothing is left

{
	my $holder = background($node, "BEGIN; SELECT ledger.transfer('world', 'a', 4, 'held'); SELECT pg_sleep(100)");
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(100)' AND wait_event = 'PgSleep'") or die;
	refused($node, 'postgres', "SET statement_timeout = '50ms'; SELECT ledger.transfer('world', 'a', 4, 'held')", '57014', 'a timeout ends the wait');
	my $waiter = background($node, "SELECT ledger.transfer('world', 'a', 4, 'held')");
	wait_for_waiters($node, 1) or die;
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'");
	eval { $waiter->{handle}->finish };
	like($waiter->{err}, qr/terminating connection/, 'a waiter is terminated');
	$waiter = background($node, "SELECT ledger.transfer('world', 'a', 4, 'held')");
	wait_for_waiters($node, 1) or die;
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
	eval { $holder->{handle}->finish };
	$waiter->{handle}->finish;
	like($waiter->{out}, qr/^\d+$/, 'when the holder is terminated, the waiter makes it');
	is($node->safe_psql('postgres', "SELECT count(*) FROM ledger.transfers WHERE amount = 4"), '1', 'once');
	is($node->safe_psql('postgres', "SELECT count(*) FROM pg_locks WHERE locktype = 'object'"), '0', 'no lock is left');
}

# --- a dump and its restore

$node->safe_psql('postgres', "SELECT ledger.add_client('shop', repeat('s', 32))");
my $told = "SELECT kind, scope, key, state, attempt, arguments, response, transfer_id FROM ledger.requests ORDER BY kind, scope, key";
my $before = $node->safe_psql('postgres', $told);
my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('postgres') ], 'dumped');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'pg_restore', '-j2', '-d', $node->connstr('restored'), $dump ], 'restored');
is($node->safe_psql('restored', $told), $before, 'the registry is the same');
is(begun($node, 'restored', 'kill-done'), 'completed|"it is done"|1', 'a response is there');
is($node->safe_psql('restored', "SELECT ledger.transfer('world', 'a', 1, 'kill-paid')"),
	$node->safe_psql('postgres', "SELECT ledger.transfer('world', 'a', 1, 'kill-paid')"), 'a key tells the same');
refused($node, 'restored', "SELECT ledger.transfer('world', 'a', 2, 'kill-paid')", 'LG301', 'and knows its arguments');
is($node->safe_psql('restored', "SELECT ledger.verify_signed_request('shop', 'b', now(), 'n', ledger.sign_request('shop', 'b', now(), 'n', repeat('s', 32)))"),
	't', 'clients can still sign');
healthy($node, 'restored', 'restored');

# --- a standby, promoted

$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
my $id = $node->safe_psql('postgres', "SELECT ledger.transfer('world', 'a', 5, 'before the promotion')");
$node->safe_psql('postgres', "SELECT ledger.begin_request('promoted'); SELECT ledger.complete_request('promoted', '1')");
$node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', "SELECT transfer_id FROM ledger.requests WHERE key = 'before the promotion'"), $id, 'a standby shows requests');
refused($standby, 'postgres', "SELECT ledger.begin_request('x')", '25006', 'and begins none');
refused($standby, 'postgres', "SELECT ledger.transfer('world', 'a', 5, 'before the promotion')", '25006', 'nor repeats one');
$node->stop('immediate');
$standby->promote;
is($standby->safe_psql('postgres', "SELECT ledger.transfer('world', 'a', 5, 'before the promotion')"), $id, 'promoted, it tells the same');
is(begun($standby, 'postgres', 'promoted'), 'completed|1|1', 'and has the responses');
is(begun($standby, 'postgres', 'after'), 'new||1', 'and begins new ones');
healthy($standby, 'postgres', 'promoted');

# --- the worker purges

$standby->append_conf('postgresql.conf', "ledger.purge_interval = 1s\nledger.key_ttl = 1s");
$standby->restart;
my $first = $standby->safe_psql('postgres', "SELECT ledger.transfer('world', 'a', 6, 'short')");
$standby->safe_psql('postgres', "SELECT count(ledger.accept_message('c', i::text)) FROM generate_series(1, 2500) AS i");
is(begun($standby, 'postgres', 'long'), 'new||1', 'a request of a day');
ok($standby->poll_query_until('postgres', q{SELECT count(*) = 0 FROM (SELECT ledger.begin_request('long')) AS wake, ledger.requests WHERE key = 'short' OR kind = 'message'}),
	'the worker purges what has expired');
is(begun($standby, 'postgres', 'long'), 'in_progress||1', 'and not what has not');
cmp_ok($standby->safe_psql('postgres', "SELECT ledger.transfer('world', 'a', 6, 'short')"), '>', $first, 'a purged key is fresh');
ok($standby->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'ledger worker'"), 'the worker goes');
healthy($standby, 'postgres', 'purged');

$standby->stop;
done_testing();
