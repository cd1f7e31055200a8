# An auditor with a role of the level auditor, ledger_verify and kept digests: over a
# connection, and from an export without the server.

use strict;
use warnings;

use JSON::PP;
use LedgerTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $key = PostgreSQL::Test::Utils::tempdir() . '/key.pem';
my $node = ledger_node('auditor', 'ledger.worker = off', "ledger.signing_key_file = '$key'");
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

sub verify
{
	my ($status, $word, $name, @arguments) = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run([ $verify, @arguments ], '>', \$out, '2>', \$err);
	is($? >> 8, $status, "$name: exit status") || diag "$out$err";
	like("$out$err", $word, "$name: what it says");
	return;
}

$sql->(q{
	CREATE ROLE auditor LOGIN;
	SELECT ledger.grant_access('auditor', 'auditor');
	CREATE TABLE price (sku text PRIMARY KEY, cents int);
	SELECT ledger.enable_audit('price');
});
my $made = $sql->(q{SELECT max(ledger.transfer('a', 'b', 0.01, metadata => jsonb_build_object('grüße', i, 'tab', E'\t\\"'))) FROM generate_series(1, 500) AS i});
$sql->(q{INSERT INTO price SELECT 'sku ' || i || E'\t\\ü', i FROM generate_series(1, 300) AS i; SELECT ledger.seal()});

# --- digests: not signed with what is no key, signed with a key

refused($node, 'postgres', 'SELECT ledger.digest()', '58P01', 'a key that is not there');
append_to_file($key, 'no key');
chmod 0600, $key;
refused($node, 'postgres', 'SELECT ledger.digest()', '22023', 'a file that holds none');
unlink $key;
command_ok([ 'openssl', 'genpkey', '-algorithm', 'rsa', '-quiet', '-out', $key ], 'a key for something else');
refused($node, 'postgres', 'SELECT ledger.digest()', '22023', 'is refused');
unlink $key;
command_ok([ 'openssl', 'genpkey', '-algorithm', 'ed25519', '-aes256', '-pass', 'pass:secret', '-out', $key ], 'an encrypted key');
refused($node, 'postgres', 'SELECT ledger.digest()', '22023', 'is refused, and nobody is asked for its password');
unlink $key;
command_ok([ 'openssl', 'genpkey', '-algorithm', 'ed25519', '-out', $key ], 'a key');
command_ok([ 'openssl', 'pkey', '-in', $key, '-pubout', '-out', "$directory/public.pem" ], 'its public part');
my $digest = write_file('digest.json', $sql->('SET ROLE auditor; SELECT ledger.digest()'));
is($sql->('SELECT ledger.digest() = ledger.digest()'), 't', 'a digest stays the same');

# --- over a connection, as a role that may read and nothing else

my $connection = $node->connstr('postgres') . ' user=auditor';
verify(0, qr/500|501/, 'intact', '-d', $connection, '--digest', $digest, '--public-key', "$directory/public.pem");
verify(0, qr/"verdict"\s*:\s*"intact"/, 'as JSON', '-d', $connection, '--json', '--digest', $digest);
verify(3, qr/"verdict"\s*:\s*"consistent"/, 'without a digest', '-d', $connection, '--json');
refused($node, 'postgres', 'SET ROLE auditor; SELECT ledger.seal()', '42501', 'an auditor does not seal');
refused($node, 'postgres', 'SET ROLE auditor; DELETE FROM ledger_data.transfer', '42501', 'nor write the tables');
is($sql->('SET ROLE auditor; SELECT count(*) FROM ledger.verify()'), '0', 'but verifies in the server, too');
is($sql->('SET ROLE auditor; SELECT count(*) FROM ledger.verify_digest(ledger.digest())'), '0', 'and against a digest');
is($sql->('SET ROLE auditor; SELECT count(*) FROM ledger.verify_progress'), '0', 'and sees progress');
command_ok([ 'openssl', 'genpkey', '-algorithm', 'ed25519', '-out', "$directory/other.pem" ], 'another key');
command_ok([ 'openssl', 'pkey', '-in', "$directory/other.pem", '-pubout', '-out', "$directory/other_public.pem" ], 'its public part');
verify(1, qr/signature|key/, 'signed by somebody else', '-d', $connection, '--digest', $digest, '--public-key', "$directory/other_public.pem");

# --- an export, checked without the server

my $views = { 'transfers.copy' => 'transfer_records ORDER BY id', 'audit.copy' => 'audit_records ORDER BY id', 'seals.copy' => 'seal_records ORDER BY number' };
my $export = join "\n", 'SET ROLE auditor;', 'BEGIN ISOLATION LEVEL REPEATABLE READ;',
	(map { "\\copy (SELECT * FROM ledger.$views->{$_}) TO '$directory/$_'" } sort keys %$views), 'COMMIT;';
$sql->("SELECT ledger.transfer('a', 'b', 0.01)");
$node->safe_psql('postgres', $export);
verify(0, qr/./, 'the export', '--export', $directory, '--digest', $digest);

# --- proofs of single records

my $audited = $sql->('SELECT id FROM ledger.audit_records ORDER BY id DESC LIMIT 1');
foreach my $proved ([ $made, 'a transfer' ], [ $audited, 'an audit record' ])
{
	my ($id, $name) = @$proved;
	my $proof = write_file('proof.json', $sql->("SET ROLE auditor; SELECT ledger.inclusion_proof($id)"));
	verify(0, qr/./, "$name, proved", '--proof', $proof, '--digest', $digest);
	my $content = decode_json($sql->("SELECT ledger.inclusion_proof($id)"));
	substr $content->{record}, -1, 1, substr($content->{record}, -1, 1) eq '0' ? '1' : '0';
	verify(1, qr/altered/, "$name, with another bit", '--proof', write_file('other.json', encode_json($content)), '--digest', $digest);
}
my $older = $digest;
$sql->(q{SELECT ledger.seal(); SELECT ledger.transfer('a', 'b', 0.01); SELECT ledger.seal()});
my $newer = write_file('newer.json', $sql->('SELECT ledger.digest()'));
my $proof = write_file('proof.json', $sql->("SELECT ledger.inclusion_proof($made)"));
my $consistency = write_file('consistency.json', $sql->('SELECT ledger.consistency_proof(1)'));
verify(0, qr/./, 'under a newer digest', '--proof', $proof, '--consistency', $consistency, '--digest', $newer);
verify(0, qr/./, 'one digest follows on the other', '--consistency', $consistency, '--digest', $older, '--digest', $newer);
verify(0, qr/./, 'both digests', '-d', $connection, '--digest', $older, '--digest', $newer);

# --- what was changed is found from outside as well

chain_functions($node, 'postgres');
$sql->(q{SET session_replication_role = replica; UPDATE ledger_data.transfer SET amount = 2 WHERE id = } . $made);
verify(1, qr/altered.*\b$made\b/, 'a transfer altered', '-d', $connection);
$sql->(q{SET session_replication_role = replica;
	SELECT count(chain.relink(l.lane)) FROM (SELECT DISTINCT lane FROM ledger_data.transfer) AS l;});
verify(1, qr/rewritten/, 'its lane rewritten', '-d', $connection);
$sql->(q{SET session_replication_role = replica; SELECT chain.reseal()});
verify(3, qr/^consistent$/m, 'everything rewritten looks consistent', '-d', $connection);
verify(1, qr/digest/, 'but not beside a digest', '-d', $connection, '--digest', $older);
verify(1, qr/digest/, 'nor to the newer', '-d', $connection, '--digest', $newer);
verify(0, qr/./, 'the export of before is as it was', '--export', $directory, '--digest', $older);

$node->stop;
done_testing();
