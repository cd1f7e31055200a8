# After a crash: recovery that takes longer than any statement may, and tails of accounts
# that nobody uses.

use strict;
use warnings;

use LedgerTest;
use List::Util qw(min);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = ledger_node('crashed', 'fsync = off', 'ledger.worker = off', 'ledger.seal_interval = 0', 'ledger.fold_threshold = 100',
	'ledger.fold_interval = 100ms', 'shared_buffers = 128MB');
create_ledger($node, 'postgres');

sub sql { my ($statement) = @_; return $node->safe_psql('postgres', $statement); }

# Transfers from world to a, by the ten thousand.
sub many
{
	my ($batches) = @_;
	sql(q{SELECT count(*) FROM ledger.transfer_batch(array_fill('world'::text, '{10000}'), array_fill('a'::text, '{10000}'), array_fill(0.01, '{10000}'))}) foreach 1 .. $batches;
	return;
}

sub crash
{
	$node->stop('immediate');
	$node->start;
	return;
}

my $write = "SELECT ledger.transfer('a', 'b', 0.01) > 0";

# What the write reads is in memory.
my $warm = q{SET enable_seqscan = off; SELECT count(hash) > 0 FROM ledger_data.transfer WHERE id > 0; SELECT posted > 0 FROM ledger.balance('a')};

# Milliseconds that the first write after a start takes: the least of three, so that a busy
# machine does not make a timeout of it that is too long.
sub first_write_takes
{
	my ($start) = @_;
	my @times;
	foreach my $round (1 .. 3)
	{
		$start->();
		my $out = sql("$warm;\n\\timing on\n$write");
		push @times, $out =~ /Time: ([\d.]+) ms/ ? $1 : die $out;
	}
	return min(@times);
}

# Attempts until the write succeeds under a timeout that is a part of what it takes, all by
# one session: what a new one needs to get going is not what is measured.
sub succeeds
{
	my ($full, $name) = @_;
	my $timeout = int($full / 4);
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	$session->set_query_timer_restart;
	$session->query_safe("$warm; SET statement_timeout = '${timeout}ms'");
	my $limit = time + $PostgreSQL::Test::Utils::timeout_default;
	my ($attempts, $answer) = (0, '');
	while ($answer ne 't' && time < $limit)
	{
		++$attempts;
		$answer = $session->query($write);
		$session->{stderr} = '';
		usleep(20_000);
	}
	is($answer, 't', $name);
	note sprintf 'it takes %d ms; under %d ms attempt %d was the last', $full, $timeout, $attempts;
	$session->quit;
	return;
}

# --- recovery: records in no seal, of accounts that are folded

many(25);
sql('SELECT ledger.fold()');
my $recovery = first_write_takes(\&crash);
crash();
succeeds($recovery, 'attempts under a timeout shorter than the recovery succeed in the end');
is(balance($node, 'postgres', 'b'), '0.04', 'each write was made once');
# Clients that are canceled, and one that is not.
crash();
my $canceled = "SET statement_timeout = '${\ int($recovery / 5)}ms'; $write;";
my @clients = map { IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', $_ ], '>', \my $out, '2>', \my $err) } ($canceled) x 4, $write;
$_->finish foreach @clients;
is(($clients[-1]->results)[0], 0, 'a client without a timeout succeeds among clients that are canceled');
healthy($node, 'postgres', 'recovered by many');

# --- the load of an account with a very long tail

sql('SELECT ledger.fold()');
many(25);
is(sql('SELECT ledger.seal() > 0'), 't', 'everything is sealed');
# With nothing to recover, what takes time is the load.
my $load = first_write_takes(sub { $node->restart });
$node->append_conf('postgresql.conf', 'ledger.worker = on');
$node->restart;
succeeds($load, 'attempts under a timeout shorter than the load of a long tail succeed in the end');

# --- long tails of accounts that nobody loads

my $tail = q{SELECT count(*) FROM ledger_data.account AS a LEFT JOIN ledger_data.balance AS f ON f.account = a.id, LATERAL
	(SELECT count(*) FROM (SELECT FROM ledger_data.transfer AS t WHERE t.debit_account = a.id AND t.txid >= coalesce(f.folded_xid, 0)
		UNION ALL SELECT FROM ledger_data.transfer AS t WHERE t.credit_account = a.id AND t.txid >= coalesce(f.folded_xid, 0)) AS x) AS tail (length)
	WHERE length >= };
$node->append_conf('postgresql.conf', 'ledger.worker = off');
$node->reload;
$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'ledger worker'}) or die 'the worker stays';
many(1);
is(sql("$tail 100"), '2', 'two accounts have a long tail');
$node->append_conf('postgresql.conf', 'ledger.worker = on');
crash();
ok($node->poll_query_until('postgres', "SELECT ($tail 100) = 0"), 'after a start the worker folds long tails of accounts that nobody uses');

# --- short tails of idle accounts

sql(q{SELECT count(ledger.open_account('n' || i, 'USD')), count(ledger.transfer('world', 'n' || i, 1)) FROM generate_series(1, 1500) AS i});
$node->append_conf('postgresql.conf', 'ledger.sweep_interval = 1s');
$node->restart;
ok($node->poll_query_until('postgres', "SELECT ($tail 1) = 0"), 'short tails of idle accounts are folded in the end');
is(sql("SELECT sum(posted) FROM ledger.accounts WHERE account ~ '^n'"), '1500.00', 'the balances are the same');
# Transfers made later are swept, too, without a start.
sql("SELECT ledger.transfer('n1', 'n2', 1)");
ok($node->poll_query_until('postgres', "SELECT ($tail 1) = 0"), 'so are the tails of transfers made afterwards');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'ledger worker'}), 'the worker goes when everything is folded');
healthy($node, 'postgres', 'short tails folded');

$node->stop;
done_testing();
