# An index that lacks a transfer lets an account spend twice. Everybody who verifies finds it:
# verify(), verify_digest(), check_invariants() and ledger_verify.

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = ledger_node('balances', 'fsync = off', 'ledger.worker = off', 'autovacuum = off');
create_ledger($node, 'postgres');
my $sql = sub { return $node->safe_psql('postgres', $_[0]) };
my $verify = "$ENV{LEDGER_BUILD}/ledger_verify";
$sql->(q{
	CREATE EXTENSION amcheck;
	CREATE ROLE auditor LOGIN;
	SELECT ledger.grant_access('auditor', 'auditor');
	SELECT ledger.open_account('g', 'USD'), pg_sleep(0.01);
	SELECT ledger.open_account('h', 'USD'), pg_sleep(0.01);
	SELECT count(ledger.open_account('n' || i, 'USD')) FROM generate_series(1, 200) AS i;
	SELECT ledger.open_account('y', 'USD'), ledger.open_account('z', 'USD');
	SELECT count(ledger.transfer('world', 'n' || i, 100)) FROM generate_series(1, 200) AS i;
	SELECT ledger.transfer('world', 'g', 100), ledger.transfer('world', 'h', 100);
	SELECT ledger.void_hold(ledger.hold('n1', 'n2', 5)), ledger.post_hold(ledger.hold('n2', 'n1', 6), 3, final => false), ledger.hold('n3', 'n4', 7);
	SELECT ledger.fold();
	SELECT count(ledger.transfer('n' || i, 'n' || i + 1, 1)) FROM generate_series(1, 199) AS i;
	SELECT ledger.post_hold(ledger.hold('n5', 'n6', 8), 3, final => false);
	SELECT ledger.seal();
	VACUUM ANALYZE;
});
my %id = map { $_ => $sql->("SELECT ledger_data.account_id('$_')") } qw(a b g h n9 y z);

# What ledger_verify says of balances, with the exit status.
sub outside
{
	my ($out, $err) = ('', '');
	IPC::Run::run([ $verify, '-d', $node->connstr('postgres') . ' user=auditor' ], '>', \$out, '2>', \$err);
	my $status = $? >> 8;
	return join ' ', $status, sort map { /^(\w+): (balance) id (\d+):/ ? "$1 $2 $3" : () } split /\n/, $out;
}
my $inside = q{SELECT scope, id, substring(problem FROM '^\w+') FROM ledger.verify(%s) ORDER BY id};

sub clean
{
	my ($name) = @_;
	healthy($node, 'postgres', $name);
	is(outside(), '3', "$name: consistent from outside");
	is($sql->(sprintf $inside, q{'balances'}), '', "$name: the balances are right");
	return;
}

# The accounts (names) whose balances differ, as each verifier tells.
sub found
{
	my ($name, @accounts) = @_;
	my @ids = sort { $a <=> $b } map { $id{$_} } @accounts;
	my $rows = join "\n", map { "balances|$_|mismatch" } @ids;
	is($sql->(sprintf $inside, q{'balances'}), $rows, "$name: verify('balances')");
	is($sql->(sprintf $inside, ''), $rows, "$name: verify()");
	is($sql->('SELECT scope, id FROM ledger.verify_digest(ledger.digest()) ORDER BY id'), join("\n", map { "balances|$_" } @ids), "$name: verify_digest()");
	is($sql->(q{SELECT subject FROM ledger.check_invariants() WHERE invariant = 'totals = sum of transfers' ORDER BY subject}), join("\n", sort @accounts), "$name: check_invariants()");
	is(outside(), join(' ', 1, sort map { "mismatch balance $_" } @ids), "$name: ledger_verify");
	return;
}

clean('before');

# --- one transfer made while an index was not ready

foreach my $attack ([ 'debit', 'a' ], [ 'credit', 'b' ])
{
	my ($side, $account) = @$attack;
	my $ready = "UPDATE pg_index SET indisready = %s WHERE indexrelid = 'ledger_data.transfer_${side}_account_txid_idx'::regclass";
	$sql->(sprintf($ready, 'false') . "; SELECT ledger.transfer('a', 'b', 60); " . sprintf($ready, 'true'));
	$node->restart;    # what shared memory knew of the account is gone
	is($sql->("SELECT posted FROM ledger.balance('a')"), '100.00', 'the index says that nothing was spent') if $side eq 'debit';
	found("a transfer that the index of ${side}s does not have", $account);
	if ($side eq 'debit')
	{
		moved($node, 'postgres', 'a', 'b', 60, 'the account spends the same amount again');
		found('and after that', 'a');
	}
	$sql->("REINDEX INDEX ledger_data.transfer_${side}_account_txid_idx");
	$node->restart;
	is($sql->(sprintf $inside, q{'balances'}), '', "$side: a new index has it");
	$sql->(q{SELECT ledger.transfer('world', 'a', 60)});
	$sql->(q{SELECT ledger.transfer('world', 'a', 60)}) if $side eq 'debit';
}
is($sql->('SELECT * FROM ledger.check_invariants(); SELECT * FROM ledger.verify()'), '', 'mended');

# --- a transfer that was folded without

my $ready = "UPDATE pg_index SET indisready = %s WHERE indexrelid = 'ledger_data.transfer_debit_account_txid_idx'::regclass";
$sql->(sprintf($ready, 'false') . "; SELECT ledger.transfer('n9', 'b', 50); " . sprintf($ready, 'true'));
$sql->('REINDEX INDEX ledger_data.transfer_debit_account_txid_idx; SELECT ledger.fold()');
is($sql->(sprintf $inside, q{'balances'}), '', 'an index made whole before the fold is no loss');
$sql->(sprintf($ready, 'false') . "; SELECT ledger.transfer('n9', 'b', 7); " . sprintf($ready, 'true') . q{; SELECT ledger.transfer('n9', 'b', 1); SELECT ledger.fold()});
$sql->('REINDEX INDEX ledger_data.transfer_debit_account_txid_idx');
$node->restart;
found('a transfer that a fold did not see', 'n9');
$sql->(q{SET session_replication_role = replica; UPDATE ledger_data.balance SET debits_posted = debits_posted + 700 WHERE account = } . $id{n9});
clean('mended by hand');

# --- keys edited in the file of an index

sub edit_keys
{
	my ($index, $from, $to) = @_;
	$sql->('CHECKPOINT');
	my $file = $node->data_dir . '/' . $sql->("SELECT pg_relation_filepath('ledger_data.$index')");
	$node->stop;
	run_log([ 'pg_checksums', '--disable', '-D', $node->data_dir ]);
	my $content = slurp_file($file);
	my $edited = 0;
	for (my $page = 8192; $page < length $content; $page += 8192)
	{
		my $items = (unpack('v', substr $content, $page + 12, 2) - 24) / 4;
		foreach my $item (0 .. $items - 1)
		{
			my $place = $page + (unpack('V', substr $content, $page + 24 + 4 * $item, 4) & 0x7fff) + 8;
			next if unpack('q<', substr $content, $place, 8) != $from;
			substr($content, $place, 8) = pack 'q<', $to;
			++$edited;
		}
	}
	open my $out, '>:raw', $file or die "$file: $!";
	print $out $content;
	close $out;
	$node->start;
	return $edited;
}
# No other account has the id that comes next.
$sql->(q{SELECT ledger.transfer('g', 'n1', 30)});
is(edit_keys('transfer_debit_account_txid_idx', $id{g}, $id{g} + 1), 1, 'the key of a transfer is edited in the file');
found('a key edited', 'g');
refused($node, 'postgres', q{SELECT bt_index_check('ledger_data.transfer_debit_account_txid_idx', true)}, 'XX00[12]', 'so does amcheck, of the index');
$sql->('REINDEX INDEX ledger_data.transfer_debit_account_txid_idx');
$sql->(q{SELECT bt_index_check(c.oid, true) FROM pg_class AS c WHERE c.relnamespace = 'ledger_data'::regnamespace AND c.relkind = 'i'});
clean('a new index');

# An account that has no transfer at all is given one: the index has it under that account's id.
moved($node, 'postgres', 'world', 'y', 9, 'a transfer to an account');
is(edit_keys('transfer_credit_account_txid_idx', $id{y}, $id{z}), 1, 'is another account\'s by the index');
is($sql->("SELECT posted FROM ledger.balance('z')"), '9.00', 'which could spend it');
found('a transfer of another account', 'y', 'z');
$sql->('REINDEX INDEX ledger_data.transfer_credit_account_txid_idx');
clean('a new index again');

# --- and the folded totals

is(edit_keys('balance_pkey', $id{h}, $id{h} + 1), 1, 'a folded row that its index does not have');
is(outside(), '3', 'is no loss: the transfers are read instead');
is($sql->(sprintf $inside, q{'balances'}), '', 'so say the balances');
$sql->('REINDEX INDEX ledger_data.balance_pkey');
clean('at the end');

refused($node, 'postgres', q{SELECT * FROM ledger.verify('all')}, '22023', 'another scope');
$node->stop;
done_testing();
