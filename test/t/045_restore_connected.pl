# A ledger whose tables change under a connected application: restores in progress, rolled
# back first writes, and databases that come back under the oid of a dropped one.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = ledger_node('connected', 'fsync = off', 'ledger.worker = off');

# 1,000 pieces are in the folded balance, the sale of 900 in the tail: 100 are left.
$node->safe_psql('postgres', 'CREATE DATABASE source');
$node->safe_psql('source', q{
	CREATE EXTENSION ledger;
	SELECT ledger.create_stock('sku', 1000);
	SELECT ledger.fold();
});
$node->safe_psql('source', "SELECT count(ledger.deduct_stock('sku', 100)) FROM generate_series(1, 9)");
my $custom = PostgreSQL::Test::Utils::tempdir() . '/ledger.dump';
my $rows = PostgreSQL::Test::Utils::tempdir() . '/ledger.sql';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $custom, $node->connstr('source') ], 'a dump in the custom format');
$node->command_ok([ 'pg_dump', '--inserts', '-f', $rows, $node->connstr('source') ], 'a dump of single rows');

# The 100 pieces can be sold, and no more; session: the application's connection.
sub sound
{
	my ($database, $session, $name, $left) = @_;
	$left //= 100;
	is($session->query(sprintf "SELECT ledger.try_deduct_stock('sku', %d) IS NULL", $left + 1), 't', "$name: more than there is cannot be sold");
	is($session->query("SELECT ledger.try_deduct_stock('sku', $left)"), 0, "$name: all that there is can be sold");
	$session->query('COMMIT');  # a warning where no transaction is open
	$session->quit;
	cmp_ok($node->safe_psql($database, "SELECT available FROM ledger.stock WHERE sku = 'sku'"), '>=', 0, "$name: the floor holds");
	refused($node, $database, "SELECT ledger.deduct_stock('sku', 1)", 'LG001', "$name: a new session cannot sell more either");
	healthy($node, $database, $name);
	return;
}

# The first write of an application, which aborts: the ledger is nobody's again.
sub aborted_write
{
	my ($session) = @_;
	$session->query_safe("BEGIN; SELECT ledger.deduct_stock('sku', 1); ROLLBACK");
	return;
}

# Where the dump's list is cut: everything before the rows of the table, and the rest.
sub lists
{
	my ($table) = @_;
	my ($first, $rest) = map { PostgreSQL::Test::Utils::tempdir() . "/$_" } 'first.list', 'rest.list';
	my ($list) = run_command([ 'pg_restore', '-l', '--section=data', $custom ]);
	my @entries = grep { !/^;/ } split /\n/, $list;
	append_to_file($first, join '', map { "$_\n" } grep { !/ $table / } @entries);
	append_to_file($rest, join '', map { "$_\n" } grep { / $table / } @entries);
	return ($first, $rest);
}

# --- a restore in sections, by pg_restore

{
	$node->safe_psql('postgres', 'CREATE DATABASE sections');
	my $application = $node->background_psql('sections');
	my $restore = sub {
		my ($what, @options) = @_;
		return $node->command_ok([ 'pg_restore', '-e', @options, '-d', $node->connstr('sections'), $custom ], "sections: $what is restored");
	};
	my ($first, $rest) = lists('transfer');
	$restore->('what comes before the data', '--section=pre-data');
	$restore->('every table but the transfers', '-L', $first);
	aborted_write($application);
	$restore->('the table of transfers', '-L', $rest);
	$restore->('what comes after the data', '--section=post-data');
	sound('sections', $application, 'sections');
}

# --- a restore of single rows, by psql

# Without psql's own commands, as the dump is played back in parts.
my ($before, @inserts) = split /(?=^INSERT INTO ledger_data\.transfer )/m, slurp_file($rows) =~ s/^\\.*\n//mgr;
is(scalar @inserts, 10, 'the dump has ten transfers');

sub restore_rows
{
	my ($database, @parts) = @_;
	$node->safe_psql($database, join '', @parts);
	return;
}

{
	$node->safe_psql('postgres', 'CREATE DATABASE row_by_row');
	my $application = $node->background_psql('row_by_row');
	restore_rows('row_by_row', $before);
	foreach my $insert (@inserts)
	{
		aborted_write($application);
		restore_rows('row_by_row', $insert);
	}
	sound('row_by_row', $application, 'row by row');
}

# --- a first write that is rolled back to a savepoint; more data comes

foreach my $who ('another session', 'the same transaction')
{
	my $name = "rolled back to a savepoint, then data by $who";
	my $database = 'savepoint_' . ($who =~ s/ /_/gr);
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	restore_rows($database, $before, @inserts[ 0 .. 4 ]);
	my $application = $node->background_psql($database);
	$application->query_safe("BEGIN; SAVEPOINT s; SELECT ledger.deduct_stock('sku', 1); ROLLBACK TO s");
	if ($who eq 'another session') { restore_rows($database, @inserts[ 5 .. 9 ]); }
	else { $application->query_safe(join '', @inserts[ 5 .. 9 ]); }
	sound($database, $application, $name);
}

# --- a database that comes back under its oid

$node->safe_psql('postgres', 'CREATE DATABASE seed');
$node->safe_psql('seed', q{CREATE EXTENSION ledger; SELECT ledger.create_stock('sku', 1000)});
my $oid = 70000;
foreach my $strategy ('wal_log', 'file_copy')
{
	my $name = "made again by $strategy";
	my $create = "CREATE DATABASE again TEMPLATE seed STRATEGY $strategy OID ${\ ++$oid}";
	$node->safe_psql('postgres', $create);
	$node->safe_psql('again', q{SELECT ledger.add_stock('sku', 4000); SELECT count(ledger.add_stock('sku', 1)) FROM generate_series(1, 10)});
	my $old = $node->safe_psql('again', 'SELECT max(id) FROM ledger.transfers');
	$node->safe_psql('postgres', 'DROP DATABASE again');
	$node->safe_psql('postgres', $create);
	my $application = $node->background_psql('again');
	sound('again', $application, $name, 1000);
	is($node->safe_psql('again', q{SELECT ledger.seal() > 0; SELECT * FROM ledger.verify()}), 't', "$name: its chains can be sealed");
	$node->safe_psql('postgres', 'DROP DATABASE again');
}

# --- what such a fault has left in a ledger in use is named

{
	# By hand: 100 pieces are left where 200 must be; then a folded balance without its tail.
	my $names = q{SELECT string_agg(invariant, ', ' ORDER BY invariant) FROM ledger.check_invariants() WHERE subject = 'sku'};
	my $change = 'BEGIN; SET LOCAL session_replication_role = replica; UPDATE ledger_data.%s; COMMIT';
	healthy($node, 'source', 'the source');
	is($node->safe_psql('source', sprintf($change, q{account SET floor = 200 WHERE code = 'sku'}) . ";$names"), 'limits hold', 'check_invariants() names an account that is below its floor');
	$node->safe_psql('source', sprintf $change, q{account SET floor = 0 WHERE code = 'sku'});
	$node->safe_psql('source', sprintf $change, q{balance SET credits_posted = credits_posted + 900 WHERE account = ledger_data.account_id('sku')});
	is($node->safe_psql('source', $names), 'escrow = balance, totals = sum of transfers', 'check_invariants() names an account whose totals or bounds are not those of its transfers');
}

$node->stop;
done_testing();
