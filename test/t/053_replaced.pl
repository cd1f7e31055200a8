# A ledger that is dropped, renamed, made again or restored under the sessions that use it.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = ledger_node('replaced', 'fsync = off', 'ledger.worker = off', 'ledger.slots = 16', 'ledger.databases = 6', 'ledger.allow_drop = on');
my $dir = PostgreSQL::Test::Utils::tempdir();

sub sql { my ($database, $statement) = @_; return $node->safe_psql($database, $statement); }

sub fresh
{
	my ($database) = @_;
	sql('postgres', "CREATE DATABASE $database");
	sql($database, 'CREATE EXTENSION ledger');
	sql($database, "SELECT ledger.create_stock('tea', 100), ledger.deduct_stock('tea', 1)");
	return;
}

sub waits
{
	my ($name, $what) = @_;
	return ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = '$name' AND wait_event_type = 'Lock'"), $what);
}

# --- dropped, made again and restored in one transaction, while a seller waits

fresh('restored');
sql('restored', "SELECT ledger.create_stock('x' || i, 10) FROM generate_series(1, 3) AS i");
my $seller = $node->background_psql('restored', on_error_stop => 0);
$seller->query_safe(q{SELECT set_config('application_name', 'seller', false), ledger.deduct_stock('tea', 1)});
$node->command_ok([ 'pg_dump', '-a', '-f', "$dir/data.sql", $node->connstr('restored') ], 'the data is dumped');
my $restorer = $node->background_psql('restored');
$restorer->query_safe("BEGIN; DROP EXTENSION ledger CASCADE; CREATE EXTENSION ledger;\n\\i $dir/data.sql\nSET search_path = public;");
$seller->query_until(qr/asked/, "\\echo asked\nSELECT ledger.deduct_stock('tea', 60);\n");
waits('seller', 'a seller waits for the tables that are being replaced');
$restorer->query_safe('COMMIT');
like($seller->query('SELECT 1'), qr/38\n1/, 'then it sells from the restored ledger');
refused($node, 'restored', "SELECT ledger.deduct_stock('tea', 60)", 'LG001', 'and nobody sells more than there is');
is($seller->query(q{SELECT ledger.deduct_stock('tea', 1)}), '37', 'the seller goes on');
$_->quit foreach $seller, $restorer;
healthy($node, 'restored', 'dropped, made again and restored');

# --- a restore in one transaction, and an application that rolls back

$node->command_ok([ 'pg_dump', '-a', '-f', "$dir/data.sql", $node->connstr('restored') ], 'it is dumped again');
my $data = slurp_file("$dir/data.sql") =~ s/^\\(?:un)?restrict .*\n//mgr;  # newer versions of psql then take no other command
my ($before, $transfers) = split /(?=^COPY ledger_data\.transfer )/m, $data;
ok(length $transfers, 'the transfers come last');
append_to_file("$dir/before.sql", $before);
append_to_file("$dir/transfers.sql", $transfers);
sql('postgres', 'CREATE DATABASE target');
sql('target', 'CREATE EXTENSION ledger');
$restorer = $node->background_psql('target');
$restorer->query_safe("SET deadlock_timeout = '10ms'");  # if there is a deadlock, it is the victim
$restorer->query_safe("BEGIN;\n\\i $dir/before.sql\n");
my $application = $node->background_psql('target', on_error_stop => 0);
$application->query_safe(q{SET application_name = 'application'});
$application->query_until(qr/asked/, "\\echo asked\nBEGIN; SELECT ledger.create_stock('new', 1); ROLLBACK;\n");
waits('application', 'an application waits in the middle of a restore');
$restorer->query_safe("\\i $dir/transfers.sql\nCOMMIT;");
$application->query('SELECT 1');
$_->quit foreach $application, $restorer;
is(sql('target', q{SELECT available FROM ledger.balance('tea')}), '37', 'the restore is whole');
healthy($node, 'target', 'restored beside an application that rolled back');
sql('postgres', 'DROP DATABASE target WITH (FORCE)');

# --- a first write that is rolled back leaves nothing to be seen

sql('postgres', 'CREATE DATABASE unused');
sql('unused', 'CREATE EXTENSION ledger');
sql('unused', q{BEGIN; SAVEPOINT s; SELECT ledger.create_stock('tea', 5), ledger.deduct_stock('tea', 1); ROLLBACK TO s; COMMIT});
is(sql('unused', 'SELECT count(*) FROM ledger_data.slots()'), '0', 'no account is known after a first write in a savepoint that was rolled back');
sql('unused', q{BEGIN; SELECT ledger.create_stock('tea', 5), ledger.deduct_stock('tea', 1); ROLLBACK});
is(sql('unused', 'SELECT count(*) FROM ledger_data.slots()'), '0', 'nor after a first write that was rolled back');
sql('postgres', 'DROP DATABASE unused WITH (FORCE)');

# --- one transaction that uses two ledgers, the first of which comes back

foreach my $end ('ROLLBACK PREPARED', 'ROLLBACK')
{
	my $write = q{BEGIN; SELECT ledger.deduct_stock('tea', 30); DROP EXTENSION ledger CASCADE; CREATE EXTENSION ledger; SELECT ledger.create_stock('cup', 10);};
	sql('restored', $end eq 'ROLLBACK' ? "$write ROLLBACK" : "$write PREPARE TRANSACTION 'p'; ROLLBACK PREPARED 'p'");
	is(sql('restored', q{SELECT ledger.deduct_stock('tea', 37), ledger.restore_stock('tea', 37)}), '0|37', "$end: the first ledger has everything back");
	healthy($node, 'restored', "two ledgers, $end");
}

# --- limits in flight, and tables renamed in a transaction that is rolled back

sql('restored', q{SELECT ledger.create_asset('USD', 2), ledger.open_account('bank', 'USD', floor => NULL), ledger.open_account('alice', 'USD'); SELECT ledger.transfer('bank', 'alice', 100)});
my $changer = $node->background_psql('restored');
$changer->query_safe(q{SELECT ledger.transfer('bank', 'alice', 1); BEGIN; SELECT ledger.alter_account('alice', floor => 90)});
my ($out, $err) = ('', '');
$node->psql('restored', q{BEGIN; SET LOCAL lock_timeout = '200ms'; ALTER TABLE ledger_data.transfer RENAME TO other; CREATE TABLE ledger_data.transfer (LIKE ledger_data.other INCLUDING ALL);
	SELECT ledger.transfer('bank', 'alice', 1); ROLLBACK}, stdout => \$out, stderr => \$err);
refused($node, 'restored', "SELECT ledger.transfer('alice', 'bank', 100)", 'LG001', 'a stricter floor in flight holds whatever others roll back');
$changer->query_safe('COMMIT');
$changer->quit;
healthy($node, 'restored', 'renamed and rolled back');

# --- ledgers made again and again leave room for another database

sql('restored', 'DROP EXTENSION ledger CASCADE; CREATE EXTENSION ledger; ' . q{SELECT ledger.create_stock('tea', 100)}) foreach 1 .. 8;
$node->append_conf('postgresql.conf', 'ledger.worker = on');
$node->reload;
sql('restored', q{SELECT ledger.deduct_stock('tea', 1)});
sql('postgres', 'CREATE EXTENSION ledger');
ok($node->poll_query_until('postgres', q{SELECT ledger.create_stock('here', 1) > 0}), 'another database can use a ledger');
healthy($node, 'restored', 'made again and again');
healthy($node, 'postgres', 'the other database');

$node->stop;
done_testing();
