# No memory is lost: every function 500 times in one session, those that refuse
# too; the worker and the launcher over many rounds. make leak does it a million times.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = ledger_node('leak', 'fsync = off', 'ledger.fold_interval = 10ms', 'ledger.fold_threshold = 1', 'ledger.seal_interval = 1s');
$node->safe_psql('postgres', 'CREATE EXTENSION ledger');
$node->command_ok([ 'psql', '-Xq', '-v', 'calls=500', '-v', 'only=.', '-f', 'test/leak/check.sql', $node->connstr('postgres') ], 'every work does what it says');

is($node->safe_psql('postgres', 'TABLE leak.uncalled'), '', 'every function of the ledger is called');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM leak.growth'), '>', 60, 'and what it left was measured');
is($node->safe_psql('postgres', 'TABLE leak.leaking'), '', 'nothing of it stays in the session');
is($node->safe_psql('postgres', 'TABLE leak.left_behind'), '0|0|0', 'nor in shared memory');
healthy($node, 'postgres', 'after all these calls');

# What the processes of that type hold, each: what its memory contexts have in use.
sub bytes_in_use
{
	my $offset = -s $node->logfile;
	my $pid = $node->safe_psql('postgres', q{SELECT worker_pid FROM ledger.stat WHERE pg_log_backend_memory_contexts(worker_pid)}) or return;
	foreach my $attempt (1 .. 100)
	{
		my $log = slurp_file($node->logfile, $offset);
		return ($pid, $1) if $log =~ /\[$pid\].*Grand total: .*; (\d+) used/;
		last if $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE pid = $pid") eq '0';
		select undef, undef, undef, 0.02;
	}
	return;
}

# A worker lives for seconds, so it is watched again and again. A leak shows in every
# life; what one of them happened to look up in a catalog does not.
my $launcher = q{SELECT (s[2]::bigint - s[3]::bigint) * 4096 FROM pg_stat_activity,
	LATERAL string_to_array(pg_read_file('/proc/' || pid || '/statm'), ' ') AS s WHERE backend_type = 'ledger launcher'};
my $launcher_before = $node->safe_psql('postgres', $launcher);
my %lives;
foreach my $round (1 .. 100)
{
	$node->safe_psql('postgres', q{SELECT ledger.transfer('world', 'a', 0.01)});
	my ($pid, $bytes) = bytes_in_use() or next;
	push @{ $lives{$pid} }, $bytes;
}
my @watched = grep { @$_ > 3 } values %lives;
my @growth = sort { $a <=> $b } map { $_->[-1] - $_->[1] } @watched;
cmp_ok(scalar @growth, '>', 1, 'workers were seen at work');
cmp_ok($growth[0], '<', 4096, "a worker's memory does not grow from pass to pass");
cmp_ok($node->safe_psql('postgres', $launcher) - $launcher_before, '<', 1048576, "nor does the launcher's from worker to worker");
note "workers' growth: @growth";

$node->stop;
done_testing();
