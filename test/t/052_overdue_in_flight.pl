# Holds past their ttl together with what is in flight: a rollback brings a hold back and with
# it its deadline, a call gives back nothing that does not help it, and a refusal says what
# may still become of it.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $node = ledger_node('overdue_in_flight', 'fsync = off', 'ledger.worker = off');
create_ledger($node, 'postgres');

sub sql { my ($statement) = @_; return $node->safe_psql('postgres', $statement); }

sub gives
{
	my ($statement, $expected, $name) = @_;
	return is(answer($node, 'postgres', $statement), $expected, $name);
}
my $voids = q{SELECT count(*) FROM ledger_data.transfer WHERE kind = 4 AND txid = pg_current_xact_id()::text::bigint};

# An account with 200, of which 100 are held without a ttl and 100 by an overdue hold.
sub account
{
	my ($name) = @_;
	sql("SELECT ledger.open_account('$name', 'USD'), ledger.transfer('world', '$name', 200)");
	sql("SELECT ledger.hold('$name', 'b', 100), ledger.hold('$name', 'b', 100, '1 ms')");
	return;
}

# --- a deadline comes back with its hold

my $look = 'SELECT ledger.try_transfer($$%s$$, $$b$$, 1) IS NULL';
my %rolled_back = (
	transaction => q{BEGIN; SELECT ledger.transfer('%1$s', 'b', 100) > 0; } . $look . '; ROLLBACK',
	savepoint => q{BEGIN; SAVEPOINT s; SELECT ledger.transfer('%1$s', 'b', 100) > 0; } . $look . '; ROLLBACK TO s; COMMIT',
	prepared => q{BEGIN; SELECT ledger.transfer('%1$s', 'b', 100) > 0; } . $look . q{; PREPARE TRANSACTION 'p'; ROLLBACK PREPARED 'p'});
foreach my $how (sort keys %rolled_back)
{
	account($how);
	is(sql(sprintf $rolled_back{$how} =~ s/\$\$%s\$\$/\$\$%1\$s\$\$/r, $how), "t\nt", "$how: an overdue hold is given back, and a look finds no other");
	gives("SELECT ledger.transfer('$how', 'b', 100) > 0", 't', "$how: rolled back, the hold is overdue again and in nobody's way");
}
account('batch');
gives("SELECT ledger.transfer_batch('{batch,batch}', '{b,b}', '{100,1}')", 'LG001', 'a batch gives a hold back and fails at its second element');
gives("SELECT ledger.transfer('batch', 'b', 100) > 0", 't', 'after that batch the hold is overdue again');

# A hold that is made after a look.
sql("SELECT ledger.open_account('later', 'USD'), ledger.transfer('world', 'later', 200), ledger.hold('later', 'b', 100)");
gives("SELECT ledger.transfer('later', 'b', 101)", 'LG001', 'a look finds no hold that will be due');
my $later = sql("SELECT ledger.hold('later', 'b', 100, '1 ms')");
ok($node->poll_query_until('postgres', "SELECT state = 'overdue' FROM ledger.holds WHERE id = $later"), 'one that is made afterwards runs out');
gives("SELECT ledger.transfer('later', 'b', 100) > 0", 't', 'its deadline is known');

# A part is posted while another session has looked: the deadline of what is left is known.
sql("SELECT ledger.open_account('part', 'USD'), ledger.transfer('world', 'part', 100)");
my $part = sql("SELECT ledger.hold('part', 'b', 60, '2 s')");
sql("SELECT ledger.hold('part', 'b', 10, '1 hour'), ledger.try_transfer('part', 'b', 50), ledger.post_hold($part, 5, final => false)");
ok($node->poll_query_until('postgres', "SELECT state = 'overdue' FROM ledger.holds WHERE id = $part"), 'what a part was posted of runs out');
gives("SELECT ledger.transfer('part', 'b', 50) > 0", 't', 'what is left of it is given back');

# --- a sweep gives back only what both sides let through

sql(q{SELECT ledger.open_account('full', 'USD', ceiling => 50), ledger.open_account('source', 'USD'), ledger.transfer('world', 'full', 50), ledger.transfer('world', 'source', 200)});
sql(q{SELECT count(ledger.hold('source', 'b', 1, '1 ms')) FROM generate_series(1, 150)});
is(sql("BEGIN; SELECT amount FROM ledger.transfer_up_to('source', 'full', 200); $voids; ROLLBACK"), "0.00\n0", 'a sweep into a full account gives nothing back');
sql("SELECT ledger.alter_account('full', ceiling => 50.50)");
is(sql("BEGIN; SELECT amount FROM ledger.transfer_up_to('source', 'full', 200); $voids; ROLLBACK"), "0.50\n0", 'a sweep of what is free gives nothing back');
sql("SELECT ledger.alter_account('full', ceiling => 110)");
is(sql("BEGIN; SELECT amount FROM ledger.transfer_up_to('source', 'full', 200); $voids; ROLLBACK"), "60.00\n10", 'a sweep gives back as many holds as the destination has room for');

# --- nothing is given back where the other side refuses, or where another session has a hold

sql(q{SELECT ledger.open_account('none', 'USD', ceiling => 0), ledger.open_account('ten', 'USD'), ledger.transfer('world', 'ten', 100)});
sql(q{SELECT count(ledger.hold('ten', 'b', 10, '1 ms')) FROM generate_series(1, 10)});
is(sql("BEGIN; SELECT status FROM ledger.transfer_batch('{ten}', '{none}', '{100}', atomic => false); $voids; ROLLBACK"), "ceiling_exceeded\n0",
	'an element that the destination refuses gives nothing back');
my $other = $node->background_psql('postgres');
$other->query_safe("BEGIN; SELECT 1 FROM ledger_data.hold AS h JOIN ledger_data.account AS a ON a.id = h.debit_account WHERE a.code = 'ten' ORDER BY transfer DESC LIMIT 1 FOR UPDATE OF h");
is(sql("BEGIN; SELECT ledger.try_transfer('ten', 'b', 100) IS NULL; $voids; ROLLBACK"), "t\n0", 'a call that lacks a hold that is locked gives nothing back');
is(sql("BEGIN; SELECT ledger.try_transfer('ten', 'b', 90) IS NULL; $voids; ROLLBACK"), "f\n9", 'the others suffice for less');
$other->query_safe('ROLLBACK');

# --- what may become of it, with those in flight

sql(q{SELECT ledger.open_account('s', 'USD'), ledger.open_account('c', 'USD', ceiling => 100), ledger.open_account('e', 'USD'), ledger.transfer('world', 's', 70), ledger.transfer('world', 'c', 90), ledger.transfer('world', 'e', 10)});
sql(q{SELECT ledger.hold('s', 'b', 20, '1 ms'), ledger.hold('world', 'c', 10, '1 ms'), ledger.hold('world', 'e', 10, '1 ms')});
$other->query_safe(q{BEGIN; SELECT ledger.transfer('world', 's', 50), ledger.transfer('c', 'world', 30), ledger.transfer('e', 'world', 10)});
gives("SELECT ledger.transfer('s', 'b', 115)", 'LG009', 'overdue holds and an inflow in flight suffice together');
gives("SELECT ledger.transfer('s', 'b', 121)", 'LG001', 'a cent more would not');
gives("SELECT ledger.transfer('world', 'c', 35)", 'LG009', 'so it is under a ceiling');
gives("SELECT ledger.transfer('world', 'c', 41)", 'LG005', 'and no further');
gives("SELECT ledger.alter_account('s', floor => 115)", 'LG009', 'so it is with a floor to be raised');
gives("SELECT ledger.alter_account('c', ceiling => 65)", 'LG009', 'so it is with a ceiling to be lowered');
gives("SELECT ledger.close_account('e')", 'LG009', 'so it is with an account to be closed');
$other->query_safe('COMMIT');
$other->quit;
gives("SELECT ledger.transfer('s', 'b', 115) > 0, ledger.transfer('world', 'c', 35) > 0", 't|t', 'a moment later they are made');
gives("SELECT ledger.close_account('e')", '', 'and the account is closed');
healthy($node, 'postgres', 'at the end');

$node->stop;
done_testing();
