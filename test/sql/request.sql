-- Requests between begin and complete: states, payloads, leases, tokens, the inbox, the purge.
\a \t
-- One transaction a call: new, in progress, completed.
SELECT * FROM ledger.begin_request('r1', '{"amount": 1.0, "to": "bob"}');
SELECT * FROM ledger.begin_request('r1', '{"to": "bob", "amount": 1}');
SELECT helper.outcome($$SELECT state FROM ledger.begin_request('r1', '{"to": "bob", "amount": 2}')$$);
SELECT helper.outcome($$SELECT state FROM ledger.begin_request('r1')$$);
SELECT ledger.complete_request('r1', '{"order": 7}');
SELECT * FROM ledger.begin_request('r1', '{"to": "bob", "amount": 1}');
SELECT helper.outcome($$SELECT ledger.complete_request('r1', '{"order": 7}')$$);
SELECT helper.outcome($$SELECT ledger.fail_request('r1', '{}')$$);

-- Another scope is another request; a payload given later than none is another payload.
SELECT * FROM ledger.begin_request('r1', scope => 'orders');
SELECT helper.outcome($$SELECT state FROM ledger.begin_request('r1', '1', scope => 'orders')$$);
SELECT ledger.complete_request('r1', scope => 'orders');
SELECT * FROM ledger.begin_request('r1', scope => 'orders');
SELECT helper.outcome($$SELECT ledger.complete_request('r1', scope => 'nowhere')$$);

-- Begun and completed in one transaction, even in one statement; an abort leaves the key fresh.
BEGIN;
SELECT state FROM ledger.begin_request('r2', '[]');
SELECT ledger.complete_request('r2', '"done"');
COMMIT;
SELECT * FROM ledger.begin_request('r2', '[]');
SELECT b.state FROM ledger.begin_request('r3') AS b, ledger.complete_request('r3', '3') AS c;
SELECT * FROM ledger.begin_request('r3');
BEGIN;
SELECT state FROM ledger.begin_request('r4');
SAVEPOINT s;
SELECT ledger.complete_request('r4', '"rolled back"');
SELECT state FROM ledger.begin_request('r4');
ROLLBACK TO s;
SELECT state FROM ledger.begin_request('r4');
SELECT state FROM ledger.begin_request('r5');
SELECT ledger.complete_request('r4', '4');
SELECT ledger.complete_request('r5', '5');
SELECT state, response FROM ledger.begin_request('r4');
ROLLBACK;
SELECT state, attempt FROM ledger.begin_request('r4');
BEGIN;
SAVEPOINT s;
SELECT state FROM ledger.begin_request('r5');
ROLLBACK TO s;
SELECT helper.outcome($$SELECT ledger.complete_request('r5')$$);
SELECT state, attempt FROM ledger.begin_request('r5');
COMMIT;

-- Failures: one may be tried again, one may not.
SELECT ledger.fail_request('r4', '"busy"');
SELECT * FROM ledger.begin_request('r4');
SELECT helper.outcome($$SELECT ledger.complete_request('r4', attempt => 1)$$);
SELECT ledger.fail_request('r4', '"no such card"', retryable => false, attempt => 2);
SELECT * FROM ledger.begin_request('r4');
SELECT * FROM ledger.begin_request('r4');

-- A lease that ran out is taken over; the late first holder is refused.
SELECT state, attempt FROM ledger.begin_request('r6', lease => '1 ms');
SELECT pg_sleep(0.005);
SELECT state, attempt FROM ledger.begin_request('r6', lease => '1 hour');
SELECT state, attempt FROM ledger.begin_request('r6');
SELECT helper.outcome($$SELECT ledger.complete_request('r6', '"late"', attempt => 1)$$);
SELECT ledger.complete_request('r6', '"in time"', attempt => 2);
SELECT helper.outcome($$SELECT ledger.complete_request('r6', '"late"', attempt => 1)$$);
SELECT * FROM ledger.begin_request('r6');
-- Late, but nobody took it over.
SELECT state FROM ledger.begin_request('r7', lease => '1 ms');
SELECT pg_sleep(0.005);
SELECT ledger.complete_request('r7');
SELECT state FROM ledger.begin_request('r7');

-- Tokens.
SELECT ledger.issue_request_token() AS token, ledger.issue_request_token('orders', '1 ms') AS short \gset
SELECT :'token' ~ '^[0-9a-f]{64}$' AS well_formed, :'token' <> :'short' AS distinct_ones;
SELECT state FROM ledger.requests WHERE key = left(:'token', 8) || '...';
SELECT regexp_replace(helper.outcome(format($$SELECT ledger.complete_request(%L)$$, :'token')), '[0-9a-f]{64}', 'TOKEN', 'g');
SELECT regexp_replace(helper.outcome(format($$SELECT state FROM ledger.begin_request(%L, scope => 'orders', require_token => true)$$, :'token')), '[0-9a-f]{64}', 'TOKEN');
SELECT state FROM ledger.begin_request(:'token', '{}', require_token => true);
SELECT state FROM ledger.begin_request(:'token', '{}', require_token => true);
SELECT regexp_replace(helper.outcome(format($$SELECT state FROM ledger.begin_request(%L, '1', require_token => true)$$, :'token')), '[0-9a-f]{64}', 'X', 'g');
SELECT pg_sleep(0.005);
SELECT regexp_replace(regexp_replace(helper.outcome(format($$SELECT state FROM ledger.begin_request(%L, scope => 'orders', require_token => true)$$, :'short')), '[0-9a-f]{64}', 'TOKEN'), 'at [^.]*\.[^.]*\.', 'at T.');
SELECT helper.outcome($$SELECT state FROM ledger.begin_request('guess', require_token => true)$$);
SELECT helper.outcome($$SELECT ledger.issue_request_token(NULL)$$);
SELECT helper.outcome($$SELECT ledger.issue_request_token(ttl => '0')$$);

SELECT state FROM ledger.begin_request('no token');
SELECT helper.outcome($$SELECT state FROM ledger.begin_request('no token', require_token => true)$$);
-- The inbox.
SELECT ledger.accept_message('billing', 'm1'), ledger.accept_message('billing', 'm1'), ledger.accept_message('mail', 'm1');
BEGIN;
SELECT ledger.accept_message('billing', 'm2');
ROLLBACK;
SELECT ledger.accept_message('billing', 'm2');
SELECT ledger.accept_message('billing', 'm2');

-- Bad input.
SELECT helper.outcome($$SELECT state FROM ledger.begin_request('')$$);
SELECT helper.outcome($$SELECT state FROM ledger.begin_request(NULL)$$);
SELECT helper.outcome($$SELECT state FROM ledger.begin_request(repeat('ü', 256))$$);
SELECT helper.outcome($$SELECT state FROM ledger.begin_request(repeat('ü', 255), scope => repeat('😀', 255))$$);
SELECT helper.outcome($$SELECT state FROM ledger.begin_request('x', scope => '')$$);
SELECT helper.outcome($$SELECT state FROM ledger.begin_request('x', scope => NULL)$$);
SELECT helper.outcome($$SELECT state FROM ledger.begin_request('x', lease => '0')$$);
SELECT helper.outcome($$SELECT state FROM ledger.begin_request('x', lease => '-5 minutes')$$);
SELECT helper.outcome($$SELECT state FROM ledger.begin_request('x', lease => '1000 years')$$);
SELECT helper.outcome($$SELECT state FROM ledger.begin_request('x', lease => '2000000000 hours')$$);
SELECT helper.outcome($$SELECT state FROM ledger.begin_request('x', lease => '-178000000 years')$$);
SELECT helper.outcome($$SELECT state FROM ledger.begin_request('x', lease => NULL)$$);
SELECT helper.outcome($$SELECT state FROM ledger.begin_request('x', ttl => '1 month -31 days')$$);
SELECT helper.outcome($$SELECT state FROM ledger.begin_request('x', ttl => '101 years')$$);
SELECT helper.outcome($$SELECT state FROM ledger.begin_request('x', require_token => NULL)$$);
SELECT helper.outcome($$SELECT ledger.complete_request(NULL)$$);
SELECT helper.outcome($$SELECT ledger.complete_request('x', scope => NULL)$$);
SELECT helper.outcome($$SELECT ledger.fail_request('x', retryable => NULL)$$);
SELECT helper.outcome($$SELECT ledger.accept_message(NULL, 'm')$$);
SELECT helper.outcome($$SELECT ledger.accept_message('c', '')$$);
SELECT helper.outcome($$SELECT ledger.purge_requests(0)$$);
SELECT helper.outcome($$SELECT ledger.purge_requests(NULL)$$);
SELECT count(*) FROM ledger.requests WHERE key = 'x';
BEGIN READ ONLY;
SELECT helper.outcome($$SELECT state FROM ledger.begin_request('x')$$);
SELECT helper.outcome($$SELECT ledger.accept_message('c', 'm')$$);
ROLLBACK;

-- Payloads and responses of 10 MB.
SET ledger.max_payload = '16MB';
SET ledger.max_response = '16MB';
SELECT state FROM ledger.begin_request('big', jsonb_build_object('text', repeat('x', 10000000)));
SELECT ledger.complete_request('big', jsonb_build_object('text', (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 312500) AS i)));
SELECT state, length(response->>'text'), md5(response->>'text') = md5((SELECT string_agg(md5(i::text), '') FROM generate_series(1, 312500) AS i))
FROM ledger.begin_request('big', jsonb_build_object('text', repeat('x', 10000000)));
SELECT left(helper.outcome($$SELECT state FROM ledger.begin_request('big', jsonb_build_object('text', repeat('x', 9999999)))$$), 60);
RESET ledger.max_payload;
RESET ledger.max_response;

-- Equal payloads, however they are written.
SELECT state FROM ledger.begin_request('eq', '{"b": [1.50, {"c": -0.0}], "a": null, "n": 1e3}');
SELECT state FROM ledger.begin_request('eq', '{"a": null, "n": 1000.000, "n": 1000, "b": [1.5, {"c": 0}]}');
SELECT state FROM ledger.begin_request('eq2', '1.10');
SELECT state FROM ledger.begin_request('eq2', '1.1');
SELECT left(helper.outcome($$SELECT state FROM ledger.begin_request('eq2', '"1.1"')$$), 5);
-- The fingerprint can be computed by others.
SELECT fingerprint = encode(sha256('{"a": null, "b": [1.5, {"c": 0}], "n": 1000}'), 'hex') FROM ledger.requests WHERE key = 'eq';

-- The purge takes what has expired and nobody is working on; its keys are fresh again.
SELECT state FROM ledger.begin_request('p1', ttl => '1 ms');
SELECT state FROM ledger.begin_request('p2', ttl => '1 ms', lease => '1 ms');
SELECT state FROM ledger.begin_request('p3', ttl => '1 ms');
SELECT ledger.complete_request('p3', '"kept until purged"');
SELECT pg_sleep(0.005);
SELECT state, response FROM ledger.begin_request('p3');
BEGIN;
SELECT ledger.purge_requests(1) + ledger.purge_requests(1) + ledger.purge_requests() >= 2;
SELECT key FROM ledger.requests WHERE key ~ '^p\d$' ORDER BY key;
ROLLBACK;
SELECT ledger.purge_requests() >= 2;
SELECT key, state FROM ledger.requests WHERE key ~ '^p\d$' ORDER BY key;
SELECT state, attempt FROM ledger.begin_request('p3');

-- As many as were asked for, no more.
BEGIN;
SELECT count(ledger.issue_request_token(ttl => '1 ms')) FROM generate_series(1, 4);
SELECT pg_sleep(0.005);
SELECT ledger.purge_requests(1), ledger.purge_requests(2);
ROLLBACK;

-- Work that took longer than its ttl: the outcome is there all the same, for a ttl.
SELECT state FROM ledger.begin_request('late', ttl => '400 ms');
SELECT pg_sleep(0.5);
SELECT ledger.complete_request('late', '"late"');
SELECT count(*) FROM (SELECT ledger.purge_requests()) AS p;
SELECT state, response FROM ledger.begin_request('late');
-- An attempt abandoned: its holder hears of it for a ttl after the lease.
SELECT state FROM ledger.begin_request('lost', lease => '1 ms', ttl => '1 hour');
SELECT pg_sleep(0.005);
SELECT ledger.purge_requests() >= 0;
SELECT state, attempt FROM ledger.begin_request('lost');
-- No longer than that, and no shorter: its ttl of an hour is over, and its lease, but not an
-- hour past its lease; half an hour later that is over, too.
SELECT state FROM ledger.begin_request('lost', lease => '30 min', ttl => '1 hour', scope => 'old');
SET session_replication_role = replica;
UPDATE ledger_data.request SET begun_at = begun_at - interval '75 min', leased_until = leased_until - interval '75 min',
    expires_at = expires_at - interval '75 min' WHERE key = 'lost' AND scope = 'old';
RESET session_replication_role;
SELECT ledger.purge_requests() >= 0;
SELECT state, attempt, leased_until < now() AS leased, expires_at < now() AS expired FROM ledger.requests WHERE key = 'lost' AND scope = 'old';
SET session_replication_role = replica;
UPDATE ledger_data.request SET begun_at = begun_at - interval '16 min', leased_until = leased_until - interval '16 min',
    expires_at = expires_at - interval '16 min' WHERE key = 'lost' AND scope = 'old';
RESET session_replication_role;
SELECT ledger.purge_requests() >= 0;
SELECT count(*) FROM ledger.requests WHERE key = 'lost' AND scope = 'old';

-- Rows from a clock that has been set back: begun in the future. They are left
-- alone until their time, and nothing is begun twice.
SET session_replication_role = replica;
UPDATE ledger_data.request SET begun_at = begun_at + interval '1 day', leased_until = leased_until + interval '1 day',
    expires_at = expires_at + interval '1 day' WHERE key = 'p3';
RESET session_replication_role;
SELECT state, attempt FROM ledger.begin_request('p3');
SELECT ledger.complete_request('p3');
SELECT state, attempt FROM ledger.begin_request('p3');
SELECT begun_at > clock_timestamp() FROM ledger.requests WHERE key = 'p3';

SELECT kind, scope, state, retryable, attempt, leased_until IS NOT NULL AS leased, response FROM ledger.requests WHERE key IN ('r1', 'r4', 'm1', 'p1') ORDER BY kind, scope, key;
-- No lock of a name outlives its call.
BEGIN;
SELECT state FROM ledger.begin_request('l1');
SELECT ledger.complete_request('l1');
SELECT ledger.accept_message('l', '1');
SELECT helper.outcome($$SELECT state FROM ledger.begin_request('l1', '1')$$) ~ '^LG301';
SELECT count(*) FROM pg_locks WHERE locktype = 'object' AND classid = 'ledger_data.request'::regclass;
ROLLBACK;
SELECT * FROM ledger.check_invariants();
