# Sessions that are terminated, cancelled or timed out give back what they took.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $node = ledger_node('terminate');
create_ledger($node, 'postgres');

# A session that has moved 60 of the 100 in an open transaction, 10 of them under a savepoint.
sub open_transaction
{
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	$session->query_safe('SELECT set_config($$application_name$$, $$victim$$, false)');
	$session->query_safe("BEGIN; SELECT ledger.transfer('a', 'b', 50); SAVEPOINT s; SELECT ledger.transfer('a', 'b', 10)");
	refused($node, 'postgres', "SELECT ledger.transfer('a', 'world', 40.01)", 'LG009', 'held back while it is open');
	return $session;
}

sub all_back
{
	my ($name) = @_;
	ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM ledger_data.slots() WHERE users > 0'), "$name: nobody uses an account");
	moved($node, 'postgres', 'a', 'world', 100, "$name: everything was given back");
	moved($node, 'postgres', 'world', 'a', 100, "$name: and moved again");
	is($node->safe_psql('postgres', 'SELECT lanes_in_use FROM ledger.stat'), '0', "$name: no lane is left behind");
	healthy($node, 'postgres', $name);
	return;
}

my $victim = q{FROM pg_stat_activity WHERE application_name = 'victim'};

my $session = open_transaction();
$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) $victim");
all_back('terminated');
eval { $session->quit };

$session = open_transaction();
$session->{run}->kill_kill;
all_back('client killed');

$session = open_transaction();
$session->query_safe('SET idle_in_transaction_session_timeout = 50');
all_back('idle in transaction');
eval { $session->quit };

# A cancel in the middle of a long batch.
foreach my $round (1 .. 5)
{
	$session = $node->background_psql('postgres', on_error_stop => 0);
	$session->query_safe('SELECT set_config($$application_name$$, $$victim$$, false)');
	$session->query_until(qr/begun/, q{\echo begun
		SELECT count(*) FROM ledger.transfer_batch(array_fill('a'::text, '{300000}'), array_fill('b'::text, '{300000}'), array_fill(0.0001::numeric + 0.0099, '{300000}'), atomic => false);
	});
	select undef, undef, undef, 0.05 * $round;
	$node->safe_psql('postgres', "SELECT pg_cancel_backend(pid) $victim AND state = 'active'");
	$session->quit;
	$node->safe_psql('postgres', "SELECT amount FROM ledger.transfer_up_to('b', 'a', 1000)");
	all_back("cancelled in a batch, $round");
}

# Terminated in the middle of a statement, while others use the same accounts.
foreach my $round (1 .. 3)
{
	$session = $node->background_psql('postgres', on_error_stop => 0);
	$session->query_safe('SELECT set_config($$application_name$$, $$victim$$, false)');
	$session->query_until(qr/begun/, q{\echo begun
		DO $$ BEGIN FOR i IN 1..1000000 LOOP PERFORM ledger.transfer('a', 'b', 0.01), ledger.transfer('b', 'a', 0.01); END LOOP; END $$;
	});
	moved($node, 'postgres', 'world', 'b', 1, "moved meanwhile, $round");
	is($node->safe_psql('postgres', "SELECT pg_terminate_backend(pid, 10000) $victim AND state = 'active'"), 't', "it was at work, $round");
	eval { $session->quit };
	$node->safe_psql('postgres', "SELECT ledger.transfer('b', 'world', 1)");
	all_back("terminated in a statement, $round");
}

my ($status, $stdout, $stderr) = $node->psql('postgres',
	"SET statement_timeout = '30ms'; BEGIN; SELECT ledger.transfer('a', 'b', 60); SELECT pg_sleep(1); COMMIT");
like($stderr, qr/statement timeout/, 'a statement times out');
all_back('statement timeout');

# A timeout inside a savepoint: that part is given back at once, the rest goes on.
($status, $stdout, $stderr) = $node->psql('postgres', q{
	SET statement_timeout = '200ms';
	BEGIN;
	SELECT ledger.transfer('a', 'b', 10) > 0;
	SAVEPOINT s;
	SELECT ledger.transfer('a', 'b', 90) > 0;
	SELECT ledger.transfer('world', 'a', 7) > 0, pg_sleep(5);
	ROLLBACK TO s;
	SELECT ledger.transfer('a', 'b', 91);
	\echo :LAST_ERROR_SQLSTATE
	ROLLBACK TO s;
	SELECT ledger.transfer('a', 'b', 90) > 0;
	COMMIT;
	SELECT ledger.transfer('b', 'a', 100) > 0}, on_error_stop => 0);
is($stdout, "t\nt\nLG001\nt\nt", 'timed out in a savepoint, the transaction goes on');
all_back('timed out in a savepoint');

$node->stop;
done_testing();
