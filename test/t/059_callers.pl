# Who the caller is where there is no client: a background worker calls as the role it runs
# for. (Sessions, wrappers and gateways: test/sql/role.sql.)

use strict;
use warnings;

use LedgerTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = ledger_node('callers', 'wal_level = logical', 'ledger.worker = off');
$node->safe_psql('postgres', 'CREATE DATABASE target; CREATE ROLE ledger_boss SUPERUSER LOGIN; CREATE ROLE ledger_app');
create_ledger($node, 'target');
$node->safe_psql('target', "SELECT ledger.grant_access('ledger_app', 'writer')");

# Rows of one database are applied in the other by a background worker; a trigger there begins a request for each.
$node->safe_psql('postgres', q{
	CREATE TABLE event (id int PRIMARY KEY);
	CREATE PUBLICATION events FOR TABLE event;
	SELECT pg_create_logical_replication_slot('events', 'pgoutput');
});
$node->safe_psql('target', q{
	CREATE TABLE event (id int PRIMARY KEY);
	CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
	BEGIN
		PERFORM ledger.begin_request('event ' || NEW.id), ledger.transfer('world', 'b', 1, 'event ' || NEW.id);
		RETURN NULL;
	END $$;
	CREATE TRIGGER noted AFTER INSERT ON event FOR EACH ROW EXECUTE FUNCTION noted();
	ALTER TABLE event ENABLE ALWAYS TRIGGER noted;
});
my $options = 'create_slot = false, slot_name = events, copy_data = false';
$options .= ', run_as_owner = true' if $node->safe_psql('postgres', 'SHOW server_version_num') >= 160000;
my $source = $node->connstr('postgres') . ' user=' . $node->safe_psql('postgres', 'SELECT current_user');
$source =~ s/'/''/g;
$node->safe_psql('target', "SET SESSION AUTHORIZATION ledger_boss; CREATE SUBSCRIPTION events CONNECTION '$source' PUBLICATION events WITH ($options)");
$node->safe_psql('postgres', 'INSERT INTO event VALUES (1), (2)');
ok($node->poll_query_until('target', "SELECT count(*) = 4 FROM ledger.requests WHERE key LIKE 'event%'"), 'the worker has used the registry');
is($node->safe_psql('target', "SELECT DISTINCT role FROM ledger.requests WHERE key LIKE 'event%'"), 'ledger_boss', 'as the role that it runs for');
refused($node, 'target', "SET ROLE ledger_app; SELECT ledger.begin_request('event 1')", 'LG308', 'another role does not get its requests');
refused($node, 'target', "SET ROLE ledger_app; SELECT ledger.transfer('world', 'b', 1, 'event 2')", 'LG308', 'nor its keys');
healthy($node, 'target', 'at the end');
$node->safe_psql('target', 'DROP SUBSCRIPTION events');

$node->stop;
done_testing();
