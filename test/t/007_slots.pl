# Few slots: accounts take turns, and too many at once is an error, not a crash.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $node = ledger_node('slots', 'ledger.slots = 16');
create_ledger($node, 'postgres');
$node->safe_psql('postgres', "SELECT count(ledger.open_account('n' || i, 'USD')) FROM generate_series(1, 300) AS i");

# Each transaction uses two accounts: all 300 fit, one after the other.
$node->pgbench('--no-vacuum --client=6 --transactions=500', 0, [qr/processed: 3000\/3000/], [qr/^$/],
	'300 accounts through 16 slots', {
		'007_turns' => q{\set i random(1, 300)
			SELECT ledger.transfer('world', 'n' || :i::text, 1);
			SELECT ledger.try_transfer('n' || :i::text, 'a', 1);}
	});
cmp_ok($node->safe_psql('postgres', 'SELECT evictions FROM ledger.stat'), '>', 100, 'accounts were put out for others');
is($node->safe_psql('postgres', 'SELECT slots_in_use <= slots_total AND slots_total = 16 FROM ledger.stat'), 't', 'there are 16 slots');
healthy($node, 'postgres', 'after many turns');

# More accounts in one transaction than there are slots.
my $greedy = q{SELECT count(*) FROM ledger.transfer_batch(array_fill('world'::text, '{20}'),
	ARRAY(SELECT 'n' || i FROM generate_series(1, 20) AS i), array_fill(1.0, '{20}'))};
my $before = $node->safe_psql('postgres', 'SELECT sum(posted) FROM ledger.accounts WHERE posted > 0');
refused($node, 'postgres', $greedy, 'LG902', 'twenty accounts in one transaction');
my ($status, $stdout, $stderr) = $node->psql('postgres', $greedy);
like($stderr, qr/HINT:  Use fewer accounts in one transaction, or raise ledger\.slots and restart the server\./, 'the hint says what to do');
is($node->safe_psql('postgres', 'SELECT sum(posted) FROM ledger.accounts WHERE posted > 0'), $before, 'nothing of it stayed');
moved($node, 'postgres', 'world', 'n1', 1, 'others go on');

# While one transaction holds most slots, others share the rest, and errors leave no slot behind.
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN');
$holder->query_safe("SELECT ledger.transfer('world', 'n$_', 1)") foreach 1 .. 12;
moved($node, 'postgres', 'n1', 'n50', 1, 'an account in use and another');
refused($node, 'postgres', $greedy, 'LG902', 'too many again') foreach 1 .. 3;
moved($node, 'postgres', 'world', 'n60', 1, 'still others go on');

# Every slot is held: what is in use can be used by all, another account by nobody.
$holder->query_safe("SELECT ledger.transfer('world', 'n$_', 1)") foreach 13 .. 15;
is($node->safe_psql('postgres', 'SELECT count(*) FROM ledger_data.slots() WHERE users > 0'), '16', 'one transaction holds every slot');
moved($node, 'postgres', 'world', 'n15', 1, 'the accounts in them go on');
refused($node, 'postgres', "SELECT ledger.transfer('world', 'n16', 1)", 'LG902', 'another one does not');
refused($node, 'postgres', "SELECT ledger.freeze_account('n16')", 'LG902', 'nor are its limits changed');
is(balance($node, 'postgres', 'n16'), balance($node, 'postgres', 'n17'), 'balances are read all the same');
healthy($node, 'postgres', 'with every slot held');
$holder->query_safe('COMMIT');
$holder->quit;
moved($node, 'postgres', 'world', 'n16', 1, 'there is room again');
is($node->safe_psql('postgres', 'SELECT count(*) FROM ledger_data.slots() WHERE users > 0'), '0', 'nobody uses a slot any more');
healthy($node, 'postgres', 'at the end');

$node->stop;
done_testing();
