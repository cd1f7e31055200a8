# check_invariants() adds up the transfers of all accounts once, not once an account:
# a planner that expects few sources put the sums inside a loop over the accounts.

use strict;
use warnings;

use LedgerTest;
use Test::More;

my $node = ledger_node('check_plan', "session_preload_libraries = 'auto_explain'", 'auto_explain.log_nested_statements = on',
	'auto_explain.log_analyze = on', 'auto_explain.log_timing = off');
create_ledger($node, 'postgres');
$node->safe_psql('postgres', q{
	SELECT count(ledger.open_account('n' || i, 'USD')) FROM generate_series(1, 1000) AS i;
	SELECT count(ledger.transfer('world', 'n' || i, 10)) FROM generate_series(1, 1000) AS i;
	SELECT count(ledger.transfer('n' || i * 7, 'a', 1)) FROM generate_series(1, 125) AS i;
	ANALYZE;
});

my $plans;
$node->psql('postgres', q{
	SET auto_explain.log_min_duration = 0;
	SET client_min_messages = log;
	SELECT * FROM ledger.check_invariants();
}, stderr => \$plans);

# A grouped sum, and the line above that says how often it was read.
my @groups = $plans =~ /(\S*Aggregate .*)\n\s*Group Key: /g;
cmp_ok(scalar(grep { !/never executed/ } @groups), '>=', 3, 'sums by account are in the plans');
is(join("\n", grep { /loops=(?!1\))/ } @groups), '', 'each is read once');

healthy($node, 'postgres', 'a thousand accounts');
$node->stop;
done_testing();
