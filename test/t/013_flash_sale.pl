# A thousand pieces and ten thousand buyers: exactly a thousand are sold, at any
# number of clients, also with clients killed and backends terminated.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Since 16 who waits to extend a table has a buffer pinned: 200 clients need more than the tests' 1 MB.
my $node = ledger_node('sale', 'max_connections = 250', 'shared_buffers = 16MB');
$ENV{PGHOST} = $node->host;
$ENV{PGPORT} = $node->port;

sub sale
{
	my ($name, @options) = @_;
	my $result = run_log([ "$ENV{LEDGER_BUILD}/flash_sale", '--dbname', $node->connstr('postgres'), '--method', 'ledger', @options ],
		'>', \my $stdout, '2>', \my $stderr);
	ok($result, "$name: the program is content") or diag "$stdout\n$stderr";
	like($stdout, qr/sold 1000, left 0, refused 9000/, "$name: 1,000 sold, 0 left, 9,000 refused");
	healthy($node, 'postgres', $name);
	return;
}

sale("$_ clients", '--connections', $_) foreach 1, 8, 64, 200;
sale("chaos, seed $_", '--chaos', '--seed', $_) foreach 1 .. 3;

$node->stop;
done_testing();
