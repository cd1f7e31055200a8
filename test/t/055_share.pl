# One database does not use up the slots of a server: it gets its share while others use a
# ledger, too, and puts out accounts of its own at it.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = ledger_node('share', 'ledger.slots = 40', 'ledger.worker = off', 'ledger.database_share = 75');
$node->safe_psql('postgres', 'CREATE DATABASE greedy; CREATE DATABASE neighbour');
create_ledger($node, $_) foreach 'greedy', 'neighbour';
foreach my $database ('greedy', 'neighbour')
{
	$node->safe_psql($database, "SELECT count(ledger.open_account('n' || i, 'USD')) FROM generate_series(1, 100) AS i");
}

# The slots that a database holds.
sub held
{
	my ($database) = @_;
	return $node->safe_psql($database, 'SELECT count(*) FROM ledger_data.slots()');
}

# A batch from world to so many accounts.
sub batch
{
	my ($count, $first) = @_;
	$first //= 1;
	return "SELECT count(*) FROM ledger.transfer_batch(array_fill('world'::text, '{$count}'),"
	  . " ARRAY(SELECT 'n' || i FROM generate_series($first, $first + $count - 1) AS i), array_fill(1.0, '{$count}'))";
}

# --- more accounts than the share, one after another: its own make room

is($node->safe_psql('greedy', batch(1, $_)), '1', "account $_") foreach 1 .. 100;
is(held('greedy'), '30', 'a database holds its share and no more');
is($node->safe_psql('neighbour', batch(9)), '9', 'another database uses the rest');
cmp_ok($node->safe_psql('neighbour', "SELECT ledger.transfer('world', 'n90', 1)"), '>', 0, 'and more accounts, in turns');
is($node->safe_psql('greedy', batch(29, 50)), '29', 'as many accounts as the share in one transaction');

# --- more accounts than the share in one transaction

refused($node, 'greedy', batch(30), 'LG902', 'one account more than the share');
my ($stdout, $stderr) = ('', '');
$node->psql('greedy', batch(30), stdout => \$stdout, stderr => \$stderr);
like($stderr, qr/DETAIL:  Its share, 30 of the server's 40 slots, is held by transactions that are open or prepared\./, 'the detail names the share');
like($stderr, qr/HINT:  .*ledger\.database_share/, 'the hint names the setting');

my $holder = $node->background_psql('greedy');
$holder->query_safe('BEGIN');
is($holder->query_safe(batch(29)), '29', 'one transaction holds the share');
refused($node, 'greedy', "SELECT ledger.transfer('world', 'n99', 1)", 'LG902', 'another account is refused there');
moved($node, 'greedy', 'world', 'n5', 1, 'its accounts go on');
is($node->safe_psql('neighbour', batch(9, 20)), '9', 'the neighbour has room for a transaction of ten accounts');
moved($node, 'neighbour', 'world', "n$_", 1, "the neighbour goes on, $_") foreach 40 .. 60;
refused($node, 'greedy', "SET statement_timeout = '30s'; SELECT ledger.transfer('world', 'n99', 1)", 'LG902', 'refused again, and nothing is lost by it')
  foreach 1 .. 20;
$holder->query_safe('ROLLBACK');
moved($node, 'greedy', 'world', 'n99', 1, 'there is room again');
is($node->safe_psql('greedy', batch(29)), '29', 'for the whole share');

# --- the share may be changed; alone, a database has all

$node->append_conf('postgresql.conf', 'ledger.database_share = 100');
$node->reload;
ok($node->poll_query_until('greedy', "SELECT current_setting('ledger.database_share') = '100'"), 'the setting is read again');
is($node->safe_psql('greedy', batch(39)), '39', 'with 100 percent a transaction may hold all slots');
is($node->safe_psql('greedy', 'SELECT slots_in_use <= slots_total FROM ledger.stat'), 't', 'no slot is counted twice');
$node->append_conf('postgresql.conf', 'ledger.database_share = 50');
$node->reload;
ok($node->poll_query_until('greedy', "SELECT current_setting('ledger.database_share') = '50'"), 'the setting is read again');
is($node->safe_psql('neighbour', batch(19, 70)), '19', 'a lower share can be had');
refused($node, 'greedy', batch(39, 61), 'LG902', 'and not be passed');
healthy($node, $_, $_) foreach 'greedy', 'neighbour';
$node->safe_psql('postgres', 'DROP DATABASE neighbour');
$node->restart;
is($node->safe_psql('greedy', batch(39)), '39', 'a database that is alone may hold all');
is(held('greedy'), '40', 'it does hold all');
$node->safe_psql('postgres', 'CREATE DATABASE neighbour');
create_ledger($node, 'neighbour');
is(held('greedy'), '20', 'until another database comes: then it keeps its share');
refused($node, 'greedy', batch(39), 'LG902', 'and gets no more');
healthy($node, 'greedy', 'with a neighbour');
$node->safe_psql('postgres', 'DROP DATABASE neighbour');

# --- a limit on sizes is no limit on a restore

my $dump = PostgreSQL::Test::Utils::tempdir() . '/large.dump';
$node->safe_psql('greedy', q{
	SET ledger.max_metadata = '4MB'; SET ledger.max_response = '4MB';
	SELECT ledger.transfer('world', 'a', 1, metadata => jsonb_build_object('m', repeat('x', 2000000)));
	SELECT ledger.begin_request('large'); SELECT ledger.complete_request('large', jsonb_build_object('r', repeat('x', 2000000)));
});
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('greedy') ], 'dumped with large metadata and a large response');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'pg_restore', '-e', '-d', $node->connstr('restored'), $dump ], 'restored under smaller limits');
is($node->safe_psql('restored', "SELECT length(response->>'r') FROM ledger.begin_request('large')"), '2000000', 'the response is there');
is($node->safe_psql('restored', "SELECT max(length(metadata->>'m')) FROM ledger.transfers"), '2000000', 'so is the metadata');
is($node->safe_psql('restored', "SELECT role FROM ledger.requests WHERE key = 'large'"), $node->safe_psql('postgres', 'SELECT current_user'),
	'and the role that the request belongs to');
refused($node, 'restored', "SELECT ledger.transfer('world', 'a', 1, metadata => jsonb_build_object('m', repeat('x', 2000000)))", 'LG017', 'the limits are in force');
healthy($node, 'restored', 'restored');

$node->stop;
done_testing();
