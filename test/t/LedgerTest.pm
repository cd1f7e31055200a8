# What the TAP tests share: a server with the ledger preloaded, and a verdict.
package LedgerTest;

use strict;
use warnings;

use Exporter 'import';
use File::Basename;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(ledger_node configure create_ledger healthy balance answer refused moved start_again chain_functions restored_transfer);

# Lines every server of these tests has in its postgresql.conf.
sub configure
{
	my ($node, @lines) = @_;
	$node->append_conf('postgresql.conf',
		join("\n", "shared_preload_libraries = 'ledger'", 'max_prepared_transactions = 20', 'max_connections = 60',
			@lines, ''));
	return;
}

# A started server; further arguments are lines of postgresql.conf.
sub ledger_node
{
	my ($name, @lines) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(allows_streaming => 1);
	configure($node, @lines);
	$node->start;
	return $node;
}

# The extension, in its newest version if none is given, with accounts world (no floor),
# a with 100 and b with 0, in USD.
sub create_ledger
{
	my ($node, $database, $version) = @_;
	$node->safe_psql($database, 'CREATE EXTENSION ledger' . (defined $version ? " VERSION '$version'" : ''));
	$node->safe_psql($database, q{
		SELECT ledger.create_asset('USD', 2);
		SELECT ledger.open_account('world', 'USD', floor => NULL), ledger.open_account('a', 'USD'), ledger.open_account('b', 'USD');
		SELECT ledger.transfer('world', 'a', 100);
	});
	return;
}

sub healthy
{
	my ($node, $database, $name) = @_;
	return is($node->safe_psql($database, 'SELECT * FROM ledger.check_invariants(); SELECT * FROM ledger.verify()'),
		'', "$name: the invariants hold and the chains are whole");
}

sub balance
{
	my ($node, $database, $account) = @_;
	return $node->safe_psql($database, "SELECT posted FROM ledger.balance('$account')");
}

# The functions of chain.sql, a second implementation of the chain.
sub chain_functions
{
	my ($node, $database) = @_;
	$node->safe_psql($database, slurp_file(dirname(__FILE__) . '/chain.sql'));
	return;
}

# SQL that restores one transfer of 500 minor units from account 1 to account 2. Needs chain_functions.
sub restored_transfer
{
	my ($id) = @_;
	return qq{
		WITH t AS (SELECT ROW($id, 1, 2, 500, 0, 1000000000, now(), 1, 1, $id >> 6 & 1023, '', NULL)::ledger_data.transfer AS r)
		INSERT INTO ledger_data.transfer
		SELECT (r).id, (r).debit_account, (r).credit_account, (r).amount, (r).ref, (r).txid, (r).created_at, (r).seq, (r).kind, (r).lane,
			sha256(chain.zero() || chain.record(r)), NULL FROM t;};
}

# What the statement returns, or the SQLSTATE it fails with.
sub answer
{
	my ($node, $database, $statement) = @_;
	my ($stdout, $stderr) = ('', '');
	$node->psql($database, $statement, stdout => \$stdout, stderr => \$stderr, extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	return $stderr =~ /ERROR:  (\w{5}):/ ? $1 : $stdout;
}

# The statement fails with this SQLSTATE.
sub refused
{
	my ($node, $database, $statement, $sqlstate, $name) = @_;
	my ($stdout, $stderr) = ('', '');
	$node->psql($database, $statement, stdout => \$stdout, stderr => \$stderr, extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	return like($stderr, qr/ERROR:  $sqlstate:/, $name) || diag "stdout: $stdout";
}

# The transfer is made.
sub moved
{
	my ($node, $database, $source, $destination, $amount, $name) = @_;
	return is($node->safe_psql($database, "SELECT ledger.transfer('$source', '$destination', $amount) > 0"), 't', $name);
}

# Starts a server whose postmaster was killed, once its children are gone.
sub start_again
{
	my ($node) = @_;
	foreach my $attempt (1 .. 300)
	{
		$node->{_pid} = undef;
		return if $node->start(fail_ok => 1);
		select undef, undef, undef, 0.1;
	}
	die 'the server does not start again';
}

1;
