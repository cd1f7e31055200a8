# ledger.audit() works for the audit's own triggers alone; and what check_audit() says of tables that were
# exchanged, of partitions, and of keys that move.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = ledger_node('check_audit', 'ledger.worker = off');
my $sql = sub { return $node->safe_psql('postgres', $_[0]) };

sub problems
{
	return $sql->(q{SELECT relation || ': ' || problem FROM ledger.check_audit() ORDER BY 1});
}

# The operations logged for a table, in their order.
sub operations
{
	my ($table) = @_;
	return $sql->("SELECT string_agg(operation, ' ' ORDER BY at, seq) FROM ledger.audit_log WHERE relation = '$table'");
}

$sql->(q{
	CREATE EXTENSION ledger;
	CREATE ROLE owner LOGIN;
	CREATE ROLE other LOGIN;
	GRANT CREATE ON SCHEMA public TO owner;
	SELECT ledger.grant_access('owner', 'operator'), ledger.grant_access('other', 'operator');
});

# --- a second trigger

$sql->(q{
	SET ROLE owner;
	CREATE TABLE t (id integer PRIMARY KEY, n integer);
	SELECT ledger.enable_audit('t');
	CREATE TABLE unaudited (id integer PRIMARY KEY, n integer);
	INSERT INTO t VALUES (1, 1);
	INSERT INTO unaudited VALUES (1, 1);
	GRANT ALL ON t, unaudited TO other;
});
my $call = 'EXECUTE FUNCTION ledger.audit';
foreach my $attack (
	[ "CREATE TRIGGER zz AFTER UPDATE ON t FOR EACH ROW $call()", 'UPDATE t SET n = 2', 'another row trigger' ],
	[ "CREATE CONSTRAINT TRIGGER zz AFTER UPDATE ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW $call('n')", 'UPDATE t SET n = 2', 'a deferred one that excludes a column' ],
	[ "CREATE TRIGGER zz AFTER UPDATE ON t FOR EACH ROW $call('no_column')", 'UPDATE t SET n = 2', 'one that excludes an unknown column' ],
	[ "CREATE TRIGGER zz AFTER UPDATE ON t FOR EACH STATEMENT $call()", 'UPDATE t SET n = 2', 'a statement trigger' ],
	[ "CREATE TRIGGER zz AFTER TRUNCATE ON t FOR EACH STATEMENT $call()", 'TRUNCATE t', 'a TRUNCATE trigger' ],
	[ "CREATE TRIGGER ledger_audit_statement AFTER TRUNCATE ON unaudited FOR EACH STATEMENT $call()", 'TRUNCATE unaudited', 'a TRUNCATE trigger under the name of another' ],
	[ "CREATE TRIGGER ledger_audit_truncate AFTER UPDATE ON unaudited FOR EACH ROW $call()", 'UPDATE unaudited SET n = 2', 'a row trigger under the name of another' ],
	[ "CREATE CONSTRAINT TRIGGER ledger_audit_row AFTER UPDATE ON unaudited DEFERRABLE FOR EACH ROW $call()", 'UPDATE unaudited SET n = 2', 'a deferrable one of the right name' ],
	[ "CREATE TEMPORARY TABLE mine (id integer PRIMARY KEY, n integer); CREATE TRIGGER ledger_audit_row AFTER INSERT ON mine FOR EACH ROW $call()", 'INSERT INTO mine VALUES (1, 1)', 'one on a temporary table' ])
{
	my ($create, $fire, $name) = @$attack;
	refused($node, 'postgres', "BEGIN; SET LOCAL ROLE other; $create; RESET ROLE; $fire; SET CONSTRAINTS ALL IMMEDIATE; ROLLBACK", '39P01', "refused: $name");
}
$sql->('UPDATE t SET n = 3');
is(operations('public.t'), 'ENABLE INSERT UPDATE', 'each change is logged once');
is($sql->("SELECT count(*) FROM ledger.audit_log WHERE relation <> 'public.t'"), '0', 'and no other');
$sql->("CREATE CONSTRAINT TRIGGER ledger_audit_row AFTER UPDATE ON unaudited DEFERRABLE FOR EACH ROW $call(); INSERT INTO unaudited VALUES (2, 2)");
like(problems(), qr/^public.unaudited: trigger: ledger_audit_row is not as/m, 'check_audit() names a table with such a trigger');
$sql->('DROP TABLE unaudited, t');
is(problems(), '', 'all is well without it');

# --- a table in the place of another

$sql->(q{
	CREATE TABLE blue (id integer PRIMARY KEY, n integer);
	SELECT ledger.enable_audit('blue', exclude => '{n}');
	CREATE TABLE green (id integer PRIMARY KEY, n integer);
	SELECT ledger.enable_audit('green');
	INSERT INTO green VALUES (1, 100);
	INSERT INTO blue VALUES (1, 1), (2, 2);
	DROP TABLE blue;
	ALTER TABLE green RENAME TO blue;
});
is(problems(), '', 'the records of a dropped table are not those of its successor');
$sql->(q{UPDATE blue SET n = 101});
is(problems(), '', 'nor after changes');
$sql->(q{
	CREATE TABLE next (id integer PRIMARY KEY, n integer);
	SELECT ledger.enable_audit('next');
	INSERT INTO next VALUES (1, 5);
	DO 'BEGIN UPDATE blue SET n = 6; INSERT INTO blue VALUES (3, 3); UPDATE next SET n = 7; DROP TABLE blue; ALTER TABLE next RENAME TO blue; UPDATE blue SET n = 8; END';
});
is(problems(), '', 'nor when all is done at once');
$sql->(q{SET session_replication_role = replica; ALTER TABLE blue RENAME TO green; SET allow_system_table_mods = on; UPDATE pg_trigger SET tgenabled = 'D' WHERE tgrelid = 'green'::regclass; DELETE FROM green});
like(problems(), qr/^public.green: missing: .*\{"id":1\}$/m, 'its own records are followed to its name');
$sql->('DROP TABLE green');

# --- partitions

$sql->(q{
	CREATE FOREIGN DATA WRAPPER nowhere;
	CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;
	CREATE TABLE parted (id integer, n integer) PARTITION BY RANGE (id);
	CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
	CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (10) TO (20);
	CREATE FOREIGN TABLE parted_3 PARTITION OF parted FOR VALUES FROM (20) TO (30) SERVER nowhere;
	SELECT ledger.enable_audit('parted');
});
# Cancelled while it waits for a transaction that has seen the partition.
my $reader = $node->background_psql('postgres');
$reader->query_safe('BEGIN; SELECT count(*) FROM parted_2; SELECT count(*) FROM parted WHERE id = 15');
my ($status, undef, $error) = $node->psql('postgres', q{SET statement_timeout = '1s'; ALTER TABLE parted DETACH PARTITION parted_2 CONCURRENTLY});
like($error, qr/canceling statement/, 'a detach is cancelled');
$reader->query_safe('COMMIT');
$reader->quit;
is($sql->("SELECT inhrelid::regclass FROM pg_inherits WHERE inhdetachpending"), 'parted_2', 'and is pending');
is(problems(), '', 'a pending detach is no problem');
$sql->("SELECT ledger.enable_audit('parted'); SELECT ledger.disable_audit('parted')");
is($sql->("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'ledger_audit_%'"), '0', 'the audit of all partitions is ended');
is(operations('public.parted_1'), 'ENABLE ENABLE DISABLE', 'of an ordinary partition it is logged');
is(operations('public.parted_2'), 'ENABLE ENABLE DISABLE', 'of one whose detach is pending as well');
is(operations('public.parted_3'), 'ENABLE ENABLE DISABLE', 'and of a foreign one');
is(problems(), '', 'nothing is missed');
$sql->('ALTER TABLE parted DETACH PARTITION parted_2 FINALIZE; DROP TABLE parted, parted_2');
is(problems(), '', 'nor later');

# --- keys that move inside a statement (a trigger that fires before the audit's has its changes logged at one time)

foreach my $key ('PRIMARY KEY', 'PRIMARY KEY DEFERRABLE')
{
	$sql->(qq{
		CREATE TABLE place (id integer $key, n integer);
		SELECT ledger.enable_audit('place');
		INSERT INTO place VALUES (1, 10), (2, 20);
		CREATE FUNCTION swap() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN
			UPDATE place SET id = -1 WHERE id = 1; UPDATE place SET id = 1 WHERE id = 2; UPDATE place SET id = 2 WHERE id = -1; RETURN NULL; END';
		CREATE TABLE command (i integer PRIMARY KEY);
		SELECT ledger.enable_audit('command');
		CREATE TRIGGER a AFTER INSERT ON command FOR EACH ROW EXECUTE FUNCTION swap();
	});
	if ($key eq 'PRIMARY KEY')
	{
		$sql->('INSERT INTO command VALUES (1)');
		is(problems(), '', 'keys that are exchanged by a trigger');
		$sql->('INSERT INTO command VALUES (2), (3)');
		is(problems(), '', 'and again, twice in one statement');
		$sql->('CREATE TRIGGER a AFTER INSERT ON place FOR EACH ROW EXECUTE FUNCTION swap(); INSERT INTO place VALUES (3, 30)');
		is(problems(), '', 'and by a trigger of the table itself');
		$sql->('DROP TRIGGER a ON place; UPDATE place SET id = -id; UPDATE place SET id = -id');
		is(problems(), '', 'and turned');
	}
	else
	{
		$sql->('UPDATE place SET id = id + 1');
		is(problems(), '', 'keys that pass through each other, where they are checked late');
	}
	$sql->('DROP TABLE place, command; DROP FUNCTION swap');
}

# --- the log that is read

is($sql->("SELECT 'jit=off' = ANY (proconfig) FROM pg_proc WHERE oid = 'ledger.check_audit()'::regprocedure"), 't', 'check_audit() is not compiled');

$node->stop;
done_testing();
