# Maintenance of the tables under sessions that use them: indexes and files are
# replaced, the ledger goes on.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $node = ledger_node('maintenance');
create_ledger($node, 'postgres');
$node->safe_psql('postgres', "SELECT count(ledger.open_account('n' || i, 'USD')) FROM generate_series(1, 100) AS i");

# A session that was there before; each round uses accounts that are not loaded yet.
my $session = $node->background_psql('postgres', on_error_stop => 0);
my $round = 0;

sub goes_on
{
	my ($command) = @_;
	$node->safe_psql('postgres', $command);
	++$round;
	my ($output, $failed) = $session->query("SELECT ledger.transfer('world', 'n$round', 1) > 0; SELECT ledger.fold() > 0");
	is($output, "t\nt", "$command: a session goes on") or diag $session->{stderr};
	$session->{stderr} = '';
	healthy($node, 'postgres', $command);
	return;
}

goes_on('SELECT 1');
goes_on("REINDEX TABLE CONCURRENTLY ledger_data.$_") foreach 'transfer', 'account', 'asset', 'balance', 'reversal';
goes_on('REINDEX DATABASE postgres');
goes_on('VACUUM FULL');
goes_on('CLUSTER ledger_data.transfer USING transfer_pkey');
goes_on('ANALYZE');
$session->quit;

$node->stop;
done_testing();
