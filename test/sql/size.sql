-- How much a caller can leave behind: sizes, and how long requests are kept (LG017).
\a \t
SELECT ledger.open_account('size:a', 'USD') > 0, ledger.open_account('size:b', 'USD') > 0;
SELECT ledger.transfer('world', 'size:a', 1000) AS made \gset
SELECT ledger.create_stock('size-1', 100000) > 0;
SHOW ledger.max_metadata;
SHOW ledger.max_payload;
SHOW ledger.max_response;

-- Every function that takes metadata, or a text that is kept. A jsonb of one string has 12 bytes
-- before it, and 8 around it in the text: 65,536 bytes are kept, one more is not.
CREATE FUNCTION helper.kept(bytes integer) RETURNS text LANGUAGE sql AS $$SELECT quote_literal(jsonb_build_object('', repeat('x', bytes - 12)))$$;
CREATE TEMPORARY TABLE keeping (function text, call text);
INSERT INTO keeping VALUES
    ('transfer', $$ledger.transfer('size:a', 'size:b', 1, metadata => %s)$$),
    ('try_transfer', $$ledger.try_transfer('size:a', 'size:b', 1, metadata => %s)$$),
    ('transfer_up_to', $$ledger.transfer_up_to('size:a', 'size:b', 1, metadata => %s)$$),
    ('hold', $$ledger.hold('size:a', 'size:b', 1, metadata => %s)$$),
    ('deduct_stock', $$ledger.deduct_stock('size-1', 1, metadata => %s)$$),
    ('try_deduct_stock', $$ledger.try_deduct_stock('size-1', 1, metadata => %s)$$),
    ('open_account', $$ledger.open_account('size:c', 'USD', metadata => %s)$$),
    ('create_stock', $$ledger.create_stock('size-2', metadata => %s)$$),
    ('alter_account', $$ledger.alter_account('size:a', metadata => %s)$$),
    ('tcc_begin', $$ledger.tcc_begin('size', metadata => %s)$$);
SELECT p.proname FROM pg_proc AS p WHERE p.pronamespace = 'ledger'::regnamespace AND 'metadata' = ANY (p.proargnames[1:p.pronargs])
EXCEPT SELECT function FROM keeping;
SELECT function, left(helper.outcome('SELECT ' || format(call, helper.kept(65536))), 3) AS fits,
       left(helper.outcome('SELECT ' || format(call, helper.kept(65537))), 5) AS too_large,
       left(helper.outcome('SELECT ' || format(call, $$'[1e99999]'$$)), 5) AS text_too_large
FROM keeping ORDER BY function;
SELECT helper.outcome('SELECT ' || format(call, helper.kept(65537))) FROM keeping WHERE function = 'transfer';
SELECT helper.outcome('SELECT ' || format(call, $$'[1e99999]'$$)) FROM keeping WHERE function = 'tcc_begin';
SELECT left(helper.outcome(format($$SELECT ledger.reverse_transfer(%s, reason => repeat('x', 70000))$$, :made)), 5);
SELECT helper.outcome($$SELECT ledger.create_asset('SIZE', description => repeat('x', 70000))$$);
-- Compressed, it is as large as before.
CREATE TEMPORARY TABLE compressed AS SELECT jsonb_build_object('', repeat('x', 100000)) AS metadata;
SELECT pg_column_size(metadata) < 65536 AS compressed FROM compressed;
SELECT left(helper.outcome($$SELECT ledger.transfer('size:a', 'size:b', 1, metadata => c.metadata) FROM compressed AS c$$), 5);
-- The size is a superuser's choice.
SET ledger.max_metadata = '100kB';
SELECT ledger.transfer('size:a', 'size:b', 1, metadata => c.metadata) > 0 FROM compressed AS c;
RESET ledger.max_metadata;
SELECT ledger.transfer('size:a', 'size:b', 1, metadata => '{"still": "kept"}') > 0;
SELECT max(length(metadata::text)) FROM ledger.transfers WHERE source = 'size:a';

-- Requests: payloads, responses, errors; 100 MB of each, and one byte too many.
SELECT helper.outcome($$SELECT ledger.begin_request('size-1', jsonb_build_object('', repeat('x', 100000000)))$$);
SELECT left(helper.outcome($$SELECT ledger.begin_request('size-1', jsonb_build_object('', repeat('x', 1048577 - 12)))$$), 5);
SELECT state FROM ledger.begin_request('size-1', jsonb_build_object('', repeat('x', 1048576 - 12)));
SELECT helper.outcome($$SELECT ledger.complete_request('size-1', jsonb_build_object('', repeat('x', 100000000)))$$);
SELECT left(helper.outcome($$SELECT ledger.fail_request('size-1', jsonb_build_object('', repeat('x', 1048577 - 12)))$$), 5);
SELECT helper.outcome($$SELECT ledger.complete_request('size-1', '[1e99999, 1e99999, 1e99999, 1e99999, 1e99999, 1e99999, 1e99999, 1e99999, 1e99999, 1e99999, 1e99999]')$$);
SELECT ledger.complete_request('size-1', jsonb_build_object('', repeat('x', 1048576 - 12 - 10)));
SELECT length(response->>'') FROM ledger.begin_request('size-1', jsonb_build_object('', repeat('x', 1048576 - 12)));
CREATE TEMPORARY TABLE packed AS SELECT jsonb_build_object('', repeat('x', 2000000)) AS payload;
SELECT pg_column_size(payload) < 1048576 AS compressed FROM packed;
SELECT left(helper.outcome($$SELECT ledger.begin_request('size-2', p.payload) FROM packed AS p$$), 5);
-- A text longer than PostgreSQL can make is not made.
CREATE TEMPORARY TABLE long_text AS SELECT jsonb_agg(1e131071::numeric) AS json FROM generate_series(1, 9000);
SELECT helper.outcome($$SELECT ledger.begin_request('size-2', l.json) FROM long_text AS l$$);
SELECT helper.outcome($$SELECT ledger.complete_request('size-1', l.json) FROM long_text AS l$$);
-- A stored response is told, whatever the setting is by now.
SET ledger.max_response = '1kB';
SELECT length(response->>'') FROM ledger.begin_request('size-1', jsonb_build_object('', repeat('x', 1048576 - 12)));
RESET ledger.max_response;

-- What a key keeps of its call: a cart of many lines.
SELECT helper.outcome($$SELECT count(*) FROM ledger.deduct_stocks(array_fill('size-1'::text, '{60000}'), array_fill(1::bigint, '{60000}'), 'size-cart')$$);
SELECT count(*) FROM ledger.deduct_stocks(array_fill('size-1'::text, '{60000}'), array_fill(1::bigint, '{60000}'));
SELECT count(*) FROM ledger.requests WHERE key = 'size-cart';

-- Leases and ttls of at most a year.
SELECT state FROM ledger.begin_request('size-year', lease => '1 year', ttl => '12 months');
SELECT helper.outcome($$SELECT ledger.begin_request('size-2', ttl => '1 year 1 second')$$);
SELECT left(helper.outcome($$SELECT ledger.begin_request('size-2', lease => '400 days')$$), 5);
SELECT left(helper.outcome($$SELECT ledger.issue_request_token(ttl => '2 years')$$), 5);
SELECT left(helper.outcome($$SELECT ledger.begin_request('size-2', ttl => '-2 years')$$), 5);
SELECT count(*) FROM ledger.requests WHERE key = 'size-2';
DROP TABLE keeping, compressed, packed, long_text;
DROP FUNCTION helper.kept;
SELECT * FROM ledger.check_invariants();
