# No memory is lost: every function 500 times in one session, those that refuse
# too; the worker and the launcher over many rounds. make leak does it a million times.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = ledger_node('leak', 'fsync = off', 'ledger.fold_interval = 10ms', 'ledger.fold_threshold = 1', 'ledger.seal_interval = 1s');
$node->safe_psql('postgres', 'CREATE EXTENSION ledger');
$node->command_ok([ 'psql', '-Xq', '-v', 'calls=500', '-v', 'only=.', '-f', 'test/leak/check.sql', $node->connstr('postgres') ], 'every work does what it says');

is($node->safe_psql('postgres', 'TABLE leak.uncalled'), '', 'every function of the ledger is called');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM leak.growth'), '>', 60, 'and what it left was measured');
is($node->safe_psql('postgres', 'TABLE leak.leaking'), '', 'nothing of it stays in the session');
is($node->safe_psql('postgres', 'TABLE leak.left_behind'), '0|0|0', 'nor in shared memory');
healthy($node, 'postgres', 'after all these calls');

# What the worker that is there now holds: what its memory contexts have in use. Nothing
# where it leaves before it has answered.
sub bytes_in_use
{
	my $offset = -s $node->logfile;
	my $pid = $node->safe_psql('postgres', q{SELECT worker_pid FROM ledger.stat WHERE pg_log_backend_memory_contexts(worker_pid)}) or return;
	until (slurp_file($node->logfile, $offset) =~ /\[$pid\].*Grand total: .*; (\d+) used/)
	{
		return if $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE pid = $pid") eq '0';
		usleep(20_000);
	}
	return ($pid, $1);
}

# Gives the worker work until it has done some. A transfer whose commit comes after the
# worker has looked is folded with the next one.
sub drive
{
	my $folds = $node->safe_psql('postgres', 'SELECT folds FROM ledger.stat');
	foreach my $attempt (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return if $node->safe_psql('postgres', q{SELECT ledger.transfer('world', 'a', 0.01) > 0; SELECT folds FROM ledger.stat}) =~ s/.*\n//r > $folds;
		usleep(20_000);
	}
	die 'the worker does not fold';
}

# A worker lives for seconds, so it is given work and looked at until enough lives have been
# seen, however long that takes. A leak shows in every life; what one of them happened to
# look up in a catalog does not. So the life that grew least is judged.
my $launcher = q{SELECT (s[2]::bigint - s[3]::bigint) * 4096 FROM pg_stat_activity,
	LATERAL string_to_array(pg_read_file('/proc/' || pid || '/statm'), ' ') AS s WHERE backend_type = 'ledger launcher'};
my $launcher_before = $node->safe_psql('postgres', $launcher);
my ($looks, $enough) = (4, 3);
my %lives;
my $limit = time + $PostgreSQL::Test::Utils::timeout_default;
my $watched = sub { grep { @$_ >= $looks } values %lives };
while ($watched->() < $enough && time < $limit)
{
	drive();
	my ($pid, $bytes) = bytes_in_use() or next;
	push @{ $lives{$pid} }, $bytes;
}
my @growth = sort { $a <=> $b } map { $_->[-1] - $_->[1] } $watched->();
note "workers' growth: @growth";
SKIP:
{
	# A machine so busy that no worker could be looked at often enough says nothing of leaks.
	skip "only ${\ scalar @growth} of $enough workers were seen $looks times", 1 unless @growth >= $enough;
	cmp_ok($growth[0], '<', 1024, "a worker's memory does not grow from pass to pass");
}
cmp_ok($node->safe_psql('postgres', $launcher) - $launcher_before, '<', 1048576, "the launcher's memory does not grow from worker to worker");

$node->stop;
done_testing();
