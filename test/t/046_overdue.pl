# Holds past their ttl, before the worker comes: nobody's call gives back more than it needs,
# and they stand in the way of nothing.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $node = ledger_node('overdue', 'fsync = off', 'ledger.worker = off');
create_ledger($node, 'postgres');

sub sql { my ($statement) = @_; return $node->safe_psql('postgres', $statement); }

sub gives
{
	my ($statement, $expected, $name) = @_;
	return is(answer($node, 'postgres', $statement), $expected, $name);
}

# Holds that are overdue when this returns.
sub overdue
{
	my ($call, $count) = @_;
	sql("SELECT count($call) FROM generate_series(1, $count)");
	ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM ledger.holds WHERE state = 'open' AND expires_at < now() + '1 minute'}), "$count times $call: overdue");
	return;
}

# In psql's session: what its calls have given back, in holds.
my $voids = q{SELECT count(*) FROM ledger_data.transfer WHERE kind = 4 AND txid = pg_current_xact_id()::text::bigint};

# --- ten thousand reservations of one article expire together

sql("SELECT ledger.create_stock('hot', 10000)");
overdue("ledger.reserve_stock('hot', 1, '1 ms')", 10000);
{
	# Each buyer stays open. The first must not have taken the others' pieces into its transaction.
	my @buyers;
	foreach my $buyer (1 .. 4)
	{
		push @buyers, $node->background_psql('postgres');
		$buyers[-1]->query_safe('BEGIN');
		is($buyers[-1]->query_safe("SELECT ledger.try_deduct_stock('hot', 1) IS NOT NULL"), 't', "buyer $buyer of an article with overdue reservations gets a piece");
		is($buyers[-1]->query_safe($voids), '1', "buyer $buyer of one piece gives one reservation back");
	}
	is($buyers[0]->query_safe("SELECT ledger.try_deduct_stock('hot', 1) IS NOT NULL"), 't', 'the first buyer gets another piece');
	refused($node, 'postgres', "SELECT ledger.deduct_stock('hot', 101)", 'LG009', 'a call that would have to give back more than a hundred reservations is to be tried again');
	is(sql("BEGIN; SELECT ledger.try_deduct_stock('hot', 101) IS NULL; $voids; COMMIT"), "t\n0", 'such a call gives nothing back');
	$_->query_safe('COMMIT') foreach @buyers;
	$_->quit foreach @buyers;
	is(sql("SELECT sum(amount) FROM ledger.transfers WHERE destination = 'hot:sold' AND kind = 'posted'"), '5', 'five pieces are sold');
	is(sql("BEGIN; SELECT ledger.try_deduct_stock('hot', 100) IS NOT NULL; $voids; COMMIT"), "t\n100", 'a call for a hundred pieces gives a hundred reservations back');
}
healthy($node, 'postgres', 'ten thousand reservations');

# --- a refused call gives nothing back

sql("SELECT ledger.create_stock('few', 10)");
overdue("ledger.reserve_stock('few', 1, '1 ms')", 10);
is(sql("BEGIN; SELECT ledger.try_deduct_stock('few', 11) IS NULL; $voids; COMMIT"), "t\n0", 'a call that is short with all the overdue holds gives none of them back');
refused($node, 'postgres', "SELECT ledger.deduct_stock('few', 11)", 'LG001', 'short with all the overdue holds is insufficient');
is(sql("BEGIN; SELECT ledger.deduct_stock('few', 3); $voids; COMMIT"), "0\n3", 'a call that is short of three pieces gives three holds back, and no more is available for certain');

# --- both sides, and every call that looks at holds

sql(q{SELECT ledger.open_account(name, 'USD', ceiling => 100) FROM unnest('{in1,in2,in3,in4,in5,in6}'::text[]) AS name});
overdue("ledger.hold('world', '$_', 100, '1 ms')", 1) foreach 'in1', 'in2', 'in3', 'in4', 'in5', 'in6';
gives("SELECT ledger.transfer('world', 'in1', 100) > 0", 't', 'an inflow up to the ceiling is made over an overdue hold');
gives("SELECT ledger.hold('world', 'in2', 100) > 0", 't', 'so is a hold');
gives("SELECT amount FROM ledger.transfer_up_to('world', 'in3', 1000)", '100.00', 'a sweep fills the destination up over an overdue hold');
gives("SELECT ledger.alter_account('in4', ceiling => 0)", '', 'a ceiling is lowered over an overdue hold');
gives("SELECT ledger.close_account('in5')", '', 'the destination of an overdue hold is closed');
gives("SELECT status FROM ledger.transfer_batch('{world}', '{in6}', '{100}', atomic => false)", 'ok', 'a batch fills the destination up over an overdue hold');

sql(q{SELECT ledger.open_account(name, 'USD') FROM unnest('{out1,out2,out3,out4}'::text[]) AS name});
sql("SELECT ledger.transfer('world', '$_', 100)") foreach 'out1', 'out2', 'out3', 'out4';
overdue("ledger.hold('$_', 'b', 50, '1 ms')", 2) foreach 'out1', 'out2', 'out3';
gives("SELECT amount FROM ledger.transfer_up_to('out1', 'b', 1000)", '100.00', 'a sweep empties a source with overdue holds');
gives("SELECT ledger.alter_account('out2', floor => 100)", '', 'a floor is raised over overdue holds');
gives("SELECT ledger.try_transfer('out3', 'b', 100) > 0", 't', 'a source with overdue holds gives everything');
# Money that came and went: nothing is left but the overdue hold of it.
sql("SELECT ledger.alter_account('out4', floor => -10)");
overdue("ledger.hold('out4', 'b', 10, '1 ms')", 1);
sql("SELECT ledger.transfer('out4', 'b', 100)");
gives("SELECT ledger.close_account('out4')", '', 'the source of an overdue hold is closed');
gives("SELECT string_agg(state, ' ' ORDER BY account) FROM ledger.accounts WHERE account IN ('in5', 'out4')", 'closed closed', 'both are closed');
healthy($node, 'postgres', 'both sides');

# --- a hold in somebody's hands is left alone

sql("SELECT ledger.create_stock('pair', 2)");
overdue("ledger.reserve_stock('pair', 1, '1 ms')", 2);
my $first = $node->background_psql('postgres');
$first->query_safe('BEGIN');
is($first->query_safe("SELECT ledger.try_deduct_stock('pair', 1) IS NOT NULL"), 't', 'the first of two buyers takes one of two overdue reservations');
is(sql("SELECT ledger.try_deduct_stock('pair', 1) IS NOT NULL"), 't', 'the second of two buyers takes the other');
$first->query_safe('COMMIT');
$first->quit;
is(sql("SELECT available FROM ledger.stock WHERE sku = 'pair'"), '0', 'both are sold');

# --- what a refusal reads: not the holds that have ended, which an old snapshot keeps

my $read = q{SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE schemaname = 'ledger_data' AND relname = 'hold'};
my $dead = 3000;
sql("SELECT ledger.create_stock('dead', $dead)");
my $old = $node->background_psql('postgres');
overdue("ledger.reserve_stock('dead', 1, '1 ms')", $dead);
$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM ledger.holds');
sql('SELECT ledger.expire_holds(1000000)');
sql("SELECT ledger.reserve_stock('dead', 1)");
my $refusal = "SELECT ledger.try_deduct_stock('dead', $dead) IS NULL";
is(sql($refusal), 't', 'a call is refused after thousands of holds have ended');
my $before = sql($read);
is(sql("$refusal;" x 10), join("\n", ('t') x 10), 'so it is ten times');
cmp_ok(sql($read) - $before, '<', $dead, 'ten refusals together read fewer index entries than there are dead holds');
$old->query_safe('COMMIT');
$old->quit;

# --- more than a hundred: the worker's

sql("SELECT ledger.create_stock('many', 500)");
overdue("ledger.reserve_stock('many', 1, '1 ms')", 500);
refused($node, 'postgres', "SELECT ledger.deduct_stock('many', 500)", 'LG009', 'five hundred overdue holds are too many for a call');
$node->append_conf('postgresql.conf', 'ledger.worker = on');
$node->reload;
ok($node->poll_query_until('postgres', "SELECT ledger.try_deduct_stock('many', 500) IS NOT NULL"), 'with the worker the call succeeds in the end');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM ledger.holds WHERE state = 'overdue'}), 'the worker expires what nobody needs');
is(sql("SELECT available FROM ledger.stock WHERE sku = 'hot'"), 10000 - 5 - 100, 'everything that was not sold is available again');
healthy($node, 'postgres', 'after the worker');

$node->stop;
done_testing();
