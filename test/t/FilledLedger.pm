# A ledger with something of everything in it, and what must hold of it once it has
# been updated, or moved to another server.
package FilledLedger;

use strict;
use warnings;

use Exporter 'import';
use LedgerTest;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(fill_ledger content same_content carries_on);

# Needs create_ledger's accounts, the role app, and ledger.seal_interval = 0. What is
# named by round can be made once in each.
sub fill_ledger
{
	my ($node, $database, $round) = @_;
	my $sql = q{
		CREATE TABLE price_ROUND (sku text PRIMARY KEY, cents int);
		SELECT ledger.enable_audit('price_ROUND');
		INSERT INTO price_ROUND SELECT 'sku ' || i, i FROM generate_series(1, 20) AS i;
		UPDATE price_ROUND SET cents = 0 WHERE cents > 15;
		SELECT ledger.transfer('world', 'a', 100, metadata => '{"round": "ROUND"}');
		SELECT count(ledger.transfer('a', 'b', 0.10)) FROM generate_series(1, 150);
		SELECT ledger.fold();
		SELECT ledger.transfer('a', 'b', 5, key => 'paid ROUND');
		SELECT ledger.reverse_transfer(ledger.transfer('a', 'b', 2));
		SELECT ledger.create_stock('TEA ROUND', 10);
		SELECT ledger.deduct_stock('TEA ROUND', 3, key => 'order ROUND');
		SELECT ledger.reserve_stock('TEA ROUND', 2, ttl => NULL);
		SELECT ledger.hold('a', 'b', 4, key => 'hold ROUND');
		SELECT ledger.hold('a', 'b', 1, key => 'posted ROUND');
		SELECT ledger.post_hold(max(id)) FROM ledger.holds;
		SELECT ledger.tcc_begin('tcc ROUND', '1 day');
		SELECT ledger.tcc_freeze('tcc ROUND', 'one', 'a', 'b', 3);
		SELECT ledger.tcc_freeze_stock('tcc ROUND', 'two', 'TEA ROUND', 1);
		SELECT ledger.begin_request('done ROUND', '{"n": 1}');
		SELECT ledger.complete_request('done ROUND', '"ROUND"');
		SELECT ledger.begin_request('begun ROUND', '{"n": 2}', lease => '1 day');
		SELECT ledger.accept_message('inbox', 'ROUND');
		SELECT ledger.add_client('client ROUND', repeat('s', 40));
		SELECT ledger.seal();
		INSERT INTO price_ROUND VALUES ('not sealed yet', 1);
		SELECT ledger.transfer('a', 'b', 0.50);
	} =~ s/ROUND/$round/gr;
	$node->safe_psql($database, $sql);
	return;
}

# Every row of every table that is dumped, without NULLs: an update may add a column. But of the
# balances, what they say.
sub content
{
	my ($node, $database) = @_;
	my @tables = split /\n/, $node->safe_psql($database, q{
		SELECT c FROM (SELECT unnest(extconfig)::regclass::text AS c FROM pg_extension WHERE extname = 'ledger') AS t
		WHERE c <> 'ledger_data.balance' ORDER BY c});
	return $node->safe_psql($database, join ';', map { "SELECT '$_', jsonb_strip_nulls(to_jsonb(t)) FROM $_ AS t ORDER BY 2" } @tables,
		'(SELECT account, asset, posted, held, incoming, available, floor, ceiling, state FROM ledger.accounts ORDER BY account)');
}

sub same_content
{
	my ($node, $database, $content, $name) = @_;
	ok(length $content > 10_000, "$name: there is something to lose");
	is(content($node, $database), $content, "$name: every row is the same");
	return;
}

# What fill_ledger left open in a round goes on, and nothing is done twice.
sub carries_on
{
	my ($node, $database, $round, $digest, $name) = @_;
	my $sql = sub { return $node->safe_psql($database, $_[0] =~ s/ROUND/$round/gr) };
	my $proves = sub { is($sql->("SELECT * FROM ledger.verify_digest('$digest')"), '', "$name: the old digest proves, $_[0]") };

	healthy($node, $database, "$name, untouched");
	$proves->('untouched');
	my $highest = $sql->('SELECT max(id) FROM ledger.transfers');
	my $b = balance($node, $database, 'b');
	$sql->("SELECT ledger.transfer('a', 'b', 5, key => 'paid ROUND'); SELECT ledger.deduct_stock('TEA ROUND', 3, key => 'order ROUND')");
	is($sql->('SELECT max(id) FROM ledger.transfers'), $highest, "$name: old keys have their answer");
	cmp_ok($sql->("SELECT ledger.transfer('a', 'b', 1)"), '>', $highest, "$name: ids go on");
	is($sql->("SELECT posted - $b FROM ledger.balance('b')"), '1.00', "$name: a new transfer counts");
	refused($node, $database, "SELECT ledger.transfer('a', 'b', available + 0.01) FROM ledger.balance('a')", 'LG001', "$name: what is held is not spent");

	$sql->("SELECT ledger.post_hold(id) FROM ledger.holds WHERE state = 'open' AND amount = 4");
	is($sql->("SELECT ledger.tcc_confirm('tcc ROUND')"), 'confirmed', "$name: TCC in flight is confirmed");
	is($sql->("SELECT posted - $b FROM ledger.balance('b')"), '8.00', "$name: hold and TCC have moved their amounts");
	is($sql->("SELECT reserved, available, sold FROM ledger.stock WHERE sku = 'TEA ROUND'"), '2|4|4', "$name: so with stock");
	is($sql->("SELECT ledger.begin_request('done ROUND', '{\"n\": 1}')"), '(completed,"""ROUND""",1)' =~ s/ROUND/$round/r, "$name: the stored response");
	is($sql->("SELECT ledger.begin_request('begun ROUND', '{\"n\": 2}')"), '(in_progress,,1)', "$name: the request begun");
	is($sql->("SELECT ledger.accept_message('inbox', 'ROUND')"), 'f', "$name: a message seen");

	my $audited = $sql->('SELECT count(*) FROM ledger.audit_log');
	$sql->('UPDATE price_ROUND SET cents = 7');
	is($sql->("SELECT count(*) - $audited FROM ledger.audit_log"), '21', "$name: the table is audited");
	refused($node, $database, 'DELETE FROM ledger_data.transfer', 'LG401', "$name: the guards stand");
	is($sql->("SELECT has_function_privilege('app', 'ledger.transfer(text,text,numeric,text,jsonb)', 'EXECUTE')"), 't', "$name: grants are kept");
	is($sql->('SELECT ledger.fold() > 0'), 't', "$name: it folds");

	my $hold = $sql->("SELECT ledger.hold('a', 'b', 1, ttl => '1 s')");
	ok($node->poll_query_until($database, "SELECT state = 'expired' FROM ledger.holds WHERE id = $hold"), "$name: the worker works");
	is($sql->('SELECT ledger.seal() > 1'), 't', "$name: it seals");
	healthy($node, $database, $name);
	$proves->('and after more work');
	return;
}

1;
