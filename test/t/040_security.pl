# What docs/security.md promises: no name of the caller's is ever looked up in his search
# path, secrets stay out of logs and statistics, a role that may call can do no more than
# that, and an installation adopts nothing.

use strict;
use warnings;

use IPC::Run;
use LedgerTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $key = PostgreSQL::Test::Utils::tempdir() . '/key.pem';
my $node = ledger_node('security', 'ledger.worker = off', "ledger.signing_key_file = '$key'",
	"shared_preload_libraries = 'ledger, pg_stat_statements, auto_explain'", "log_statement = 'all'", 'log_min_duration_statement = 0',
	"log_error_verbosity = 'verbose'", 'log_parameter_max_length_on_error = -1', 'auto_explain.log_min_duration = 0',
	'auto_explain.log_nested_statements = on', 'auto_explain.log_verbose = on', 'pg_stat_statements.track = all');
my $sql = sub { return $node->safe_psql('postgres', $_[0]) };

# --- an installation adopts nothing, and is a superuser's alone

$sql->(q{
	CREATE EXTENSION pg_stat_statements;
	CREATE ROLE mallory LOGIN;
	CREATE DATABASE shop OWNER mallory;
	CREATE DATABASE hijack;
});
my $as_mallory = sub { return "SET ROLE mallory; $_[0]" };
refused($node, 'shop', $as_mallory->('CREATE EXTENSION ledger'), '42501', "a database's owner cannot install it");
foreach my $schema ('ledger', 'ledger_data')
{
	$node->safe_psql('shop', $as_mallory->("CREATE SCHEMA $schema CREATE TABLE client (secret text)"));
	refused($node, 'shop', 'CREATE EXTENSION ledger', '42P06', "a planted schema $schema is not adopted");
	$node->safe_psql('shop', $as_mallory->("DROP SCHEMA $schema CASCADE"));
}

# --- hostile operators and functions before those of pg_catalog in every search path

# As many as pg_catalog has for these types, all of which tell that they were called.
my $hostile = q{
	CREATE SCHEMA evil;
	DO $do$
	DECLARE
		types oid[] := '{bool,text,int4,int8,int2,numeric,jsonb,json,bytea,timestamptz,interval,name,oid}'::regtype[];
		f record;
	BEGIN
		FOR f IN SELECT p.oid, p.proname, p.prorettype, pg_get_function_identity_arguments(p.oid) AS arguments
				 FROM pg_proc AS p
				 WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND NOT p.proretset
				   AND p.provariadic = 0 AND p.pronargs > 0 AND p.proargtypes::oid[] <@ types AND p.prorettype = ANY (types)
		LOOP
			BEGIN
				EXECUTE format('CREATE FUNCTION evil.%I(%s) RETURNS %s LANGUAGE plpgsql AS $f$ BEGIN RAISE ''hijacked: %s'' USING ERRCODE = ''HJ000''; END $f$',
					f.proname, f.arguments, f.prorettype::regtype, f.proname);
			EXCEPTION WHEN duplicate_function THEN NULL;
			END;
		END LOOP;
		FOR f IN SELECT o.oprname, o.oprleft::regtype AS l, o.oprright::regtype AS r, o.oprresult::regtype AS result, p.proname
				 FROM pg_operator AS o JOIN pg_proc AS p ON p.oid = o.oprcode
				 WHERE o.oprnamespace = 'pg_catalog'::regnamespace AND o.oprleft = ANY (types) AND o.oprright = ANY (types) AND o.oprresult = ANY (types)
				   AND p.pronargs = 2 AND to_regprocedure(format('evil.%I(%s,%s)', p.proname, o.oprleft::regtype, o.oprright::regtype)) IS NOT NULL
		LOOP
			EXECUTE format('CREATE OPERATOR evil.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = evil.%I)', f.oprname, f.l, f.r, f.proname);
		END LOOP;
	END
	$do$;
	GRANT USAGE ON SCHEMA evil TO PUBLIC;
	ALTER DATABASE hijack SET search_path = evil, pg_catalog, public;
};
$node->safe_psql('hijack', $hostile);
cmp_ok($node->safe_psql('hijack', q{SELECT pg_catalog.count(*) FROM pg_catalog.pg_operator AS o WHERE o.oprnamespace OPERATOR(pg_catalog.=) 'evil'::pg_catalog.regnamespace}),
	'>', 150, 'hostile operators');
refused($node, 'hijack', 'SELECT 1 = 1', 'HJ000', 'which are those that an unqualified one finds');
refused($node, 'hijack', "SELECT left('a'::text, 1)", 'HJ000', 'and so are functions');

# Everything is called so: in the words of the reference's examples, without an operator of our own.
$node->safe_psql('hijack', q{
	CREATE EXTENSION ledger;
	CREATE ROLE app LOGIN;
	SELECT ledger.grant_access('app', 'operator');
	CREATE TABLE price (sku text PRIMARY KEY, cents int, at timestamptz, spans interval, list int[]);
	SELECT ledger.enable_audit('price', exclude => '{cents}');
	INSERT INTO price VALUES ('a', 5, pg_catalog.now(), '1 day', '{1,2}');
	UPDATE price SET cents = 6;
	TRUNCATE price;
	SELECT ledger.create_asset('USD', 2, key => 'k0'), ledger.open_account('bank', 'USD', NULL, key => 'k1'), ledger.open_account('a', 'USD'), ledger.open_account('b', 'USD');
	SELECT ledger.create_stock('s', 10, key => 'k2');
	SELECT ledger.transfer('bank', 'a', 100, 'k3', '{"a": 1}'), ledger.try_transfer('a', 'b', 1), (ledger.transfer_up_to('a', 'b', 5)).*;
	SELECT * FROM ledger.transfer_batch('{a,a}', '{b,b}', '{1,2}', '{k4,k5}');
	SELECT ledger.alter_account('a', ceiling => 1000, key => 'k6'), ledger.freeze_account('b'), ledger.unfreeze_account('b');
	SELECT * FROM ledger.deduct_stocks('{s}', '{1}', 'k7');
	SELECT ledger.deduct_stock('s', 1), ledger.try_deduct_stock('s', 1), ledger.restore_stock('s', 1), ledger.add_stock('s', 1);
	SELECT * FROM ledger.reserve_stocks('{s}', '{1}');
	SELECT ledger.confirm_reservation(ledger.reserve_stock('s', 1)), ledger.release_reservation(ledger.reserve_stock('s', 1));
	SELECT ledger.post_hold(ledger.hold('a', 'b', 2, '1 hour'), 1), ledger.void_hold(ledger.hold('a', 'b', 2));
	SELECT ledger.reverse_transfer(ledger.transfer('a', 'b', 1), 'k8', 'why');
	SELECT ledger.tcc_begin('t'), ledger.tcc_freeze('t', 'x', 'a', 'b', 1), ledger.tcc_freeze_stock('t', 'y', 's', 1), ledger.tcc_confirm('t');
	SELECT ledger.tcc_begin('u'), ledger.tcc_freeze('u', 'x', 'a', 'b', 1), ledger.tcc_confirm_branch('u', 'x'), ledger.tcc_cancel('v'), ledger.tcc_cancel_branch('w', 'x');
	SELECT (ledger.begin_request('r', '{"a": 1}')).*, ledger.complete_request('r', '{}');
	SELECT (ledger.begin_request(ledger.issue_request_token(), require_token => true)).*, (ledger.begin_request('q')).*, ledger.fail_request('q');
	SELECT ledger.accept_message('c', 'm'), ledger.add_client('shop', '0123456789abcdef0123456789abcdef'), ledger.rotate_client('shop', '0123456789abcdef0123456789abcdef');
	SELECT ledger.verify_signed_request('shop', 'p', pg_catalog.now(), 'n', ledger.sign_request('shop', 'p', pg_catalog.now(), 'n', '0123456789abcdef0123456789abcdef'));
	SELECT ledger.remove_client('shop');
	SELECT ledger.fold(), ledger.expire_holds(), ledger.tcc_expire(), ledger.purge_requests();
	SELECT (ledger.balance('a')).*, ledger.balance_at('a', pg_catalog.now());
	SELECT * FROM ledger.statement('a');
	SELECT ledger.close_account('c') FROM (SELECT ledger.open_account('c', 'USD')) AS opened;
	SELECT ledger.seal();
});
$node->safe_psql('hijack', qq{SELECT * FROM ledger.$_}) foreach split /\n/, $node->safe_psql('hijack', q{
	SELECT c.relname FROM pg_catalog.pg_class AS c WHERE c.relnamespace OPERATOR(pg_catalog.=) 'ledger'::pg_catalog.regnamespace AND c.relkind OPERATOR(pg_catalog.=) 'v'});
command_ok([ 'openssl', 'genpkey', '-algorithm', 'ed25519', '-out', $key ], 'a key to sign with');
chmod 0600, $key;
$node->safe_psql('hijack', q{
	SELECT * FROM ledger.verify_digest(ledger.digest());
	SELECT ledger.consistency_proof(1), ledger.inclusion_proof(pg_catalog.max(t.id)) FROM ledger.transfers AS t;
	SELECT ledger.audit_change(l.id) FROM ledger.audit_log AS l;
	INSERT INTO price VALUES ('b', 5, pg_catalog.now(), '1 day', '{1,2}');
	SELECT * FROM ledger.check_audit();
	SELECT ledger.disable_audit('price'), ledger.grant_access('app', 'auditor'), ledger.revoke_access('app');
	DROP ROLE app;
});
is($node->safe_psql('hijack', 'SELECT * FROM ledger.check_invariants(); SELECT * FROM ledger.verify(); SELECT * FROM ledger.check_audit()'), '', 'nothing was hijacked, and all is well');
my $called = $node->safe_psql('hijack', q{
	SELECT pg_catalog.string_agg(p.proname, ' ') FROM pg_catalog.pg_proc AS p
	WHERE p.pronamespace OPERATOR(pg_catalog.=) 'ledger'::pg_catalog.regnamespace AND p.proname OPERATOR(pg_catalog.<>) 'audit'});
my $script = slurp_file(__FILE__);
is(join(' ', grep { $script !~ /ledger\.$_\(/ } split / /, $called), '', 'every function was called so');

# --- secrets are not in the log, nor in pg_stat_statements

$sql->(q{
	CREATE EXTENSION ledger;
	CREATE ROLE writer LOGIN; SELECT ledger.grant_access('writer', 'writer');
	CREATE ROLE operator LOGIN; SELECT ledger.grant_access('operator', 'operator');
	CREATE ROLE auditor LOGIN; SELECT ledger.grant_access('auditor', 'auditor');
	SELECT ledger.create_asset('USD', 2), ledger.open_account('bank', 'USD', NULL), ledger.open_account('a', 'USD');
	SELECT ledger.transfer('bank', 'a', 5);
	SELECT ledger.seal();
});
my @secrets = split /\n/, $sql->(q{
	SELECT ledger.add_client('shop');
	SELECT ledger.rotate_client('shop');
	SELECT ledger.rotate_client('shop') FROM generate_series(1, 10);
	SELECT ledger.issue_request_token();
});
is(scalar(grep { /^[0-9a-f]{64}$/ } @secrets), 13, 'secrets and a token were made');
refused($node, 'postgres', q{SELECT ledger.verify_signed_request('shop', 'p', now(), 'n', repeat('0', 64))}, 'LG307', 'a wrong signature');
refused($node, 'postgres', q{SELECT ledger.verify_signed_request('shop', 'p', now(), E'\n', '')}, '22023', 'a bad nonce');
my $signed = q{SELECT ledger.verify_signed_request('shop', 'p', now(), i::text, ledger.sign_request('shop', 'p', now(), i::text, c.secret))
	FROM ledger_data.client AS c, generate_series(1, 10) AS i};
is($sql->($signed), join("\n", ('t') x 10), 'right ones, often enough for any kind of plan');
my $unsigned = slurp_file($key);
append_to_file($key, 'spoiled');
$sql->('SELECT ledger.digest()');
open my $file, '>', $key or die;
print $file "-----BEGIN PRIVATE KEY-----\nTOPSECRETKEYMATERIAL\n-----END PRIVATE KEY-----\n";
close $file;
refused($node, 'postgres', 'SELECT ledger.digest()', '22023', 'a spoiled key');
my ($material) = $unsigned =~ /-----\n(.*)\n-----/s or die;
my $log = slurp_file($node->logfile);
like($log, qr/INSERT INTO ledger_data\.client/, 'the log has nested statements');
my $statistics = $sql->('SELECT query FROM pg_stat_statements');
like($statistics, qr/add_client/, 'so have the statistics');
foreach my $secret (@secrets, $material, 'TOPSECRETKEYMATERIAL')
{
	unlike("$log$statistics", qr/\Q$secret\E/, 'a secret is in neither');
}
my $token = $secrets[-1];
foreach my $role ('operator', 'auditor')
{
	unlike($sql->("SET ROLE $role; SELECT * FROM ledger.requests"), qr/$token/, "a token that was not used is not shown to the $role");
}
is($sql->("SELECT state FROM ledger.begin_request('$token', require_token => true)"), 'new', 'it can be used');

# The key must be the server's own, as that of a TLS certificate.
unlink $key;
append_to_file($key, $unsigned);
foreach my $mode (0640, 0604, 0620)
{
	chmod $mode, $key;
	refused($node, 'postgres', 'SELECT ledger.digest()', '22023', sprintf('a key of mode %o is refused', $mode));
}
chmod 0400, $key;
like($sql->('SELECT ledger.digest()'), qr/signature/, 'one of mode 400 signs');

# --- what a role with EXECUTE cannot do

foreach my $attempt (
	[ 'SET ledger.signature_window = 86400', '42501', 'widen the window of signatures' ],
	[ 'SET ledger.key_ttl = 1', '42501', 'shorten the memory of keys' ],
	[ "SET ledger.max_metadata = '1GB'", '42501', 'leave more behind' ],
	[ 'SHOW ledger.signing_key_file', '42501', 'see where the key is' ],
	[ 'SET session_replication_role = replica', '42501', 'disable triggers for itself' ],
	[ 'INSERT INTO ledger_data.transfer SELECT * FROM ledger_data.transfer', '42501', 'write a table' ],
	[ 'UPDATE ledger.seal_records SET transfers = 1', '42501', 'write through a view' ],
	[ "UPDATE ledger.audit_log SET actor = 'nobody'", '42501', 'rewrite the audit log' ],
	[ 'SELECT secret FROM ledger_data.client', '42501', 'read secrets' ],
	[ "SELECT ledger_data.secrets_of('shop')", '42501', 'have them read' ],
	[ 'ALTER TABLE ledger_data.transfer DISABLE TRIGGER guard', '42501', 'take a guard away' ],
	[ 'CREATE FUNCTION ledger.transfer(integer) RETURNS int LANGUAGE sql AS $$SELECT 1$$', '42501', 'plant a function beside ours' ],
	[ "SELECT ledger.grant_access('operator', 'operator')", '42501', 'grant' ],
	[ 'DROP EXTENSION ledger', '42501', 'drop the extension' ],
	[ 'ALTER EXTENSION ledger UPDATE', '42501', 'update it' ],
	[ 'BEGIN; LOCK TABLE ledger.transfers IN EXCLUSIVE MODE', '42501', 'stop writers with a lock' ])
{
	my ($statement, $state, $what) = @$attempt;
	refused($node, 'postgres', "SET SESSION AUTHORIZATION $_; $statement", $state, "$_: cannot $what") foreach 'writer', 'operator', 'auditor';
}

# Nor make the users of a table that is another's wait for a lock.
$sql->('CREATE TABLE busy (id int); GRANT SELECT, INSERT ON busy TO operator');
my $holder = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', 'BEGIN; INSERT INTO busy VALUES (1); SELECT pg_sleep(600)' ],
	'>', \my $out, '2>', \my $err);
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_locks WHERE relation = 'busy'::regclass AND granted") or die;
foreach my $function ('enable_audit', 'disable_audit')
{
	refused($node, 'postgres', "SET SESSION AUTHORIZATION operator; SET lock_timeout = '60s'; SELECT ledger.$function('$_')", '42501',
		"an operator's $function is refused before it locks $_") foreach 'busy', 'pg_authid';
}
is($sql->("SELECT count(*) FROM pg_locks WHERE relation = 'busy'::regclass AND mode <> 'RowExclusiveLock'"), '0', 'no lock is left or waited for');
$sql->("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE relation = 'busy'::regclass");
eval { $holder->finish };

# Nor choose the name under which its changes are logged.
$sql->(q{CREATE TABLE plain (id int PRIMARY KEY); GRANT INSERT ON plain TO writer; SELECT ledger.enable_audit('plain')});
$sql->('SET SESSION AUTHORIZATION writer; SET quote_all_identifiers = on; INSERT INTO plain VALUES (1)');
is($sql->("SELECT relation FROM ledger.audit_log WHERE operation = 'INSERT'"), 'public.plain', 'the name of a table is logged in one way');

healthy($node, 'postgres', 'after it all');
$node->stop;
done_testing();
