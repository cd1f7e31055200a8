# Random programs that change audited tables: triggers of every kind that change these tables
# again, functions, savepoints, exceptions, cursors, large statements. The same seed makes the
# same program.
package AuditProgram;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw(audit_program);

my ($schema, @tables, $functions, $is_big);

sub pick { return $_[ int rand @_ ]; }
sub chance { return rand() < shift; }
sub some { my ($least, $most) = @_; return $least + int rand($most - $least + 1); }

# A key: of few, so that statements meet; or one that the row of the trigger has.
sub key { my ($x) = @_; return defined $x && chance(0.6) ? pick($x, $x, "($x + 1) % 8") : some(0, 7); }

# Any table; often the one the trigger is on.
sub table { my ($own) = @_; return defined $own && chance(0.6) ? $own : pick(@tables); }

sub value { my ($x) = @_; return chance(0.25) ? "$schema.f" . some(1, $functions) . '(' . key($x) . ')' : some(0, 99); }

sub insert_statement
{
	my ($table, $x) = @_;
	my $conflict = chance(0.2) ? '' : !$table->{key} ? '' : chance(0.5) ? ' ON CONFLICT DO NOTHING'
		: " ON CONFLICT ($table->{key}) DO UPDATE SET v = EXCLUDED.v + 1";
	my $source = chance(0.5) ? 'VALUES (' . key($x) . ', ' . value($x) . ')'
		: 'SELECT i, ' . (chance(0.3) ? "$schema.f" . some(1, $functions) . '(i)' : 'i') . ' FROM generate_series(' . some(0, 3) . ', ' . some(3, 7) . ') AS i';
	return "INSERT INTO $table->{name} (id, v) $source$conflict";
}

sub where { my ($x) = @_; return pick('id = ' . key($x), 'id < ' . some(1, 8), 'v % 2 = ' . some(0, 1), 'id BETWEEN ' . some(0, 3) . ' AND ' . some(3, 7)); }

sub update_statement
{
	my ($table, $x) = @_;
	my $set = pick('v = v + 1', 'v = v + 1', 'v = ' . value($x), 'v = v');
	if (chance(0.3))
	{
		my $to = key($x);
		return "UPDATE $table->{name} SET id = $to WHERE id = " . key($x) . " AND NOT EXISTS (SELECT FROM $table->{name} WHERE id = $to)";
	}
	return "UPDATE $table->{name} SET $set WHERE " . where($x);
}

sub delete_statement { my ($table, $x) = @_; return "DELETE FROM $table->{name} WHERE " . where($x); }

sub merge_statement
{
	my ($table, $x) = @_;
	return "MERGE INTO $table->{name} AS m USING (SELECT i FROM generate_series(" . some(0, 3) . ', ' . some(3, 7) . ') AS i) AS s ON m.id = s.i'
		. ' WHEN MATCHED AND m.v % 3 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET v = m.v + 1 WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.i, ' . some(0, 9) . ')';
}

sub with_statement
{
	my ($table, $x) = @_;
	my $other = chance(0.5) ? $table : pick(@tables);
	my $conflict = $other->{key} ? ' ON CONFLICT DO NOTHING' : '';
	return pick(
		'WITH gone AS (' . delete_statement($table, $x) . " RETURNING id, v) INSERT INTO $other->{name} (id, v) SELECT id, v + 1 FROM gone$conflict",
		'WITH gone AS (' . delete_statement($table, $x) . " RETURNING id) UPDATE $other->{name} SET v = v + 1 WHERE id IN (SELECT id FROM gone)",
		'WITH changed AS (' . update_statement($table, $x) . ' RETURNING id), made AS (' . insert_statement($other, $x) . ' RETURNING id) SELECT count(*) FROM changed, made');
}

# A statement that changes rows. $own: the table of the trigger; $x: the row's id in it.
sub statement
{
	my ($own, $x) = @_;
	my $table = table($own);
	my $kind = rand;
	return insert_statement($table, $x) if $kind < 0.35;
	return update_statement($table, $x) if $kind < 0.65;
	return delete_statement($table, $x) if $kind < 0.82;
	return merge_statement($table, $x) if $kind < 0.87;
	return with_statement($table, $x) if $kind < 0.99 || chance(0.5);
	return "TRUNCATE $table->{root} CASCADE";
}

# The same in plpgsql, perhaps in a block with an exception.
sub step
{
	my ($own, $x) = @_;
	my $statement = statement($own, $x);
	$statement = "PERFORM count(*) FROM ($statement) AS s" if $statement =~ /^SELECT/;
	$statement =~ s/SELECT count\(\*\) FROM changed, made$/UPDATE $schema.counted SET n = n + (SELECT count(*) FROM changed, made)/;
	return "\t$statement;\n" if chance(0.35);
	my $fails = chance(0.3) ? "\t\tPERFORM 1 / (nextval('$schema.steps') % 2);\n" : '';
	return "\tBEGIN\n\t\t$statement;\n$fails\tEXCEPTION WHEN others THEN " . (chance(0.8) ? 'NULL' : statement($own, $x) =~ s/SELECT count\(\*\) FROM changed, made$/UPDATE $schema.counted SET n = 0/r)
		. ";\n\tEND;\n";
}

sub steps { my ($own, $x) = @_; return join '', map { step($own, $x) } 1 .. some(1, 2); }

# Triggers and functions take of a budget, and are not deep: else a program might not end.
sub guard { my ($limit, $leave) = @_; return "\tIF pg_trigger_depth() > 4 OR nextval('$schema.budget') > $limit THEN $leave END IF;\n"; }
sub budget { return $is_big ? 60 : 400; }

sub function_of
{
	my ($i) = @_;
	return "CREATE FUNCTION $schema.f$i(x integer) RETURNS integer LANGUAGE plpgsql AS \$\$\nBEGIN\n" . guard(budget(), 'RETURN x;') . steps(undef, 'x') . "\tRETURN x;\nEND\n\$\$;\n";
}

my $trigger = 0;

sub trigger_on
{
	my ($table) = @_;
	my $name = pick(qw(a_ ledger_audit_rov ledger_audit_row_ ledger_audit_z zz_)) . ++$trigger;
	my $events = pick('INSERT', 'INSERT', 'UPDATE', 'DELETE', 'INSERT OR UPDATE', 'INSERT OR DELETE', 'INSERT OR UPDATE OR DELETE');
	my $kind = pick(qw(before before after after after statement deferred));
	$kind = 'after' if $table->{partitioned} && $kind eq 'deferred';
	my $is_row = $kind ne 'statement';
	my $body = $is_row ? "\tx := coalesce(NEW.id, OLD.id);\n" : "\tx := " . some(0, 7) . ";\n";
	my $is_for_many = $is_big && $is_row && chance(0.7);
	my $guard = guard($is_for_many ? 12000 : budget(), leave($is_row));
	my $special = $kind eq 'before' && chance(0.4) ? "\tDELETE FROM $table->{name} WHERE id = x" . (chance(0.5) ? '' : ' AND TG_OP = \'INSERT\'') . ";\n"
		: $kind eq 'after' && chance(0.4) ? "\tUPDATE $table->{name} SET v = v + 1 WHERE id = x AND v < 1000;\n" : '';
	my $skip = $kind eq 'before' && chance(0.2) ? "\tIF x % 5 = 0 THEN RETURN NULL; END IF;\n" : '';
	# What the event has not, NEW or OLD, is null.
	$body .= $special . ($is_for_many ? big_step($table) : $special && chance(0.5) ? '' : steps($table, 'x')) . $skip;
	my $function = "CREATE FUNCTION $schema.g$trigger() RETURNS trigger LANGUAGE plpgsql AS \$\$\nDECLARE\n\tx integer;\nBEGIN\n$guard$body\t" . leave($is_row) . "\nEND\n\$\$;\n";
	my $when = $kind eq 'before' ? 'BEFORE' : 'AFTER';
	return $function . ($kind eq 'deferred'
		? "CREATE CONSTRAINT TRIGGER $name AFTER $events ON $table->{root} DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION $schema.g$trigger();\n"
		: "CREATE TRIGGER $name $when $events ON $table->{root} FOR EACH " . ($is_row ? 'ROW' : 'STATEMENT') . " EXECUTE FUNCTION $schema.g$trigger();\n");
}

sub leave { my ($is_row) = @_; return $is_row ? "IF TG_OP = 'DELETE' THEN RETURN OLD; ELSE RETURN NEW; END IF;" : 'RETURN NULL;'; }

# One statement for the row of a large statement.
sub big_step
{
	my ($table) = @_;
	my $other = pick(@tables);
	my $conflict = $other->{key} ? ' ON CONFLICT DO NOTHING' : '';
	return "\t" . pick("INSERT INTO $other->{name} (id, v) VALUES (x + 20000, 1)$conflict", "UPDATE $table->{name} SET v = v + 1 WHERE id = x - 1",
		"DELETE FROM $table->{name} WHERE id = x - 3", "UPDATE $table->{name} SET v = v + 1 WHERE id = x AND v < 3") . ";\n";
}

sub define_tables
{
	my $audited = '';
	@tables = ();
	my @kinds = ('row', map { pick(qw(row row pair bag part child array unaudited)) } 1 .. some(1, 3));
	my $sql = '';
	foreach my $i (0 .. $#kinds)
	{
		my $kind = $kinds[$i];
		my %table = (name => "$schema.t$i", root => "$schema.t$i", key => 'id', parts => ["t$i"], is_audited => $kind ne 'unaudited');
		my $name = $table{name};
		if ($kind eq 'pair')
		{
			$table{key} = 'b, id';
			$sql .= "CREATE TABLE $name (id integer, v integer, b integer DEFAULT 1, PRIMARY KEY (b, id));\n";
		}
		elsif ($kind eq 'bag') { $table{key} = undef; $sql .= "CREATE TABLE $name (id integer, v integer);\n"; }
		elsif ($kind eq 'part')
		{
			$table{parts} = [ "t${i}_1", "t${i}_2" ];
			$table{partitioned} = 1;
			$table{name} = "$schema.t${i}_" . some(1, 2) if chance(0.2);
			$sql .= "CREATE TABLE $name (id integer PRIMARY KEY, v integer) PARTITION BY RANGE (id);\n"
				. "CREATE TABLE ${name}_1 PARTITION OF $name FOR VALUES FROM (MINVALUE) TO (4);\nCREATE TABLE ${name}_2 PARTITION OF $name FOR VALUES FROM (4) TO (MAXVALUE);\n";
		}
		elsif ($kind eq 'child')
		{
			$sql .= "CREATE TABLE $name (id integer PRIMARY KEY, v integer, p integer DEFAULT " . some(0, 7) . " REFERENCES $schema.t0 ON UPDATE CASCADE ON DELETE " . pick('CASCADE', 'CASCADE', 'SET NULL') . ");\n";
		}
		elsif ($kind eq 'array') { $sql .= "CREATE TABLE $name (id integer PRIMARY KEY, v integer, a integer[] DEFAULT '{1,2}');\n"; }
		else { $sql .= "CREATE TABLE $name (id integer PRIMARY KEY, v integer);\n"; }
		$audited .= "SELECT ledger.enable_audit('$name');\n" if $table{is_audited};
		push @tables, \%table;
	}
	return $sql . $audited;
}

sub copy_unit
{
	my $table = pick(@tables);
	my @ids = grep { chance(0.5) } 0 .. 7;
	return (chance(0.7) ? "DELETE FROM $table->{name} WHERE id < 8;\n" : '') . "COPY $table->{name} (id, v) FROM STDIN;\n" . join('', map { "$_\t1\n" } @ids) . "\\.\n";
}

sub cursor_unit
{
	my $table = pick(@tables);
	my $query = chance(0.5) ? "SELECT id FROM $table->{name} WHERE " . where() . ' FOR UPDATE' : "SELECT $schema.f" . some(1, $functions) . '(i) FROM generate_series(0, 5) AS i';
	my $current = $query =~ /UPDATE/ && chance(0.7) ? pick("UPDATE $table->{name} SET v = v + 1", "DELETE FROM $table->{name}") . ' WHERE CURRENT OF c' : statement();
	return "BEGIN;\nDECLARE c CURSOR FOR $query;\nFETCH 2 FROM c;\n$current;\nFETCH 2 FROM c;\n" . statement() . ";\nFETCH ALL FROM c;\nCOMMIT;\n";
}

sub transaction_unit
{
	my $sql = "BEGIN;\n";
	my @open;
	foreach (1 .. some(2, 6))
	{
		my $kind = rand;
		if ($kind < 0.2) { push @open, 's' . some(1, 3); $sql .= "SAVEPOINT $open[-1];\n"; }
		elsif ($kind < 0.3 && @open) { $sql .= "ROLLBACK TO $open[-1];\n"; }
		elsif ($kind < 0.4 && @open) { $sql .= 'RELEASE ' . pop(@open) . ";\n"; }
		elsif ($kind < 0.45) { $sql .= "SET CONSTRAINTS ALL IMMEDIATE;\n"; }
		else { $sql .= statement() . ";\n"; }
	}
	my $name = "$schema-" . some(1, 1 << 30);
	return $sql . pick("COMMIT;\n", "COMMIT;\n", "COMMIT;\n", "ROLLBACK;\n", "PREPARE TRANSACTION '$name';\nCOMMIT PREPARED '$name';\n");
}

sub big_unit
{
	my $table = pick(@tables);
	my $name = $table->{root};
	my $count = some(4200, 6000);
	return pick("INSERT INTO $name (id, v) SELECT i, 0 FROM generate_series(1000, 999 + $count) AS i" . ($table->{key} && chance(0.5) ? ' ON CONFLICT DO NOTHING' : '') . ";\n",
		"UPDATE $name SET v = v + 1;\n", "DELETE FROM $name WHERE id > 1000 AND id % 3 > 0;\n", "UPDATE $name SET id = -id WHERE id > 1000;\n",
		"INSERT INTO $name (id, v) SELECT i, $schema.f1(i) FROM generate_series(8000, 7999 + $count) AS i;\n",
		"COPY $name (id, v) FROM STDIN;\n" . join('', map { "$_\t1\n" } 12001 .. 12000 + $count) . "\\.\n");
}

sub unit
{
	my $kind = rand;
	return big_unit() if $is_big && $kind < 0.4;
	return statement() . ";\n" if $kind < 0.55;
	return transaction_unit() if $kind < 0.8;
	return "SELECT $schema.f" . some(1, $functions) . "(i) FROM generate_series(0, 4) AS i;\n" if $kind < 0.85;
	return "DO \$\$\nDECLARE\n\tx integer;\nBEGIN\n\tFOR x IN 0 .. 3 LOOP\n" . steps(undef, 'x') . "\tEND LOOP;\nEND\n\$\$;\n" if $kind < 0.92;
	return copy_unit() if $kind < 0.96;
	return cursor_unit();
}

# SQL for psql. Returns it with the names of the tables where audited rows are, and a function
# that says of a relation whether it has a primary key.
sub audit_program
{
	my ($seed) = @_;
	srand $seed;
	$schema = "s$seed";
	$trigger = 0;
	$functions = some(1, 2);
	$is_big = $seed % 10 == 0;
	my $sql = "CREATE SCHEMA $schema;\nCREATE SEQUENCE $schema.budget;\nCREATE SEQUENCE $schema.steps;\nCREATE TABLE $schema.counted (n integer);\n";
	$sql .= define_tables();
	$sql .= function_of($_) foreach 1 .. $functions;
	$sql .= trigger_on(pick(@tables)) foreach 1 .. some(1, 5);
	$sql .= "\\set ON_ERROR_ROLLBACK " . pick('on', 'off') . "\n";
	$sql .= unit() foreach 1 .. ($is_big ? 6 : some(6, 14));
	$sql .= "ROLLBACK;\n";
	my %has_key = map { my $table = $_; map { ("$schema.$_" => $table->{key}) } @{ $table->{parts} } } @tables;
	my @audited = map { @{ $_->{parts} } } grep { $_->{is_audited} } @tables;
	return ($sql, \@audited, sub { return $has_key{ $_[0] }; });
}

1;
