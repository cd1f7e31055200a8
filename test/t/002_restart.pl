# A restart changes nothing: balances, floors and the order of ids go on.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $node = ledger_node('restart');
create_ledger($node, 'postgres');
my $before = $node->safe_psql('postgres', "SELECT ledger.transfer('a', 'b', 40)");

$node->restart;
is($node->safe_psql('postgres', 'SELECT count(*) FROM ledger_data.slots()'), '0', 'shared memory begins empty');
refused($node, 'postgres', "SELECT ledger.transfer('a', 'b', 60.01)", 'LG001', 'the floor still holds');
cmp_ok($node->safe_psql('postgres', "SELECT ledger.transfer('a', 'b', 60)"), '>', $before, 'ids go on above the earlier ones');
is(balance($node, 'postgres', 'a'), '0.00', 'all of it could be moved');
healthy($node, 'postgres', 'after the restart');

# A clock that stood ahead: the tables, restored, hold an id of the year 2090.
my $future = (2090 - 2025) * 365 * 86_400_000 << 22;
$node->safe_psql('postgres', 'CREATE DATABASE future');
$node->safe_psql('future', qq{
	CREATE EXTENSION ledger;
	INSERT INTO ledger_data.asset VALUES (1, 2, 'USD', 0.01);
	INSERT INTO ledger_data.account SELECT i, 1, -9223372036854775807, 9223372036854775807, now(), 0, 'x' || i, '{}' FROM generate_series(1, 2) AS i;
});
chain_functions($node, 'future');
$node->safe_psql('future', restored_transfer($future));
cmp_ok($node->safe_psql('future', "SELECT ledger.transfer('x2', 'x1', 1)"), '>', $future, 'ids begin above the highest there is');
cmp_ok($node->safe_psql('future', "SELECT max(txid) FROM ledger_data.transfer"), '>', 1000000000, 'so do txids');
is(balance($node, 'future', 'x2'), '4.00', 'the balance counts both');
healthy($node, 'future', 'with an id from the future');
$node->restart;
cmp_ok($node->safe_psql('future', "SELECT ledger.transfer('x2', 'x1', 1) > max(id) FROM ledger_data.transfer"), 'eq', 't', 'and again after a restart');

$node->stop;
done_testing();
