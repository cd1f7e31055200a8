# A thousand connections, each with a transaction that has moved value, all open at
# once; then all of them end in the same moment, in different ways.

use strict;
use warnings;

use IPC::Run;
use LedgerTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $crowd = 1000;
my $node = ledger_node('crowd', 'fsync = off', 'max_connections = 1020', 'max_prepared_transactions = 400', 'ledger.slots = 2048', 'shared_buffers = 64MB');
create_ledger($node, 'postgres');
$node->safe_psql('postgres', "SELECT count(ledger.open_account('n' || i, 'USD')) FROM generate_series(0, $crowd - 1) AS i");
my $waiting = q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted};

# Each takes 1 from world and gives 0.25 of it to b, then waits for the gate. Of eight
# clients one is prepared, two roll back, one loses a savepoint, and the rest commit.
my $script = $node->basedir . '/crowd.pgbench';
append_to_file($script, q{
\set fate :client_id % 8
BEGIN;
SELECT ledger.transfer('world', 'n' || :client_id::text, 1);
SAVEPOINT s;
SELECT ledger.hold('n' || :client_id::text, 'b', 0.25), ledger.transfer('n' || :client_id::text, 'b', 0.25);
\if :fate = 3
ROLLBACK TO SAVEPOINT s;
\endif
SELECT pg_advisory_lock_shared(1);
\if :fate = 0
PREPARE TRANSACTION 'crowd:client_id';
\elif :fate < 3
ROLLBACK;
\else
COMMIT;
\endif
});
my $gate = $node->background_psql('postgres');
$gate->query_safe('SELECT pg_advisory_lock(1)');
my ($stdout, $stderr) = ('', '');
my $pgbench = IPC::Run::start([ 'pgbench', '-n', '-c', $crowd, '-t', '1', '-f', $script, $node->connstr('postgres') ], '>', \$stdout, '2>', \$stderr);
ok($node->poll_query_until('postgres', "SELECT ($waiting) = $crowd"), "$crowd transactions are open") or diag $stderr;

is($node->safe_psql('postgres', 'SELECT lanes_in_use FROM ledger.stat'), $crowd, 'each owns a lane');
is($node->safe_psql('postgres', "SELECT sum(users) FROM ledger_data.slots()"), 3 * $crowd - $crowd / 8, 'and uses three accounts, without those that a rolled back savepoint had begun to use');
refused($node, 'postgres', "SELECT ledger.transfer('b', 'a', 0.25)", 'LG009', 'none of what they gave can be spent');
moved($node, 'postgres', 'a', 'b', 1, 'who comes to the same accounts does not wait');
is(balance($node, 'postgres', 'b'), '1.00', 'and sees nothing of them');
$gate->query_safe('SELECT pg_advisory_unlock(1)');
ok($pgbench->finish, 'all of them end') or diag $stderr;
$gate->quit;

my $eighth = $crowd / 8;
my $expected = sub { sprintf '%.2f', 1 + 0.25 * $_[0] };
is(balance($node, 'postgres', 'b'), $expected->(4 * $eighth), 'what was committed is there');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_prepared_xacts'), $eighth, 'what was prepared is prepared');
is($node->safe_psql('postgres', 'SELECT lanes_in_use, prepared_effects FROM ledger.stat'), $eighth . '|' . 3 * $eighth, 'and keeps its lanes and effects');
healthy($node, 'postgres', 'with these prepared');

# Across a crash: the tables alone know of them.
$node->stop('immediate');
$node->start;
refused($node, 'postgres', sprintf("SELECT ledger.transfer('b', 'a', %s)", 1 + 0.25 * 4 * $eighth + 0.01), 'LG009', 'after a crash still not to be spent');
foreach my $end ([ 'COMMIT', '<' ], [ 'ROLLBACK', '>=' ])
{
	my ($how, $which) = @$end;
	my $ends = $node->safe_psql('postgres', qq{SELECT format('$how PREPARED %L;', gid) FROM pg_prepared_xacts WHERE substr(gid, 6)::int $which $crowd / 2});
	$node->safe_psql('postgres', $ends);
}
my $committed = grep { $_ % 8 == 0 } 0 .. $crowd / 2 - 1;
is(balance($node, 'postgres', 'b'), $expected->(4 * $eighth + $committed), 'those committed count, those rolled back do not');
moved($node, 'postgres', 'b', 'a', 0.25 * (4 * $eighth + $committed), 'and can be spent');
is($node->safe_psql('postgres', 'SELECT sum(users) FROM ledger_data.slots() HAVING sum(users) > 0'), '', 'nobody uses an account any more');
is($node->safe_psql('postgres', 'SELECT lanes_in_use, prepared_effects FROM ledger.stat'), '0|0', 'nor a lane, and nothing is pending');
healthy($node, 'postgres', 'at the end');

$node->stop;
done_testing();
