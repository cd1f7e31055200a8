# The audit cannot be switched off unseen: DDL on an audited table is recorded, and refused or undone where
# it would weaken the audit; check_audit() finds what was done by other ways. Restores work as before.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# A worker at work makes DROP EXTENSION fail at times: deadlock detected.
my $node = ledger_node('audit_ddl', 'ledger.worker = off');
my $dir = PostgreSQL::Test::Utils::tempdir();
my $sql = sub { my ($statement, $database) = @_; return $node->safe_psql($database // 'postgres', $statement) };

# What check_audit() says, one problem a line.
sub problems
{
	my ($database) = @_;
	return $sql->(q{SELECT relation || ': ' || problem FROM ledger.check_audit() ORDER BY 1}, $database);
}

# The records of a table since the last look, without the ENABLE.
my %seen;
sub records
{
	my ($table, $database) = @_;
	$database //= 'postgres';
	my $since = $seen{"$database $table"} // 0;
	my @rows = split /\n/, $sql->(qq{SELECT id || '|' || operation || coalesce(' ' || (new ->> 'command'), '') ||
		coalesce(' ' || (SELECT string_agg(o, ', ') FROM jsonb_array_elements_text(new -> 'objects') AS o), '') ||
		coalesce((SELECT string_agg(' ' || n, '' ORDER BY n) FROM jsonb_object_keys(CASE operation WHEN 'DDL' THEN new - 'command' - 'objects' END) AS n), '')
		FROM (SELECT a.id, a.relation, a.operation, a.new::jsonb AS new FROM ledger.audit_log AS a) AS l WHERE relation = '$table' AND operation <> 'ENABLE' AND id > $since ORDER BY id}, $database);
	$seen{"$database $table"} = (split /\|/, $rows[-1])[0] if @rows;
	return join '; ', map { s/^\d+\|//r } @rows;
}

# A table that is audited, with two rows.
sub audited
{
	my ($name) = @_;
	$sql->("CREATE TABLE $name (id integer PRIMARY KEY, note text, secret text); SELECT ledger.enable_audit('$name', '{secret}');
		INSERT INTO $name VALUES (1, 'a', 's'), (2, 'b', 's')");
	records("public.$name");
	return;
}

$sql->(q{
	CREATE EXTENSION ledger;
	CREATE ROLE other LOGIN;
	CREATE ROLE owner LOGIN;
	GRANT CREATE ON SCHEMA public TO owner, other;
	GRANT USAGE ON SCHEMA ledger TO other;
	GRANT EXECUTE ON FUNCTION ledger.audit() TO other;
	CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
});

# --- what is refused

audited('t');
$sql->('GRANT ALL ON t TO other');
my $replace = 'CREATE OR REPLACE TRIGGER ledger_audit_row AFTER';
my $each = 'ON t FOR EACH ROW';
my $call = "EXECUTE FUNCTION ledger.audit('secret')";
foreach my $attack (
	[ "SET ROLE other; $replace INSERT OR UPDATE OR DELETE $each WHEN (false) $call", 'a WHEN clause, by the privilege TRIGGER' ],
	[ "SET ROLE other; $replace INSERT OR DELETE $each $call", 'fewer events' ],
	[ "SET ROLE other; $replace INSERT OR UPDATE OF note OR DELETE $each $call", 'fewer columns' ],
	[ "$replace INSERT OR UPDATE OR DELETE $each EXECUTE FUNCTION nothing()", 'another function' ],
	[ "SET ROLE other; $replace INSERT OR UPDATE OR DELETE $each EXECUTE FUNCTION ledger.audit('secret', 'note')", 'more columns excluded' ],
	[ "SET ROLE other; $replace INSERT OR UPDATE OR DELETE $each $call", 'the same, but for its state' ],
	[ 'DROP TRIGGER ledger_audit_row ON t', 'DROP TRIGGER' ],
	[ 'DROP TRIGGER ledger_audit_statement ON t', 'DROP TRIGGER of the statement trigger' ],
	[ 'DROP TRIGGER ledger_audit_truncate ON t', 'DROP TRIGGER of the TRUNCATE trigger' ],
	[ 'ALTER TRIGGER ledger_audit_row ON t RENAME TO other', 'ALTER TRIGGER RENAME' ],
	[ 'ALTER TABLE t DISABLE TRIGGER ledger_audit_row', 'DISABLE TRIGGER by name' ],
	[ 'ALTER TABLE t ENABLE TRIGGER ledger_audit_row', 'ENABLE TRIGGER by name' ],
	[ 'ALTER TABLE t ENABLE REPLICA TRIGGER ledger_audit_truncate', 'ENABLE REPLICA TRIGGER by name' ],
	[ 'SET session_replication_role = replica; ALTER TABLE t DISABLE TRIGGER ledger_audit_row', 'DISABLE TRIGGER in a replica' ],
	[ 'ALTER TABLE t DISABLE TRIGGER ALL, ADD CHECK (id > 0)', 'DISABLE TRIGGER ALL with something else' ],
	[ 'ALTER TABLE t SET UNLOGGED', 'SET UNLOGGED' ],
	[ q{DO $$BEGIN ALTER TABLE t DISABLE TRIGGER ledger_audit_row; UPDATE t SET note = 'unseen'; ALTER TABLE t ENABLE ALWAYS TRIGGER ledger_audit_row; END$$}, 'DISABLE TRIGGER in a DO block' ],
	[ q{CREATE FUNCTION off() RETURNS void LANGUAGE sql AS 'DROP TRIGGER ledger_audit_row ON t'; SELECT off()}, 'DROP TRIGGER in a function' ])
{
	my ($statement, $name) = @$attack;
	refused($node, 'postgres', $statement, 'LG403', "refused: $name");
}
is(problems(), '', 'after what was refused all is well');
is(records('public.t'), '', 'what was refused is not recorded');
like($sql->(q{DO $$BEGIN DROP TRIGGER ledger_audit_row ON t; EXCEPTION WHEN SQLSTATE 'LG403' THEN UPDATE t SET note = 'c' WHERE id = 1; END$$; SELECT operation FROM ledger.audit_log WHERE relation = 'public.t' ORDER BY id DESC LIMIT 1}),
	qr/^UPDATE$/, 'a refusal that is caught leaves the audit on');
records('public.t');

refused($node, 'postgres', q{CREATE UNLOGGED TABLE loose (id integer PRIMARY KEY); SELECT ledger.enable_audit('loose')}, '42809', 'an unlogged table cannot be audited');

# --- what is recorded

my @recorded = (
	[ 'ALTER TABLE t ADD COLUMN age integer', 'ALTER TABLE', qr/columns/ ],
	[ 'ALTER TABLE t ALTER COLUMN note TYPE varchar USING upper(note)', 'ALTER TABLE', qr/columns rewritten/ ],
	[ 'ALTER TABLE t DROP COLUMN age', 'ALTER TABLE', qr/table column public.t.age columns/ ],
	[ 'CREATE INDEX t_note ON t (note)', 'CREATE INDEX', qr/index public.t_note/ ],
	[ 'CREATE TRIGGER mine BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION nothing()', 'CREATE TRIGGER', qr/trigger mine on public.t/ ],
	[ 'ALTER TABLE t DISABLE TRIGGER mine', 'ALTER TABLE', qr/trigger mine on public.t/ ],
	[ 'DROP TRIGGER mine ON t', 'DROP TRIGGER', qr/trigger mine on public.t/ ],
	[ 'CREATE RULE gone AS ON DELETE TO t DO INSTEAD NOTHING', 'CREATE RULE', qr/rule gone on public.t/ ],
	[ 'DROP RULE gone ON t', 'DROP RULE', qr/rule gone on public.t/ ],
	[ 'CREATE POLICY p ON t USING (false)', 'CREATE POLICY', qr/policy p on public.t/ ],
	[ 'ALTER TABLE t ADD CONSTRAINT positive CHECK (id > 0)', 'ALTER TABLE', qr/constraint positive on public.t/ ],
	[ 'ALTER TABLE t ALTER COLUMN note SET DEFAULT 7', 'ALTER TABLE', qr/public.t.note/ ],
	[ 'ALTER TABLE t OWNER TO owner', 'ALTER TABLE', qr/table public.t/ ],
	[ 'DO $$BEGIN ALTER TABLE t SET (fillfactor = 50); END$$', 'ALTER TABLE', qr/table public.t/ ],
	# These alter the row of an index in pg_index.
	[ 'ALTER TABLE t CLUSTER ON t_note', 'ALTER TABLE', qr/index public.t_note/ ],
	[ 'ALTER TABLE t ALTER COLUMN note TYPE text', 'ALTER TABLE', qr/table column public.t.note.* columns/ ],
	[ 'ALTER TABLE t SET WITHOUT CLUSTER', 'ALTER TABLE', qr/index public.t_note/ ],
	[ 'CREATE UNIQUE INDEX t_one ON t (id); CREATE UNIQUE INDEX t_two ON t (id)', 'CREATE INDEX', qr/index public.t_two/ ],
	[ 'ALTER TABLE t ADD CONSTRAINT t_two UNIQUE USING INDEX t_two DEFERRABLE', 'ALTER TABLE', qr/constraint t_two on public.t/ ],
	[ 'ALTER TABLE t DROP CONSTRAINT t_pkey, ADD CONSTRAINT t_pkey PRIMARY KEY USING INDEX t_one', 'ALTER TABLE', qr/constraint t_pkey on public.t/ ],
	[ 'ALTER TABLE t REPLICA IDENTITY USING INDEX t_pkey', 'ALTER TABLE', undef ],
	[ 'ALTER TABLE t REPLICA IDENTITY DEFAULT', 'ALTER TABLE', undef ]);
foreach my $case (@recorded)
{
	my ($statement, $command, $what) = @$case;
	$sql->($statement);
	my $found = records('public.t');
	like($found, qr/^DDL $command .*$what/, "recorded: $statement") if $what;
}
$sql->('BEGIN; SAVEPOINT a; ALTER TABLE t ADD COLUMN x integer; ROLLBACK TO a; COMMIT');
is(records('public.t'), '', 'what a savepoint takes back is not recorded');
$sql->('BEGIN; SAVEPOINT a; ALTER TABLE t ADD COLUMN x integer; RELEASE a; ALTER TABLE t DROP COLUMN x; COMMIT');
like(records('public.t'), qr/^DDL [^;]*columns; DDL [^;]*$/, 'two commands are two records');
$sql->('VACUUM FULL t; CLUSTER t USING t_pkey; REINDEX TABLE t; ANALYZE t');
is(records('public.t'), '', 'maintenance is not DDL');
$sql->('ALTER TABLE t RENAME TO u');
like(records('public.u'), qr/^DDL ALTER TABLE table public.t? ?.*renamed_from$|^DDL ALTER TABLE .*renamed_from$/, 'recorded: RENAME, under the new name');
is($sql->(q{SELECT new ->> 'renamed_from' FROM ledger.audit_log ORDER BY id DESC LIMIT 1}), 'public.t', 'and with the old one');
$sql->('CREATE SCHEMA s; ALTER TABLE u SET SCHEMA s; ALTER SCHEMA s RENAME TO z');
like(records('z.u'), qr/^DDL ALTER SCHEMA schema z renamed_from$/, 'recorded: the renaming of a schema');
is(problems(), '', 'after what was recorded all is well');
$sql->('DROP SCHEMA z CASCADE');
is(records('z.u'), 'DDL DROP SCHEMA table z.u dropped', 'recorded: DROP SCHEMA CASCADE');
is(problems(), '', 'a table that was dropped is not missed');
foreach my $drop ('DROP TABLE d', 'DROP OWNED BY owner')
{
	audited('d');
	$sql->("ALTER TABLE d OWNER TO owner; $drop");
	my ($command) = $drop =~ /^(DROP \w+)/;
	like(records('public.d'), qr/DDL $command table public.d dropped$/, "recorded: $drop");
}
is(problems(), '', 'nor are tables of the same name, one after the other');

# --- what is undone

audited('r');
foreach my $change ('DISABLE TRIGGER ALL', 'ENABLE TRIGGER ALL', 'DISABLE TRIGGER USER', 'ENABLE TRIGGER USER')
{
	my ($stdout, $stderr);
	$node->psql('postgres', "ALTER TABLE r $change; UPDATE r SET note = '$change'", stderr => \$stderr);
	like($stderr, qr/NOTICE:  the audit of public.r stays enabled/, "$change: says so");
	like(records('public.r'), qr/^DDL ALTER TABLE .*rearmed; UPDATE; UPDATE$/, "$change: the audit stays on");
	is($sql->(q{SELECT string_agg(tgenabled, '') FROM pg_trigger WHERE tgrelid = 'r'::regclass}), 'AAA', "$change: always");
}
$sql->(q{ALTER TABLE r DISABLE TRIGGER ALL; SET session_replication_role = replica; UPDATE r SET note = 'replica' WHERE id = 1});
like(records('public.r'), qr/rearmed; UPDATE$/, 'in a replica too');
is(problems(), '', 'undone: all is well');

# pg_restore --disable-triggers, into a ledger that is in use.
$node->command_ok([ 'pg_dump', '-Fc', '-t', 'r', '-f', "$dir/r.dump", $node->connstr('postgres') ], 'pg_dump of a table');
$sql->('DELETE FROM r');
records('public.r');
$node->command_ok([ 'pg_restore', '-e', '--data-only', '--disable-triggers', '-d', $node->connstr('postgres'), "$dir/r.dump" ], 'pg_restore --disable-triggers');
like(records('public.r'), qr/^DDL [^;]*rearmed; INSERT; INSERT; DDL [^;]*rearmed$/, 'pg_restore --disable-triggers is logged');

# --- partitions

$sql->(q{
	CREATE TABLE p (id integer PRIMARY KEY, note text) PARTITION BY RANGE (id);
	CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100);
	SELECT ledger.enable_audit('p', '{note}');
	CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (100) TO (200);
	CREATE TABLE p3 (id integer PRIMARY KEY, note text);
	ALTER TABLE p ATTACH PARTITION p3 FOR VALUES FROM (200) TO (300);
	CREATE TABLE p4 PARTITION OF p FOR VALUES FROM (300) TO (400) PARTITION BY RANGE (id);
	CREATE TABLE p41 PARTITION OF p4 FOR VALUES FROM (300) TO (350);
	INSERT INTO p SELECT i * 100 + 1, 'x' FROM generate_series(0, 3) AS i;
});
is(problems(), '', 'partitions: all is well');
foreach my $part ('p2', 'p3', 'p41')
{
	records("public.$part");
	$sql->("TRUNCATE $part");
	is(records("public.$part"), 'TRUNCATE', "TRUNCATE of $part, which came later, is logged");
}
refused($node, 'postgres', 'DROP TRIGGER ledger_audit_truncate ON p2', 'LG403', 'the TRUNCATE trigger of a partition stays');
refused($node, 'postgres', 'DROP TRIGGER ledger_audit_row ON p', 'LG403', 'so does the trigger of the partitioned table');
refused($node, 'postgres', 'CREATE UNLOGGED TABLE p9 PARTITION OF p FOR VALUES FROM (900) TO (1000)', 'LG403', 'an audited table gets no unlogged partition');
$sql->('ALTER TABLE p DISABLE TRIGGER ALL');
is($sql->(q{SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'ledger_audit%' AND tgenabled <> 'A'}), '0', 'DISABLE TRIGGER ALL of a partitioned table is undone in its partitions');
records('public.p1');
$sql->(q{ALTER TABLE p DETACH PARTITION p1; UPDATE p1 SET note = 'unseen'; INSERT INTO p1 VALUES (2, 'unseen'); DELETE FROM p1 WHERE id = 1; TRUNCATE p1});
like(records('public.p1'), qr/^DDL [^;]*rearmed; UPDATE; INSERT; DELETE; TRUNCATE$/, 'a detached partition is audited as before');
is($sql->(q{SELECT count(*) FROM ledger.audit_log WHERE relation LIKE 'public.p%' AND operation IN ('INSERT', 'UPDATE', 'DELETE') AND coalesce(new, old)::jsonb ? 'note'}), '0', 'and excludes what was excluded');
$sql->('ALTER TABLE p DETACH PARTITION p4');
records('public.p41');
$sql->('INSERT INTO p4 VALUES (310); DELETE FROM p41; TRUNCATE p4');
is(records('public.p41'), 'INSERT; DELETE; TRUNCATE', 'a detached partition with partitions is, too');
$sql->('ALTER TABLE p DETACH PARTITION p3 CONCURRENTLY; INSERT INTO p3 VALUES (210)');
like(records('public.p3'), qr/rearmed; INSERT$/, 'DETACH CONCURRENTLY as well');
is(problems(), '', 'detached partitions: all is well');
refused($node, 'postgres', 'ALTER TABLE p ATTACH PARTITION p1 FOR VALUES FROM (0) TO (100)', '42710', 'one that is audited by itself is not attached');
$sql->(q{SELECT ledger.disable_audit('p1'); ALTER TABLE p ATTACH PARTITION p1 FOR VALUES FROM (0) TO (100); INSERT INTO p VALUES (3)});
like(records('public.p1'), qr/^DISABLE; DDL ALTER TABLE [^;]*audited; INSERT$/, 'but after disable_audit, and the log says all of it');
is(problems(), '', 'attached again: all is well');

# A partition made by somebody who may not enable audits.
$sql->(q{GRANT CREATE ON SCHEMA public TO owner; GRANT USAGE ON SCHEMA ledger TO owner; GRANT EXECUTE ON FUNCTION ledger.audit() TO owner; ALTER TABLE p OWNER TO owner; SET ROLE owner; CREATE TABLE p5 PARTITION OF p FOR VALUES FROM (500) TO (600); TRUNCATE p5});
like(records('public.p5'), qr/TRUNCATE$/, "a partition of a table's owner is covered");
$sql->(q{SELECT ledger.disable_audit('p')});
is(problems(), '', 'after disable_audit of a partitioned table nothing is missed');
$sql->('DROP TABLE p');

# --- commands in commands

# The inner command is rolled back with its records, the outer one is not.
audited('outermost');
audited('inmost');
$sql->(q{CREATE FUNCTION lost() RETURNS boolean LANGUAGE plpgsql AS $$BEGIN
	BEGIN EXECUTE 'DO $d$BEGIN END$d$'; ALTER TABLE inmost ADD COLUMN x integer; RAISE EXCEPTION 'x'; EXCEPTION WHEN raise_exception THEN NULL; END;
	RETURN true; END$$});
$sql->('ALTER TABLE outermost DROP CONSTRAINT outermost_pkey, DROP COLUMN note, ADD CONSTRAINT c CHECK (lost())');
like(records('public.outermost'), qr/^DDL ALTER TABLE [^;]*column public.outermost.note[^;]* columns$/, 'a command around one that is rolled back is recorded');
is(records('public.inmost'), '', 'the one that is rolled back is not');
$sql->(q{CREATE OR REPLACE FUNCTION lost() RETURNS boolean LANGUAGE plpgsql AS $$BEGIN ALTER TABLE inmost ADD COLUMN IF NOT EXISTS x integer; RETURN true; END$$});
$sql->('ALTER TABLE outermost ADD COLUMN y integer, ADD CONSTRAINT d CHECK (lost())');
like(records('public.outermost'), qr/^DDL ALTER TABLE [^;]*$/, 'a command around another one is one record');
like(records('public.inmost'), qr/^DDL ALTER TABLE [^;]*$/, 'and the other one is one');
# A command within another one cannot switch the audit off for a while.
$sql->(q{CREATE FUNCTION meanwhile() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN
	IF current_setting('my.busy', true) = 'on' THEN RETURN; END IF;
	PERFORM set_config('my.busy', 'on', true);
	ALTER TABLE inmost DISABLE TRIGGER ledger_audit_row; UPDATE inmost SET note = 'unseen'; ALTER TABLE inmost ENABLE ALWAYS TRIGGER ledger_audit_row; END$$;
	CREATE EVENT TRIGGER meanwhile ON ddl_command_end WHEN tag IN ('ALTER TABLE') EXECUTE FUNCTION meanwhile()});
refused($node, 'postgres', 'ALTER TABLE inmost ADD COLUMN z integer', 'LG403', 'what is done within a command is judged by itself');
$sql->('DROP EVENT TRIGGER meanwhile; DROP TABLE outermost, inmost; DROP FUNCTION lost');

# Notes of a command are freed at its end.
audited('often');
cmp_ok($sql->(q{BEGIN; DO $$BEGIN FOR i IN 1 .. 500 LOOP EXECUTE 'ALTER TABLE often SET (fillfactor = ' || 50 + i % 50 || ')'; END LOOP; END$$;
	SELECT sum(total_bytes) FROM pg_backend_memory_contexts WHERE name IN ('TopTransactionContext', 'ledger DDL'); COMMIT}), '<', 500_000, '500 commands in a transaction leave no memory taken');
$sql->('DROP TABLE often');

# --- temporary objects

# What depends on them goes with them, and is recorded; nothing keeps them from being cleared away.
my $temporary = q{
	CREATE FUNCTION pg_temp.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
	CREATE TRIGGER passing AFTER INSERT ON lasting FOR EACH ROW EXECUTE FUNCTION pg_temp.f();
	CREATE DOMAIN pg_temp.d AS integer;
	ALTER TABLE lasting ADD COLUMN x pg_temp.d;
	CREATE TEMP TABLE passing (id integer PRIMARY KEY);
	CREATE TRIGGER ledger_audit_row AFTER INSERT OR UPDATE OR DELETE ON passing FOR EACH ROW EXECUTE FUNCTION ledger.audit();
};
my %ends = (
	'the end of a session' => '',
	'the end of a read-only session' => 'SET default_transaction_read_only = on',
	'DISCARD TEMP' => 'SET client_min_messages = warning; DISCARD TEMP',
	'DISCARD TEMP in a read-only transaction' => 'BEGIN READ ONLY; DISCARD TEMP; COMMIT',
	'the end of a session by force' => 'SELECT pg_terminate_backend(pg_backend_pid())');
my $log_from = -s $node->logfile;
foreach my $end (sort keys %ends)
{
	audited('lasting');
	$node->psql('postgres', $temporary . $ends{$end});
	$node->poll_query_until('postgres', q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid())});
	like(records('public.lasting'), qr/^DDL CREATE TRIGGER [^;]*; DDL ALTER TABLE [^;]*; DDL \w[^;]*column public.lasting.x[^;]* columns$/, "$end: what goes is recorded");
	is($sql->(q{SELECT count(*) FROM pg_class WHERE relname = 'passing'}), '0', "$end: the temporary table is gone");
	is(problems(), '', "$end: all is well");
	$sql->('DROP TABLE lasting');
	records('public.lasting');
}
ok(substr(slurp_file($node->logfile), $log_from) !~ /read-only transaction/, 'nothing was refused');

# --- check_audit(): what a superuser does by other ways

my @forged = (
	[ q{UPDATE pg_trigger SET tgenabled = 'D' WHERE tgrelid = 'f'::regclass AND tgname = 'ledger_audit_row'}, qr/^public.f: trigger: ledger_audit_row has the state D, not A$/ ],
	[ q{UPDATE pg_trigger SET tgtype = 5 WHERE tgrelid = 'f'::regclass AND tgname = 'ledger_audit_row'}, qr/^public.f: trigger: ledger_audit_row is not as/ ],
	[ q{UPDATE pg_trigger SET tgqual = (SELECT o.tgqual FROM pg_trigger AS o WHERE o.tgname = 'never') WHERE tgrelid = 'f'::regclass AND tgname = 'ledger_audit_row'}, qr/^public.f: trigger: ledger_audit_row is not as/ ],
	[ q{UPDATE pg_trigger SET tgdeferrable = true WHERE tgrelid = 'f'::regclass AND tgname = 'ledger_audit_row'}, qr/^public.f: trigger: ledger_audit_row is not as/ ],
	[ q{UPDATE pg_trigger SET tgname = 'x' WHERE tgrelid = 'f'::regclass AND tgname = 'ledger_audit_truncate'}, qr/^public.f: trigger: ledger_audit_truncate is missing$/ ],
	[ q{UPDATE pg_trigger SET tgargs = 'secret\000note\000', tgnargs = 2 WHERE tgrelid = 'f'::regclass AND tgname = 'ledger_audit_row'}, qr/^public.f: trigger: ledger_audit_row excludes other columns/ ],
	[ q{UPDATE pg_trigger SET tgfoid = 'nothing'::regproc WHERE tgrelid = 'f'::regclass AND tgname = 'ledger_audit_row'}, qr/^public.f: trigger: ledger_audit_row is missing/ ],
	[ q{DELETE FROM pg_trigger WHERE tgrelid = 'f'::regclass}, qr/^public.f: trigger: the table has no audit trigger/ ],
	[ q{UPDATE pg_proc SET prosrc = 'ledger_guard' WHERE oid = 'ledger.audit()'::regprocedure}, qr/public.f: trigger: function ledger.audit\(\) is not the ledger's/ ],
	[ q{UPDATE pg_proc SET proconfig = '{work_mem=64}' WHERE oid = 'ledger.audit()'::regprocedure}, qr/public.f: trigger: function ledger.audit\(\) is not the ledger's/ ],
	[ q{UPDATE pg_class SET relname = 'hidden' WHERE oid = 'f'::regclass}, qr/^$/ ],
	[ q{DELETE FROM pg_class WHERE oid = 'f'::regclass}, qr/^public.f: gone: / ],
	[ q{UPDATE pg_class SET relpersistence = 'u' WHERE oid = 'f'::regclass}, qr/^public.f: unlogged: / ],
	[ q{UPDATE pg_trigger SET tgenabled = 'D' WHERE tgrelid = 'f'::regclass; UPDATE f SET note = 'unseen' WHERE id = 1; UPDATE pg_trigger SET tgenabled = 'A' WHERE tgrelid = 'f'::regclass}, qr/^public.f: altered: .*\{"id":1\}$/ ],
	[ q{UPDATE pg_trigger SET tgenabled = 'D' WHERE tgrelid = 'f'::regclass; DELETE FROM f WHERE id = 1; UPDATE pg_trigger SET tgenabled = 'A' WHERE tgrelid = 'f'::regclass}, qr/^public.f: missing: .*\{"id":1\}$/ ],
	[ q{UPDATE pg_trigger SET tgenabled = 'D' WHERE tgrelid = 'f'::regclass; INSERT INTO f VALUES (3); UPDATE pg_trigger SET tgenabled = 'A' WHERE tgrelid = 'f'::regclass}, qr/^public.f: inserted: .*\{"id":3\}$/ ]);
audited('f');
$sql->('CREATE TABLE seldom (id integer); CREATE TRIGGER never AFTER INSERT ON seldom FOR EACH ROW WHEN (false) EXECUTE FUNCTION nothing()');
$sql->('ALTER TABLE f DROP CONSTRAINT f_pkey, ADD PRIMARY KEY (id); UPDATE f SET note = note; INSERT INTO f VALUES (3); DELETE FROM f WHERE id = 3');
is(problems(), '', 'before: all is well');
foreach my $case (@forged)
{
	my ($statement, $finding) = @$case;
	my $found = $sql->("SET allow_system_table_mods = on; BEGIN; $statement; SELECT relation || ': ' || problem FROM ledger.check_audit() WHERE relation LIKE 'public.f' OR relation LIKE '%hidden' ORDER BY 1; ROLLBACK");
	like($found, $finding, "found: $statement");
}
$sql->('DROP TABLE f');

# A trigger that was made by hand is not as enable_audit makes it, and stays until the audit is ended.
$sql->('CREATE TABLE h (id integer PRIMARY KEY); CREATE TRIGGER ledger_audit_row AFTER INSERT OR UPDATE OR DELETE ON h FOR EACH ROW EXECUTE FUNCTION ledger.audit()');
like(problems(), qr/ledger_audit_row has the state O, not A.*ledger_audit_statement is missing/s, 'a trigger made by hand is not as it should be');
refused($node, 'postgres', 'ALTER TABLE h DISABLE TRIGGER ledger_audit_row', 'LG403', 'it is not disabled by hand');
refused($node, 'postgres', 'DROP TRIGGER ledger_audit_row ON h', 'LG403', 'nor dropped');
$sql->(q{SELECT ledger.disable_audit('h'); DROP TABLE h});
is(problems(), '', 'disable_audit ends it');

# --- check_audit(): what is no problem

$sql->(q{
	CREATE TABLE g (id integer PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, a numeric, note text, many integer[], at timestamptz);
	INSERT INTO g VALUES (100, 1, 'older than the audit');
	SELECT ledger.enable_audit('g');
	INSERT INTO g SELECT i, i, 'row', ARRAY[i], now() FROM generate_series(1, 50) AS i;
	UPDATE g SET id = id + 1 WHERE id <= 50;
	UPDATE g SET id = 200 - id WHERE id > 25;
	DELETE FROM g WHERE id % 3 = 0;
	INSERT INTO g SELECT i, i FROM generate_series(300, 310) AS i;
	ALTER TABLE g ADD COLUMN more integer DEFAULT 5;
	UPDATE g SET more = 6 WHERE id < 20;
	ALTER TABLE g RENAME COLUMN note TO remark;
	UPDATE g SET remark = 'again' WHERE id < 10;
	ALTER TABLE g ALTER COLUMN a TYPE text;
	UPDATE g SET a = 'x' WHERE id < 5;
	BEGIN; SAVEPOINT s; UPDATE g SET a = 'y'; ROLLBACK TO s; DELETE FROM g WHERE id = 100; COMMIT;
	CREATE TABLE keyless (a integer);
	SELECT ledger.enable_audit('keyless');
	INSERT INTO keyless VALUES (1), (1);
	CREATE TABLE "Odd ""name""" ("Id" integer, b text, PRIMARY KEY (b, "Id"));
	SELECT ledger.enable_audit('"Odd ""name"""');
	INSERT INTO "Odd ""name""" VALUES (1, E'x"\\\\ \n'), (2, '{}');
	UPDATE "Odd ""name""" SET b = '{"b":1,"}' WHERE "Id" = 2;
});
is(problems(), '', 'keys that move, columns that change, odd names: all is well');
$sql->(q{SET timezone = 'Asia/Tokyo'; SET datestyle = 'SQL'; UPDATE g SET at = now()});
is($sql->(q{SET timezone = 'UTC'; SELECT count(*) FROM ledger.check_audit()}), '0', 'settings make no difference');
# Changes while it reads.
my $script = "$dir/load.pgbench";
append_to_file($script, "\\set id random(400, 500)\nINSERT INTO g (id, a) VALUES (:id, 'a') ON CONFLICT DO NOTHING;\nBEGIN;\nUPDATE g SET a = a || 'b' WHERE id BETWEEN :id AND :id + 1;\nDELETE FROM g WHERE id = :id - 1;\nEND;\n");
$sql->('ALTER TABLE g DROP CONSTRAINT g_pkey; ALTER TABLE g ADD PRIMARY KEY (id)');
my $load = IPC::Run::start([ 'pgbench', '-n', '-c', '4', '-T', '8', '-f', $script, $node->connstr('postgres') ], '<', \undef, '>', \my $out, '2>', \my $err);
my $found = '';
$found .= problems() foreach 1 .. 8;
$load->finish;
is($found, '', 'under load nothing is found that is not so');
is(problems(), '', 'and nothing afterwards');

# Who may call it, and whose code runs.
refused($node, 'postgres', 'SET ROLE other; SELECT * FROM ledger.check_audit()', '42501', 'check_audit() is not for everybody');
$sql->(q{SELECT ledger.grant_access('other', 'auditor')});
is($sql->('SET ROLE other; SELECT count(*) FROM ledger.check_audit()'), '0', 'an auditor calls it without rights on the tables');
$sql->(q{
	GRANT EXECUTE ON FUNCTION ledger.enable_audit(regclass, name[]) TO owner; GRANT USAGE ON SCHEMA ledger TO owner;
	CREATE TABLE ran (by name); GRANT INSERT ON ran TO PUBLIC;
	SET ROLE owner;
	CREATE TYPE pair AS (a integer, b text);
	CREATE FUNCTION as_json(pair) RETURNS json LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.ran VALUES (current_user); RETURN to_json(1); END';
	CREATE CAST (pair AS json) WITH FUNCTION as_json(pair);
	CREATE TABLE hostile (id integer PRIMARY KEY, p pair);
	ALTER TABLE hostile ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
	CREATE POLICY none ON hostile USING (false);
	SELECT ledger.enable_audit('hostile');
});
$sql->(q{INSERT INTO hostile VALUES (1, '(1,x)'); TRUNCATE ran});
is(problems(), '', 'row security and casts of the owner: all is well');
is($sql->(q{SELECT count(*) FROM ran WHERE by <> 'owner'}), '0', "no code of a table's owner gets other rights than the owner's");

# --- restores into fresh databases

healthy($node, 'postgres', 'at the end');
my $count = $sql->('SELECT count(*) FROM ledger.audit_log');
$sql->(q{CREATE TABLE q (id integer PRIMARY KEY) PARTITION BY RANGE (id); SELECT ledger.enable_audit('q'); CREATE TABLE q1 PARTITION OF q FOR VALUES FROM (0) TO (10); INSERT INTO q VALUES (1)});
$node->command_ok([ 'pg_dump', '-Fc', '-f', "$dir/all.dump", $node->connstr('postgres') ], 'pg_dump');
$node->command_ok([ 'pg_dump', '-f', "$dir/all.sql", $node->connstr('postgres') ], 'pg_dump, plain');
$count = $sql->('SELECT count(*) FROM ledger.audit_log');
my %restores = (
	plain => [ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/all.sql", '-d' ],
	custom => [ 'pg_restore', '-e', "$dir/all.dump", '-d' ],
	single => [ 'pg_restore', '-1', "$dir/all.dump", '-d' ],
	parallel => [ 'pg_restore', '-e', '-j', '2', "$dir/all.dump", '-d' ],
	clean => [ 'pg_restore', '-e', '--clean', '--if-exists', "$dir/all.dump", '-d' ]);
foreach my $way (sort keys %restores)
{
	my $database = "restored_$way";
	$sql->("CREATE DATABASE $database");
	$node->command_ok([ @{ $restores{$way} }, $node->connstr($database) ], "restored, $way");
	is($sql->('SELECT count(*) FROM ledger.audit_log', $database), $count, "$way: the records are those that were there");
	is(problems($database), '', "$way: all is well before the first write");
	$sql->('INSERT INTO q VALUES (2); TRUNCATE q1; UPDATE g SET remark = remark', $database);
	is(problems($database), '', "$way: and after it");
	refused($node, $database, 'DROP TRIGGER ledger_audit_row ON g', 'LG403', "$way: the audit is protected");
	$sql->('ALTER TABLE g RENAME TO h; DROP TABLE r', $database);
	is(problems($database), '', "$way: what changes its name, or goes, is followed");
}

# --- other databases, and a ledger that comes and goes

$sql->('CREATE DATABASE bare');
$sql->('CREATE TABLE t (id integer PRIMARY KEY); CREATE TRIGGER ledger_audit_row AFTER INSERT ON t EXECUTE FUNCTION suppress_redundant_updates_trigger(); ALTER TABLE t DISABLE TRIGGER ALL; DROP TABLE t', 'bare');
$sql->(q{BEGIN; CREATE EXTENSION ledger; CREATE TABLE t (id integer PRIMARY KEY); SELECT ledger.enable_audit('t'); INSERT INTO t VALUES (1);
	ALTER TABLE t ADD COLUMN x integer; DROP TABLE t; SELECT count(*) FROM ledger.check_audit(); SET LOCAL ledger.allow_drop = on; DROP EXTENSION ledger; COMMIT}, 'bare');
$sql->(q{CREATE EXTENSION ledger; CREATE TABLE t (id integer PRIMARY KEY); SELECT ledger.enable_audit('t'); SET ledger.allow_drop = on; DROP EXTENSION ledger CASCADE; INSERT INTO t VALUES (1); DROP TABLE t}, 'bare');
pass('a ledger that comes and goes');

$node->stop;
done_testing();
