# The list of mistakes that `make mutants` plants fits the code: each line changes its file, at one place.

use strict;
use warnings;

use File::Basename;
use PostgreSQL::Test::Utils;
use Test::More;

my $run = dirname(__FILE__) . '/../mutants/run';
my ($output, $error) = ('', '');
ok(IPC::Run::run([ $run, '--check' ], '>', \$output, '2>', \$error), 'every line fits one place of its file') || diag $error;
like($output, qr/^(\d+) mutants fit$/, 'and is counted');
cmp_ok(($output =~ /(\d+)/)[0], '>=', 60, 'there are at least 60');
like($error, qr/^$/, 'with no complaint');

# A line that changes nothing, one that fits two places, and one of no suite.
my $list = PostgreSQL::Test::Utils::tempdir() . '/list';
foreach my $case ([ 's{no such text}{}', 'unit', qr/one changes nothing in/ ], [ 's{Minor}{Major}', 'unit', qr/one fits more than one place/ ],
	[ 's{decimals >= scale\)}{decimals > scale)}', 'soon', qr/suite "soon" does not exist/ ], [ 's{a}{b', 'unit', qr/one: / ])
{
	my ($expression, $suite, $complaint) = @$case;
	open my $file, '>', $list or die "$list: $!";
	print $file "one | src/core/amount.cpp | $expression | $suite\n";
	close $file;
	ok(!IPC::Run::run([ $run, '--check', '--list', $list ], '>', \$output, '2>', \$error), "refused: $expression | $suite");
	like("$output$error", $complaint, 'and told why');
}

done_testing();
