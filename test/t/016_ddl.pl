# CREATE and DROP EXTENSION are transactional, also for what is in shared memory
# and for what a session remembers.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $node = ledger_node('ddl', 'ledger.allow_drop = on');

# A ledger of another scale each time, with all of the value in account a.
sub create
{
	my ($scale, $value) = @_;
	return qq{CREATE EXTENSION ledger;
	DO \$\$ BEGIN
		PERFORM ledger.create_asset('USD', $scale);
		PERFORM ledger.open_account('world', 'USD', floor => NULL), ledger.open_account('a', 'USD'), ledger.open_account('b', 'USD');
		PERFORM ledger.transfer('world', 'a', $value);
	END \$\$;};
}

# One session runs all the statements; what it prints is compared.
sub session
{
	my ($name, $statements, @expected) = @_;
	my ($stdout, $stderr) = ('', '');
	$node->psql('postgres', $statements, stdout => \$stdout, stderr => \$stderr, on_error_stop => 0);
	is($stdout, join("\n", @expected), $name) or diag $stderr;
	healthy($node, 'postgres', $name);
	return;
}

session('a creation rolled back, and another made', 'BEGIN;' . create(2, 100) . 'ROLLBACK;' . create(0, 100) . q{
	SELECT posted, scale FROM ledger.balance('a'), ledger_data.asset;}, '100|0');

session('a drop rolled back', q{
	BEGIN; SELECT ledger.transfer('a', 'b', 30) > 0; DROP EXTENSION ledger; ROLLBACK;
	SELECT ledger.transfer('a', 'b', 101);
	\echo :LAST_ERROR_SQLSTATE
	SELECT ledger.transfer('a', 'b', 100) > 0;}, 't', 'LG001', 't');

session('a drop and a creation rolled back', q{
	SELECT ledger.transfer('b', 'a', 10) > 0;
	BEGIN; DROP EXTENSION ledger;} . create(3, '0.125') . q{ SELECT posted FROM ledger.balance('a'); ROLLBACK;
	SELECT ledger.transfer('b', 'a', 91);
	\echo :LAST_ERROR_SQLSTATE
	SELECT ledger.transfer('b', 'a', 90) > 0;}, 't', '0.125', 'LG001', 't');

session('the same with a savepoint', q{
	BEGIN; SELECT ledger.transfer('a', 'b', 1) > 0; SAVEPOINT s; DROP EXTENSION ledger;} . create(3, '0.125') . q{
	SELECT ledger.transfer('a', 'b', 0.125) > 0; ROLLBACK TO s; SELECT ledger.transfer('a', 'b', 1) > 0; COMMIT;
	SELECT posted FROM ledger.balance('b');}, 't', 't', 't', '2');

session('the same committed', q{
	SELECT ledger.transfer('a', 'b', 1) > 0;
	BEGIN; DROP EXTENSION ledger;} . create(3, '0.125') . q{COMMIT;
	SELECT ledger.transfer('a', 'b', 0.126);
	\echo :LAST_ERROR_SQLSTATE
	SELECT ledger.transfer('a', 'b', 0.125) > 0;}, 't', 'LG001', 't');

# Who has written holds the ledger: DROP waits.
my $writer = $node->background_psql('postgres');
$writer->query_safe("BEGIN; SELECT ledger.transfer('b', 'a', 0.1)");
refused($node, 'postgres', "SET lock_timeout = '100ms'; DROP EXTENSION ledger", '55P03', 'DROP EXTENSION waits for a writer');
$writer->query_safe('COMMIT');
$writer->quit;
is(balance($node, 'postgres', 'a'), '0.100', 'who then goes on');
healthy($node, 'postgres', 'at the end');

$node->stop;
done_testing();
