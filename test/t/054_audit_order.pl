# The audit log has the changes in the order in which they were made: replaying it gives the
# tables, whatever triggers, functions, savepoints and exceptions the statements were made of.
#
# LEDGER_PROGRAMS   how many random programs (60); `make audit-programs` runs 1,000
# LEDGER_SEED       the seed of the first (1); a failure names its seed

use strict;
use warnings;

use AuditProgram;
use AuditReplay;
use LedgerTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = ledger_node('audit_order', 'fsync = off', 'wal_level = logical', 'log_min_messages = fatal');
$node->safe_psql('postgres', 'CREATE EXTENSION ledger');

my $start = q{SELECT set_config('test.start', (SELECT max(id) FROM ledger_data.audit)::text, false);};

# Runs SQL in a session of its own, and returns what it printed, and the errors as SQLSTATEs.
sub run_sql
{
	my ($sql, $at) = @_;
	my ($output, $errors) = ('', '');
	IPC::Run::run([ 'psql', '-XAtq', '-F', "\t", '-v', 'VERBOSITY=sqlstate', '-d', ($at // $node)->connstr('postgres') ],
		'<', \"SET client_min_messages = error;\n$sql", '>', \$output, '2>', \$errors);
	return ($output, $errors);
}

# Setup, then a program, then the replay of what it did to the tables. The operations that the
# log has are returned, each with the row's id and v.
sub replayed
{
	my ($name, $setup, $program, @tables) = @_;
	my $schema = 'x';
	my ($output, $errors) = run_sql("DROP SCHEMA IF EXISTS x CASCADE; CREATE SCHEMA x; SET search_path = x;\n$setup\n$start\n$program\n;\n" . replay_query($schema, @tables));
	unlike($errors, qr/ (XX|LG|54)/, "$name: errors, if any, are the program's own");
	my ($count, @problems) = replay_problems($output, sub { return $_[0] !~ /bag/; });
	is(join("\n", @problems), '', "$name: the log replays to the tables ($count records)");
	cmp_ok($count, '>', 0, "$name: there are records");
	return join ', ', map { my @f = split /\t/; "$f[5] " . join('>', map { join '/', /:(-?\d+|null)/g } grep { $_ ne '' } @f[ 6, 7 ]) } grep { /^log/ } split /\n/, $output;
}

sub trigger
{
	my ($name, $when, $table, $body, $for) = @_;
	my $function = 'f_' . $name . int rand 1 << 30;
	return "CREATE FUNCTION $function() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN $body END \$\$;
		CREATE TRIGGER $name $when ON $table FOR EACH " . ($for // 'ROW') . " EXECUTE FUNCTION $function();\n";
}

my $t = "CREATE TABLE t (id integer PRIMARY KEY, v integer); SELECT ledger.enable_audit('t');\n";
my $u = "CREATE TABLE u (id integer PRIMARY KEY, v integer); SELECT ledger.enable_audit('u');\n";

# The attacks.
foreach my $name (qw(a_trigger z_trigger))
{
	is(replayed("$name changes the row again", $t . trigger($name, 'AFTER INSERT OR UPDATE', 't', 'UPDATE x.t SET v = v + 1 WHERE id = NEW.id AND v < 3; RETURN NULL;'),
			'INSERT INTO t VALUES (1, 1)', 't'),
		'INSERT 1/1, UPDATE 1/1>1/2, UPDATE 1/2>1/3', "$name: the last record says what the row holds");
	is(replayed("$name deletes the row", $t . trigger($name, 'AFTER INSERT', 't', 'DELETE FROM x.t WHERE id = NEW.id; RETURN NULL;'), 'INSERT INTO t VALUES (1, 1), (2, 2)', 't'),
		'INSERT 1/1, INSERT 2/2, DELETE 1/1, DELETE 2/2', "$name: a deleted row ends as deleted");
	is(replayed("$name puts the row back", $t . trigger($name, 'AFTER DELETE', 't', 'INSERT INTO x.t VALUES (OLD.id, OLD.v + 1); RETURN NULL;'),
			'INSERT INTO t VALUES (1, 1), (2, 2); DELETE FROM t', 't'),
		'INSERT 1/1, INSERT 2/2, DELETE 1/1, DELETE 2/2, INSERT 1/2, INSERT 2/3', "$name: a row that was put back is there");
}
is(replayed('a BEFORE trigger deletes the row with the same key',
		$t . trigger('a', 'BEFORE INSERT', 't', 'DELETE FROM x.t WHERE id = NEW.id; RETURN NEW;'),
		'INSERT INTO t VALUES (1, 1); INSERT INTO t VALUES (2, 2), (1, 3), (2, 4)', 't'),
	'INSERT 1/1, INSERT 2/2, DELETE 1/1, INSERT 1/3, DELETE 2/2, INSERT 2/4', 'the DELETE is of a later command, and comes first');
is(replayed('a BEFORE trigger changes rows that its statement has made',
		$t . trigger('a', 'BEFORE INSERT', 't', 'UPDATE x.t SET v = v + 10; RETURN NEW;'), 'INSERT INTO t VALUES (1, 1), (2, 2)', 't'),
	'INSERT 1/1, INSERT 2/2, UPDATE 1/1>1/11', 'they come after');
replayed('a BEFORE trigger moves the row away', $t . trigger('a', 'BEFORE INSERT', 't', 'UPDATE x.t SET id = id + 100 WHERE id = NEW.id; RETURN NEW;'),
	'INSERT INTO t VALUES (1, 1), (1, 2), (101, 3); UPDATE t SET id = id + 1000; INSERT INTO t VALUES (1, 5), (101, 6)', 't');

# Functions within statements.
my $f = q{CREATE FUNCTION f(i integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
	UPDATE x.t SET v = v + 1 WHERE id < i;
	BEGIN
		DELETE FROM x.t WHERE id = i - 2;
		PERFORM 1 / (i % 3);
	EXCEPTION WHEN division_by_zero THEN
		INSERT INTO x.u VALUES (i, i) ON CONFLICT (id) DO UPDATE SET v = x.u.v + 1;
	END;
	RETURN i;
END
$$;
};
replayed('functions in target lists', "$t$u$f", q{
	INSERT INTO t SELECT i, f(i) FROM generate_series(1, 9) AS i;
	UPDATE t SET v = v + f(20 + id) WHERE id > 8;
	INSERT INTO u SELECT i, f(i) FROM generate_series(1, 9) AS i ON CONFLICT (id) DO UPDATE SET v = f(u.id) + 100;
	DELETE FROM u WHERE f(id) > 3;
	MERGE INTO t USING generate_series(1, 12) AS i ON t.id = i WHEN MATCHED AND i % 2 = 0 THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (i, f(i));
	WITH gone AS (DELETE FROM t WHERE id % 2 = 1 RETURNING id) INSERT INTO t SELECT id, f(id) FROM gone;
	SELECT f(5);
	DO $$ BEGIN FOR i IN 1 .. 9 LOOP INSERT INTO x.t VALUES (i, x.f(i)) ON CONFLICT DO NOTHING; END LOOP; END $$}, 't', 'u');
replayed('cursors', "$t$u$f", q{
	INSERT INTO t SELECT i, i FROM generate_series(1, 9) AS i;
	BEGIN;
	DECLARE c CURSOR FOR SELECT f(i) FROM generate_series(1, 9) AS i;
	DECLARE d CURSOR FOR SELECT id FROM t WHERE id > 4 FOR UPDATE;
	FETCH 3 FROM c;
	FETCH FROM d;
	SAVEPOINT a;
	UPDATE t SET v = f(7) WHERE CURRENT OF d;
	FETCH 2 FROM c;
	ROLLBACK TO a;
	UPDATE t SET v = 0;
	COMMIT}, 't', 'u');
replayed('a deferred trigger', $t . q{
	CREATE FUNCTION later() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		UPDATE x.t SET v = v + 1 WHERE id = NEW.id AND v < 5;
		BEGIN
			DELETE FROM x.t WHERE id = NEW.id - 1;
			PERFORM 1 / (NEW.id % 2);
		EXCEPTION WHEN division_by_zero THEN NULL;
		END;
		RETURN NULL;
	END $$;
	CREATE CONSTRAINT TRIGGER a AFTER INSERT OR UPDATE ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION later();},
	'BEGIN; INSERT INTO t VALUES (1, 1), (2, 2), (3, 3); UPDATE t SET v = 1; SET CONSTRAINTS ALL IMMEDIATE; INSERT INTO t VALUES (9, 1); COMMIT', 't');

# COPY; TRUNCATE within a statement, after which places are used again.
replayed('COPY', $t . trigger('a', 'BEFORE INSERT', 't', 'DELETE FROM x.t WHERE id = NEW.id; UPDATE x.t SET v = v + 1 WHERE id = NEW.id - 1; RETURN NEW;')
		. trigger('z', 'AFTER INSERT', 't', 'UPDATE x.t SET v = v + 1 WHERE id = NEW.id; RETURN NULL;'),
	"INSERT INTO t VALUES (3, 3);\nCOPY t FROM STDIN;\n" . join('', map { "$_\t0\n" } 1 .. 5, 2, 4) . "\\.\nSELECT 1", 't');
replayed('COPY FREEZE', "CREATE TABLE t (id integer PRIMARY KEY, v integer);\n" . trigger('a', 'BEFORE INSERT', 't', 'DELETE FROM x.t WHERE id = NEW.id; UPDATE x.t SET v = v + 1 WHERE id = NEW.id - 1; RETURN NEW;')
		. "SELECT ledger.enable_audit('t');", "BEGIN; TRUNCATE t;\nCOPY t FROM STDIN (FREEZE);\n" . join('', map { "$_\t0\n" } 1 .. 5, 2, 4) . "\\.\nCOMMIT;\n", 't');
replayed('TRUNCATE within a statement', $t . $u . trigger('a', 'BEFORE INSERT', 't',
		'INSERT INTO x.u VALUES (1, NEW.id), (2, NEW.id); UPDATE x.u SET v = 0 WHERE id = 2; TRUNCATE x.u; INSERT INTO x.u VALUES (2, 5), (1, NEW.id); DELETE FROM x.u WHERE id = 2; TRUNCATE x.u; RETURN NEW;'),
	'BEGIN; TRUNCATE u; INSERT INTO t VALUES (1, 1), (2, 2), (3, 3); COMMIT; INSERT INTO t VALUES (4, 4)', 't', 'u');

# Foreign keys, whose changes are told at the end of the statement outside.
my $child = q{
	CREATE TABLE c (id integer PRIMARY KEY, v integer, p integer REFERENCES t ON DELETE CASCADE ON UPDATE CASCADE);
	CREATE TABLE d (id integer PRIMARY KEY, v integer, p integer REFERENCES c ON DELETE SET NULL ON UPDATE CASCADE);
	SELECT ledger.enable_audit('c'), ledger.enable_audit('d');
};
replayed('cascades', $t . $child
		. trigger('a', 'BEFORE DELETE', 'c', 'INSERT INTO x.d VALUES (OLD.id + 100, 0, NULL) ON CONFLICT (id) DO UPDATE SET v = x.d.v + 1; RETURN OLD;')
		. trigger('a', 'AFTER DELETE', 't', 'INSERT INTO x.c VALUES (OLD.id, 7, NULL); DELETE FROM x.c WHERE id = OLD.id; INSERT INTO x.c VALUES (OLD.id, 8, NULL); RETURN NULL;')
		. trigger('z', 'AFTER UPDATE', 'c', 'UPDATE x.d SET v = v + 1 WHERE p = NEW.id; RETURN NULL;'), q{
	INSERT INTO t SELECT i, i FROM generate_series(1, 6) AS i;
	INSERT INTO c SELECT i, i, i FROM generate_series(1, 6) AS i;
	INSERT INTO d SELECT i, i, i FROM generate_series(1, 6) AS i;
	UPDATE t SET id = id + 10 WHERE id > 3;
	DELETE FROM t WHERE id IN (1, 2);
	UPDATE c SET id = id + 50}, 't', 'c', 'd');

# Partitions whose rows move, without a primary key, and with one that is checked at commit.
replayed('partitions', q{
	CREATE TABLE p (id integer PRIMARY KEY, v integer) PARTITION BY RANGE (id);
	CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
	CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20);
	SELECT ledger.enable_audit('p');
	} . trigger('a', 'AFTER INSERT OR UPDATE', 'p', 'UPDATE x.p SET id = id + 10 WHERE id = NEW.id AND id < 10 AND v % 2 = 1; UPDATE x.p SET v = v + 2 WHERE id = NEW.id AND v < 5; RETURN NULL;'),
	'INSERT INTO p VALUES (1, 1), (2, 2), (3, 3), (14, 4); INSERT INTO p1 VALUES (5, 5); UPDATE p SET id = id - 10 WHERE id = 11', 'p1', 'p2');
replayed('a table without a primary key', "CREATE TABLE bag (id integer, v integer); SELECT ledger.enable_audit('bag');\n"
		. trigger('a', 'BEFORE INSERT', 'bag', 'DELETE FROM x.bag WHERE id = NEW.id; UPDATE x.bag SET v = v + 1; RETURN NEW;')
		. trigger('b', 'AFTER INSERT OR UPDATE', 'bag', 'UPDATE x.bag SET v = v + 1 WHERE id = NEW.id AND v < 4; RETURN NULL;'),
	'INSERT INTO bag VALUES (1, 1), (1, 2), (2, 1), (1, 1); DELETE FROM bag WHERE id = 1', 'bag');
replayed('a primary key that is checked at commit', "CREATE TABLE bag (id integer PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, v integer); SELECT ledger.enable_audit('bag');\n"
		. trigger('a', 'BEFORE INSERT OR UPDATE', 'bag', 'IF pg_trigger_depth() < 4 THEN UPDATE x.bag SET v = v + 1, id = id + 1 WHERE id <> NEW.id AND v < 3; END IF; RETURN NEW;'),
	'INSERT INTO bag VALUES (1, 0), (2, 0), (3, 0); UPDATE bag SET id = 4 - id WHERE v > 2; INSERT INTO bag VALUES (20, 0)', 'bag');

# Large statements: parts of them are written before they end, and the rest waits.
my $many = $t . $u
	. trigger('a', 'BEFORE INSERT', 't', 'DELETE FROM x.t WHERE id = NEW.id; UPDATE x.t SET v = v + 1 WHERE id = NEW.id - 2; RETURN NEW;')
	. trigger('b', 'AFTER INSERT', 't', 'INSERT INTO x.u VALUES (NEW.id, 0) ON CONFLICT DO NOTHING; UPDATE x.t SET v = v + 1 WHERE id = NEW.id AND id % 3 = 0; RETURN NULL;')
	. trigger('c', 'AFTER UPDATE', 'u', 'BEGIN DELETE FROM x.t WHERE id = NEW.id; INSERT INTO x.t VALUES (NEW.id, 1); PERFORM 1 / (NEW.id % 2); EXCEPTION WHEN division_by_zero THEN NULL; END; RETURN NULL;');
replayed('5,000 rows with triggers', $many, q{
	INSERT INTO t SELECT i % 4000, 0 FROM generate_series(1, 5000) AS i;
	UPDATE u SET v = 1;
	BEGIN; UPDATE t SET id = -id; SAVEPOINT a; DELETE FROM t; ROLLBACK TO a; INSERT INTO t SELECT i, 0 FROM generate_series(1, 6000) AS i; COMMIT}, 't', 'u');
replayed('large cascades', $t . $child . trigger('a', 'AFTER DELETE', 't',
		'INSERT INTO x.c VALUES (OLD.id, 7, NULL); DELETE FROM x.c WHERE id = OLD.id; INSERT INTO x.c VALUES (OLD.id, 8, NULL); RETURN NULL;'), q{
	INSERT INTO t SELECT i, i FROM generate_series(1, 3000) AS i;
	INSERT INTO c SELECT i, i, i FROM generate_series(1, 3000) AS i;
	CREATE INDEX ON c (p);
	CREATE INDEX ON d (p);
	DELETE FROM t}, 't', 'c', 'd');
my $at = $node->safe_psql('postgres', q{SELECT count(*), count(DISTINCT at_us) FROM ledger.audit_records WHERE relation_oid = 'x.t'::regclass AND operation = 'INSERT'});
is($at, '3000|1', 'the rows of a large statement have one time');

# A loop of single statements in a function is not held back: it is written as it goes.
$node->safe_psql('postgres', q{CREATE TABLE loose (id integer); SELECT ledger.enable_audit('loose')});
is($node->safe_psql('postgres', q{
	CREATE FUNCTION written() RETURNS bigint LANGUAGE plpgsql AS $$
	DECLARE
		n bigint;
	BEGIN
		FOR i IN 1 .. 50 LOOP INSERT INTO loose VALUES (i); END LOOP;
		SELECT count(*) INTO n FROM ledger_data.audit WHERE relation = 'public.loose' AND operation = 'INSERT';
		RETURN n;
	END $$;
	SELECT written()}), '50', 'single statements of a function are logged one by one');
is($node->safe_psql('postgres', q{CREATE TABLE unaudited (n bigint); INSERT INTO unaudited SELECT written() RETURNING n}), '100',
	'also where the statement around them is on a table without triggers');

is($node->safe_psql('postgres', q{
	CREATE FUNCTION written_after_errors() RETURNS bigint LANGUAGE plpgsql AS $$
	DECLARE
		n bigint := (SELECT count(*) FROM ledger_data.audit WHERE relation = 'public.loose');
	BEGIN
		FOR i IN 1 .. 5 LOOP
			BEGIN
				INSERT INTO loose SELECT 1 / (3 - j) FROM generate_series(1, 3) AS j;
			EXCEPTION WHEN division_by_zero THEN
				INSERT INTO loose VALUES (i);
			END;
		END LOOP;
		RETURN (SELECT count(*) FROM ledger_data.audit WHERE relation = 'public.loose') - n;
	END $$;
	SELECT written_after_errors()}), '5', 'also after statements that failed');

# A subscriber applies changes without statements; a trigger there changes the table again.
my $subscriber = ledger_node('subscriber', 'fsync = off');
$node->safe_psql('postgres', 'CREATE SCHEMA x2; CREATE TABLE x2.t (id integer PRIMARY KEY, v integer); INSERT INTO x2.t VALUES (1, 1); CREATE PUBLICATION p FOR TABLE x2.t');
$subscriber->safe_psql('postgres', "CREATE EXTENSION ledger; CREATE SCHEMA x2; CREATE TABLE x2.t (id integer PRIMARY KEY, v integer); SELECT ledger.enable_audit('x2.t');"
		. trigger('a', 'BEFORE INSERT', 'x2.t', 'DELETE FROM x2.t WHERE id = NEW.id; UPDATE x2.t SET v = v + 1 WHERE id = NEW.id - 1; RETURN NEW;')
		. trigger('b', 'AFTER INSERT OR UPDATE', 'x2.t', 'UPDATE x2.t SET v = v + 1 WHERE id = NEW.id AND v < 5; RETURN NULL;')
		. 'ALTER TABLE x2.t ENABLE ALWAYS TRIGGER a; ALTER TABLE x2.t ENABLE ALWAYS TRIGGER b; INSERT INTO x2.t VALUES (1, 0)');
my $connection = $node->connstr('postgres');
$subscriber->safe_psql('postgres', "CREATE SUBSCRIPTION s CONNECTION \$\$$connection\$\$ PUBLICATION p");
$subscriber->wait_for_subscription_sync($node, 's');
$node->safe_psql('postgres', 'BEGIN; INSERT INTO x2.t VALUES (2, 2), (3, 3), (4, 4); UPDATE x2.t SET v = 0; DELETE FROM x2.t WHERE id = 3; COMMIT; INSERT INTO x2.t SELECT i, i FROM generate_series(10, 5000) AS i');
$node->wait_for_catchup('s');
my ($applied) = run_sql(replay_query('x2', 't'), $subscriber);
my ($applied_count, @applied_problems) = replay_problems($applied, sub { return 1; });
is(join("\n", @applied_problems), '', "a subscriber's log replays to its table");
cmp_ok($applied_count, '>', 5000, 'which is long');
$subscriber->safe_psql('postgres', 'DROP SUBSCRIPTION s');
$subscriber->stop;

# Random programs.
my $programs = $ENV{LEDGER_PROGRAMS} || 60;
my $first = $ENV{LEDGER_SEED} || 1;
my (%states, $records, @failed);
foreach my $seed ($first .. $first + $programs - 1)
{
	my ($sql, $tables, $has_key) = audit_program($seed);
	my ($output, $errors) = run_sql("$start\n\\o /dev/null\n$sql\\o\n" . replay_query("s$seed", @$tables));
	my ($count, @problems) = replay_problems($output, $has_key);
	$records += $count;
	++$states{$_} foreach $errors =~ /(?:ERROR|FATAL|PANIC):  (\w{5})/g;
	push @problems, "error $_" foreach $errors =~ /(?:ERROR|FATAL|PANIC):  (XX\w{3}|LG\w{3}|54000)/g;
	push @problems, 'the connection was lost' if $errors =~ /connection|terminating/;
	if (@problems)
	{
		my $file = PostgreSQL::Test::Utils::tempdir() . "/program_$seed.sql";
		append_to_file($file, $sql);
		push @failed, $seed;
		diag "LEDGER_SEED=$seed fails; the program is in $file";
		diag $_ foreach @problems[ 0 .. ($#problems < 4 ? $#problems : 4) ];
	}
	run_sql("DROP SCHEMA s$seed CASCADE;") if !@problems;
}
is(join(' ', @failed), '', "$programs random programs: the log replays to the tables ($records records)");
note 'errors of programs: ' . join(', ', map { "$_ $states{$_}" } sort keys %states);
cmp_ok($records, '>', 20 * $programs, 'the programs changed rows');
healthy($node, 'postgres', 'after all of them');

$node->stop;
done_testing();
