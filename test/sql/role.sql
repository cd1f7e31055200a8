-- The registry between roles: a request, a key, a token and a message belong to the role that
-- used it first. Another role without its privileges learns that they are there, and nothing else.
\a \t
SELECT ledger.open_account('role:a', 'USD') > 0, ledger.open_account('role:b', 'USD') > 0, ledger.transfer('world', 'role:a', 100) > 0;
CREATE ROLE ledger_test_one;
CREATE ROLE ledger_test_two;
CREATE ROLE ledger_test_member IN ROLE ledger_test_one;
CREATE ROLE ledger_test_noinherit NOINHERIT IN ROLE ledger_test_one;
CREATE ROLE ledger_test_gateway NOINHERIT IN ROLE ledger_test_one, ledger_test_two;
SELECT ledger.grant_access(r, 'writer')
FROM unnest('{ledger_test_one,ledger_test_two,ledger_test_member,ledger_test_noinherit}'::regrole[]) AS r;
GRANT USAGE ON SCHEMA helper TO PUBLIC;

SET ROLE ledger_test_one;
SELECT state FROM ledger.begin_request('role-done', '{"card": 4711}');
SELECT ledger.complete_request('role-done', '{"secret": true}');
SELECT state FROM ledger.begin_request('role-open', '1');
SELECT state FROM ledger.begin_request('role-late', '1', lease => '1 ms');
SELECT state FROM ledger.begin_request('role-failed', '1');
SELECT ledger.fail_request('role-failed', '"a secret error"');
SELECT ledger.transfer('role:a', 'role:b', 1, 'role-call') AS call \gset
SELECT status FROM ledger.transfer_batch('{role:a}', '{role:b}', '{1}', '{role-batch}');
SELECT ledger.accept_message('role-inbox', 'm1');
SELECT ledger.issue_request_token() AS token \gset

-- The attack: another writer who knows scope and key.
SET ROLE ledger_test_two;
SELECT helper.outcome($$SELECT ledger.begin_request('role-done', '{"card": 4711}')$$);
CREATE TEMPORARY TABLE attempt (call text);
INSERT INTO attempt VALUES
    ($$ledger.begin_request('role-done', '{"card": 4712}')$$), ($$ledger.begin_request('role-done')$$), ($$ledger.begin_request('role-open', '1')$$),
    ($$ledger.begin_request('role-done', require_token => true)$$), ($$ledger.begin_request('role-late', '1')$$), ($$ledger.begin_request('role-failed', '1')$$),
    ($$ledger.complete_request('role-open', '"mine"')$$), ($$ledger.complete_request('role-open', '"mine"', attempt => 1)$$),
    ($$ledger.complete_request('role-done', '"mine"')$$), ($$ledger.complete_request('role-late', attempt => 7)$$),
    ($$ledger.fail_request('role-open', '"mine"')$$), ($$ledger.fail_request('role-open', retryable => false)$$),
    ($$ledger.transfer('role:a', 'role:b', 1, 'role-call')$$), ($$ledger.transfer('role:a', 'role:b', 2, 'role-call')$$),
    ($$ledger.void_hold(1, 'role-call')$$), ($$ledger.accept_message('role-inbox', 'm1')$$);
SELECT call FROM attempt
WHERE regexp_replace(helper.outcome('SELECT ' || call), '"[^"]*"', 'IT') IS DISTINCT FROM
      regexp_replace(helper.outcome($$SELECT ledger.begin_request('role-done', '{"card": 4711}')$$), '"[^"]*"', 'IT');
DROP TABLE attempt;
SELECT left(helper.outcome(format($$SELECT ledger.begin_request(%L, require_token => true)$$, :'token')), 5);
SELECT left(helper.outcome($$SELECT count(*) FROM ledger.transfer_batch('{role:a}', '{role:b}', '{1}', '{role-batch}')$$), 64);
SELECT status, transfer_id FROM ledger.transfer_batch('{role:a,role:a}', '{role:b,role:b}', '{1,1}', '{role-batch,role-batch-2}', false) WHERE ordinal = 1;
-- Another scope or consumer is another name.
SELECT state FROM ledger.begin_request('role-done', scope => 'role two');
SELECT ledger.accept_message('role-inbox two', 'm1');

-- What was attempted has changed nothing. Members of the role and superusers act for it.
SET ROLE ledger_test_member;
SELECT * FROM ledger.begin_request('role-done', '{"card": 4711}');
SELECT ledger.transfer('role:a', 'role:b', 1, 'role-call') = :call AS same, ledger.accept_message('role-inbox', 'm1') AS first;
SELECT state, attempt FROM ledger.begin_request('role-late', '1');
RESET ROLE;
SELECT response FROM ledger.begin_request('role-done', '{"card": 4711}');
SET ROLE ledger_test_one;
SELECT state, attempt FROM ledger.begin_request('role-late', '1');
SELECT ledger.complete_request('role-open', '"done"');
SELECT state FROM ledger.begin_request(:'token', require_token => true);
-- Membership alone is not enough where its privileges are not inherited.
SET ROLE ledger_test_noinherit;
SELECT left(helper.outcome($$SELECT ledger.begin_request('role-done', '{"card": 4711}')$$), 5);
RESET ROLE;
SELECT kind, scope, key, state, attempt, role FROM ledger.requests WHERE key ~ '^role-' OR scope ~ '^role-' ORDER BY kind, scope COLLATE "C", key COLLATE "C";

-- SECURITY DEFINER functions, one in another, do not change who calls.
CREATE FUNCTION helper.begun(key text) RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT state FROM ledger.begin_request(key)';
CREATE FUNCTION helper.begun_by_way(key text) RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT helper.begun(key)';
ALTER FUNCTION helper.begun_by_way OWNER TO ledger_test_two;
SET ROLE ledger_test_one;
SELECT helper.begun('role-w1'), helper.begun_by_way('role-w2'), helper.begun('role-w2'), helper.begun_by_way('role-w1');
SET ROLE ledger_test_two;
SELECT left(helper.outcome($$SELECT helper.begun('role-w1')$$), 5), left(helper.outcome($$SELECT helper.begun_by_way('role-w2')$$), 5);
SELECT helper.begun('role-w3');
RESET ROLE;
SELECT key, role FROM ledger.requests WHERE key ~ '^role-w' ORDER BY key;

-- SET SESSION AUTHORIZATION, and a gateway that takes a role for each transaction.
SET SESSION AUTHORIZATION ledger_test_one;
SELECT state FROM ledger.begin_request('role-s');
SET SESSION AUTHORIZATION ledger_test_gateway;
BEGIN;
SET LOCAL ROLE ledger_test_one;
SELECT state FROM ledger.begin_request('role-s');
SELECT state FROM ledger.begin_request('role-g');
COMMIT;
BEGIN;
SET LOCAL ROLE ledger_test_two;
SELECT left(helper.outcome($$SELECT ledger.begin_request('role-s')$$), 5), left(helper.outcome($$SELECT ledger.complete_request('role-g')$$), 5);
COMMIT;
-- Two roles in one transaction.
BEGIN;
SET LOCAL ROLE ledger_test_one;
SELECT state FROM ledger.begin_request('role-t');
SET LOCAL ROLE ledger_test_two;
SELECT left(helper.outcome($$SELECT ledger.complete_request('role-t')$$), 5);
SET LOCAL ROLE ledger_test_one;
SELECT ledger.complete_request('role-t');
COMMIT;
RESET SESSION AUTHORIZATION;
SELECT key, role FROM ledger.requests WHERE key IN ('role-s', 'role-g', 'role-t') ORDER BY key;

-- Code that PostgreSQL runs for another role has no caller: the owner of a materialized view must
-- not read with the rights of who refreshes it, nor of the owner of a SECURITY DEFINER function.
CREATE SCHEMA helper_two AUTHORIZATION ledger_test_two;
SET ROLE ledger_test_two;
CREATE FUNCTION helper_two.peek() RETURNS jsonb LANGUAGE sql AS $$SELECT response FROM ledger.begin_request('role-done', '{"card": 4711}')$$;
CREATE FUNCTION helper_two.peek_by_way() RETURNS text LANGUAGE sql AS $$SELECT helper.begun('role-w1')$$;
CREATE MATERIALIZED VIEW helper_two.spy AS SELECT helper_two.peek() WITH NO DATA;
CREATE MATERIALIZED VIEW helper_two.agent AS SELECT helper_two.peek_by_way() WITH NO DATA;
RESET ROLE;
SELECT helper.outcome('REFRESH MATERIALIZED VIEW helper_two.spy');
SELECT helper.outcome('REFRESH MATERIALIZED VIEW helper_two.agent');
SET client_min_messages = warning;
DROP SCHEMA helper_two CASCADE;
RESET client_min_messages;

-- A role is known by its name: while it has another, its requests are a superuser's alone.
ALTER ROLE ledger_test_one RENAME TO ledger_test_renamed;
SET ROLE ledger_test_renamed;
SELECT left(helper.outcome($$SELECT ledger.begin_request('role-done', '{"card": 4711}')$$), 5);
RESET ROLE;
SELECT state FROM ledger.begin_request('role-done', '{"card": 4711}');
ALTER ROLE ledger_test_renamed RENAME TO ledger_test_one;
SET ROLE ledger_test_one;
SELECT state FROM ledger.begin_request('role-done', '{"card": 4711}');
RESET ROLE;

-- Rows of before 0.3 have no role: they are everybody's, until another attempt is begun.
SET session_replication_role = replica;
UPDATE ledger_data.request SET role = NULL WHERE key IN ('role-done', 'role-failed');
RESET session_replication_role;
SET ROLE ledger_test_two;
SELECT response FROM ledger.begin_request('role-done', '{"card": 4711}');
SELECT state, attempt FROM ledger.begin_request('role-failed', '1');
SET ROLE ledger_test_one;
SELECT left(helper.outcome($$SELECT ledger.begin_request('role-failed', '1')$$), 5);
RESET ROLE;

-- A nonce belongs to its client, whoever checks the signature.
SELECT length(ledger.add_client('role client', repeat('s', 32)));
CREATE FUNCTION helper.verified() RETURNS boolean LANGUAGE sql AS $$
SELECT ledger.verify_signed_request('role client', 'p', now(), 'n', ledger.sign_request('role client', 'p', now(), 'n', repeat('s', 32)))
$$;
SET ROLE ledger_test_one;
SELECT helper.verified();
SET ROLE ledger_test_two;
SELECT left(helper.outcome('SELECT helper.verified()'), 5);
RESET ROLE;

-- Of a role that is gone a superuser has the privileges, until the rows expire.
DROP FUNCTION helper.begun_by_way, helper.begun, helper.verified;
SELECT ledger.remove_client('role client');
SELECT ledger.revoke_access(r)
FROM unnest('{ledger_test_one,ledger_test_two,ledger_test_member,ledger_test_noinherit}'::regrole[]) AS r;
DROP ROLE ledger_test_two, ledger_test_member, ledger_test_noinherit, ledger_test_gateway;
SELECT ledger.grant_access('ledger_test_one', 'operator');
SET ROLE ledger_test_one;
SELECT left(helper.outcome($$SELECT ledger.begin_request('role-w3')$$), 5);
SELECT role, count(*) FROM ledger.requests WHERE key = 'role-w3' GROUP BY role;
RESET ROLE;
SELECT state FROM ledger.begin_request('role-w3');
SELECT ledger.revoke_access('ledger_test_one');
DROP ROLE ledger_test_one;
SELECT * FROM ledger.check_invariants();
