# Who waits for whom: queued exclusive locks, the end of prepared transactions, and what a
# rolled back savepoint still holds.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $node = ledger_node('waiting', 'fsync = off', 'ledger.worker = off', 'ledger.databases = 1', 'ledger.allow_drop = on', 'deadlock_timeout = 100ms');
create_ledger($node, 'postgres');

sub sql { my ($statement) = @_; return $node->safe_psql('postgres', $statement); }

# A session that can wait: named, so that the others can look at it.
sub session
{
	my ($name) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	$session->query_safe("SET application_name = '$name'");
	return $session;
}

# Sends a statement without waiting for it.
sub begin_statement
{
	my ($session, $statement) = @_;
	$session->query_until(qr/sent/, "\\echo sent\n$statement;\n");
	return;
}

sub state_is
{
	my ($session, $condition, $name) = @_;
	return ok($node->poll_query_until('postgres', "SELECT $condition FROM pg_stat_activity WHERE application_name = '$session'"), $name);
}
my $waits = q{wait_event_type = 'Lock'};
my $visibly = 'cardinality(pg_blocking_pids(pid)) > 0';

# --- a queued exclusive lock between a writer and a loader of the same account

sql(q{SELECT ledger.open_account('n1', 'USD'), ledger.open_account('n2', 'USD'), ledger.transfer('world', 'n1', 10)});
foreach my $queued ('VACUUM FULL ledger_data.transfer', 'LOCK TABLE ledger_data.balance', 'REINDEX TABLE ledger_data.account')
{
	$node->restart;  # nothing is loaded
	my ($writer, $exclusive, $loader, $hasty) = map { session($_) } 'writer', 'exclusive', 'loader', 'hasty';
	$_->query_safe("SELECT ledger.transfer('world', 'b', 1)") foreach $loader, $hasty;  # they know their way
	$writer->query_safe("BEGIN; SELECT ledger.transfer('world', 'a', 1); SELECT count(*) FROM ledger.accounts");
	begin_statement($exclusive, $queued =~ /^LOCK/ ? "BEGIN; $queued; COMMIT" : $queued);
	state_is('exclusive', "$waits AND $visibly", "$queued waits for the writer");
	begin_statement($loader, "SELECT ledger.transfer('n1', 'n2', 1)");
	state_is('loader', "$waits AND $visibly", "$queued: a session that loads an account waits where it can be seen");
	$hasty->query("\\set VERBOSITY verbose\nSET statement_timeout = '5s'; SET lock_timeout = '100ms'; SELECT ledger.transfer('world', 'n1', 1)");
	like($hasty->{stderr}, qr/ERROR:  55P03/, "$queued: lock_timeout ends the wait for an account that is being loaded");
	begin_statement($writer, "SELECT ledger.transfer('world', 'n1', 1);\nCOMMIT");
	state_is('writer', "state = 'idle' OR $visibly", "$queued: the writer goes on, or waits where it can be seen");
	state_is($_, "state = 'idle'", "$queued: in the end the $_ is done")
	  or sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '$_'") foreach 'writer', 'exclusive', 'loader';
	eval { $_->quit } foreach $writer, $exclusive, $loader, $hasty;
	is(answer($node, 'postgres', "SELECT ledger.transfer('world', 'n1', 1) > 0"), 't', "$queued: the account can be used");
	is(sql('SELECT lanes_in_use FROM ledger.stat'), '0', "$queued: no lane is left in use");
	healthy($node, 'postgres', $queued);
}

# --- the end of a prepared transaction, met by a transaction that uses the account already

sub prepare
{
	my ($statement) = @_;
	sql("BEGIN; SELECT $statement; PREPARE TRANSACTION 'p'");
	return;
}

# The call is short until the prepared transaction has ended, and then it is not.
sub noticed
{
	my ($prepared, $use, $call, $short, $end, $name) = @_;
	prepare($prepared);
	my $open = session('open');
	$open->query_safe("\\set VERBOSITY verbose\nBEGIN; SELECT $use");
	my $ask = sub {
		my $out = $open->query("SAVEPOINT s; SELECT $call; ROLLBACK TO s");
		my $error = $open->{stderr} =~ /ERROR:  (\w{5})/ ? $1 : $out;
		$open->{stderr} = '';
		return $error;
	};
	is($ask->(), $short, "$name: refused while the other transaction is prepared");
	sql("$end PREPARED 'p'");
	my $answer = $ask->();
	ok($answer ne $short && $answer !~ /^[0-9A-Z]{5}$/, "$name: granted to the same transaction after $end PREPARED") or diag "answer: $answer";
	$open->query('ROLLBACK');
	$open->quit;
	return;
}
sql(q{SELECT ledger.open_account('full', 'USD', ceiling => 100), ledger.open_account('s', 'USD'), ledger.transfer('world', 'a', 100)});
sql("SELECT ledger.transfer('a', 'world', posted - 100) FROM ledger.balance('a') WHERE posted > 100");
my $use_a = "ledger.transfer('a', 'b', 1)";
my $use_full = "ledger.transfer('world', 'full', 1)";
noticed("ledger.transfer('a', 'b', 70)", $use_a, "ledger.try_transfer('a', 'b', 50)", '', 'ROLLBACK', 'an outflow rolled back, try_transfer');
noticed("ledger.transfer('a', 'b', 70)", $use_a, "ledger.transfer('a', 'b', 50)", 'LG009', 'ROLLBACK', 'an outflow rolled back, transfer');
noticed("ledger.transfer('a', 'b', 70)", $use_a, "ledger.hold('a', 'b', 50)", 'LG009', 'ROLLBACK', 'an outflow rolled back, hold');
noticed("ledger.transfer('a', 'b', 70)", $use_a, "amount FROM ledger.transfer_up_to('a', 'b', 50)", '29.00', 'ROLLBACK', 'an outflow rolled back, transfer_up_to');
noticed("ledger.transfer('a', 'b', 70)", $use_a, "ledger.alter_account('a', floor => 50)", 'LG009', 'ROLLBACK', 'an outflow rolled back, alter_account');
noticed("ledger.transfer('world', 's', 20)", "ledger.transfer('world', 's', 1)", "ledger.transfer('s', 'b', 5)", 'LG009', 'COMMIT', 'an inflow committed, transfer');
noticed("ledger.transfer('world', 'full', 80)", $use_full, "ledger.transfer('world', 'full', 50)", 'LG009', 'ROLLBACK', 'an inflow rolled back, the ceiling');
noticed("ledger.transfer('world', 'full', 80)", $use_full, "amount FROM ledger.transfer_up_to('world', 'full', 50)", '19.00', 'ROLLBACK', 'an inflow rolled back, transfer_up_to');
sql("SELECT ledger.open_account('empty', 'USD')");
noticed("ledger.transfer('world', 'empty', 1)", "ledger.freeze_account('empty'), ledger.unfreeze_account('empty')", "ledger.close_account('empty')", 'LG009', 'ROLLBACK', 'an inflow rolled back, close_account');
is(sql('SELECT prepared_effects FROM ledger.stat'), '0', 'no effect of a prepared transaction is left');
healthy($node, 'postgres', 'prepared transactions');

# --- a lane and accounts that a savepoint took are given back with it

my $in_use = 'SELECT lanes_in_use, (SELECT count(*) FROM ledger_data.slots() WHERE users > 0) FROM ledger.stat';
my $create = q{CREATE EXTENSION ledger; SELECT ledger.create_asset('USD', 2); SELECT ledger.open_account('world', 'USD', floor => NULL), ledger.open_account('a', 'USD')};
my $write = "SELECT ledger.transfer('world', 'a', 1) > 0";
my $first = session('first');
$first->query_safe($write);  # its lane has a history
$first->query_safe("BEGIN; SAVEPOINT s; $write; ROLLBACK TO s");
is(sql($in_use), '0|0', 'a rolled back savepoint gives back the lane and the accounts it took');
$first->query_safe("SAVEPOINT t; $write; RELEASE t");
is(sql($in_use), '1|2', 'a released savepoint keeps them');
$first->query_safe('COMMIT');

# Another session makes the ledger anew, in the only entry there is.
$first->query_safe("BEGIN; SAVEPOINT s; $write; ROLLBACK TO s");
sql("DROP EXTENSION ledger; $create");
$first->query_safe($write);
is(sql('SELECT lanes_in_use FROM ledger.stat'), '1', 'a transaction that goes on in a ledger made anew by another session owns a lane');
$first->query_safe('COMMIT');
healthy($node, 'postgres', 'made anew by another session');

# The same transaction does: it begins a new chain.
my $again = "BEGIN; SAVEPOINT s; $write; ROLLBACK TO s; DROP EXTENSION ledger; $create; $write; COMMIT";
$first->query("$again");
is(answer($node, 'postgres', $write), 't', 'a ledger made anew after a savepoint can be written');
healthy($node, 'postgres', 'made anew after a savepoint');

# Without the savepoint the only entry is in use by the transaction itself: whether that
# is refused or not, the chain is whole.
$first->query("BEGIN; $write; DROP EXTENSION ledger; $create; $write; COMMIT");
$first->quit;
is(answer($node, 'postgres', $write), 't', 'a ledger made anew after a write can be written');
healthy($node, 'postgres', 'made anew after a write');
is(sql($in_use), '0|0', 'nothing is left in use');

$node->stop;
done_testing();
