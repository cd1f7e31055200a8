# The worker folds long tails, changes no balance, and is gone when it is not needed.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $node = ledger_node('fold', 'ledger.fold_threshold = 50', 'ledger.fold_interval = 100ms');
create_ledger($node, 'postgres');

my $tail = q{SELECT count(*) FROM ledger_data.transfer AS t LEFT JOIN ledger_data.balance AS b ON b.account = ledger_data.account_id('a')
	WHERE ledger_data.account_id('a') IN (t.debit_account, t.credit_account) AND t.txid >= coalesce(b.folded_xid, 0)};
my $worker = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'ledger worker'};

sub load
{
	my ($transfers) = @_;
	$node->pgbench("--no-vacuum --client=4 --transactions=$transfers", 0, [qr/processed/], [qr/^$/], "$transfers transfers by four",
		{ "008_load_$transfers" => "SELECT ledger.transfer('world', 'a', 0.01);" });
	return;
}

load(200);
ok($node->poll_query_until('postgres', "SELECT ($tail) < 50"), 'the tail gets short');
is(balance($node, 'postgres', 'a'), '108.00', 'the balance stays exact');
cmp_ok($node->safe_psql('postgres', 'SELECT folds FROM ledger.stat'), '>', 0, 'folds are counted');
ok($node->poll_query_until('postgres', "SELECT ($worker) = 0 AND (SELECT worker_pid IS NULL FROM ledger.stat)"), 'the worker goes when there is no work');

# An xid taken early holds the horizon back; the transfers it makes late are not missed.
my $early = $node->background_psql('postgres');
$early->query_safe('BEGIN; SELECT pg_current_xact_id()');
load(150);
sleep 1;
cmp_ok($node->safe_psql('postgres', $tail), '>=', 600, 'nothing is folded past a running transaction');
$early->query_safe("SELECT ledger.transfer('a', 'b', 1)");
$early->query_safe('COMMIT');
is(balance($node, 'postgres', 'a'), '113.00', 'its transfer counts');
load(51);
ok($node->poll_query_until('postgres', "SELECT ($tail) < 50"), 'then all is folded');
is(balance($node, 'postgres', 'a'), '115.04', 'and still counts');
$early->quit;
healthy($node, 'postgres', 'after folding');

# A snapshot from before a fold has the same balance after it; one cannot be folded in.
my $reader = $node->background_psql('postgres');
$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
my $before = $reader->query_safe("SELECT posted FROM ledger.balance('b')");
$node->safe_psql('postgres', "SELECT ledger.transfer('a', 'b', 0.5)");
$node->safe_psql('postgres', 'SELECT ledger.fold()');
is($reader->query_safe("SELECT posted FROM ledger.balance('b')"), $before, 'folded by another: a balance in REPEATABLE READ');
$reader->query_safe('ROLLBACK');
$reader->quit;
is($node->safe_psql('postgres', "SELECT ledger.transfer('b', 'a', 0.5) > 0"), 't', 'and back');
refused($node, 'postgres', 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1; SELECT ledger.fold()', '0A000', 'no fold in REPEATABLE READ');
healthy($node, 'postgres', 'folded in REPEATABLE READ');

# Neither the worker nor the engine stand in the way of DROP.
$node->safe_psql('postgres', 'CREATE DATABASE gone');
create_ledger($node, 'gone');
$node->safe_psql('gone', "SELECT count(ledger.transfer('world', 'a', 1)) FROM generate_series(1, 1000)");
ok($node->poll_query_until('postgres', "SELECT ($worker AND datname = 'gone') = 1"), 'it has a worker');
is($node->psql('postgres', 'DROP DATABASE gone'), 0, 'a database with a worker can be dropped');
$node->safe_psql('postgres', "SELECT count(ledger.transfer('world', 'a', 1)) FROM generate_series(1, 1000)");
ok($node->poll_query_until('postgres', "SELECT ($worker AND datname = 'postgres') = 1"), 'a worker is there');
is($node->psql('postgres', 'SET ledger.allow_drop = on; DROP EXTENSION ledger'), 0, 'so can the extension');
create_ledger($node, 'postgres');
is(balance($node, 'postgres', 'a'), '100.00', 'created again, it meets nothing of the old one');
moved($node, 'postgres', 'a', 'b', 100, 'and works');
refused($node, 'postgres', "SELECT ledger.transfer('a', 'b', 0.01)", 'LG001', 'within its own balances');
healthy($node, 'postgres', 'created again');

# Without room for a worker all goes on, and fold() does its work. Two processes: PostgreSQL's own
# launcher of logical replication, and ours.
$node->append_conf('postgresql.conf', 'max_worker_processes = 2');
$node->restart;
load(100);
is(balance($node, 'postgres', 'a'), '4.00', 'no worker: the balance is exact');
cmp_ok($node->safe_psql('postgres', $tail), '>=', 400, 'no worker: the tail is long');
like(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/no background worker slot is free for the ledger/, 'no worker: the log says so');
$node->safe_psql('postgres', 'SELECT ledger.fold()');
is($node->safe_psql('postgres', $tail), '0', 'fold() folds');
is(balance($node, 'postgres', 'a'), '4.00', 'and changes no balance');
healthy($node, 'postgres', 'folded by hand');

$node->stop;
done_testing();
