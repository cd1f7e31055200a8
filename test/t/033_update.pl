# ALTER EXTENSION ledger UPDATE from each earlier release, with data in it: the library
# works with the old SQL, and after the update the ledger is as one newly made.

use strict;
use warnings;

use FilledLedger;
use File::Basename;
use LedgerTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = ledger_node('update', 'ledger.seal_interval = 0');
my $catalog = slurp_file(dirname(__FILE__) . '/catalog.sql');

# Of two catalogs, the lines that the other has not.
sub differences
{
	my ($is, $should) = @_;
	my %is = map { $_ => 1 } split /\n/, $is;
	my %should = map { $_ => 1 } split /\n/, $should;
	return join "\n", (map { "+ $_" } grep { !$should{$_} } sort keys %is), (map { "- $_" } grep { !$is{$_} } sort keys %should);
}

my $sql = sub { my ($database, $statement) = @_; return $node->safe_psql($database, $statement) };
my $newest = $sql->('postgres', q{SELECT default_version FROM pg_available_extensions WHERE name = 'ledger'});
$sql->('postgres', 'CREATE ROLE app; CREATE ROLE other; CREATE ROLE auditor; CREATE ROLE reviewer; CREATE DATABASE restored; CREATE DATABASE fresh');
my $grants = q{
	SELECT ledger.grant_access('app', 'writer');
	SELECT ledger.grant_access('auditor', 'auditor');
	GRANT USAGE ON SCHEMA ledger TO reviewer;
	GRANT SELECT (id, relation) ON ledger.audit_log TO reviewer WITH GRANT OPTION;
};

# --- the SQL of an earlier release under the present library, and then the update

my @releases = ('0.1', '0.2');
foreach my $release (@releases)
{
	my $updated = "updated from $release";
	$sql->('postgres', qq{CREATE DATABASE "$updated"});
	create_ledger($node, $updated, $release);
	$sql->($updated, $grants);
	fill_ledger($node, $updated, 'first');
	my $digest = $sql->($updated, 'SELECT ledger.digest()');
	carries_on($node, $updated, 'first', $digest, $release);
	fill_ledger($node, $updated, 'second');
	$sql->($updated, "SELECT ledger.grant_access('other', 'writer')");
	is($sql->($updated, "SET ROLE app; SELECT state FROM ledger.begin_request('in flight', '1')"), 'new', "$release: a request is in flight");
	is($sql->($updated, "SET ROLE other; SELECT state FROM ledger.begin_request('in flight', '1')"), 'in_progress', "$release: it is everybody's");

	my $content = content($node, $updated);
	# A view of the user's on one whose columns change keeps the update from being made.
	$sql->($updated, 'CREATE VIEW last_changes AS SELECT * FROM ledger.audit_log');
	refused($node, $updated, 'ALTER EXTENSION ledger UPDATE', '2BP01', "$updated: not while a view depends on the log");
	$sql->($updated, 'DROP VIEW last_changes; ALTER EXTENSION ledger UPDATE');
	is($sql->($updated, q{SELECT extversion FROM pg_extension WHERE extname = 'ledger'}), $newest, "$updated: it is the present version");
	same_content($node, $updated, $content, $updated);
	carries_on($node, $updated, 'second', $digest, $updated);
	is($sql->($updated, "SET ROLE auditor; SELECT count(*) > 40 FROM ledger.audit_log; SET ROLE reviewer; SELECT count(relation) > 40 FROM ledger.audit_log"),
		"t\nt", "$updated: who could read the log can");
	fill_ledger($node, $updated, 'third');
	carries_on($node, $updated, 'third', $digest, "$updated, filled again");
	$sql->($updated, "SELECT ledger.grant_access('app', 'writer'), ledger.grant_access('auditor', 'auditor')");

	# A request of before is everybody's, a new one its role's.
	is($sql->($updated, "SET ROLE other; SELECT state FROM ledger.begin_request('in flight', '1')"), 'in_progress', "$updated: a request of before is everybody's");
	$sql->($updated, "SET ROLE other; SELECT ledger.complete_request('in flight', '\"done\"')");
	is($sql->($updated, "SET ROLE app; SELECT response FROM ledger.begin_request('in flight', '1')"), '"done"', "$updated: any role may complete it");
	is($sql->($updated, "SET ROLE app; SELECT state FROM ledger.begin_request('after')"), 'new', "$updated: a new request");
	refused($node, $updated, "SET ROLE other; SELECT ledger.begin_request('after')", 'LG308', "$updated: it is its role's");
	$sql->($updated, "SELECT ledger.revoke_access('other')");
}

# --- the catalogs

create_ledger($node, 'fresh');
$sql->('fresh', $grants);
my $fresh = $sql->('fresh', $catalog);
cmp_ok(scalar(split /\n/, $fresh), '>', 1000, 'the catalogs say much of the extension');
is(differences($sql->("updated from $_", $catalog), $fresh), '', "updated from $_, it is as a new one") foreach @releases;

my $dump = PostgreSQL::Test::Utils::tempdir() . '/updated.dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr("updated from $releases[0]") ], 'pg_dump');
$node->command_ok([ 'pg_restore', '-e', '-d', $node->connstr('restored'), $dump ], 'pg_restore');
is(differences($sql->('restored', $catalog), $fresh), '', 'so is a restored one');

# What an upgrade script could forget, or do otherwise, is seen.
foreach my $slip (
	'ALTER FUNCTION ledger.transfer(text, text, numeric, text, jsonb) STRICT',
	'ALTER FUNCTION ledger.balance_at(text, timestamptz) SECURITY INVOKER',
	'ALTER FUNCTION ledger.grant_access(regrole, text) RESET search_path',
	"CREATE OR REPLACE FUNCTION ledger.revoke_access(role regrole) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS 'BEGIN END'",
	'COMMENT ON FUNCTION ledger.seal() IS NULL',
	"COMMENT ON VIEW ledger.stock IS 'another'",
	'GRANT EXECUTE ON FUNCTION ledger.fold(integer) TO PUBLIC',
	'GRANT SELECT ON ledger_data.client TO app',
	'GRANT CREATE ON SCHEMA ledger TO app',
	'ALTER EXTENSION ledger DROP FUNCTION ledger.seal()',
	'CREATE TABLE ledger_data.more (); ALTER EXTENSION ledger ADD TABLE ledger_data.more',
	'ALTER TABLE ledger_data.client ADD COLUMN more text',
	"ALTER TABLE ledger_data.account ALTER COLUMN metadata SET DEFAULT '{}'",
	'ALTER TABLE ledger_data.client ALTER COLUMN secret DROP NOT NULL',
	'ALTER TABLE ledger_data.hold SET (fillfactor = 50)',
	'ALTER TABLE ledger_data.asset DISABLE TRIGGER guard',
	'DROP TRIGGER guard ON ledger_data.reversal',
	'DROP INDEX ledger_data.tcc_due_at_idx',
	'ALTER TABLE ledger_data.hold ADD CHECK (posted >= 0)',
	"CREATE OR REPLACE VIEW ledger.verify_progress AS SELECT p.* FROM ledger_data.verify_progress() AS p WHERE true",
	"UPDATE pg_extension SET extconfig = extconfig[2:], extcondition = extcondition[2:] WHERE extname = 'ledger'",
	"DELETE FROM pg_init_privs WHERE objoid = 'ledger.seal()'::regprocedure")
{
	isnt(differences($sql->('fresh', "BEGIN; $slip; $catalog; ROLLBACK"), $fresh), '', "seen: $slip");
}

# No note of a grant stays that DROP ROLE would stumble over.
$sql->($_, 'DROP OWNED BY reviewer') foreach 'restored', 'fresh', map { "updated from $_" } @releases;
is($sql->('postgres', 'DROP ROLE reviewer'), '', 'a role with grants that were kept can be dropped');

$node->stop;
done_testing();
