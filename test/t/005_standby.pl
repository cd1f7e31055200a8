# A standby reads exact balances and refuses to write; promoted, it is a ledger.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $primary = ledger_node('primary', 'ledger.fold_threshold = 50', 'ledger.fold_interval = 100ms');
create_ledger($primary, 'postgres');
$primary->safe_psql('postgres', "SELECT ledger.create_stock('sku', 10)");
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

my $last = $primary->safe_psql('postgres', q{
	SELECT count(ledger.transfer('a', 'b', 0.01)) FROM generate_series(1, 500);
	SELECT ledger.fold() > 0;
	BEGIN; SELECT ledger.transfer('a', 'b', 5); PREPARE TRANSACTION 'p';
	SELECT ledger.deduct_stock('sku', 3);
	SELECT ledger.transfer('a', 'b', 1);
});
$last = (split /\n/, $last)[-1];
$primary->wait_for_catchup($standby);

my $accounts = 'SELECT account, posted, available FROM ledger.accounts ORDER BY account';
is($standby->safe_psql('postgres', $accounts), $primary->safe_psql('postgres', $accounts), 'the balances are equal');
is(balance($standby, 'postgres', 'a'), '94.00', 'and exact');
refused($standby, 'postgres', "SELECT ledger.transfer('a', 'b', 1)", '25006', 'a transfer is refused');
refused($standby, 'postgres', "SELECT ledger.deduct_stock('sku', 1)", '25006', 'so is a deduction');
refused($standby, 'postgres', 'SELECT ledger.fold()', '25006', 'and a fold');
healthy($standby, 'postgres', 'on the standby');

$primary->stop('immediate');
$standby->promote;
refused($standby, 'postgres', "SELECT ledger.transfer('a', 'b', 89.01)", 'LG009', 'promoted, it guards what is prepared');
cmp_ok($standby->safe_psql('postgres', "SELECT ledger.transfer('a', 'b', 89)"), '>', $last, 'ids go on');
is($standby->safe_psql('postgres', "SELECT ledger.deduct_stock('sku', 7)"), '0', 'stock goes on');
$standby->safe_psql('postgres', "ROLLBACK PREPARED 'p'");
moved($standby, 'postgres', 'a', 'b', 5, 'what was prepared is given back');
healthy($standby, 'postgres', 'after the promotion');

$standby->stop;
done_testing();
