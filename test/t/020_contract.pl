# The contract of every function, as pgTAP sees it: test/pgtap/contract.sql.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('contract');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'ledger'");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION ledger');
if ($node->psql('postgres', 'CREATE EXTENSION pgtap') != 0)
{
	plan skip_all => 'pgTAP is not installed';
}

# Each line of its output becomes a test of ours.
my $output = $node->safe_psql('postgres', slurp_file('test/pgtap/contract.sql'));
my $planned;
foreach my $line (split /\n/, $output)
{
	$planned = $1 if $line =~ /^1\.\.(\d+)$/;
	ok(!$1, $2) if $line =~ /^(not )?ok \d+(?: - (.*))?$/;
	diag $line if $line =~ /^#/;
}
is(Test::More->builder->current_test, $planned, 'as many tests as planned');
done_testing();
