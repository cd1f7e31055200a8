# The machine's clock is wrong for a while (clock.c): when it is right again, everything
# goes on.

use strict;
use warnings;

use File::Basename;
use LedgerTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $library = PostgreSQL::Test::Utils::tempdir() . '/clock.so';
my $clock = PostgreSQL::Test::Utils::tempdir() . '/clock';
system_or_bail($ENV{CC} // 'cc', '-shared', '-fPIC', '-O1', '-o', $library, dirname(__FILE__) . '/clock.c');

# The clock of the server is this many years ahead of the machine's.
sub set_clock
{
	my ($years) = @_;
	open my $file, '+<', $clock or die $!;
	syswrite $file, pack('q', $years * 365 * 86400);
	close $file;
	return;
}

my $node = PostgreSQL::Test::Cluster->new('clock');
$node->init;
configure($node, 'fsync = off', 'autovacuum = off', 'ledger.seal_interval = 1s', 'ledger.purge_interval = 1s', 'ledger.fold_interval = 100ms');
append_to_file($clock, pack('q', 0));

# With the clock for the postmaster and its children alone; the time between two events stays right.
sub start
{
	local %ENV = (%ENV, LD_PRELOAD => join(' ', $ENV{LD_PRELOAD} // (), $library), LEDGER_CLOCK => $clock);
	$node->start;
	return;
}

# What was seen of one wrong clock does not tell on the next.
sub restart
{
	$node->stop;
	start();
	return;
}
start();
create_ledger($node, 'postgres');

sub sql { my ($statement) = @_; return $node->safe_psql('postgres', $statement); }

sub comes_true
{
	my ($condition, $name) = @_;
	return ok($node->poll_query_until('postgres', "SELECT $condition"), $name);
}

my $year = sub { return sql('SELECT extract(year FROM clock_timestamp())') };
my $now = $year->();
my $write = "SELECT ledger.transfer('world', 'a', 1) > 0";
my $no_worker = q{count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'ledger worker'};

# Everything that the worker does is done, as soon as it is due.
sub goes_on
{
	my ($name) = @_;
	cmp_ok($year->(), '<=', $now + 1, "$name: the clock is right");
	is(answer($node, 'postgres', $write), 't', "$name: value is moved");
	comes_true(q{NOT EXISTS (SELECT FROM ledger_data.transfer AS t WHERE t.id > (SELECT s.until_id FROM ledger_data.seal AS s ORDER BY s.number DESC LIMIT 1))},
		"$name: the worker seals");
	is(answer($node, 'postgres', "SET ledger.key_ttl = 1; SELECT ledger.accept_message('clock', '$name')"), 't', "$name: a message is accepted");
	comes_true("NOT EXISTS (SELECT FROM ledger_data.request WHERE scope = 'clock' AND key = '$name')", "$name: the worker purges");
	my $hold = answer($node, 'postgres', "SELECT ledger.hold('world', 'b', 1, '500 ms')");
	comes_true("count(*) = 1 FROM ledger.holds WHERE id = $hold AND state = 'expired'", "$name: the worker expires holds");
	return;
}

goes_on('at first');

# --- beyond the last year that ids have room for

my $writer = $node->background_psql('postgres', on_error_stop => 0);
$writer->query_safe($write);
set_clock(70);
cmp_ok($year->(), '>=', $now + 69, 'the clock is seventy years ahead');
$writer->query($write);
like($writer->{stderr}, qr/ERROR:  there are no ids left/, 'a write under a clock seventy years ahead is refused');
$writer->{stderr} = '';
set_clock(0);
is($writer->query($write), 't', 'the session that met the wrong clock can write when it is right again');
$writer->quit;
goes_on('after a write under a wrong clock');
restart();

$writer = $node->background_psql('postgres', on_error_stop => 0);
$writer->query_safe($write);
set_clock(70);
like(answer($node, 'postgres', 'SELECT ledger.seal()'), qr/^\d+$/, 'a seal is made under a clock seventy years ahead');
set_clock(0);
is($writer->query($write), 't', 'a session can write after a seal was made under a wrong clock');
is(answer($node, 'postgres', $write), 't', 'a new session can write after a seal was made under a wrong clock');
$writer->quit;
goes_on('after a seal under a wrong clock');
restart();

# --- the worker meets a clock that is ten years ahead, and leaves under it

set_clock(10);
is(sql($write), 't', 'value is moved under a clock ten years ahead');
sql("SET ledger.key_ttl = 1; SELECT ledger.accept_message('clock', 'ahead')");
comes_true(q{NOT EXISTS (SELECT FROM ledger_data.request WHERE scope = 'clock')}, 'the worker purges under a clock ten years ahead');
comes_true(q{EXISTS (SELECT FROM ledger_data.seal WHERE sealed_at > now() - interval '1 year')}, 'the worker seals under a clock ten years ahead');
comes_true($no_worker, 'the worker leaves under a clock ten years ahead');
set_clock(0);
goes_on('after a worker under a wrong clock');
restart();

# --- an interval that is shortened

$node->append_conf('postgresql.conf', "ledger.seal_interval = 1d\nledger.purge_interval = 1d");
$node->reload;
is(sql('SHOW ledger.seal_interval'), '1d', 'the intervals are a day');
is(sql("$write; SELECT ledger.seal() > 0"), "t\nt", 'a seal is made');
$node->append_conf('postgresql.conf', "ledger.seal_interval = 1s\nledger.purge_interval = 1s");
$node->reload;
goes_on('after the intervals were shortened');

healthy($node, 'postgres', 'after all these clocks');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/, 'the server has not crashed');

$node->stop;
done_testing();
