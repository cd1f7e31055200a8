# Nothing keeps the worker from what is due: open transactions, settings of the database,
# failures, crowds. And the worker keeps nobody from a database.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = ledger_node('deadlines', 'ledger.fold_threshold = 50', 'ledger.fold_interval = 100ms');
create_ledger($node, 'postgres');

sub sql { my ($statement) = @_; return $node->safe_psql('postgres', $statement); }

# A hold on an account of its own expires while something else is going on.
sub expires
{
	my ($name) = @_;
	my $id = sql("SELECT ledger.hold('world', 'b', 1, '500 ms')");
	return ok($node->poll_query_until('postgres', "SELECT state = 'expired' FROM ledger.holds WHERE id = $id"), $name);
}

# --- a user's open transaction has expired the hold of a branch

{
	sql("SELECT ledger.tcc_begin('taken', '500 ms'), ledger.tcc_freeze('taken', '1', 'a', 'b', 60)");
	my $short = $node->background_psql('postgres');
	$short->query_safe('BEGIN');
	# At the very moment that its time is up, before the worker: a loop finds it.
	$short->query_safe(q{DO $$ BEGIN WHILE ledger.try_transfer('a', 'world', 100) IS NULL LOOP END LOOP; END $$});
	expires('a hold expires beside it');
	$short->query_safe('ROLLBACK');
	$short->quit;
	ok($node->poll_query_until('postgres', "SELECT state = 'timed_out' FROM ledger.tcc_transactions WHERE xid = 'taken'"), 'and the transaction times out afterwards');
}

# --- somebody folds for long; the database has settings for its users

{
	my $folder = $node->background_psql('postgres');
	$folder->query_safe('BEGIN; SELECT ledger.fold()');
	sql("SELECT count(ledger.transfer('world', 'a', 0.01)) FROM generate_series(1, 100)");
	expires('a hold expires while another session folds');
	$folder->query_safe('COMMIT');
	$folder->quit;
	sql("ALTER DATABASE postgres SET default_transaction_isolation = 'repeatable read'; ALTER DATABASE postgres SET default_transaction_read_only = on; ALTER DATABASE postgres SET lock_timeout = '1ms'");
	my $id = sql("SET default_transaction_read_only = off; SELECT ledger.hold('world', 'b', 1, '500 ms')");
	sql("SET default_transaction_read_only = off; SELECT count(ledger.transfer('world', 'a', 0.01)) FROM generate_series(1, 100)");
	ok($node->poll_query_until('postgres', "SELECT state = 'expired' FROM ledger.holds WHERE id = $id"), 'settings of the database do not stop it');
	sql("SET default_transaction_read_only = off; ALTER DATABASE postgres RESET ALL");
	ok($node->poll_query_until('postgres', 'SELECT longest_tail < 50 FROM ledger.stat'), 'nor folding');
}

# --- failures: of one transaction, and only that

{
	sql("SELECT ledger.tcc_begin('broken', '500 ms'), ledger.tcc_freeze('broken', 'b', 'a', 'b', 2)");
	sql(q{BEGIN; SET LOCAL session_replication_role = replica;
		CREATE TABLE lost AS SELECT h.* FROM ledger_data.hold AS h JOIN ledger_data.tcc_branch AS b ON b.hold = h.transfer WHERE b.xid = 'broken';
		DELETE FROM ledger_data.hold WHERE transfer = (SELECT transfer FROM lost); COMMIT});
	ok($node->poll_query_until('postgres', "SELECT attempts >= 1 AND last_error LIKE 'hold % does not exist' FROM ledger.tcc_transactions WHERE xid = 'broken'"),
		'an error is noted with the transaction it came from');
	expires('others go on');
	is(sql("SELECT state FROM ledger.tcc_transactions WHERE xid = 'broken'"), 'overdue', 'it is overdue still, though its next attempt is later');
	foreach my $call ("tcc_confirm('broken')", "tcc_begin('broken')", "tcc_freeze('broken', 'c', 'a', 'b', 1)")
	{
		refused($node, 'postgres', "SELECT ledger.$call", 'LG205', "so $call is refused");
	}
	like(sql('SELECT string_agg(invariant, $$, $$) FROM ledger.check_invariants()'), qr/held = open holds/, 'what was done to it by hand is found');
	sql('BEGIN; SET LOCAL session_replication_role = replica; INSERT INTO ledger_data.hold SELECT * FROM lost; COMMIT');
	ok($node->poll_query_until('postgres', "SELECT state = 'timed_out' FROM ledger.tcc_transactions WHERE xid = 'broken'"), 'mended, it times out');
	healthy($node, 'postgres', 'mended');
}

# A hold that cannot be expired is no obstacle for those that were due with it.
{
	sql("SELECT ledger.open_account('wrecked', 'USD', floor => NULL)");
	my $wrecked = sql("SELECT ledger.hold('wrecked', 'b', 4, '1 s')");
	my $account = sql("SELECT debit_account FROM ledger_data.hold WHERE transfer = $wrecked");
	my $set = "BEGIN; SET LOCAL session_replication_role = replica; UPDATE ledger_data.hold SET debit_account = %s WHERE transfer = $wrecked; COMMIT";
	sql(sprintf $set, 1);
	sql("SELECT pg_sleep_until(due_at) FROM ledger_data.hold WHERE transfer = $wrecked");
	expires('a hold expires behind one that cannot be');
	is(sql("SELECT remaining FROM ledger_data.hold AS h, LATERAL (SELECT h.amount - h.posted) AS r (remaining) WHERE h.transfer = $wrecked AND h.state = 1"), '400', 'which stays');
	sql(sprintf $set, $account);
	ok($node->poll_query_until('postgres', "SELECT state = 'expired' FROM ledger.holds WHERE id = $wrecked"), 'mended, it expires');
	healthy($node, 'postgres', 'a hold mended');
}

# Two holds of all there can be cannot be given back in one transaction: so in two.
{
	sql(q{SELECT ledger.create_asset('BIG'), ledger.open_account('u1', 'BIG', floor => NULL), ledger.open_account('u2', 'BIG', floor => NULL), ledger.open_account('u3', 'BIG', floor => NULL)});
	sql("SELECT ledger.transfer('u2', 'u1', 9223372036854775807)");
	sql("SELECT ledger.hold('u1', '$_', 9223372036854775807, '1 s')") foreach 'u2', 'u3';
	expires('a hold expires beside two that are too large together');
	ok($node->poll_query_until('postgres', "SELECT count(*) = 2 FROM ledger.holds WHERE source = 'u1' AND state = 'expired'"), 'and so do they');
	healthy($node, 'postgres', 'too large together');
}

# --- crowds

{
	# More than any batch in the hands of a prepared transaction.
	sql("SELECT ledger.transfer('world', 'a', 100); SELECT count(ledger.hold('a', 'b', 0.01, '1 s')) FROM generate_series(1, 1500)");
	sql("SELECT count(ledger.tcc_begin('crowd ' || i, '1 s')), count(ledger.tcc_freeze('crowd ' || i, 'b', 'a', 'b', 0.01)) FROM generate_series(1, 300) AS i");
	sql("SELECT pg_sleep(0.9)");
	sql(q{BEGIN; DO $$ BEGIN WHILE (SELECT count(*) FROM ledger.holds WHERE state IN ('open', 'overdue') AND amount = 0.01) > 0 LOOP PERFORM ledger.expire_holds(10000); END LOOP; END $$; PREPARE TRANSACTION 'crowd'});
	expires('a hold expires behind many that a prepared transaction has');
	sql("SELECT ledger.tcc_begin('behind', '500 ms')");
	ok($node->poll_query_until('postgres', "SELECT state = 'timed_out' FROM ledger.tcc_transactions WHERE xid = 'behind'"), 'and so does a transaction');
	my $last = sql("SELECT ledger.hold('world', 'b', 1, '1 ms')");
	sql('SELECT ledger.expire_holds()');
	is(sql("SELECT state FROM ledger.holds WHERE id = $last"), 'expired', 'by the function, too');
	sql("ROLLBACK PREPARED 'crowd'");
	ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM ledger.holds WHERE state IN ('open', 'overdue') AND amount = 0.01"), 'afterwards they are expired');
	ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM ledger.tcc_transactions WHERE ended_at IS NULL"), 'and the transactions timed out');
	healthy($node, 'postgres', 'behind a crowd');
	# Thousands at once.
	my $begun = time;
	sql("SELECT count(ledger.tcc_begin('many ' || i, '1 s')), count(ledger.tcc_freeze('many ' || i, 'b', 'world', 'b', 0.01)) FROM generate_series(1, 3000) AS i");
	ok($node->poll_query_until('postgres', "SELECT count(*) = 3000 FROM ledger.tcc_transactions WHERE xid LIKE 'many %' AND state = 'timed_out'"), 'three thousand time out');
	note 'after ' . (time - $begun) . ' s';
	healthy($node, 'postgres', 'three thousand');
}

# Deadlines that come while the worker is at work are not put off.
{
	sql(q{DO $$ DECLARE d timestamptz := clock_timestamp() + interval '1.5 s';
		BEGIN FOR i IN 1 .. 400 LOOP PERFORM ledger.hold('world', 'b', 0.02, d + i * interval '5 ms' - clock_timestamp()); END LOOP; END $$});
	my $late = "SELECT max(t.created_at - h.due_at_then) FROM ledger.transfers AS t JOIN expected AS h ON t.ref = h.id WHERE t.kind = 'void'";
	sql("CREATE TABLE expected AS SELECT id, expires_at AS due_at_then FROM ledger.holds WHERE amount = 0.02");
	ok($node->poll_query_until('postgres', "SELECT count(*) = 400 FROM ledger.holds WHERE amount = 0.02 AND state = 'expired'"), 'four hundred close together expire');
	is(sql("SELECT ($late) < '4 s'"), 't', 'none is put off');
}

# What has ended and waits to be forgotten calls no worker before a purge is due.
{
	sql("SELECT ledger.accept_message('purge', 'now')");
	sql("SET ledger.key_ttl = 1; SELECT ledger.tcc_begin('short lived'), ledger.tcc_cancel('short lived')");
	ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'ledger worker'"), 'the worker goes');
	sleep 2;
	ok($node->poll_query_until('postgres', "SELECT worker_pid IS NULL AND (worker_due_at > now() + '6 s' OR NOT EXISTS (SELECT FROM ledger.tcc_transactions WHERE xid = 'short lived')) FROM ledger.stat"),
		'and stays away until the next purge');
}

# --- SERIALIZABLE: what has nothing to do with each other does not fail

{
	my $tcc = "\\set x random(1, 1000000000)\nBEGIN ISOLATION LEVEL SERIALIZABLE;\nSELECT ledger.tcc_begin('s' || :x), ledger.tcc_freeze('s' || :x, 'b', 'world', 'b', 0.01);\n"
	  . "SELECT ledger.tcc_confirm('s' || :x);\nSELECT ledger.post_hold(ledger.hold('world', 'b', 0.01, '1 hour'));\nCOMMIT;\n";
	$node->pgbench('--no-vacuum --client=8 --transactions=100', 0, [ qr/number of failed transactions: 0/, qr/800\/800/ ], [qr/^$/],
		'eight clients hold, try and confirm in SERIALIZABLE', { '027_serializable' => $tcc });
	healthy($node, 'postgres', 'SERIALIZABLE');
}

# --- a database with deadlines all the time can be dropped, and be a template

{
	$node->safe_psql('postgres', 'CREATE DATABASE busy');
	create_ledger($node, 'busy');
	$node->safe_psql('busy', "SELECT count(ledger.hold('world', 'b', 1, i * interval '500 ms')) FROM generate_series(1, 120) AS i");
	ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'ledger worker for busy'"), 'a worker is busy');
	is($node->psql('postgres', 'CREATE DATABASE copy TEMPLATE busy'), 0, 'its database can be a template');
	is($node->psql('postgres', 'DROP DATABASE busy'), 0, 'and be dropped');
	# The copy has deadlines of its own, from the first write on.
	$node->safe_psql('copy', "SELECT ledger.transfer('world', 'a', 1)");
	ok($node->poll_query_until('copy', "SELECT count(*) >= 1 FROM ledger.holds WHERE state = 'expired'")
		  && $node->poll_query_until('copy', "SELECT count(*) = 0 FROM ledger.holds WHERE state = 'overdue' AND expires_at < now() - interval '5 s'"),
		'in the copy they are kept after one write');
	healthy($node, 'copy', 'the copy');
}

# --- a database that lets nobody in for a while

{
	$node->safe_psql('copy', "SELECT ledger.hold('world', 'b', 3, '1 s')");
	$node->safe_psql('postgres', 'ALTER DATABASE copy ALLOW_CONNECTIONS false');
	sleep 2;
	$node->safe_psql('postgres', 'ALTER DATABASE copy ALLOW_CONNECTIONS true');
	ok($node->poll_query_until('copy', "SELECT state = 'expired' FROM ledger.holds WHERE amount = 3"), 'its deadlines are not forgotten');
}

# --- few processes and few entries for many databases

{
	my $few = ledger_node('few', 'max_worker_processes = 3', 'ledger.databases = 2', 'ledger.fold_threshold = 20', 'ledger.fold_interval = 100ms');
	foreach my $i (1 .. 4)
	{
		$few->safe_psql('postgres', "CREATE DATABASE d$i");
		$few->safe_psql("d$i", "CREATE EXTENSION ledger; SELECT ledger.create_asset('USD', 2), ledger.open_account('world', 'USD', floor => NULL), ledger.open_account('b', 'USD')") if $i <= 2;
		$few->safe_psql("d$i", 'CREATE EXTENSION ledger') if $i > 2;
	}
	$few->restart;
	sleep 1;
	# Those that have nothing due take no entry.
	is($few->psql("d$_", "SELECT ledger.transfer('world', 'b', 1)"), 0, "d$_ can be used") foreach 1, 2;
	# With one process for all, a busy database does not keep another waiting.
	my $load = PostgreSQL::Test::Utils::tempdir() . '/load.sql';
	append_to_file($load, "SELECT ledger.transfer('world', 'b', 0.01);\n\\sleep 2 ms\n");
	my $busy = IPC::Run::start([ 'pgbench', '-n', '-T', '25', '-f', $load, '-d', 'd1', '-h', $few->host, '-p', $few->port ], '>', \my $out, '2>', \my $err);
	sleep 3;
	my $begun = time;
	$few->safe_psql('d2', "SELECT ledger.hold('world', 'b', 1, '1 s')");
	ok($few->poll_query_until('d2', "SELECT count(*) = 1 FROM ledger.holds WHERE state = 'expired'"), 'a hold beside a busy database expires');
	cmp_ok(time - $begun, '<', 20, 'while that is still busy');
	$busy->finish;
	healthy($few, $_, "$_, with few processes") foreach 'd1', 'd2';
	$few->stop;
}

unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/, 'the server has not crashed');
$node->stop;
done_testing();
