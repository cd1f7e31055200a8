# An auditor verifies a physical backup with a PostgreSQL and a ledger of the auditor's own, as
# docs/ledger_verify.md has it: what a server shows to the auditor is then no matter.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = ledger_node('primary', 'ledger.worker = off', 'autovacuum = off', "archive_command = 'false'");
create_ledger($node, 'postgres');
chain_functions($node, 'postgres');
my $sql = sub { return $node->safe_psql('postgres', $_[0]) };
my $verify = "$ENV{LEDGER_BUILD}/ledger_verify";
my $directory = PostgreSQL::Test::Utils::tempdir();
my $socket = PostgreSQL::Test::Utils::tempdir_short();

sub write_file
{
	my ($name, $content) = @_;
	open my $file, '>', $name or die "$name: $!";
	print $file $content;
	close $file;
	return $name;
}

# The settings are the auditor's: none of the backup's is read.
write_file("$directory/auditor.conf", "listen_addresses = ''\nunix_socket_directories = '$socket'\nautovacuum = off\nmax_prepared_transactions = 100\nfsync = off\n");
write_file("$directory/auditor_hba.conf", "local all all trust\n");

# Takes a backup, starts a server of the auditor's on it, and verifies there.
sub verify_backup
{
	my ($name, @arguments) = @_;
	my $copy = "$directory/$name";
	command_ok([ 'pg_basebackup', '-D', $copy, '-X', 'stream', '-c', 'fast', '--no-sync', '-d', $node->connstr ], "$name: a backup is taken");
	command_ok([ 'pg_verifybackup', $copy ], "$name: it is as the server sent it");
	write_file("$copy/postgresql.auto.conf", '');
	unlink "$copy/standby.signal", "$copy/recovery.signal";
	command_ok([ 'pg_ctl', '-D', $copy, '-w', '-l', "$copy.log", '-o', "-p 5432 -c config_file=$directory/auditor.conf -c hba_file=$directory/auditor_hba.conf", 'start' ], "$name: it is started")
	  or diag slurp_file("$copy.log");
	my ($out, $err) = ('', '');
	IPC::Run::run([ $verify, '-d', "host=$socket port=5432 dbname=postgres", @arguments ], '>', \$out, '2>', \$err);
	my $status = $? >> 8;
	my ($inside) = run_command([ 'psql', '-XAtq', '-d', "host=$socket port=5432 dbname=postgres", '-c', 'SELECT problem FROM ledger.verify()' ]);
	my ($preloaded) = run_command([ 'psql', '-XAtq', '-d', "host=$socket port=5432 dbname=postgres", '-c', 'SHOW shared_preload_libraries' ]);
	command_ok([ 'pg_ctl', '-D', $copy, '-w', '-m', 'fast', 'stop' ], "$name: it is stopped");
	is($preloaded, '', "$name: nothing of the server's settings was in force");
	return ($status, "$out$err", $inside);
}

$sql->(q{
	ALTER SYSTEM SET ledger.slots = 4096;
	CREATE TABLE price (sku text PRIMARY KEY, cents int);
	SELECT ledger.enable_audit('price');
	INSERT INTO price SELECT 'sku ' || i, i FROM generate_series(1, 20) AS i;
	SELECT count(ledger.transfer('a', 'b', 0.01)) FROM generate_series(1, 50);
	SELECT ledger.seal();
});
my $digest = write_file("$directory/digest.json", $sql->('SELECT ledger.digest()'));
$sql->("SELECT ledger.transfer('a', 'b', 0.01); BEGIN; SELECT ledger.transfer('a', 'b', 0.01); PREPARE TRANSACTION 'p'");

my ($status, $told, $inside) = verify_backup('honest', '--digest', $digest);
is($status, 0, 'an honest ledger is intact') or diag $told;
like($told, qr/^52 transfers \(51 sealed\).*3 balances\nintact$/ms, 'with all that it has');
is($inside, '', 'so says verify() in the copy');

# The auditor is led to a copy of before; the ledger itself is rewritten, seals and all.
$node->backup('facade');
my $facade = PostgreSQL::Test::Cluster->new('facade');
$facade->init_from_backup($node, 'facade');
$facade->start;
$sql->(q{SET session_replication_role = replica; UPDATE ledger_data.transfer SET amount = amount + 1 WHERE id = (SELECT min(id) FROM ledger_data.transfer);
	SELECT count(chain.relink(l.lane)) FROM (SELECT DISTINCT lane FROM ledger_data.transfer) AS l;
	SELECT chain.reseal()});
IPC::Run::run([ $verify, '-d', $facade->connstr('postgres'), '--digest', $digest ], '>', \my $out, '2>', \my $err);
is($? >> 8, 0, 'a server that shows a saved copy looks intact, digest or not');
$facade->stop;
($status, $told) = verify_backup('rewritten');
is($status, 3, 'without a digest a backup of the rewritten one is consistent') or diag $told;
($status, $told) = verify_backup('caught', '--digest', $digest);
is($status, 1, 'with the digest it is found');
like($told, qr/^rewritten: digest 1: /m, 'for what it is');

$sql->("ROLLBACK PREPARED 'p'");
$node->stop;
done_testing();
