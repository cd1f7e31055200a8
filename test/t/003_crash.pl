# kill -9 under load: what a client was told is there, once, and no more was given than there was.

use strict;
use warnings;

use IPC::Run;
use LedgerTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = ledger_node('crash', 'restart_after_crash = on', 'ledger.fold_threshold = 200', 'ledger.fold_interval = 100ms');
create_ledger($node, 'postgres');
$node->safe_psql('postgres', "SELECT ledger.create_stock('sku', 100000)");

# Sessions that move value and print the ids they are told.
my @loads = (
	"SELECT ledger.transfer('world', 'a', 1);",
	"SELECT ledger.try_transfer('a', 'b', 3);",
	"SELECT transfer_id FROM ledger.transfer_batch('{world,a,b}', '{a,b,world}', '{2,1,0.5}', atomic => false);",
	"BEGIN; SELECT ledger.transfer('world', 'b', 7); SAVEPOINT s; SELECT -ledger.transfer('world', 'b', 9); ROLLBACK TO s; COMMIT;");

my $count = 0;

sub start_load
{
	my ($statement) = @_;
	my $base = PostgreSQL::Test::Utils::tempdir() . '/load' . $count++;
	append_to_file("$base.sql", "$statement\n" x 30_000);
	my %load = (statement => $statement, out => "$base.out");
	$load{handle} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-f', "$base.sql" ],
		'>', "$base.out", '2>', "$base.err");
	return \%load;
}

# What was acknowledged: in autocommit each line; for the explicit transaction
# its last line may not have been committed.
sub acknowledged
{
	my ($load) = @_;
	my @lines = grep { /^\d+$/ } split /\n/, slurp_file($load->{out});
	pop @lines if $load->{statement} =~ /^BEGIN/;
	return @lines;
}

foreach my $victim ('postmaster', 'backend')
{
	my @running = map { start_load($_) } @loads, @loads;
	sleep 2;
	if ($victim eq 'postmaster')
	{
		my $pid = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];
		kill 'KILL', $pid;
	}
	else
	{
		my $pid = $node->safe_psql('postgres',
			"SELECT pid FROM pg_stat_activity WHERE query LIKE 'SELECT ledger%' AND pid <> pg_backend_pid() LIMIT 1");
		like($pid, qr/^\d+$/, 'a backend is at work') or die;
		kill 'KILL', $pid;
	}
	foreach my $load (@running)
	{
		eval { $load->{handle}->finish };
	}
	start_again($node) if $victim eq 'postmaster';
	$node->poll_query_until('postgres', 'SELECT true') or die 'no recovery';

	my @told = map { acknowledged($_) } @running;
	cmp_ok(scalar(@told), '>', 100, "$victim killed: there was a load (" . scalar(@told) . ' acknowledged)');
	$node->safe_psql('postgres', 'CREATE TABLE IF NOT EXISTS told (id bigint); TRUNCATE told; COPY told FROM STDIN;' . "\n" . join("\n", @told) . "\n\\.\n");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM told LEFT JOIN ledger.transfers AS t USING (id) WHERE t.id IS NULL'),
		'0', "$victim killed: every transfer acknowledged is there");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM (SELECT id FROM told GROUP BY id HAVING count(*) > 1) AS twice'),
		'0', "$victim killed: no id was told twice");
	is($node->safe_psql('postgres', "SELECT count(*) FROM ledger.transfers WHERE amount = 9"), '0', "$victim killed: nothing rolled back is there");
	healthy($node, 'postgres', "$victim killed");
	refused($node, 'postgres', "SELECT ledger.transfer('b', 'world', 1e9)", 'LG001', "$victim killed: the floor holds");
	cmp_ok($node->safe_psql('postgres', "SELECT ledger.transfer('world', 'a', 1) > max(id) FROM ledger.transfers"), 'eq', 't', "$victim killed: ids go on");
}

$node->stop;
done_testing();
