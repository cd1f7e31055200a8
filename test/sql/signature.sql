-- Signed requests: what is signed, the window, nonces, rotation.
\a \t
-- A vector that another implementation can use (docs/idempotency.md).
SELECT ledger.sign_request('shop', '{"order": 7}', '2026-01-02 03:04:05.678901+00', 'n-1', 'correct horse battery staple, longer');
BEGIN;
SET LOCAL timezone = 'Asia/Shanghai';
SET LOCAL datestyle = 'German';
SELECT ledger.sign_request('shop', '{"order": 7}', '2026-01-02T03:04:05.678901Z', 'n-1', 'correct horse battery staple, longer');
ROLLBACK;
-- HMAC-SHA256 itself: RFC 4231, test case 2.
SELECT ledger_data.hmac_sha256('what do ya want for nothing?'::bytea, 'Jefe'::bytea);

SELECT length(ledger.add_client('shop')) AS made, ledger.add_client('given', repeat('s', 32)) AS given;
SELECT helper.outcome($$SELECT ledger.add_client('given')$$);
CREATE FUNCTION helper.try_signed(client text, secret text, nonce text, age interval DEFAULT '0', payload text DEFAULT 'body', received text DEFAULT 'body') RETURNS text
    LANGUAGE sql AS $$
SELECT regexp_replace(helper.outcome(format('SELECT ledger.verify_signed_request(%L, %L, %L, %L, %L)', client, received, now() - age, nonce,
    ledger.sign_request(client, payload, now() - age, nonce, secret))), 'It was signed at [^\n]*', 'It was signed at T.') $$;
SELECT helper.try_signed('given', repeat('s', 32), 'n1');
SELECT helper.try_signed('given', repeat('s', 32), 'n1');
SELECT helper.try_signed('given', repeat('s', 32), 'n2', '59 s');
SELECT helper.try_signed('given', repeat('s', 32), 'n3', '-59 s');
SELECT helper.try_signed('given', repeat('s', 32), 'n4', '61 s');
SELECT helper.try_signed('given', repeat('s', 32), 'n4', '-61 s');
SELECT helper.try_signed('given', repeat('s', 32), 'n5', received => 'bodY');
SELECT split_part(helper.try_signed('given', repeat('t', 32), 'n5'), E'\n', 1);
SELECT split_part(helper.try_signed('nobody', '', 'n5'), E'\n', 1);
SELECT split_part(helper.outcome($$SELECT ledger.verify_signed_request('given', 'body', now(), 'n5', 'zz')$$), E'\n', 1);
SELECT split_part(helper.outcome($$SELECT ledger.verify_signed_request('given', 'body', now(), 'n5', '')$$), E'\n', 1);
-- A failure uses no nonce; an abort gives it back; each client has its own; digits of either case.
BEGIN;
SELECT helper.try_signed('given', repeat('s', 32), 'n5');
ROLLBACK;
SELECT helper.try_signed('given', repeat('s', 32), 'n5');
SELECT ledger.verify_signed_request('given', 'b', now(), 'n6', upper(ledger.sign_request('given', 'b', now(), 'n6', repeat('s', 32))));
-- One digit another is another signature, whichever it is.
SELECT count(*) AS digits, string_agg(DISTINCT left(o.told, 5), ' ') AS told FROM (SELECT ledger.sign_request('given', 'b', now(), 'n8', repeat('s', 32))) AS s (signature)
CROSS JOIN generate_series(1, 64) AS i CROSS JOIN LATERAL (SELECT helper.outcome(format('SELECT ledger.verify_signed_request(%L, %L, %L, %L, %L)', 'given', 'b', now(), 'n8',
    overlay(s.signature PLACING translate(substr(s.signature, i, 1), '0123456789abcdef', '123456789abcdef0') FROM i)))) AS o (told);
SET ledger.signature_window = '5s';
SELECT split_part(helper.try_signed('given', repeat('s', 32), 'n7', '6 s'), ':', 1);
RESET ledger.signature_window;
-- The nonce is kept longer than its request can be repeated, also if the clock is set back a day.
SELECT min(expires_at - begun_at) >= '24 hours' FROM ledger.requests WHERE kind = 'nonce';

-- Rotation: two secrets, then one.
SELECT ledger.rotate_client('given', repeat('u', 32));
SELECT helper.try_signed('given', repeat('s', 32), 'r1'), helper.try_signed('given', repeat('u', 32), 'r2');
SELECT ledger.rotate_client('given', repeat('v', 32)) IS NOT NULL;
SELECT split_part(helper.try_signed('given', repeat('s', 32), 'r3'), ':', 1), helper.try_signed('given', repeat('u', 32), 'r4'), helper.try_signed('given', repeat('v', 32), 'r5');
SELECT ledger.rotate_client('given', repeat('w', 32), overlap => '0') IS NOT NULL;
SELECT split_part(helper.try_signed('given', repeat('v', 32), 'r6'), ':', 1), helper.try_signed('given', repeat('w', 32), 'r7');
SELECT ledger.remove_client('given');
SELECT split_part(helper.try_signed('given', repeat('w', 32), 'r8'), ':', 1);

-- Bad input.
SELECT helper.outcome($$SELECT ledger.add_client(NULL)$$);
SELECT helper.outcome($$SELECT ledger.add_client('')$$);
SELECT helper.outcome($$SELECT ledger.add_client(E'a\nb')$$);
SELECT helper.outcome($$SELECT ledger.add_client('c', 'short')$$);
SELECT helper.outcome($$SELECT ledger.add_client('c', repeat('s', 31))$$);
SELECT helper.outcome($$SELECT ledger.rotate_client('nobody')$$);
SELECT helper.outcome($$SELECT ledger.rotate_client('shop', overlap => '-1 s')$$);
SELECT helper.outcome($$SELECT ledger.rotate_client('shop', overlap => NULL)$$);
SELECT helper.outcome($$SELECT ledger.remove_client('nobody')$$);
SELECT helper.outcome($$SELECT ledger.verify_signed_request('shop', NULL, now(), 'n', 'x')$$);
SELECT helper.outcome($$SELECT ledger.verify_signed_request('shop', 'b', now(), '', 'x')$$);
SELECT helper.outcome($$SELECT ledger.verify_signed_request('shop', 'b', now(), E'a\nb', 'x')$$);
SELECT split_part(helper.outcome($$SELECT ledger.verify_signed_request('shop', 'b', 'infinity', 'n', 'x')$$), E'\n', 1);
-- A shop whose secret is known is let in at no infinite time.
SELECT split_part(helper.outcome(format($$SELECT ledger.verify_signed_request('shop', 'b', 'infinity', 'n', %L)$$, ledger.sign_request('shop', 'b', 'infinity', 'n', ledger.rotate_client('shop')))), E'\n', 1);
