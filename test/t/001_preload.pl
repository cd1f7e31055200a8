# Without the preload writing is refused with the reason; reading works.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $node = ledger_node('preload');
create_ledger($node, 'postgres');
is($node->safe_psql('postgres', 'SHOW ledger.slots'), '131072', 'the settings are there');

$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
foreach my $call (
	"transfer('a', 'b', 1)", "try_transfer('a', 'b', 1)", "transfer_batch('{a}', '{b}', '{1}')",
	"transfer_up_to('a', 'b', 1)", "freeze_account('a')", "alter_account('a', floor => -1)", "close_account('b')",
	"unfreeze_account('a')", "deduct_stock('a', 1)", "try_deduct_stock('a', 1)", "deduct_stocks('{a}', '{1}')",
	"restore_stock('a', 1)", "add_stock('a', 1)", "create_stock('s', 1)", "create_asset('EUR', 2)", "open_account('c', 'USD')",
	"reverse_transfer((SELECT id FROM ledger.transfers))", 'fold()',
	'issue_request_token()', "begin_request('k')", "complete_request('k')", "fail_request('k')", "accept_message('c', 'm')",
	'purge_requests()', "verify_signed_request('c', 'p', now(), 'n', 's')", "open_account('c', 'USD', key => 'k')")
{
	refused($node, 'postgres', "SELECT ledger.$call", 'LG901', "$call is refused");
}
my ($status, $stdout, $stderr) = $node->psql('postgres', "SELECT ledger.transfer('a', 'b', 1)");
like($stderr, qr/HINT:  Add ledger to shared_preload_libraries and restart the server\./, 'and says what to do');
is(balance($node, 'postgres', 'a'), '100.00', 'a balance can be read');
is($node->safe_psql('postgres', 'SELECT count(*) FROM ledger.transfers'), '1', 'and a view');
is($node->safe_psql('postgres', "SELECT balance FROM ledger.statement('a')"), '100.00', 'and a statement');
is($node->safe_psql('postgres', 'SELECT s IS NULL FROM ledger.stat AS s'), 't', 'there are no counters');
healthy($node, 'postgres', 'not preloaded');
$node->safe_psql('postgres', 'CREATE DATABASE other');
is($node->psql('other', 'CREATE EXTENSION ledger'), 0, 'the extension can be created');

$node->append_conf('postgresql.conf', "shared_preload_libraries = 'ledger'");
$node->restart;
moved($node, 'postgres', 'a', 'b', 1, 'preloaded again, it works');
healthy($node, 'postgres', 'preloaded');

$node->stop;
done_testing();
