# Holds and TCC over crashes, restarts, prepared transactions, dumps and promotions:
# what was held is held, what was decided is decided, and what is due gets done.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = ledger_node('holds', 'ledger.fold_interval = 100ms', 'ledger.fold_threshold = 50', 'ledger.seal_interval = 5');
create_ledger($node, 'postgres');
$node->safe_psql('postgres', "SELECT ledger.create_stock('TEA', 10)");

sub sql { my ($statement) = @_; return $node->safe_psql('postgres', $statement); }

sub crash
{
	kill 'KILL', (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];
	start_again($node);
	return;
}

my $workers = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'ledger worker'";
my $sums = "SELECT string_agg(concat_ws(' ', account, posted, held, incoming), ', ' ORDER BY account) FROM ledger.accounts WHERE account IN ('a', 'b')";

# --- a crash between each two steps of a hold

foreach my $end ('post', 'void', 'expire')
{
	my $before = sql("SELECT posted FROM ledger.balance('b')");
	my $id = sql(sprintf "SELECT ledger.hold('a', 'b', 5, %s)", $end eq 'expire' ? "'8 s'" : 'NULL');
	crash();
	is(sql("SELECT state, remaining FROM ledger.holds WHERE id = $id"), 'open|5.00', "$end: the hold is there after kill -9");
	refused($node, 'postgres', "SELECT ledger.transfer('a', 'world', (SELECT posted FROM ledger.balance('a')))", 'LG001', "$end: it cannot be spent");
	healthy($node, 'postgres', "$end: crashed with a hold open");
	if ($end eq 'expire')
	{
		# Nobody calls for it after the start but the launcher.
		ok($node->poll_query_until('postgres', "SELECT state = 'expired' FROM ledger.holds WHERE id = $id"), 'the worker expires it, started after the crash');
		crash();
		is(sql("SELECT state FROM ledger.holds WHERE id = $id"), 'expired', 'expired it stays');
	}
	else
	{
		sql("SELECT ledger.${end}_hold($id, key => 'end-$end')");
		crash();
		is(sql("SELECT state, remaining FROM ledger.holds WHERE id = $id"), ($end eq 'post' ? 'posted' : 'voided') . '|0.00', "$end: told is told");
		is(sql("SELECT ledger.${end}_hold($id, key => 'end-$end') > 0"), 't', "$end: repeated, it tells the same");
	}
	is(sql("SELECT posted - $before FROM ledger.balance('b')"), $end eq 'post' ? '5.00' : '0.00', "$end: moved once or not at all");
	healthy($node, 'postgres', "$end: crashed after the end");
}

# --- a crash between each two steps of TCC

foreach my $decision ('confirm', 'cancel')
{
	my $before = sql("SELECT posted FROM ledger.balance('b')");
	my @steps = ("tcc_begin('c-$decision', '1 hour')", "tcc_freeze('c-$decision', 'money', 'a', 'b', 7)", "tcc_freeze_stock('c-$decision', 'stock', 'TEA', 1)",
		$decision eq 'confirm' ? "tcc_confirm_branch('c-confirm', 'stock')" : "tcc_cancel_branch('c-cancel', 'stock')", "tcc_$decision('c-$decision')");
	foreach my $step (@steps)
	{
		# Told or not told: the call whose reply a crash took is made again.
		my $told = sql("SELECT ledger.$step");
		crash();
		is(sql("SELECT ledger.$step"), $told, "$step is told again after kill -9");
		healthy($node, 'postgres', $step);
	}
	is(sql("SELECT posted - $before FROM ledger.balance('b')"), $decision eq 'confirm' ? '7.00' : '0.00', "$decision: the money moved once or not at all");
	is(sql("SELECT state, frozen FROM ledger.tcc_transactions WHERE xid = 'c-$decision'"), ($decision eq 'confirm' ? 'confirmed' : 'canceled') . '|0', "$decision: and it has ended");
}
is(sql("SELECT * FROM ledger.stock WHERE sku = 'TEA'"), 'TEA|9|0|9|1', 'one piece was sold');

# What was not committed is not there.
{
	my $open = $node->background_psql('postgres');
	$open->query_safe("BEGIN; SELECT ledger.tcc_begin('open'), ledger.tcc_freeze('open', 'b', 'a', 'b', 1), ledger.hold('a', 'b', 1)");
	crash();
	eval { $open->quit };
	refused($node, 'postgres', "SELECT ledger.tcc_confirm('open')", 'LG201', 'an open transaction is gone after kill -9');
	like(sql($sums), qr/^a \S+ 0\.00 0\.00, b \S+ 0\.00 0\.00$/, 'and so is what it held');
	healthy($node, 'postgres', 'crashed in a transaction');
}

# --- prepared transactions, also across a restart

foreach my $end ('COMMIT', 'ROLLBACK')
{
	my $id = sql("SELECT ledger.hold('a', 'b', 3)");
	my $before = sql("SELECT posted FROM ledger.balance('b')");
	sql("BEGIN; SELECT ledger.post_hold($id), ledger.tcc_begin('p-$end'), ledger.tcc_freeze('p-$end', 'one', 'a', 'b', 2), ledger.hold('a', 'b', 2, '1 s'); PREPARE TRANSACTION 'p'");
	$node->restart;
	refused($node, 'postgres', "SELECT ledger.transfer('a', 'world', (SELECT posted - 3 FROM ledger.balance('a')))", 'LG009', "$end PREPARED: what it holds cannot be spent");
	refused($node, 'postgres', "SET lock_timeout = '100ms'; SELECT ledger.void_hold($id)", '55P03', "$end PREPARED: what it resolves is locked");
	healthy($node, 'postgres', "$end PREPARED: prepared");
	sql("$end PREPARED 'p'");
	is(sql("SELECT posted - $before FROM ledger.balance('b')"), $end eq 'COMMIT' ? '3.00' : '0.00', "$end PREPARED: the post counts with its transaction");
	if ($end eq 'COMMIT')
	{
		is(sql("SELECT ledger.tcc_confirm('p-COMMIT')"), 'confirmed', 'what was tried in it can be confirmed');
		ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM ledger.holds WHERE state IN ('open', 'overdue')"), 'and what it held expires');
	}
	else
	{
		refused($node, 'postgres', "SELECT ledger.tcc_confirm('p-ROLLBACK')", 'LG201', 'what was tried in it is not there');
		sql("SELECT ledger.void_hold($id)");
	}
	healthy($node, 'postgres', "$end PREPARED");
}

# --- the worker: when something is due, and not before

# Seals come every so often, after a write; one that is due already is waited for.
# The sweep is a day away.
$node->append_conf('postgresql.conf', "ledger.seal_interval = 0\nledger.sweep_interval = 1d");
$node->reload;
ok($node->poll_query_until('postgres', "SELECT ($workers) = 0 AND COALESCE(worker_due_at > now() + '23 hours', true) FROM ledger.stat"), 'with nothing due there is no worker');
is(sql("SELECT backend_type, datname IS NULL FROM pg_stat_activity WHERE backend_type LIKE 'ledger%'"), 'ledger launcher|t', 'the launcher is in no database');
sql("SELECT ledger.hold('a', 'b', 1, '1 hour')");
sleep 1;
is(sql($workers), '0', 'a deadline in an hour needs none now');
is(sql("SELECT worker_due_at BETWEEN now() + '58 min' AND now() + '1 hour' FROM ledger.stat"), 't', 'and is known');
my $short = sql("SELECT ledger.hold('a', 'b', 1, '1 s')");
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'ledger worker for postgres' AND datname = 'postgres'"),
	'an earlier one calls it, under a name that says its database');
ok($node->poll_query_until('postgres', "SELECT state = 'expired' FROM ledger.holds WHERE id = $short"), 'and it expires the hold');
sql("SELECT ledger.tcc_begin('late', '500 ms'), ledger.tcc_freeze('late', 'b', 'a', 'b', 1)");
ok($node->poll_query_until('postgres', "SELECT state = 'timed_out' FROM ledger.tcc_transactions WHERE xid = 'late'"), 'a TCC transaction times out');
is(sql("SELECT state FROM ledger.tcc_branches WHERE xid = 'late'"), 'expired', 'on its branch');
ok($node->poll_query_until('postgres', "SELECT ($workers) = 0"), 'and the worker goes');
is(sql("SELECT worker_due_at BETWEEN now() + '55 min' AND now() + '1 hour' FROM ledger.stat"), 't', 'the later deadline is not forgotten');

# A worker that fails is started again; so is the launcher.
$short = sql("SELECT ledger.hold('a', 'b', 1, '1 s')");
$node->poll_query_until('postgres', "SELECT ($workers) = 1") or die;
sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'ledger worker'");
my $other = sql("SELECT ledger.hold('a', 'b', 1, '1 s')");
my $launcher = sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'ledger launcher'");
sql("SELECT pg_terminate_backend($launcher)");
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'ledger launcher' AND pid <> $launcher"), 'the launcher is started again');
ok($node->poll_query_until('postgres', "SELECT count(*) = 2 FROM ledger.holds WHERE id IN ($short, $other) AND state = 'expired'"), 'and so is the worker');

# A transaction with long metadata times out and is purged by the worker, too.
sql("SELECT ledger.tcc_begin('long', '500 ms', (SELECT jsonb_agg(md5(i::text)) FROM generate_series(1, 1000) AS i)), ledger.tcc_freeze('long', 'b', 'a', 'b', 1)");
ok($node->poll_query_until('postgres', "SELECT state = 'timed_out' AND jsonb_array_length(metadata) = 1000 FROM ledger.tcc_transactions WHERE xid = 'long'"),
	'one with long metadata times out, and keeps it');

# What is decided and cannot be done yet is retried, visibly.
sql("SELECT ledger.tcc_begin('stuck'), ledger.tcc_freeze('stuck', 'b', 'a', 'b', 1); SELECT ledger.freeze_account('b')");
is(sql("SELECT ledger.tcc_confirm('stuck')"), 'confirming', 'a frozen account: confirming');
ok($node->poll_query_until('postgres', "SELECT attempts >= 2 AND last_error = 'account \"b\" is frozen' AND age > '0' FROM ledger.tcc_transactions WHERE xid = 'stuck'"),
	'the worker tries again, and an operator sees it');
sql("SELECT ledger.unfreeze_account('b')");
ok($node->poll_query_until('postgres', "SELECT state = 'confirmed' FROM ledger.tcc_transactions WHERE xid = 'stuck'"), 'until it is confirmed');
is(sql("SELECT state FROM ledger.tcc_branches WHERE xid = 'stuck'"), 'confirmed', 'on its branch');

# Switched off and on.
$node->append_conf('postgresql.conf', 'ledger.worker = off');
$node->reload;
ok($node->poll_query_until('postgres', "SELECT ($workers) = 0"), 'switched off, the worker goes');
$short = sql("SELECT ledger.hold('a', 'b', 1, '100 ms')");
sleep 1;
is(sql("SELECT state FROM ledger.holds WHERE id = $short"), 'overdue', 'and nothing is expired');
refused($node, 'postgres', "SELECT ledger.post_hold($short)", 'LG104', 'but nothing overdue is posted either');
$node->append_conf('postgresql.conf', 'ledger.worker = on');
$node->reload;
ok($node->poll_query_until('postgres', "SELECT state = 'expired' FROM ledger.holds WHERE id = $short"), 'switched on, it does what has become due');
healthy($node, 'postgres', 'the worker');

# One that another session resolves between a caller's look at the overdue holds and the
# moment when the caller comes to it. The caller is stuck at the hold before: that one is held
# for an account that is not loaded, and cannot be while the lock is held.
{
	$node->append_conf('postgresql.conf', 'ledger.worker = off');
	$node->reload;
	ok($node->poll_query_until('postgres', "SELECT ($workers) = 0"), 'no worker comes first');
	sql("SELECT ledger.open_account('c', 'USD'), ledger.transfer('world', 'a', 10)");
	my @ids = map { sql("SELECT ledger.hold('a', '$_', 1, '1 ms')") } 'c', 'b';
	$node->restart;
	my $needy = $node->background_psql('postgres');
	$needy->query_safe("SELECT set_config('application_name', 'needy', false), ledger.transfer('a', 'b', 1)");
	my $wanted = sql("SELECT available + 2 FROM ledger.balance('a')");
	my $locker = $node->background_psql('postgres');
	$locker->query_safe('BEGIN; LOCK TABLE ledger_data.balance');
	$needy->query_until(qr/asked/, "\\echo asked\nSELECT ledger.transfer('a', 'b', $wanted) > 0;\n");
	ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'needy' AND wait_event_type = 'Lock'"),
		'a caller waits at the first of two overdue holds');
	is($locker->query_safe('SELECT ledger.expire_holds()'), '1', 'another session expires the second meanwhile');
	$locker->query_safe('COMMIT');
	like($needy->query('SELECT 1'), qr/t\n1/, 'the caller gets what both set aside');
	$_->quit foreach $needy, $locker;
	is(sql("SELECT count(*), sum(amount) FROM ledger.transfers WHERE ref IN ($ids[0], $ids[1]) AND kind = 'void'"), '2|2.00', 'each was given back once');
	healthy($node, 'postgres', 'resolved between the look and the lock');
	$node->append_conf('postgresql.conf', 'ledger.worker = on');
	$node->reload;
}

# More holds than fit into one pass.
sql("SELECT ledger.transfer('world', 'a', 100); SELECT count(ledger.hold('a', 'b', 0.01, '1 s')) FROM generate_series(1, 3000)");
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM ledger.holds WHERE state = 'overdue' OR amount = 0.01 AND state = 'open'"), 'three thousand holds expire');
healthy($node, 'postgres', 'three thousand');

# A role that may not call anything still may not.
sql("CREATE ROLE reader LOGIN; SELECT ledger.grant_access('reader', 'reader'); CREATE ROLE writer LOGIN; SELECT ledger.grant_access('writer', 'writer')");
refused($node, 'postgres', "SET ROLE reader; SELECT ledger.hold('a', 'b', 1)", '42501', 'a reader holds nothing');
is(sql("SET ROLE reader; SELECT count(*) > 0 FROM ledger.holds, ledger.tcc_transactions, ledger.tcc_branches"), 't', 'and sees what there is');
is(sql("SET ROLE writer; SELECT ledger.void_hold(ledger.hold('a', 'b', 1)) > 0"), 't', 'a writer does');
refused($node, 'postgres', 'SET ROLE writer; SELECT ledger.expire_holds()', '42501', 'but expires nothing');

# --- a dump and its restore

sql("SELECT ledger.hold('a', 'b', 4, metadata => '{\"name\": \"dumped\"}'), ledger.hold('a', 'b', 2, '3 s', metadata => '{\"name\": \"dumped, short\"}')");
sql("SELECT ledger.tcc_begin('dumped', '1 day'), ledger.tcc_freeze('dumped', 'm', 'a', 'b', 6), ledger.tcc_cancel('dumped, unbegun'); SELECT ledger.fold()");
my $told = 'SELECT source, destination, amount, posted, remaining, xid, metadata FROM ledger.holds ORDER BY id';
my $accounts = 'SELECT account, posted, held, incoming, available FROM ledger.accounts ORDER BY account';
my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('postgres') ], 'dumped');
my ($holds, $balances) = (sql($told), sql($accounts));
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'pg_restore', '-j2', '-d', $node->connstr('restored'), $dump ], 'restored');
is($node->safe_psql('restored', $told), $holds, 'the holds are the same');
is($node->safe_psql('restored', $accounts), $balances, 'and the balances');
sleep 1;
is($node->safe_psql('restored', 'SELECT count(*) FROM ledger_data.installation'), '0', 'no worker takes possession');
my $dumped = $node->safe_psql('restored', "SELECT id FROM ledger.holds WHERE metadata ->> 'name' = 'dumped'");
is($node->safe_psql('restored', "SELECT ledger.post_hold($dumped) > 0"), 't', 'a hold is posted');
refused($node, 'restored', "SELECT ledger.post_hold($dumped)", 'LG102', 'once');
is($node->safe_psql('restored', "SELECT ledger.tcc_confirm('dumped')"), 'confirmed', 'a TCC transaction is confirmed');
refused($node, 'restored', "SELECT ledger.tcc_begin('dumped, unbegun')", 'LG202', 'a cancel that came first is remembered');
ok($node->poll_query_until('restored', "SELECT state = 'expired' FROM ledger.holds WHERE metadata ->> 'name' = 'dumped, short'"), 'and what is due there expires');
healthy($node, 'restored', 'restored');
$node->safe_psql('postgres', 'CREATE DATABASE copied TEMPLATE restored');
ok(!$node->psql('copied', "SELECT ledger.hold('a', 'b', 1)"), 'a copy goes its own way');
healthy($node, 'copied', 'copied');
$node->safe_psql('restored', "SELECT ledger.hold('a', 'b', 1, '1 s')");
is($node->psql('postgres', 'DROP DATABASE restored'), 0, 'a database with deadlines can be dropped');
is($node->psql('copied', 'SET ledger.allow_drop = on; DROP EXTENSION ledger; CREATE EXTENSION ledger'), 0, 'and an extension, and made again');

# --- a standby, promoted

$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
my $id = sql("SELECT ledger.hold('a', 'b', 5, '5 s')");
sql("SELECT ledger.tcc_begin('promoted', '1 day'), ledger.tcc_freeze('promoted', 'm', 'a', 'b', 1)");
$node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', "SELECT state FROM ledger.holds WHERE id = $id"), 'open', 'a standby shows holds');
refused($standby, 'postgres', "SELECT ledger.post_hold($id)", '25006', 'and posts none');
refused($standby, 'postgres', "SELECT ledger.tcc_confirm('promoted')", '25006', 'and confirms nothing');
is($standby->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'ledger%'"), '0', 'it has no launcher');
$node->stop('immediate');
$standby->promote;
is($standby->safe_psql('postgres', "SELECT ledger.tcc_confirm('promoted')"), 'confirmed', 'promoted, it goes on');
ok($standby->poll_query_until('postgres', "SELECT state = 'expired' FROM ledger.holds WHERE id = $id"), 'and what is due expires');
healthy($standby, 'postgres', 'promoted');
is($standby->safe_psql('postgres', "SELECT count(*) FROM ledger.holds WHERE state = 'overdue'"), '0', 'no hold is left open past its timeout');

$standby->stop;
done_testing();
