# pg_upgrade: the files move to another cluster, and the ledger goes on there.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $old = ledger_node('old', 'ledger.fold_threshold = 100', 'ledger.fold_interval = 50ms');
create_ledger($old, 'postgres');
$old->safe_psql('postgres', q{
	SELECT count(ledger.transfer('a', 'b', 0.10)) FROM generate_series(1, 150);
	SELECT ledger.fold();
	SELECT ledger.transfer('a', 'b', 5);
	SELECT ledger.alter_account('b', floor => 2.50);
	CREATE ROLE app;
	SELECT ledger.grant_access('app', 'reader');
});
my $accounts = 'SELECT account, asset, posted, available, floor, ceiling, state FROM ledger.accounts ORDER BY account';
my $expected = $old->safe_psql('postgres', $accounts);
my $highest = $old->safe_psql('postgres', 'SELECT max(id) FROM ledger.transfers');
$old->stop;

my $new = PostgreSQL::Test::Cluster->new('new');
$new->init;
configure($new);
chdir PostgreSQL::Test::Utils::tempdir();
command_ok([ 'pg_upgrade', '--no-sync', '-d', $old->data_dir, '-D', $new->data_dir, '-b', $old->config_data('--bindir'),
	'-B', $new->config_data('--bindir'), '-s', $new->host, '-p', $old->port, '-P', $new->port ], 'pg_upgrade');
$new->start;
is($new->safe_psql('postgres', $accounts), $expected, 'the balances are the same');
healthy($new, 'postgres', 'untouched');
cmp_ok($new->safe_psql('postgres', "SELECT ledger.transfer('a', 'b', 1)"), '>', $highest, 'ids go on');
is(balance($new, 'postgres', 'b'), '21.00', 'a new transfer counts');
refused($new, 'postgres', "SELECT ledger.transfer('b', 'a', 18.51)", 'LG001', 'the floor holds');
is($new->safe_psql('postgres', "SELECT ledger.fold() > 0; SELECT posted FROM ledger.balance('b')"), "t\n21.00", 'it folds');
refused($new, 'postgres', 'DELETE FROM ledger_data.transfer', 'LG401', 'the guards stand');
is($new->safe_psql('postgres', "SELECT has_function_privilege('app', 'ledger.balance(text)', 'EXECUTE')"), 't', 'grants came along');
healthy($new, 'postgres', 'upgraded');

$new->stop;
done_testing();
