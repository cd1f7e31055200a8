# What the audit logs of a row is the same text whatever the writer's settings and role are,
# and no value is lost: random rows of many types, written under random settings, and read back.
# Then databases of other encodings.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{LEDGER_SEED} // 42;
srand $seed;
my $rows = 40;
my $sessions = 12;

# Locales whose money looks otherwise, if they can be made here.
my $locales = PostgreSQL::Test::Utils::tempdir();
my @locales = ('C', 'POSIX');
foreach my $locale ('de_DE', 'ja_JP', 'en_US')
{
	next if system("localedef -i $locale -f UTF-8 '$locales/$locale.UTF-8' >'$locales/log' 2>&1") != 0;
	push @locales, "$locale.UTF-8";
}
$ENV{LOCPATH} = $locales if @locales > 2;
note "seed $seed, locales @locales";

my $node = ledger_node('values');
my $sql = sub { return $node->safe_psql('postgres', join ';', @_) };
my @extensions = split /\n/, $sql->(q{SELECT name FROM pg_available_extensions WHERE name IN ('citext', 'cube', 'hstore', 'isn', 'ltree') ORDER BY 1});
$sql->('CREATE EXTENSION ledger', map { "CREATE EXTENSION $_" } @extensions);
my %has = map { $_ => 1 } @extensions;

# A database in SQL_ASCII, as initdb may make it, translates no escape beyond ASCII.
my $escape = $sql->('SHOW server_encoding') eq 'UTF8' ? '\u00e9' : '\u0041';

# Types, and literals of each.
my %literals = (
	boolean => [qw(t f)],
	smallint => [qw(-32768 7)],
	bigint => [qw(-9223372036854775808 0 5)],
	oid => [qw(0 4294967295)],
	real => [qw(0.1 1e20 -0 NaN -Infinity 1.1754944e-38)],
	float8 => [ '0.1', '1e-300', '123456789012345680', 'Infinity', '0.30000000000000004' ],
	numeric => [qw(0 1.500 1e30 NaN -Infinity 0.00000000000000000001)],
	money => [ '1234567.89', '-0.05', '0' ],
	text => [ '', 'x', 'a "quoted" \\ name', "tab\tand\nline", 'é😀' ],
	'"char"' => [ 'a', '' ],
	'char(3)' => [ 'a', 'abc' ],
	name => [ 'n', 'N "n"' ],
	bytea => [ '\x', '\x00ff275c' ],
	uuid => ['00112233-4455-6677-8899-aabbccddeeff'],
	date => [ '2026-02-03', '0044-03-15 BC', 'infinity' ],
	time => [ '04:05:06.789', '24:00' ],
	timetz => [ '04:05:06+03', '00:00-15:59' ],
	timestamp => [ '2026-02-03 04:05:06.789', '-infinity' ],
	timestamptz => [ '2026-02-03 04:05:06+03', '1883-11-18 12:00:00Z', 'infinity' ],
	interval => [ '1 year 2 days 03:04:05.6', '-1 mon', '-1 day 5 hours', '0' ],
	json => [ '{"b" : 1,  "a": [2, null], "b": "x"}', '{}' ],
	jsonb => [ '{"z": 1.50, "a": "\""}', qq({"n": [1, {"m": "$escape"}]}) ],
	xml => [ '<a b="c">d</a>', 'text' ],
	inet => [ '10.0.0.1/8', '::1' ],
	cidr => ['10.0.0.0/8'],
	macaddr => ['08:00:2b:01:02:03'],
	'bit(3)' => ['101'],
	varbit => [ '', '10' ],
	point => ['(1.5,0.1)'],
	box => ['(1,1),(0.1,0)'],
	polygon => ['((0,0),(0.3,1),(1,0))'],
	tsvector => ["'a':1 'fat':2B"],
	tsquery => ["'a' & !'b'"],
	jsonpath => ['$."a"[*]?(@ > 1)'],
	pg_lsn => ['16/B374D848'],
	regclass => [ 'hidden.thing', 'public.thing', 'pg_class', 'hidden."Thing ""x"""', '12345678' ],
	regproc => [ 'hidden.act', 'pg_catalog.now' ],
	regprocedure => [ 'hidden.act(hidden.thing)', 'pg_catalog.abs(integer)' ],
	regoper => [ 'hidden.<<<', 'pg_catalog.||/' ],
	regoperator => [ 'hidden.<<<(integer,hidden.feeling)', 'pg_catalog.+(integer,integer)' ],
	regtype => [ 'hidden.feeling', 'integer[]', 'public.thing', 'character varying' ],
	regcollation => [ 'hidden.order', '"C"' ],
	regconfig => [ 'hidden.words', 'english' ],
	regdictionary => ['simple'],
	regnamespace => [ 'hidden', 'public', '"Hidden"' ],
	regrole => [ 'pg_monitor', '"writer ""w"""' ],
	int4range => [ '[1,5)', 'empty' ],
	tstzrange => ['[2026-02-03 04:05:06+03,infinity)'],
	datemultirange => ['{[2026-01-01,2026-02-01),[2026-03-01,)}'],
	'hidden.feeling' => [ 'good', 'so "so"' ],
	'hidden.feelings' => ['[good,"so ""so"""]'],
	'hidden.costs' => ['[$1.00,$2000.50)'],
	'hidden.classes' => ['[hidden.thing,)'],
	'hidden.few' => [ '{1,2}', '{}' ],
	$has{citext} ? (citext => ['Ab']) : (),
	$has{cube} ? (cube => ['(0.1, 2),(3, 4)']) : (),
	$has{hstore} ? (hstore => ['a=>1, "b c"=>NULL']) : (),
	$has{isn} ? (isbn => ['978-0-393-04002-9']) : (),
	$has{ltree} ? (ltree => ['a.b']) : ());

$sql->(q{
	CREATE SCHEMA hidden;
	CREATE SCHEMA "Hidden";
	CREATE ROLE "writer ""w""" LOGIN;
	CREATE ROLE another LOGIN;
	CREATE TABLE public.thing (id int);
	CREATE TABLE hidden.thing (id int);
	CREATE TABLE hidden."Thing ""x""" (id int);
	CREATE TYPE hidden.feeling AS ENUM ('good', 'so "so"');
	CREATE FUNCTION hidden.act(hidden.thing) RETURNS int LANGUAGE sql AS 'SELECT 1';
	CREATE FUNCTION hidden.compare(int, hidden.feeling) RETURNS boolean LANGUAGE sql AS 'SELECT true';
	CREATE OPERATOR hidden.<<< (LEFTARG = int, RIGHTARG = hidden.feeling, FUNCTION = hidden.compare);
	CREATE COLLATION hidden.order FROM "C";
	CREATE TEXT SEARCH CONFIGURATION hidden.words (COPY = english);
	CREATE TYPE hidden.feelings AS RANGE (subtype = hidden.feeling);
	CREATE TYPE hidden.costs AS RANGE (subtype = money);
	CREATE TYPE hidden.classes AS RANGE (subtype = regclass, subtype_opclass = oid_ops);
	CREATE DOMAIN hidden.few AS int[];
});

# A column of each type, one of its arrays, and composite types of some of each.
my @types = sort keys %literals;
my $pick = sub { return $_[ rand @_ ] };
my $quoted = sub { return "'" . $_[0] =~ s/'/''/gr . "'" };
my $value = sub { my ($type) = @_; return rand() < 0.1 ? "NULL::$type" : $quoted->($pick->(@{ $literals{$type} })) . "::$type" };
my $array = sub {
	my ($type) = @_;
	return $pick->('NULL', "'{}'") . "::$type\[]" if rand() < 0.2;
	my @values = map { $value->($type) } 1 .. 1 + rand 3;
	my $array = 'ARRAY[' . join(', ', @values) . "]::$type\[]";
	my $from = $pick->(1, 1, 0, -3, 7);
	my $bounds = "[$from:" . ($from + $#values) . ']';
	if (rand() < 0.2)
	{
		$array = "ARRAY[$array, $array]";
		$bounds = "[$from:" . ($from + 1) . "]$bounds";
	}
	return $from == 1 ? $array : "('$bounds=' || ($array)::text)::$type\[]";
};
# json_populate_record cannot tell an array's dimensions from those of its elements.
my @arrays = grep { $_ ne 'hidden.few' } @types;
my (@composites, %composite);
foreach my $n (1 .. 6)
{
	my @attributes = map { [ "a$_ \"$n\"" =~ s/"/""/gr, $pick->(@arrays), rand() < 0.3 ] } 1 .. 5;
	unshift @attributes, [ 'inner', "hidden.made_" . ($n - 1), 0 ] if $n > 1;
	$composite{"hidden.made_$n"} = \@attributes;
	push @composites, "hidden.made_$n";
	$sql->("CREATE TYPE hidden.made_$n AS (gone int, " . join(', ', map { "\"$_->[0]\" $_->[1]" . ($_->[2] ? '[]' : '') } @attributes) . ')',
		"ALTER TYPE hidden.made_$n DROP ATTRIBUTE gone");
}
my $composed;
$composed = sub {
	my ($type) = @_;
	return 'ROW(' . join(', ', map { $composite{ $_->[1] } ? $composed->($_->[1]) : $_->[2] ? $array->($_->[1]) : $value->($_->[1]) } @{ $composite{$type} }) . ")::$type";
};
my @columns = ((map { [ $_, sub { $value->($_[0]) } ] } @types), (map { [ "$_\[]", sub { $array->($_[0] =~ s/\[\]$//r) } ] } @arrays),
	(map { [ $_, $composed ] } @composites), (map { [ "$_\[]", sub { my $t = $_[0] =~ s/\[\]$//r; 'ARRAY[' . join(', ', map { $composed->($t) } 1 .. 1 + rand 2) . ']' } ] } @composites));
my $number = 0;
my $shape = join ', ', 'id int', map { 'c' . $number++ . " $_->[0]" } @columns;
$sql->("CREATE TABLE public.source ($shape)", 'CREATE TABLE public.audited (LIKE public.source)', "SELECT ledger.enable_audit('public.audited')",
	'GRANT ALL ON public.source, public.audited TO PUBLIC');
foreach my $row (1 .. $rows)
{
	$sql->("INSERT INTO public.source VALUES (" . join(', ', $row, map { $_->[1]->($_->[0]) } @columns) . ')');
}

# The same rows, written in sessions of all kinds.
my %settings = (
	search_path => [ 'public', 'hidden, public', '"Hidden", hidden', "''", 'pg_temp', 'pg_catalog, hidden', 'hidden, pg_catalog' ],
	quote_all_identifiers => [qw(on off)],
	DateStyle => [ "'SQL, DMY'", "'German'", "'Postgres, MDY'", "'ISO'" ],
	IntervalStyle => [qw(postgres postgres_verbose sql_standard iso_8601)],
	TimeZone => [qw('America/St_Johns' 'Asia/Tokyo' 'UTC')],
	extra_float_digits => [ -15, 0, 3 ],
	bytea_output => [qw(hex escape)],
	lc_monetary => [ map { "'$_'" } @locales ],
	lc_numeric => [ map { "'$_'" } @locales ],
	lc_time => [ map { "'$_'" } @locales ],
	xmlbinary => [qw(base64 hex)],
	xmloption => [qw(document content)],
	default_text_search_config => [qw('simple' 'english')],
	client_encoding => [qw(UTF8 SQL_ASCII)],
	role => [ 'another', '"writer ""w"""', 'none' ]);
foreach my $session (1 .. $sessions)
{
	my @set = map { "SET $_ = " . $pick->(@{ $settings{$_} }) } sort keys %settings;
	my $before = join '; ', map { "SHOW $_" } grep { $_ ne 'role' } sort keys %settings;
	my $shown = $node->safe_psql('postgres',
		join(";\n", @set, 'CREATE TEMPORARY TABLE thing (id int)', $before) . ";\n\\echo between\n"
		  . join(";\n", 'INSERT INTO public.audited SELECT * FROM public.source', $before));
	my ($was, $is) = map { chomp; $_ } split /between\n/, $shown;
	is($is, $was, "session $session keeps its settings") or diag join ';', @set;
}
is($sql->("SELECT count(*), count(DISTINCT new::text) FROM ledger.audit_log WHERE relation = 'public.audited' AND operation = 'INSERT'"),
	$rows * $sessions . "|$rows", 'a row is the same text in every session');
is($sql->("SELECT count(*) FROM ledger.audit_log WHERE relation = 'public.audited' AND new::jsonb IS NULL AND operation = 'INSERT'"), '0', 'it is jsonb');
is($sql->('SELECT count(*) FROM public.source WHERE id NOT IN (SELECT (new ->> \'id\')::int FROM ledger.audit_log WHERE new ->> \'id\' IS NOT NULL)'), '0', 'every row is there');

# Read back, each value is what it was.
foreach my $n (0 .. $#columns)
{
	my $lost = $node->safe_psql('postgres', qq{
		SELECT s.id, s.c$n, l.new -> 'c$n' FROM public.source AS s
		JOIN (SELECT DISTINCT ON ((new ->> 'id')::int) (new ->> 'id')::int AS id, new FROM ledger.audit_log WHERE relation = 'public.audited' AND operation = 'INSERT') AS l ON l.id = s.id
		WHERE (json_populate_record(NULL::public.source, json_build_object('c$n', l.new -> 'c$n'))).c$n\::text IS DISTINCT FROM s.c$n\::text LIMIT 3});
	is($lost, '', "read back: $columns[$n][0]");
}

# Nobody can write what makes the log unreadable: no jsonb could hold this record.
$sql->(q{
	CREATE TABLE public.large (a json, b json, c json);
	SELECT ledger.enable_audit('public.large');
	INSERT INTO public.large SELECT j, j, j FROM (SELECT ('[' || repeat('1,', 8000000) || '1]')::json AS j) AS t;
	INSERT INTO public.large VALUES ('{"a": 1}');
});
is($sql->("SELECT max(length(new::text)), count(*) FILTER (WHERE new -> 'a' ->> 'a' = '1') FROM ledger.audit_log WHERE relation = 'public.large' AND operation = 'INSERT'"),
	'48000025|1', 'a record of three large values is read, as are the others');

# As jsonb, one that cannot be converted fails alone, and is a string then.
$sql->(q{CREATE TABLE public.nested (j json)}, q{SELECT ledger.enable_audit('public.nested')},
	q{INSERT INTO public.nested VALUES ('{"a": 1}'), ((repeat('[', 990) || repeat(']', 990))::json), ('{"a": 2}')});
is($sql->("SET max_stack_depth = '100kB'", "SELECT string_agg(concat_ws(' ', jsonb_typeof(c.new), c.new -> 'j' ->> 'a'), ', ' ORDER BY l.id)
	FROM ledger.audit_log AS l, ledger.audit_change(l.id) AS c WHERE l.relation = 'public.nested' AND l.operation = 'INSERT'"),
	'object 1, string, object 2', 'one record that is no jsonb does not keep the others from being read');

# The one encoding that cannot be hashed is refused at once; in an older ledger, at the first write.
$sql->(q{CREATE DATABASE mule ENCODING 'MULE_INTERNAL' LOCALE 'C' TEMPLATE template0});
refused($node, 'mule', 'CREATE EXTENSION ledger', '0A000', 'MULE_INTERNAL: no ledger is made');
$node->safe_psql('mule', q{CREATE EXTENSION ledger VERSION '0.2'});
refused($node, 'mule', q{SELECT ledger.transfer('a', 'b', 1)}, '0A000', 'MULE_INTERNAL: no transfer');
refused($node, 'mule', q{CREATE TABLE t (id int); SELECT ledger.enable_audit('t')}, '0A000', 'MULE_INTERNAL: no audit');
foreach my $encoding ('SQL_ASCII', 'LATIN1', 'EUC_JP')
{
	$sql->("CREATE DATABASE \"in $encoding\" ENCODING '$encoding' LOCALE 'C' TEMPLATE template0");
	create_ledger($node, "in $encoding");
	$node->safe_psql("in $encoding", q{
		SET client_encoding = UTF8;
		CREATE TABLE t (id int PRIMARY KEY, a text[], j json, jb jsonb);
		SELECT ledger.enable_audit('t');
		INSERT INTO t VALUES (1, '{plain,"\"q\""}', '{"a": "\u0041"}', '{"b": "c"}'), (2, NULL, '"\u00e9"', NULL);
		SELECT ledger.transfer('a', 'b', 1, metadata => '{"m": "x"}');
	});
	is($node->safe_psql("in $encoding", "SELECT string_agg(json_typeof(new -> 'j'), ' ' ORDER BY id) FROM ledger.audit_log WHERE operation = 'INSERT'"),
		'object string', "$encoding: audited");
	healthy($node, "in $encoding", $encoding);
}

$node->stop;
done_testing();
