# pg_upgrade: the files move to another cluster, and the ledger goes on there.
#   LEDGER_OLD_INSTALL=/usr/lib/postgresql/15    the server they come from, if it is another

use strict;
use warnings;

use FilledLedger;
use LedgerTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my @settings = ('ledger.fold_threshold = 100', 'ledger.fold_interval = 50ms', 'ledger.seal_interval = 0');
my $old = PostgreSQL::Test::Cluster->new('old', install_path => $ENV{LEDGER_OLD_INSTALL});
$old->init;
configure($old, @settings);
$old->start;
create_ledger($old, 'postgres');
$old->safe_psql('postgres', "CREATE ROLE app; SELECT ledger.grant_access('app', 'writer')");
fill_ledger($old, 'postgres', 'old');
$old->safe_psql('postgres', "SELECT ledger.alter_account('b', floor => 2.50)");
my $digest = $old->safe_psql('postgres', 'SELECT ledger.digest()');
my $content = content($old, 'postgres');
$old->stop;

# 18 makes checksums unless told otherwise, and both have to have them, or neither.
my $new = PostgreSQL::Test::Cluster->new('new');
$new->init(no_data_checksums => $old->pg_version < 18);
note('from ' . $old->config_data('--version') . ' to ' . $new->config_data('--version'));
configure($new, @settings);
chdir PostgreSQL::Test::Utils::tempdir();
command_ok([ 'pg_upgrade', '--no-sync', '-d', $old->data_dir, '-D', $new->data_dir, '-b', $old->config_data('--bindir'),
	'-B', $new->config_data('--bindir'), '-s', $new->host, '-p', $old->port, '-P', $new->port ], 'pg_upgrade');
$new->start;
same_content($new, 'postgres', $content, 'upgraded');
carries_on($new, 'postgres', 'old', $digest, 'upgraded');
refused($new, 'postgres', "SELECT ledger.transfer('b', 'a', posted - 2.49) FROM ledger.balance('b')", 'LG001', 'the floor holds');
fill_ledger($new, 'postgres', 'new');
carries_on($new, 'postgres', 'new', $digest, 'filled again');

$new->stop;
done_testing();
