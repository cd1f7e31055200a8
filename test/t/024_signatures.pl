# The examples of docs/idempotency.md sign alike in SQL, in a shell and in Python,
# and the server accepts what the latter two sign now.

use strict;
use warnings;

use IPC::Run;
use LedgerTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = ledger_node('signatures');
$node->safe_psql('postgres', q{CREATE EXTENSION ledger; SELECT ledger.add_client('shop', '0123456789abcdef0123456789abcdef')});

my $document = slurp_file('docs/idempotency.md');
my ($sql) = $document =~ /^(SELECT ledger\.sign_request\('shop'.*?\);)\s*-- →/m or die;
my ($shell) = $document =~ /^```sh\n(.*?)^```/ms or die;
my ($python) = $document =~ /^```python\n(.*?)^```/ms or die;

sub output_of
{
	my (@command) = @_;
	my ($stdout, $stderr) = ('', '');
	IPC::Run::run(\@command, '>', \$stdout, '2>', \$stderr) or diag $stderr;
	chomp $stdout;
	return $stdout;
}

my $signature = $node->safe_psql('postgres', $sql);
like($signature, qr/^[0-9a-f]{64}$/, 'SQL signs');
is(output_of('sh', '-c', $shell), $signature, 'a shell signs alike');
is(output_of('python3', '-c', $python), $signature, 'so does Python');

# The same with the present time, as the comments in them say.
my $shell_time = q{signed_at=$(date -u +%Y-%m-%dT%H:%M:%S.%6NZ); printf '%s ' "$signed_at"};
my $python_time = q{signed_at = datetime.now(timezone.utc); print(signed_at.isoformat(), end=' ')};
$shell =~ s/^signed_at=.*$/$shell_time/m;
$python =~ s/^signed_at = .*$/$python_time/m;
$python =~ s/n-1/n-2/;
foreach my $signed ([ 'a shell', 'n-1', output_of('sh', '-c', $shell) ], [ 'Python', 'n-2', output_of('python3', '-c', $python) ])
{
	my ($who, $nonce, $output) = @$signed;
	my ($at, $digest) = split / /, $output;
	my $verify = qq{SELECT ledger.verify_signed_request('shop', '{"order": 7}', '$at', '$nonce', '$digest')};
	(my $forged = $verify) =~ s/order": 7/order": 8/;
	refused($node, 'postgres', $forged, 'LG307', "another payload than $who signed is refused");
	is($node->safe_psql('postgres', $verify), 't', "what $who signs now is accepted");
	refused($node, 'postgres', $verify, 'LG306', 'once');
}

# Whatever the encoding of the database: what is signed is UTF-8.
foreach my $encoding ('LATIN1', 'UTF8')
{
	$node->safe_psql('postgres', "CREATE DATABASE $encoding ENCODING '$encoding' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
	$node->safe_psql(lc $encoding, 'CREATE EXTENSION ledger');
}
my $umlauts = q{SELECT ledger.sign_request(U&'K\00F6ln', U&'\00DF', '2026-01-01Z', U&'\00FC', U&'\00E4 secret')};
is($node->safe_psql('latin1', $umlauts), $node->safe_psql('utf8', $umlauts), 'LATIN1 and UTF8 sign alike');

# A secret that was taken away is refused in any snapshot.
my $old_snapshot = q{BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) > 0 FROM ledger.requests; SELECT pg_sleep(1);
	SELECT ledger.verify_signed_request('shop', 'b', now(), 'n-3', ledger.sign_request('shop', 'b', now(), 'n-3', '0123456789abcdef0123456789abcdef'))};
my $session = IPC::Run::start([ 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $node->connstr('postgres'), '-c', $old_snapshot ], '>', \my $out, '2>', \my $err);
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'") or die;
$node->safe_psql('postgres', "SELECT ledger.rotate_client('shop', overlap => '0')");
eval { $session->finish };
like($err, qr/LG307/, 'a secret that was taken away is refused in an old snapshot, too');

$node->stop;
done_testing();
