# The row that says how transactions are numbered: nobody inserts it by hand, and one that was
# planted with the guards off does not make transfers vanish from balances.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $node = ledger_node('installation', 'fsync = off', 'ledger.worker = off');
create_ledger($node, 'postgres');
my $sql = sub { return $node->safe_psql('postgres', $_[0]) };

my $plant = 'INSERT INTO ledger_data.installation SELECT system_identifier, database, extension, base - 1000000 FROM ledger_data.installation';
refused($node, 'postgres', $plant, 'LG401', 'a second row is refused');
refused($node, 'postgres', 'COPY ledger_data.installation FROM PROGRAM $$printf "1\t1\t1\t1\n"$$', 'LG401', 'by COPY, too');
$node->safe_psql('postgres', 'CREATE DATABASE unused');
$node->safe_psql('unused', 'CREATE EXTENSION ledger');
refused($node, 'unused', q{INSERT INTO ledger_data.installation SELECT c.system_identifier, d.oid, e.oid, -1000000
	FROM pg_control_system() AS c, pg_database AS d, pg_extension AS e WHERE d.datname = 'unused' AND e.extname = 'ledger'}, 'LG401', 'also before the first write');

$sql->(q{SELECT ledger.transfer('a', 'b', 10); SELECT ledger.fold()});
my $before = balance($node, 'postgres', 'b');
is($sql->('SELECT count(*) > 0 FROM ledger_data.balance'), 't', 'balances are folded');
$sql->("SET session_replication_role = replica; $plant");
is($sql->("SELECT invariant, subject FROM ledger.check_invariants() WHERE invariant <> 'horizons are past'"), 'one installation|ledger_data.installation',
	'check_invariants() names a row that was planted with the guards off');
moved($node, 'postgres', 'a', 'b', 1, 'the running server knows its own');
$node->restart;
my $made = answer($node, 'postgres', "SELECT ledger.transfer('a', 'b', 5) > 0");
is($made, 'XX001', 'after a restart a write is refused');
is($sql->("SELECT posted - $before FROM ledger.balance('b')"), $made eq 't' ? '6.00' : '1.00', 'no transfer is missing from its balance');
is($sql->('SELECT count(*) FROM ledger.accounts'), '3', 'reading works');
$sql->('SET session_replication_role = replica; DELETE FROM ledger_data.installation WHERE base = (SELECT min(base) FROM ledger_data.installation)');
moved($node, 'postgres', 'a', 'b', 5, 'the planted row is deleted, and the ledger goes on');
is($sql->("SELECT posted - $before FROM ledger.balance('b')"), '6.00', 'every transfer counts');
healthy($node, 'postgres', 'at the end');

# The row itself with another base: new transfers are numbered below the horizon, and are not counted.
$sql->(q{SELECT ledger.seal(); SET session_replication_role = replica; UPDATE ledger_data.installation SET base = base - 1000000});
like($sql->('SELECT invariant FROM ledger.check_invariants()'), qr/^horizons are past$/m, 'check_invariants() finds another base at once');
is($sql->('SELECT count(*) FROM ledger.verify()'), '0', 'verify() does not yet');
$node->restart;
moved($node, 'postgres', 'a', 'b', 5, 'a transfer that is lost is made');
$node->restart;
is($sql->("SELECT DISTINCT problem ~ '^mismatch' FROM ledger.verify('balances')"), 't', 'verify() finds that it is not counted');
IPC::Run::run([ "$ENV{LEDGER_BUILD}/ledger_verify", '-d', $node->connstr('postgres') ], '>', \my $told, '2>&1');
like($told, qr/^mismatch: balance /m, 'so does ledger_verify');

$node->stop;
done_testing();
