# Memory: shared memory as documented, a backend's memory flat however many calls.
# LEDGER_LONG=1 makes it a million calls of each kind.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $calls = $ENV{LEDGER_LONG} ? 1_000_000 : 30_000;
my $node = ledger_node('memory', 'ledger.slots = 100000', 'ledger.databases = 10', 'fsync = off');
create_ledger($node, 'postgres');

my %per = ('ledger slots' => [ 100_000, 136 ], 'ledger effects' => [ 100_000, 40 ], 'ledger databases' => [ 10, 271_000 ]);
foreach my $name (sort keys %per)
{
	my ($count, $bytes) = @{ $per{$name} };
	my $size = $node->safe_psql('postgres', "SELECT allocated_size FROM pg_shmem_allocations WHERE name = '$name'");
	cmp_ok($size, '<=', $count * $bytes + 8192, "$name: at most $bytes bytes each");
}

# Transactions of one kind after the other in one session; memory is compared after a warm-up.
$node->safe_psql('postgres', q{
	SELECT ledger.create_stock('sku', 1000000000);
	CREATE PROCEDURE work(calls int) LANGUAGE plpgsql AS $$
	BEGIN
		FOR i IN 1..calls LOOP
			PERFORM ledger.transfer('world', 'a', 0.01);
			PERFORM ledger.try_transfer('a', 'b', 1000000000);
			PERFORM ledger.deduct_stock('sku', 1);
			PERFORM ledger.try_deduct_stock('sku', 1000000000);
			BEGIN
				PERFORM ledger.transfer('a', 'b', 0.01);
				PERFORM ledger.transfer('a', 'nobody', 1);
			EXCEPTION WHEN SQLSTATE 'LG002' THEN NULL;
			END;
			IF i % 100 = 0 THEN
				PERFORM ledger.transfer_batch('{world,a}', '{a,b}', '{1,1}');
				PERFORM ledger.balance('a');
				COMMIT;
			END IF;
		END LOOP;
	END $$;
});
my $session = $node->background_psql('postgres');
my $memory = q{SELECT sum(total_bytes) FROM pg_backend_memory_contexts};
$session->query_safe('CALL work(2000)');
my $before = $session->query_safe($memory);
$session->query_safe("CALL work($calls)");
my $after = $session->query_safe($memory);
cmp_ok($after - $before, '<', 65536, "memory after $calls more rounds of calls: $before, then $after bytes");

# Within one transaction, with and without savepoints.
sub growth_in_a_transaction
{
	my ($statement) = @_;
	my $loop = sub { "DO \$\$ BEGIN FOR i IN 1..$_[0] LOOP $statement END LOOP; END \$\$;" };
	return $session->query_safe('BEGIN;' . $loop->(1000)
		  . 'SELECT sum(total_bytes) AS base FROM pg_backend_memory_contexts \gset' . "\n"
		  . $loop->($calls) . 'SELECT sum(total_bytes) - :base FROM pg_backend_memory_contexts; COMMIT');
}
cmp_ok(growth_in_a_transaction(q{PERFORM ledger.transfer('world', 'a', 0.01), ledger.transfer('a', 'b', 0.01);}),
	'<', 65536, "memory after $calls rounds in one transaction");
cmp_ok(growth_in_a_transaction(q{BEGIN PERFORM ledger.transfer('world', 'a', 0.01); EXCEPTION WHEN OTHERS THEN RAISE; END;}),
	'<', 65536 + 8 * $calls, "memory after $calls savepoints released in one transaction");
cmp_ok(growth_in_a_transaction(q{BEGIN PERFORM ledger.transfer('a', 'b', 1000000000); EXCEPTION WHEN SQLSTATE 'LG001' THEN NULL; END;}),
	'<', 65536 + 8 * $calls, "memory after $calls savepoints rolled back in one transaction");
$session->quit;
healthy($node, 'postgres', 'after all these calls');

$node->stop;
done_testing();
