# Every example in the documentation runs, and gives what it says.
#
# In a ```sql block a line `statement; -- → value` must give that value, and a
# block with `-- ERROR: SQLSTATE` must fail with it. The blocks of a file run in
# order in one session of a fresh database.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# The psql script of a document; each expectation is echoed before and after
# the statement it is about.
sub script_of
{
	my ($document) = @_;
	my $script = "\\set ON_ERROR_STOP 1\nSET client_min_messages = warning;\n";
	while ($document =~ /^```sql\n(.*?)^```/msg)
	{
		my $block = $1;
		if ($block =~ s/^-- ERROR: (\S+)\n//m)
		{
			$script .= "\\set ON_ERROR_STOP 0\n$block"
			  . "\\echo expect $1\n\\echo :LAST_ERROR_SQLSTATE\n\\echo end\n\\set ON_ERROR_STOP 1\n";
			next;
		}
		$block =~ s/^(.*;)\s*-- → (.*)$/\\echo expect $2\n$1\n\\echo end/mg;
		$script .= $block;
	}
	return $script;
}

my $node = PostgreSQL::Test::Cluster->new('docs');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'ledger'");
$node->start;

my @files = grep { -e $_ } ('README.md', sort glob('docs/*.md'));
cmp_ok(scalar(@files), '>=', 5, 'the documents are there');

foreach my $file (@files)
{
	my $document = slurp_file($file);
	next unless $document =~ /^```sql/m;
	(my $database = lc "docs_$file") =~ s/\W/_/g;
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, 'CREATE EXTENSION ledger');

	my ($stdout, $stderr) = ('', '');
	my $status = $node->psql($database, script_of($document), stdout => \$stdout, stderr => \$stderr);
	is($status, 0, "$file: the examples run") or diag $stderr;
	while ($stdout =~ /^expect (.*)\n((?:.*\n)*?)end$/mg)
	{
		my ($expected, $got) = ($1, $2);
		chomp $got;
		is($got, $expected, "$file: an example gives $expected");
	}
	is($node->safe_psql($database, 'SELECT * FROM ledger.check_invariants()'), '', "$file: healthy");
}

$node->stop;
done_testing();
