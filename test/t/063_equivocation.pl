# What an auditor is shown is not what the ledger works with: a saved copy of the tables behind
# replaced views, functions that say something else, settings of the auditor's role. ledger_verify
# reads the tables, and names what is not as its version ships it.

use strict;
use warnings;

use JSON::PP;
use LedgerTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = ledger_node('equivocation', 'fsync = off', 'ledger.worker = off');
create_ledger($node, 'postgres');
my $sql = sub { return $node->safe_psql('postgres', $_[0]) };
my $directory = PostgreSQL::Test::Utils::tempdir();
my $verify = "$ENV{LEDGER_BUILD}/ledger_verify";

sub write_file
{
	my ($name, $content) = @_;
	open my $file, '>', "$directory/$name" or die "$name: $!";
	print $file $content;
	close $file;
	return "$directory/$name";
}

sub outside
{
	my ($database, $user, @arguments) = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run([ $verify, '-d', $node->connstr($database) . " user=$user", @arguments ], '>', \$out, '2>', \$err);
	return ($? >> 8, "$out$err");
}

sub verdict
{
	my ($status, $words, $name, $database, $user, @arguments) = @_;
	my ($is, $told) = outside($database, $user, @arguments);
	is($is, $status, "$name: exit status") or diag $told;
	like($told, $words, "$name: what it says");
	return;
}

my $superuser = $sql->('SELECT current_user');
$sql->(q{
	CREATE ROLE auditor LOGIN;
	SELECT ledger.grant_access('auditor', 'auditor');
	CREATE TABLE price (sku text PRIMARY KEY, cents int);
	SELECT ledger.enable_audit('price');
	INSERT INTO price SELECT 'sku ' || i, i FROM generate_series(1, 20) AS i;
	SELECT count(ledger.transfer('a', 'b', 0.01)) FROM generate_series(1, 50);
	SELECT ledger.post_hold(ledger.hold('a', 'b', 5), 2, final => false);
	SELECT ledger.seal();
});
my $digest = write_file('digest.json', $sql->('SELECT ledger.digest()'));
my @digest = ('--digest', $digest);

# --- words and exit codes are exact

verdict(0, qr/^53 transfers.*3 balances\nintact$/ms, 'with a digest', 'postgres', 'auditor', @digest);
verdict(3, qr/^no digest was given.*\nconsistent$/ms, 'without a digest', 'postgres', 'auditor');
my $json = decode_json((outside('postgres', 'auditor', '--json'))[1]);
is("$json->{verdict} $json->{counts}{balances} $json->{counts}{digest_of_seal}", 'consistent 3 0', 'as JSON, without a digest');
$json = decode_json((outside('postgres', 'auditor', '--json', @digest))[1]);
is("$json->{verdict} $json->{counts}{digests} $json->{counts}{digest_of_seal}", 'intact 1 1', 'and with one');
my $views = { 'transfers.copy' => 'transfer_records ORDER BY id', 'audit.copy' => 'audit_records ORDER BY id', 'seals.copy' => 'seal_records ORDER BY number' };
$sql->(join "\n", map { "\\copy (SELECT * FROM ledger.$views->{$_}) TO '$directory/$_'" } sort keys %$views);
my ($out, $err);
foreach my $case ([ 3, qr/consistent/ ], [ 0, qr/^intact/m, @digest ])
{
	my ($status, $words, @arguments) = @$case;
	IPC::Run::run([ $verify, '--export', $directory, @arguments ], '>', \$out, '2>', \$err);
	is($? >> 8, $status, 'an export ' . (@arguments ? 'with' : 'without') . ' a digest: exit status');
	like($out, $words, 'and what it says');
}
$sql->(q{SELECT ledger.transfer('a', 'b', 0.01); SELECT ledger.seal()});
verdict(0, qr/the newest digest is of seal 1: nothing shows that later records/, 'a digest of an earlier seal', 'postgres', 'auditor', @digest);

# --- the script for every night, as docs/ledger_verify.md has it

my ($script) = slurp_file('docs/ledger_verify.md') =~ /^## Every night.*?^```sh\n(.*?)^```/ms or die 'no script';
sub night
{
	my ($status, $name, $database) = @_;
	my $connection = $node->connstr($database) . " user=$superuser";
	(my $text = $script) =~ s/host=db\.example dbname=shop user=auditor/$connection/g;
	$text =~ s{/var/lib/audit}{$directory/nights};
	local $ENV{PATH} = "$ENV{LEDGER_BUILD}:$ENV{PATH}";
	my $output = '';
	IPC::Run::run([ 'sh', '-e', write_file('night', $text) ], '>&', \$output);
	is($? >> 8, $status, "$name: exit status") or diag $output;
	return map { slurp_file($_) } glob "$directory/nights/digests/*.json";
}
mkdir "$directory/$_" foreach 'nights', 'nights/digests';
$sql->('CREATE DATABASE night');
create_ledger($node, 'night');
my @kept = night(2, 'nothing is sealed', 'night');
is(scalar @kept, 0, 'no digest is kept');
$node->safe_psql('night', q{SELECT ledger.transfer('a', 'b', 1); SELECT ledger.seal()});
@kept = night(0, 'the first night', 'night');
is("@kept", $node->safe_psql('night', 'SELECT ledger.digest()') . "\n", 'its digest is kept');
rename $_, "$directory/nights/digests/2000-01-01.json" foreach glob "$directory/nights/digests/*.json";
$node->safe_psql('night', q{SELECT ledger.transfer('a', 'b', 1); SELECT ledger.seal()});
@kept = night(0, 'the second night', 'night');
is(scalar @kept, 2, 'another digest is kept');
$node->safe_psql('night', 'SET session_replication_role = replica; UPDATE ledger_data.transfer SET amount = amount + 1');
unlink grep { !/2000/ } glob "$directory/nights/digests/*.json";
@kept = night(1, 'something is wrong', 'night');
is(scalar @kept, 1, 'then no digest is fetched');
$sql->('DROP DATABASE night');

# --- nothing that the role or the database is set to matters

$sql->(q{
	CREATE SCHEMA evil;
	CREATE FUNCTION evil.encode(bytea, text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'hijacked'; END $$;
	CREATE FUNCTION evil.times(numeric, integer) RETURNS numeric LANGUAGE plpgsql AS $$ BEGIN RAISE 'hijacked'; END $$;
	CREATE OPERATOR evil.* (LEFTARG = numeric, RIGHTARG = integer, FUNCTION = evil.times);
	CREATE TABLE evil.pg_class AS SELECT 1 AS nothing;
	GRANT USAGE ON SCHEMA evil TO PUBLIC;
	ALTER ROLE auditor SET search_path = evil, pg_catalog;
	ALTER ROLE auditor SET DateStyle = 'German';
	ALTER ROLE auditor SET bytea_output = 'escape';
	ALTER ROLE auditor SET enable_seqscan = off;
	ALTER ROLE auditor SET statement_timeout = '50ms';
	ALTER ROLE auditor SET quote_all_identifiers = on;
});
verdict(0, qr/^intact$/m, 'settings of the role', 'postgres', 'auditor', @digest);
$sql->('ALTER ROLE auditor RESET ALL; SET client_min_messages = warning; DROP SCHEMA evil CASCADE');

# Operators and functions that were planted in pg_catalog, and fit better than PostgreSQL's own where a
# type has to be cast. One of them shows a record's time of before.

my $moment = $sql->('SELECT id FROM ledger_data.transfer ORDER BY id LIMIT 1');
my ($before, $after) = map { $sql->("SELECT EXTRACT(epoch FROM created_at + '$_') FROM ledger_data.transfer WHERE id = $moment") } '0', '1 hour';
my $shift = sub { return "SET session_replication_role = replica; UPDATE ledger_data.transfer SET created_at = created_at + '$_[0]' WHERE id = $moment;" };
$sql->($shift->('1 hour') . qq{
	CREATE FUNCTION pg_catalog.planted_times(numeric, integer) RETURNS numeric LANGUAGE plpgsql AS \$\$
		BEGIN RETURN CASE \$1 WHEN $after THEN $before ELSE \$1 END * \$2::numeric; END \$\$;
	CREATE OPERATOR pg_catalog.* (LEFTARG = numeric, RIGHTARG = integer, FUNCTION = pg_catalog.planted_times)});
verdict(1, qr/^altered: transfer .* id $moment:/m, 'an operator that hides a time', 'postgres', 'auditor', @digest);
$sql->($shift->('-1 hour') . 'DROP OPERATOR pg_catalog.* (numeric, integer); DROP FUNCTION pg_catalog.planted_times(numeric, integer)');
verdict(0, qr/^intact$/m, 'taken back', 'postgres', 'auditor', @digest);

my @planted = (
	[ '||', 'name', 'text', 'text' ], [ '||', 'name', 'name', 'text' ], [ '!~', 'name', 'name', 'boolean' ], [ '=', 'oid', 'regclass', 'boolean' ],
	[ '*', 'numeric', 'integer', 'numeric' ]);
my (@plant, @pull);
while (my ($i, $operator) = each @planted)
{
	my ($name, $left, $right, $result) = @$operator;
	push @plant, "CREATE FUNCTION pg_catalog.planted_$i($left, $right) RETURNS $result LANGUAGE plpgsql AS \$\$ BEGIN RAISE 'planted'; END \$\$",
	  "CREATE OPERATOR pg_catalog.$name (LEFTARG = $left, RIGHTARG = $right, FUNCTION = pg_catalog.planted_$i)";
	unshift @pull, "DROP OPERATOR pg_catalog.$name ($left, $right)", "DROP FUNCTION pg_catalog.planted_$i($left, $right)";
}
my $texts = join ', ', ('text') x 8;
foreach my $function ("concat_ws($texts)", 'quote_literal(name)')
{
	push @plant, "CREATE FUNCTION pg_catalog.$function RETURNS text LANGUAGE plpgsql AS \$\$ BEGIN RAISE 'planted'; END \$\$";
	unshift @pull, "DROP FUNCTION pg_catalog.$function";
}
# Only functions of the server's own code take literals without a type. These fail when they are called.
foreach my $function ('encode(bytea, unknown) RETURNS text', 'extract(unknown, timestamptz) RETURNS numeric', 'current_setting(unknown) RETURNS text',
	'set_config(unknown, text, boolean) RETURNS text', 'replace(text, unknown, unknown) RETURNS text', 'has_schema_privilege(oid, unknown) RETURNS boolean',
	'has_table_privilege(oid, unknown) RETURNS boolean')
{
	my ($name) = $function =~ /^(.*?) RETURNS/;
	push @plant, "CREATE FUNCTION pg_catalog.$function LANGUAGE internal AS 'trigger_in'";
	unshift @pull, "DROP FUNCTION pg_catalog.$name";
}
$sql->(join ';', @plant);
verdict(0, qr/^intact$/m, 'none that was planted is called', 'postgres', 'auditor', @digest);
$sql->(join ';', @pull);

# --- a saved copy of the tables, shown through replaced views

my @records = qw(transfer audit seal);
my %view = map { $_ => $sql->("SELECT pg_get_viewdef('ledger.${_}_records'::regclass)") } @records;
my $show = sub {
	my ($query) = @_;
	my $replaced = join '', map { "CREATE OR REPLACE VIEW ledger.${_}_records AS " . ($view{$_} =~ s/ledger_data\.$_\b/public.saved_$_/r) } @records;
	return join '', (map { "CREATE TABLE saved_$_ AS TABLE ledger_data.$_;" } @records), $replaced, (map { "GRANT SELECT ON ledger.${_}_records TO auditor;" } @records);
};
my $restore_views = join '', (map { "CREATE OR REPLACE VIEW ledger.${_}_records AS $view{$_}" } @records), (map { "DROP TABLE saved_$_;" } @records);
$sql->($show->());
my $altered = $sql->('SELECT id FROM ledger_data.transfer WHERE amount = 1 ORDER BY id LIMIT 1');
$sql->("SET session_replication_role = replica; UPDATE ledger_data.transfer SET amount = 2 WHERE id = $altered");
is($sql->("SET ROLE auditor; SELECT amount FROM ledger.transfer_records WHERE id = $altered"), '1', 'the view shows what was');
verdict(1, qr/^altered: transfer .* id $altered:/m, 'a saved copy behind the views', 'postgres', 'auditor', @digest);
verdict(1, qr/^altered: definition: view ledger\.transfer_records reads public\.saved_transfer$/m, 'and the views', 'postgres', 'auditor', @digest);
$sql->("SET session_replication_role = replica; UPDATE ledger_data.transfer SET amount = 1 WHERE id = $altered; $restore_views");
verdict(0, qr/^intact$/m, 'taken back', 'postgres', 'auditor', @digest);

# --- definitions that are not those of the version; each is taken back

my $balance = q{INOUT account text, OUT asset text, OUT posted numeric, OUT held numeric, OUT incoming numeric, OUT available numeric};
my @cases = (
	[ 'a view that hides a row', "CREATE OR REPLACE VIEW ledger.transfers AS " . ($sql->("SELECT pg_get_viewdef('ledger.transfers'::regclass)") =~ s/;$/ WHERE t.id <> $altered/r),
		"CREATE OR REPLACE VIEW ledger.transfers AS " . $sql->("SELECT pg_get_viewdef('ledger.transfers'::regclass)"), qr/view ledger\.transfers is not that of version/ ],
	[ 'a function that says something else', q{CREATE OR REPLACE FUNCTION ledger.verify(scope text DEFAULT NULL, OUT scope text, OUT lane integer, OUT seq bigint, OUT id bigint, OUT problem text)
		RETURNS SETOF record LANGUAGE sql AS $$ SELECT NULL::text, 1, 1::bigint, 1::bigint, ''::text WHERE false $$},
		q{CREATE OR REPLACE FUNCTION ledger.verify(scope text DEFAULT NULL, OUT scope text, OUT lane integer, OUT seq bigint, OUT id bigint, OUT problem text) RETURNS SETOF record
		LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ SELECT v.* FROM ledger_data.verify($1) AS v $$},
		qr/function ledger\.verify is not that of version/ ],
	[ 'a symbol of another library', "CREATE OR REPLACE FUNCTION ledger_data.guard() RETURNS trigger LANGUAGE internal AS 'suppress_redundant_updates_trigger'",
		"CREATE OR REPLACE FUNCTION ledger_data.guard() RETURNS trigger LANGUAGE c AS '\$libdir/ledger', 'ledger_guard'", qr/function ledger_data\.guard is not that of version/ ],
	[ 'a function beside ours', 'CREATE FUNCTION ledger.balance(varchar) RETURNS numeric LANGUAGE sql AS $$ SELECT 1.0 $$', 'DROP FUNCTION ledger.balance(varchar)',
		qr/definition: function ledger\.balance is n/ ],
	[ 'a guard that is off', 'ALTER TABLE ledger_data.transfer DISABLE TRIGGER guard', 'ALTER TABLE ledger_data.transfer ENABLE TRIGGER guard', qr/the guard of table ledger_data\.transfer/ ],
	[ 'a guard of fewer events', 'CREATE OR REPLACE TRIGGER guard BEFORE DELETE ON ledger_data.seal FOR EACH STATEMENT EXECUTE FUNCTION ledger_data.guard()',
		'CREATE OR REPLACE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON ledger_data.seal FOR EACH STATEMENT EXECUTE FUNCTION ledger_data.guard()',
		qr/the guard of table ledger_data\.seal/ ],
	[ 'no guard', 'DROP TRIGGER guard ON ledger_data.audit',
		'CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON ledger_data.audit FOR EACH STATEMENT EXECUTE FUNCTION ledger_data.guard()',
		qr/table ledger_data\.audit has no guard/ ],
	[ 'a guard of some columns', 'DROP TRIGGER guard ON ledger_data.transfer;
		CREATE TRIGGER guard BEFORE INSERT OR UPDATE OF created_at OR DELETE OR TRUNCATE ON ledger_data.transfer FOR EACH STATEMENT EXECUTE FUNCTION ledger_data.guard()',
		'DROP TRIGGER guard ON ledger_data.transfer;
		CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON ledger_data.transfer FOR EACH STATEMENT EXECUTE FUNCTION ledger_data.guard()',
		qr/the guard of table ledger_data\.transfer/ ],
	[ 'a guard with a condition', 'DROP TRIGGER guard ON ledger_data.transfer;
		CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON ledger_data.transfer FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION ledger_data.guard()',
		'DROP TRIGGER guard ON ledger_data.transfer;
		CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON ledger_data.transfer FOR EACH STATEMENT EXECUTE FUNCTION ledger_data.guard()',
		qr/the guard of table ledger_data\.transfer/ ],
	[ 'a guard that is deferrable', "UPDATE pg_trigger SET tgdeferrable = true WHERE tgname = 'guard' AND tgrelid = 'ledger_data.seal'::regclass",
		"UPDATE pg_trigger SET tgdeferrable = false WHERE tgname = 'guard' AND tgrelid = 'ledger_data.seal'::regclass", qr/the guard of table ledger_data\.seal/ ],
	[ 'a table that is said to have no triggers', "UPDATE pg_class SET relhastriggers = false WHERE oid = 'ledger_data.transfer'::regclass",
		"UPDATE pg_class SET relhastriggers = true WHERE oid = 'ledger_data.transfer'::regclass", qr/the guard of table ledger_data\.transfer/ ],
	[ 'a trigger that is said to be internal', q{CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
		CREATE TRIGGER other BEFORE DELETE ON ledger_data.hold FOR EACH ROW EXECUTE FUNCTION other(); UPDATE pg_trigger SET tgisinternal = true WHERE tgname = 'other'},
		q{UPDATE pg_trigger SET tgisinternal = false WHERE tgname = 'other'; DROP FUNCTION other CASCADE}, qr/table ledger_data\.hold has a trigger other/ ],
	[ 'guards off in the database', 'ALTER DATABASE postgres SET session_replication_role = replica', 'ALTER DATABASE postgres RESET session_replication_role',
		qr/^inserted: definition: session_replication_role=replica is set for all roles/m ],
	[ 'guards off for a role', "ALTER ROLE $superuser SET session_replication_role = 'Replica'", "ALTER ROLE $superuser RESET session_replication_role",
		qr/^inserted: definition: session_replication_role=replica is set for the role $superuser/m ],
	[ 'guards off for everybody', 'ALTER ROLE ALL SET session_replication_role = replica', 'ALTER ROLE ALL RESET session_replication_role',
		qr/^inserted: definition: session_replication_role=replica is set for all roles/m ],
	[ 'a column of another type', q{CREATE DOMAIN moment AS timestamptz;
		UPDATE pg_attribute SET atttypid = 'moment'::regtype WHERE attrelid = 'ledger_data.seal'::regclass AND attname = 'sealed_at'},
		q{UPDATE pg_attribute SET atttypid = 'timestamptz'::regtype WHERE attrelid = 'ledger_data.seal'::regclass AND attname = 'sealed_at'; DROP DOMAIN moment}, qr/table ledger_data\.seal has a column of a type that PostgreSQL does not ship/ ],
	[ 'a function of PostgreSQL that was replaced', q{CREATE FUNCTION pg_catalog.other_mul(numeric, numeric) RETURNS numeric LANGUAGE internal IMMUTABLE STRICT AS 'numeric_mul';
		CREATE OR REPLACE FUNCTION pg_catalog.numeric_mul(numeric, numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$ SELECT pg_catalog.other_mul($1, $2) $$},
		q{CREATE OR REPLACE FUNCTION pg_catalog.numeric_mul(numeric, numeric) RETURNS numeric LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'numeric_mul';
		DROP FUNCTION pg_catalog.other_mul(numeric, numeric)}, qr/function pg_catalog\.numeric_mul is not PostgreSQL's own/ ],
	[ 'an operator of PostgreSQL that calls another function', q{CREATE FUNCTION pg_catalog.other_mul(numeric, numeric) RETURNS numeric LANGUAGE internal IMMUTABLE STRICT AS 'numeric_mul';
		UPDATE pg_operator SET oprcode = 'pg_catalog.other_mul' WHERE oid = 'pg_catalog.*(numeric, numeric)'::regoperator},
		q{UPDATE pg_operator SET oprcode = 'pg_catalog.numeric_mul' WHERE oid = 'pg_catalog.*(numeric, numeric)'::regoperator;
		DROP FUNCTION pg_catalog.other_mul(numeric, numeric)}, qr/operator \* calls a function that PostgreSQL does not ship/ ],
	[ 'a table that inherits', 'CREATE TABLE heir () INHERITS (ledger_data.seal)', 'DROP TABLE heir', qr/table ledger_data\.seal inherits or is inherited from/ ],
	[ 'a rule', 'CREATE RULE r AS ON DELETE TO ledger_data.transfer DO INSTEAD NOTHING', 'DROP RULE r ON ledger_data.transfer', qr/table ledger_data\.transfer has a rule/ ],
	[ 'an index that is not ready', "UPDATE pg_index SET indisready = false WHERE indexrelid = 'ledger_data.account_code_key'::regclass",
		"UPDATE pg_index SET indisready = true WHERE indexrelid = 'ledger_data.account_code_key'::regclass", qr/index ledger_data\.account_code_key is not kept up to date/ ],
	[ 'a table taken out of the extension', 'ALTER EXTENSION ledger DROP TABLE ledger_data.transfer', 'ALTER EXTENSION ledger ADD TABLE ledger_data.transfer',
		qr/table ledger_data\.transfer is none of the extension/ ]);
foreach my $case (@cases)
{
	my ($name, $do, $undo, $words) = @$case;
	$sql->($do);
	verdict(1, $words, $name, 'postgres', 'auditor', @digest);
	$sql->($undo);
}
verdict(0, qr/^intact$/m, 'all taken back', 'postgres', 'auditor', @digest);

# In the server's files it is for everybody, too.
$sql->('ALTER SYSTEM SET session_replication_role = replica; SELECT pg_reload_conf()');
$node->poll_query_until('postgres', 'SHOW session_replication_role', 'replica') or die 'not set';
verdict(1, qr/^inserted: definition: session_replication_role is replica in this session/m, 'guards off in the server', 'postgres', 'auditor', @digest);
$sql->('ALTER SYSTEM RESET session_replication_role; SELECT pg_reload_conf()');
$node->poll_query_until('postgres', 'SHOW session_replication_role', 'origin') or die 'not reset';

# A setting that another database has is no matter of this one; nor is what every session has.
$sql->('ALTER DATABASE template1 SET session_replication_role = replica; ALTER DATABASE postgres SET session_replication_role = origin');
verdict(0, qr/^intact$/m, 'settings that change nothing', 'postgres', 'auditor', @digest);
$sql->('ALTER DATABASE template1 RESET session_replication_role; ALTER DATABASE postgres RESET session_replication_role');

# Row-level security would hide rows: then nothing is verified.
$sql->(q{ALTER TABLE ledger_data.transfer ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON ledger_data.transfer USING (amount > 1)});
verdict(2, qr/table ledger_data\.transfer has row-level security/, 'row-level security', 'postgres', 'auditor', @digest);
$sql->(q{DROP POLICY few ON ledger_data.transfer; ALTER TABLE ledger_data.transfer DISABLE ROW LEVEL SECURITY});

# A view under the table's name.
$sql->(q{ALTER TABLE ledger_data.transfer RENAME TO hidden; CREATE TABLE saved AS TABLE ledger_data.hidden;
	CREATE VIEW ledger_data.transfer AS TABLE saved; GRANT SELECT ON ledger_data.transfer TO auditor});
verdict(2, qr/table ledger_data\.transfer is no ordinary table/, 'a view in the place of the table', 'postgres', 'auditor', @digest);
$sql->(q{DROP VIEW ledger_data.transfer; ALTER TABLE ledger_data.hidden RENAME TO transfer; DROP TABLE saved});
verdict(0, qr/^intact$/m, 'taken back', 'postgres', 'auditor', @digest);

# --- servers with the SQL of an earlier version

foreach my $release ('0.1', '0.2')
{
	my $database = "release $release";
	$sql->(qq{CREATE DATABASE "$database"});
	create_ledger($node, $database, $release);
	$node->safe_psql($database, q{SELECT ledger.seal(); SELECT ledger.grant_access('auditor', 'auditor')});
	my $old = write_file("digest_$release.json", $node->safe_psql($database, 'SELECT ledger.digest()'));
	verdict(2, qr/role "auditor" may not read ledger_data\.transfer.*ALTER EXTENSION ledger UPDATE.*grant_access\('auditor', 'auditor'\)/,
		"$release: the auditor of before is told what to do", $database, 'auditor', '--digest', $old);
	verdict(0, qr/^intact$/m, "$release: a superuser verifies", $database, $superuser, '--digest', $old);
	$node->safe_psql($database, q{ALTER EXTENSION ledger UPDATE; SELECT ledger.grant_access('auditor', 'auditor')});
	verdict(0, qr/^intact$/m, "$release, updated: the auditor verifies", $database, 'auditor', '--digest', $old);
}
$sql->('CREATE DATABASE without');
verdict(2, qr/has no extension ledger/, 'no ledger', 'without', 'auditor');

# --- the level

refused($node, 'postgres', "SET ROLE auditor; $_", '42501', "an auditor's: $_")
  foreach 'DELETE FROM ledger_data.transfer', 'SELECT * FROM ledger_data.client', 'SELECT * FROM ledger_data.balance', 'CREATE TABLE ledger_data.t ()';
$sql->(q{SELECT ledger.revoke_access('auditor')});
verdict(2, qr/may not read ledger_data/, 'revoked', 'postgres', 'auditor');

healthy($node, 'postgres', 'at the end');
$node->stop;
done_testing();
