# A ledger with records is not dropped in passing: LG402 unless ledger.allow_drop is on.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = ledger_node('drop', 'fsync = off', 'ledger.worker = off');
create_ledger($node, 'postgres');
my $sql = sub { return $node->safe_psql('postgres', $_[0]) };
$sql->(q{CREATE ROLE boss SUPERUSER LOGIN; CREATE ROLE clerk LOGIN; CREATE TABLE price (sku text PRIMARY KEY)});
my $count = $sql->('SELECT count(*) FROM ledger.transfers');

# --- with transfers, nothing that drops a table of the ledger passes

foreach my $drop ('DROP EXTENSION ledger', 'DROP EXTENSION ledger CASCADE', 'BEGIN; DROP EXTENSION IF EXISTS ledger; COMMIT', 'DO $$ BEGIN DROP EXTENSION ledger; END $$',
	'ALTER EXTENSION ledger DROP TABLE ledger_data.reversal; DROP TABLE ledger_data.reversal',
	'ALTER EXTENSION ledger DROP TABLE ledger_data.client; DROP TABLE ledger_data.client',
	'ALTER TABLE ledger_data.client DROP COLUMN previous')
{
	refused($node, 'postgres', "BEGIN; $drop; COMMIT", 'LG402', "$drop is refused");
}
refused($node, 'postgres', $_, '2BP01', "$_ is refused by PostgreSQL") foreach 'DROP SCHEMA ledger_data CASCADE', 'DROP TABLE ledger_data.transfer CASCADE';
refused($node, 'postgres', q{BEGIN; ALTER EXTENSION ledger DROP SCHEMA ledger_data;
	DO $$ DECLARE member text; BEGIN
		FOR member IN SELECT CASE c.relkind WHEN 'r' THEN 'TABLE ' ELSE 'VIEW ' END || c.oid::regclass FROM pg_class AS c
			WHERE c.relnamespace IN ('ledger_data'::regnamespace, 'ledger'::regnamespace) AND c.relkind IN ('r', 'v')
			UNION ALL SELECT 'FUNCTION ' || p.oid::regprocedure FROM pg_proc AS p WHERE p.pronamespace = 'ledger_data'::regnamespace
		LOOP EXECUTE 'ALTER EXTENSION ledger DROP ' || member; END LOOP; END $$;
	DROP SCHEMA ledger_data CASCADE}, 'LG402', 'so is the schema with tables that were taken out of the extension');
refused($node, 'postgres', q{SET ledger.allow_drop = off; DROP EXTENSION ledger}, 'LG402', 'off is off');
refused($node, 'postgres', q{SET ROLE clerk; SET ledger.allow_drop = on}, '42501', 'the setting is a superuser\'s');
$node->safe_psql('postgres', 'CREATE DATABASE theirs');
create_ledger($node, 'theirs');
$node->safe_psql('postgres', 'CREATE DATABASE owned');
$node->safe_psql('owned', 'SET SESSION AUTHORIZATION boss; CREATE EXTENSION ledger');
$node->safe_psql('owned', q{SELECT ledger.create_asset('USD', 2), ledger.open_account('x', 'USD', NULL), ledger.open_account('y', 'USD'); SELECT ledger.transfer('x', 'y', 1)});
refused($node, 'owned', 'DROP OWNED BY boss CASCADE', 'LG402', 'DROP OWNED is refused');
is($sql->('SELECT count(*) FROM ledger.transfers'), $count, 'nothing is gone');
healthy($node, 'postgres', 'after what was refused');

# --- what is no loss passes

$sql->('VACUUM FULL ledger_data.transfer; VACUUM FULL ledger_data.balance; CLUSTER ledger_data.account USING account_pkey; REINDEX SCHEMA ledger_data');
$sql->('CREATE INDEX plain ON ledger_data.transfer (created_at); DROP INDEX ledger_data.plain');
$sql->('ALTER TABLE ledger_data.hold SET (fillfactor = 80); ALTER TABLE ledger_data.hold RESET (fillfactor)');
healthy($node, 'postgres', 'VACUUM FULL, CLUSTER and REINDEX go on');
$node->safe_psql('postgres', 'CREATE DATABASE empty');
$node->safe_psql('empty', 'CREATE EXTENSION ledger; DROP EXTENSION ledger');
$node->safe_psql('empty', 'BEGIN; CREATE EXTENSION ledger; ROLLBACK; CREATE EXTENSION ledger');
$node->safe_psql('empty', q{SELECT ledger.create_asset('USD', 2), ledger.open_account('a', 'USD')});
is($node->psql('empty', 'DROP EXTENSION ledger'), 0, 'a ledger without transfers is dropped');
is($node->psql('empty', 'CREATE EXTENSION ledger; CREATE TABLE t (id int PRIMARY KEY)'), 0, 'and made again');
$node->safe_psql('empty', q{BEGIN; SELECT ledger.create_stock('s', 1); ROLLBACK; DROP EXTENSION ledger; CREATE EXTENSION ledger});
$node->safe_psql('empty', q{SELECT ledger.enable_audit('t'); INSERT INTO t VALUES (1)});
refused($node, 'empty', 'DROP EXTENSION ledger CASCADE', 'LG402', 'audit records alone suffice');
is($node->psql('postgres', 'DROP DATABASE empty'), 0, 'DROP DATABASE passes');

# --- with the setting

is($node->psql('owned', 'SET ledger.allow_drop = on; DROP OWNED BY boss CASCADE'), 0, 'with the setting DROP OWNED drops it');
is($node->psql('theirs', 'BEGIN; SET LOCAL ledger.allow_drop = on; DROP EXTENSION ledger; COMMIT'), 0, 'and DROP EXTENSION');
is($node->psql('theirs', 'CREATE EXTENSION ledger'), 0, 'and it is made again');
my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
$sql->(q{CREATE TABLE cost (sku text PRIMARY KEY); SELECT ledger.enable_audit('cost'); INSERT INTO cost VALUES ('tea')});
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('postgres') ], 'a dump');
$node->command_fails([ 'pg_restore', '-e', '--clean', '--if-exists', '-d', $node->connstr('postgres'), $dump ], 'pg_restore --clean is refused');
is($sql->('SELECT count(*) FROM ledger.transfers'), $count, 'and nothing is gone');
{
	local $ENV{PGOPTIONS} = '-c ledger.allow_drop=on';
	$node->command_ok([ 'pg_restore', '-e', '--clean', '--if-exists', '-d', $node->connstr('postgres'), $dump ], 'and passes with PGOPTIONS');
}
is($sql->('SELECT count(*) FROM ledger.transfers'), $count, 'all is there again');
moved($node, 'postgres', 'a', 'b', 1, 'and in use');
healthy($node, 'postgres', 'restored');

$node->stop;
done_testing();
