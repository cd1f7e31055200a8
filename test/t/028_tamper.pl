# Whoever changes what is sealed is found: rows altered, removed, inserted, put in
# another order, lanes and seals written anew, in SQL with the guards off and in the
# files with the server stopped.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{LEDGER_SEED} // 42;
srand $seed;
note "seed $seed";

my $node = ledger_node('tamper', 'ledger.worker = off', 'autovacuum = off');
create_ledger($node, 'postgres');
chain_functions($node, 'postgres');
my $sql = sub { return $node->safe_psql('postgres', $_[0]) };

$sql->(q{
	CREATE EXTENSION pageinspect;
	SELECT ledger.transfer('world', 'a', 1000000);
	CREATE TABLE price (sku text PRIMARY KEY, cents bigint);
	SELECT ledger.enable_audit('price');
});

# Some transfers and audited changes in each of several lanes, then a seal; the last ones in none.
foreach my $round (1 .. 4)
{
	$node->pgbench('--no-vacuum --client=5 --transactions=12', 0, [qr{processed: 60/60}], [qr/^$/], "round $round",
		{ "028_tamper_$round" => qq{
			SELECT ledger.transfer('a', 'b', 0.01 * (1 + i), metadata => CASE WHEN i > 1 THEN jsonb_build_object('round', $round, 'i', i) END)
			FROM generate_series(1, 2) AS i;
			INSERT INTO price VALUES (:client_id, $round) ON CONFLICT (sku) DO UPDATE SET cents = price.cents + 1;} });
	is($sql->('SELECT ledger.seal()'), $round, "seal $round") if $round < 4;
}
is($sql->('SELECT count(DISTINCT lane) > 1 FROM ledger_data.transfer'), 't', 'several lanes');
is($sql->('SELECT count(*) > 200 FROM ledger_data.audit'), 't', 'audit records');
is($sql->(q{SELECT count(*) FROM ledger_data.transfer AS t LEFT JOIN ledger_data.transfer AS p ON p.lane = t.lane AND p.seq = t.seq - 1
	WHERE t.hash IS DISTINCT FROM sha256(COALESCE(p.hash, chain.zero()) || chain.record(t))}), '0', 'another implementation has the same hashes of transfers');
is($sql->(q{SELECT count(*) FROM ledger_data.audit AS a LEFT JOIN ledger_data.audit AS p ON p.lane = a.lane AND p.seq = a.seq - 1
	WHERE a.hash IS DISTINCT FROM sha256(COALESCE(p.hash, chain.zero()) || chain.record(a))}), '0', 'and of audit records');
is($sql->('SELECT count(*) FROM ledger_data.seal AS s WHERE s.hash <> sha256(chain.record(s))'), '0', 'and of seals');
healthy($node, 'postgres', 'before anything is changed');
my $digest = $sql->('SELECT ledger.digest()');
is($sql->("SELECT count(*) FROM ledger.verify_digest('$digest')"), '0', 'the digest fits');

# Does it with the guards off, looks, and takes it back. Returns what was found, a line each.
sub found
{
	my ($tampering, $look) = @_;
	$look //= 'SELECT scope, lane, seq, id, problem FROM ledger.verify()';
	return $sql->("BEGIN; SET LOCAL session_replication_role = replica; $tampering; $look; ROLLBACK");
}

sub pick { return $_[ int rand @_ ] }

# A record at random, as (table, id).
sub any_record
{
	my $table = pick('transfer', 'audit');
	return ($table, $sql->("SELECT id FROM ledger_data.$table OFFSET " . int(rand(200)) . ' LIMIT 1'));
}

my %other = (
	id => 'id + 65536', debit_account => 'credit_account', credit_account => 'debit_account', amount => 'amount + 1', ref => 'ref + 1',
	txid => 'txid - 1', created_at => "created_at + interval '1 microsecond'", seq => 'seq + 1', kind => '6 - kind', lane => '(lane + 1) % 1024',
	hash => 'sha256(hash)', metadata => q{CASE WHEN metadata IS NULL THEN '{}'::jsonb END},
	at => "at - interval '1 microsecond'", relation_oid => '1', relation => "relation || ' '", operation => "lower(operation)",
	actor => "actor || 'x'", acting_as => "''", application => "COALESCE(application || '.', '')", client => "COALESCE(client || '.', '')",
	key => q{CASE WHEN key IS NULL THEN '{}'::json ELSE (key::text || ' ')::json END}, old => q{CASE WHEN old IS NULL THEN '{}'::json END},
	new => q{CASE WHEN new IS NULL THEN '{}'::json ELSE (new::text || ' ')::json END});
my %columns = map { $_ => [ split /\n/, $sql->("SELECT attname FROM pg_attribute WHERE attrelid = 'ledger_data.$_'::regclass AND attnum > 0 ORDER BY attnum") ] } 'transfer', 'audit', 'seal';

# Every column, once each.
foreach my $table ('transfer', 'audit')
{
	foreach my $column (@{ $columns{$table} })
	{
		my $id = $sql->("SELECT id FROM ledger_data.$table OFFSET 77 LIMIT 1");
		my $finding = found("UPDATE ledger_data.$table SET $column = $other{$column} WHERE id = $id");
		my $word = $column eq 'seq' ? qr/missing|inserted|altered/ : $column eq 'id' ? qr/altered|reordered/ : qr/altered/;
		like($finding, $word, "$table.$column");
		like($finding, qr/\|$id\|altered/, "$table.$column: and which record") unless $column =~ /^(id|seq|hash)$/;
		is(() = $finding =~ /altered/g, 1, "$table.$column: that one alone") unless $column =~ /^(id|seq|hash)$/;
	}
}
my %other_seal = (number => 'number + 10', sealed_at => "sealed_at + interval '1 s'", transfers => 'transfers + 1', audits => 'audits + 1',
	from_id => 'from_id - 1', until_id => 'until_id + 1', transfer_root => 'audit_root', audit_root => 'transfer_root', previous => 'hash', hash => 'previous',
	heads => "substr(heads, 44)");
foreach my $column (@{ $columns{seal} })
{
	like(found("UPDATE ledger_data.seal SET $column = $other_seal{$column} WHERE number = 2"), qr/^seals\|\|[23]\|/m, "seal.$column");
}
like(found('DELETE FROM ledger_data.seal WHERE number = 2'), qr/^seals\|\|2\|\|missing/m, 'a seal removed');
# A seal with the right hash of what it says now: that the next one does not follow on it is all there is to see.
my $rehash = 'UPDATE ledger_data.seal AS s SET hash = sha256(chain.record(s)) WHERE number =';
is(found("UPDATE ledger_data.seal SET sealed_at = sealed_at + interval '1 s' WHERE number = $_; $rehash $_"),
	'seals||' . ($_ + 1) . '||rewritten: it does not follow on the seal before', "seal $_ with another time and its hash") foreach 1, 2;
is(found("UPDATE ledger_data.seal SET previous = sha256(previous) WHERE number = $_; $rehash $_", "SELECT seq, problem FROM ledger.verify() WHERE seq = $_"),
	"$_|rewritten: it does not follow on the seal before", "seal $_ after another one") foreach 1, 2, 3;
# The last seal, which nothing follows on, of other records than there are.
foreach my $scope ('transfer', 'audit')
{
	is(found("UPDATE ledger_data.seal SET ${scope}_root = sha256(${scope}_root) WHERE number = 3; $rehash 3", 'SELECT scope, seq, problem FROM ledger.verify()'),
		($scope eq 'transfer' ? 'transfers' : 'audit') . '|3|rewritten: the records are not those of the tree of seal 3', "seal 3 of another tree: $scope");
	like(found("UPDATE ledger_data.seal SET ${scope}s = ${scope}s + 1 WHERE number = 3; $rehash 3", 'SELECT scope, seq, problem FROM ledger.verify()'),
		qr/^${scope}s?\|3\|rewritten: seal 3 covers \d+ records, and there are \d+$/, "seal 3 of one record more: $scope");
}

# One record removed among others that change places: those that come late leave it missing.
my $long = $sql->('SELECT lane FROM ledger_data.transfer WHERE id <= (SELECT until_id FROM ledger_data.seal WHERE number = 1) GROUP BY lane HAVING count(*) > 6 LIMIT 1');
like(found(qq{DELETE FROM ledger_data.transfer WHERE lane = $long AND seq = 5;
	UPDATE ledger_data.transfer SET seq = CASE seq WHEN 2 THEN 5 WHEN 4 THEN 2 ELSE seq END WHERE lane = $long AND seq IN (2, 4)}),
	qr/^transfers\|$long\|4\|\|missing: it is not there$/m, 'a record removed among others that change places');

# A hundred times at random: whatever is done is found.
my $missed = 0;
my %named;
foreach my $attempt (1 .. 100)
{
	my ($table, $id) = any_record();
	my $kind = pick(qw(alter delete insert forge swap renumber truncate rewrite));
	my ($tampering, $word);
	if ($kind eq 'alter')
	{
		my $column = pick(grep { $_ !~ /^(id|seq)$/ } @{ $columns{$table} });
		($tampering, $word) = ("UPDATE ledger_data.$table SET $column = $other{$column} WHERE id = $id", 'altered');
	}
	elsif ($kind eq 'delete')
	{
		($tampering, $word) = ("DELETE FROM ledger_data.$table WHERE id = $id", 'missing|truncated');
	}
	elsif ($kind eq 'insert')    # a record again, under another id
	{
		($tampering, $word) = (qq{CREATE TEMP TABLE again AS SELECT * FROM ledger_data.$table WHERE id = $id;
			UPDATE again SET id = } . pick('id + 65536', "(SELECT max(id) + 64 * 1024 * 64 FROM ledger_data.$table)", '64 * lane + 1') . qq{;
			INSERT INTO ledger_data.$table SELECT * FROM again}, 'inserted|altered');
	}
	elsif ($kind eq 'forge')     # at the end of a lane, with the right number and hash
	{
		($table, $tampering, $word) = ('transfer', q{
			CREATE TEMP TABLE again AS SELECT t.* FROM ledger_data.transfer AS t ORDER BY random() LIMIT 1;
			UPDATE again SET amount = 1, seq = (SELECT max(t.seq) + 1 FROM ledger_data.transfer AS t WHERE t.lane = again.lane),
				id = ((SELECT max(t.id) >> 22 FROM ledger_data.transfer AS t) + 1 << 22) + 64 * lane;
			INSERT INTO ledger_data.transfer SELECT * FROM again;
			SELECT chain.relink(a.lane, a.seq) FROM again AS a}, 'inserted');
	}
	elsif ($kind eq 'swap')      # what two records say, under their ids
	{
		my $other = $sql->("SELECT id FROM ledger_data.$table WHERE id <> $id OFFSET " . int(rand(200)) . ' LIMIT 1');
		($tampering, $word) = (qq{CREATE TEMP TABLE two AS SELECT * FROM ledger_data.$table WHERE id IN ($id, $other);
			DELETE FROM ledger_data.$table WHERE id IN ($id, $other);
			UPDATE two SET id = CASE id WHEN $id THEN $other ELSE $id END;
			INSERT INTO ledger_data.$table SELECT * FROM two}, 'altered|reordered|inserted|missing');
	}
	elsif ($kind eq 'renumber')  # two neighbours in their lane
	{
		($tampering, $word) = (qq{WITH one AS (SELECT lane, seq FROM ledger_data.$table WHERE id = $id),
				low AS (SELECT o.lane, CASE WHEN o.seq > 1 THEN o.seq - 1 ELSE 1 END AS seq FROM one AS o)
			UPDATE ledger_data.$table AS x SET seq = 2 * l.seq + 1 - x.seq FROM low AS l WHERE x.lane = l.lane AND x.seq IN (l.seq, l.seq + 1)},
			'reordered|truncated|missing');
	}
	elsif ($kind eq 'truncate')  # the end of a lane, which the last seal may not have
	{
		my $count = 1 + int rand 5;
		($tampering, $word) = (qq{DELETE FROM ledger_data.$table AS x USING (SELECT lane, max(seq) AS seq FROM ledger_data.$table
				WHERE lane = (SELECT lane FROM ledger_data.$table WHERE id = $id) GROUP BY lane) AS l
			WHERE x.lane = l.lane AND x.seq > l.seq - $count}, 'truncated: the lane ends|missing: the lane ends');
	}
	else                         # a lane from some record on, with hashes that fit
	{
		($table, $id) = ('transfer', $sql->('SELECT id FROM ledger_data.transfer OFFSET ' . int(rand(200)) . ' LIMIT 1'));
		($tampering, $word) = (qq{UPDATE ledger_data.transfer SET amount = amount + 1 WHERE id = $id;
			SELECT chain.relink(t.lane, t.seq) FROM ledger_data.transfer AS t WHERE t.id = $id}, 'rewritten');
	}
	my $finding = found($tampering);
	next if $finding =~ /\|(?:$word)/ && ++$named{$kind};
	++$missed;
	diag "seed $seed, attempt $attempt, $kind of $table $id: $tampering\nfound: $finding";
}
is($missed, 0, 'a hundred of a hundred are found');
cmp_ok(scalar keys %named, '==', 8, 'of every kind');
healthy($node, 'postgres', 'all was taken back');

# What no honest ledger has.
my $copy = 'INSERT INTO ledger_data.transfer SELECT %s, debit_account, credit_account, amount, ref, txid, created_at, seq%s, kind, lane, hash, metadata
	FROM ledger_data.transfer ORDER BY id LIMIT 1';
like(found(sprintf $copy, '-id', ''), qr/inserted/, 'a transfer with a negative id');
like(found("UPDATE pg_index SET indisready = false WHERE indexrelid = 'ledger_data.transfer_pkey'::regclass;" . sprintf($copy, 'id + 65536', ' + 100') .
	"; UPDATE pg_index SET indisready = true WHERE indexrelid = 'ledger_data.transfer_pkey'::regclass"), qr/inserted: the lane has/, 'a transfer that the index of ids does not have');
like(found('CREATE TABLE public.heir () INHERITS (ledger_data.transfer)'), qr/inserted: table public.heir inherits/, 'a table that inherits');
like(found("INSERT INTO ledger_data.seal SELECT $_, sealed_at, transfers, audits, from_id, until_id, transfer_root, audit_root, previous, hash, heads FROM ledger_data.seal WHERE number = 1"),
	qr/^seals\|/m, "a seal of number $_") foreach -5, 0, 2**60;

# A record that no seal has yet, written anew while the server runs that wrote it, and
# sealed: the server still knows better.
$sql->('CREATE DATABASE second');
create_ledger($node, 'second');
chain_functions($node, 'second');
$node->safe_psql('second', q{
	SELECT ledger.seal();
	SELECT ledger.transfer('a', 'b', 1);
	SET session_replication_role = replica;
	UPDATE ledger_data.transfer SET amount = amount + 1 WHERE id = (SELECT max(id) FROM ledger_data.transfer);
	SELECT chain.relink(lane, seq) FROM ledger_data.transfer ORDER BY id DESC LIMIT 1;});
foreach my $isolation ('READ COMMITTED', 'READ UNCOMMITTED')
{
	like($node->safe_psql('second', "BEGIN ISOLATION LEVEL $isolation; SELECT problem FROM ledger.verify(); COMMIT"), qr/rewritten.*running server/, "written anew before it was sealed, $isolation");
}
$node->safe_psql('second', 'SELECT ledger.seal()');
like($node->safe_psql('second', 'SELECT problem FROM ledger.verify()'), qr/rewritten.*running server/, 'and sealed');

# A ledger dropped and made again in a transaction that has written to it has chains of its own.
$node->safe_psql('second', q{BEGIN; SELECT ledger.transfer('a', 'b', 1); SET client_min_messages = warning; SET ledger.allow_drop = on; DROP EXTENSION ledger CASCADE; CREATE EXTENSION ledger;
	SELECT ledger.create_asset('USD', 2); SELECT ledger.open_account('a', 'USD', floor => NULL), ledger.open_account('b', 'USD'); SELECT ledger.transfer('a', 'b', 1); COMMIT});
healthy($node, 'second', 'made again in one transaction');

# Everything anew, seals and all. Nothing inside the database can tell: its own older
# snapshot is all that the transaction compares with. The digest kept outside tells.
my $all_anew = q{
	UPDATE ledger_data.transfer SET amount = amount + 1 WHERE id = (SELECT min(id) FROM ledger_data.transfer);
	SELECT count(chain.relink(l.lane)) FROM (SELECT DISTINCT lane FROM ledger_data.transfer) AS l;
	SELECT chain.reseal()};
sub found_alone
{
	my ($look) = @_;
	my $all = $sql->("BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL session_replication_role = replica; $all_anew; SELECT 'found:'; $look; ROLLBACK");
	return $all =~ s/.*found:\n?//sr;
}
is(found_alone('SELECT * FROM ledger.verify()'), '', 'what is written anew as a whole looks intact');
like(found_alone("SELECT scope, seq, problem FROM ledger.verify_digest('$digest')"), qr/^seals\|3\|rewritten/, 'but does not fit the digest');
my $first = $sql->(qq{SELECT jsonb_build_object('version', 1, 'seal', number, 'hash', encode(hash, 'hex')) FROM ledger_data.seal WHERE number = 1});
like(found_alone("SELECT scope, seq, problem FROM ledger.verify_digest('$first')"), qr/^seals\|1\|rewritten/, 'nor an older one');
like(found("DELETE FROM ledger_data.seal WHERE number = 3", "SELECT scope, seq, problem FROM ledger.verify_digest('$digest')"),
	qr/^seals\|3\|missing/m, 'a seal that is not there any more');

# Bits in the files, with the server stopped: one in each of some records' every column of a fixed place.
$sql->('CHECKPOINT');
my @places = (debit_account => 8, credit_account => 16, amount => 24, ref => 32, txid => 40, created_at => 48, kind => 64, hash => 69);
my (%flipped, @flips);
while (my ($column, $offset) = splice @places, 0, 2)
{
	my ($id, $block, $start) = split /\|/, $sql->(q{
		SELECT t.id, (t.ctid::text::point)[0]::int, i.lp_off + i.t_hoff FROM ledger_data.transfer AS t
		CROSS JOIN LATERAL heap_page_items(get_raw_page('ledger_data.transfer', (t.ctid::text::point)[0]::int)) AS i
		WHERE i.lp = (t.ctid::text::point)[1]::int OFFSET } . (20 + 17 * @flips) . ' LIMIT 1');
	$flipped{$id} = $column;
	push @flips, [ $block * 8192 + $start + $offset, int rand 8 ];
}
my $file = $node->data_dir . '/' . $sql->("SELECT pg_relation_filepath('ledger_data.transfer')");
$node->stop;
run_log([ 'pg_checksums', '--disable', '-D', $node->data_dir ]);    # which 18 has: who writes to files can mend them, too
foreach my $flip (@flips)
{
	my ($place, $bit) = @$flip;
	open my $heap, '+<:raw', $file or die "$file: $!";
	seek $heap, $place, 0;
	read $heap, my $byte, 1;
	seek $heap, $place, 0;
	print $heap chr(ord($byte) ^ 1 << $bit);
	close $heap;
}
$node->start;
my $finding = $sql->('SELECT id, problem FROM ledger.verify()');
like($finding, qr/^$_\|altered/m, "a bit of $flipped{$_} in the file") foreach sort keys %flipped;

$node->stop;
done_testing();
