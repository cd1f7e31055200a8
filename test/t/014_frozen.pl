# A prepared transaction that ended long ago: its account was left alone since,
# and vacuum has removed the record of its outcome (pg_xact). It still counts.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# A server whose next transactions are the last of the first segment of pg_xact.
my $node = PostgreSQL::Test::Cluster->new('frozen');
$node->init;
my $first = $node->data_dir . '/pg_xact/0000';
append_to_file($first, "\0" x (262144 - -s $first));
command_ok([ 'pg_resetwal', '-x', 1048576 - 200, '-f', '-D', $node->data_dir ], 'near the end of a segment');
configure($node);
$node->start;
create_ledger($node, 'postgres');
$node->safe_psql('postgres', q{
	BEGIN; SELECT ledger.transfer('a', 'b', 10); PREPARE TRANSACTION 'in';
	BEGIN; SELECT ledger.transfer('a', 'b', 20); PREPARE TRANSACTION 'out';
	COMMIT PREPARED 'in';
	ROLLBACK PREPARED 'out';
	CREATE PROCEDURE burn(transactions int) LANGUAGE plpgsql AS
		$$ BEGIN FOR i IN 1..transactions LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$;
	CALL burn(1000);
});
$node->safe_psql('postgres', "ALTER DATABASE template0 ALLOW_CONNECTIONS true");
$node->command_ok([ 'vacuumdb', '--all', '--freeze', '--quiet' ], 'vacuum of all that is old');
ok(!-e $first, 'the old records are gone');

is(balance($node, 'postgres', 'a'), '90.00', 'the balance can be read');
refused($node, 'postgres', "SELECT ledger.transfer('a', 'b', 90.01)", 'LG001', 'the floor holds');
is($node->psql('postgres', "SELECT ledger.transfer('a', 'b', 90)"), 0, 'and all down to it can be moved');
is($node->psql('postgres', 'SELECT * FROM ledger.stat'), 0, 'the counters can be read');
my ($status, $stdout, $stderr) = $node->psql('postgres', 'SELECT * FROM ledger.check_invariants()');
is("$status$stdout$stderr", '0', 'the invariants hold');

$node->restart;
healthy($node, 'postgres', 'after a restart');
is($node->safe_psql('postgres', "SELECT transfer_id > 0 FROM ledger.transfer_up_to('world', 'a', 1)"), 't', 'and it works');

$node->stop;
done_testing();
