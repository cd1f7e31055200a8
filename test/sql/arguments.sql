-- A key belongs to a call with all its arguments: each function that takes one, each argument
-- of it once another, and every function under the key of every other one.
\a \t
SELECT ledger.open_account('arg:a', 'USD') > 0, ledger.open_account('arg:b', 'USD') > 0, ledger.open_account('arg:c', 'USD') > 0,
       ledger.transfer('world', 'arg:a', 1000) > 0, ledger.transfer('world', 'arg:b', 1000) > 0;
SELECT ledger.create_stock('arg-1', 100) > 0, ledger.create_stock('arg-2', 100) > 0, ledger.deduct_stock('arg-1', 50), ledger.deduct_stock('arg-2', 50);
CREATE TEMPORARY TABLE made AS
SELECT 'transfer' AS what, i, ledger.transfer('arg:a', 'arg:b', i) AS id FROM generate_series(1, 2) AS i
UNION ALL SELECT 'hold', i, ledger.hold('arg:a', 'arg:b', 10) FROM generate_series(1, 2) AS i
UNION ALL SELECT 'reservation', i, ledger.reserve_stock('arg-1', 10) FROM generate_series(1, 2) AS i;
-- Ids are new in every run: $hold 1 stands for the first of them.
CREATE FUNCTION helper.value(written text) RETURNS text LANGUAGE sql AS
    $$SELECT coalesce((SELECT m.id::text FROM made AS m WHERE written = '$' || m.what || ' ' || m.i), written)$$;

-- One argument a line: what it is, and another.
CREATE TEMPORARY TABLE argument (function text, argument text, value text, other text);
INSERT INTO argument VALUES
    ('create_asset', 'code', $$'X1'$$, $$'X2'$$), ('create_asset', 'scale', '1', '2'), ('create_asset', 'description', $$'one'$$, $$'other'$$),
    ('open_account', 'code', $$'arg:d'$$, $$'arg:e'$$), ('open_account', 'asset', $$'USD'$$, $$'EUR'$$), ('open_account', 'floor', '-1', '-2'),
    ('open_account', 'ceiling', '1', '2'), ('open_account', 'metadata', $$'{"m": 1}'$$, $$'{"m": 2}'$$),
    ('alter_account', 'code', $$'arg:a'$$, $$'arg:b'$$), ('alter_account', 'floor', '-1', '-2'), ('alter_account', 'ceiling', '5000', '6000'),
    ('alter_account', 'metadata', $$'{"m": 1}'$$, $$'{"m": 2}'$$),
    ('freeze_account', 'code', $$'arg:c'$$, $$'arg:b'$$), ('unfreeze_account', 'code', $$'arg:c'$$, $$'arg:b'$$), ('close_account', 'code', $$'arg:c'$$, $$'arg:b'$$),
    ('transfer', 'source', $$'arg:a'$$, $$'arg:b'$$), ('transfer', 'destination', $$'arg:c'$$, $$'world'$$), ('transfer', 'amount', '1', '2'),
    ('transfer', 'metadata', $$'{"m": 1}'$$, $$'{"m": 2}'$$),
    ('try_transfer', 'source', $$'arg:a'$$, $$'arg:b'$$), ('try_transfer', 'destination', $$'arg:c'$$, $$'world'$$), ('try_transfer', 'amount', '1', '2'),
    ('try_transfer', 'metadata', $$'{"m": 1}'$$, $$'{"m": 2}'$$),
    ('transfer_up_to', 'source', $$'arg:a'$$, $$'arg:b'$$), ('transfer_up_to', 'destination', $$'arg:c'$$, $$'world'$$), ('transfer_up_to', 'maximum', '1', '2'),
    ('transfer_up_to', 'metadata', $$'{"m": 1}'$$, $$'{"m": 2}'$$),
    ('transfer_batch', 'sources', $$'{arg:a}'$$, $$'{arg:b}'$$), ('transfer_batch', 'destinations', $$'{arg:c}'$$, $$'{world}'$$), ('transfer_batch', 'amounts', $$'{1}'$$, $$'{2}'$$),
    ('reverse_transfer', 'transfer_id', '$transfer 1', '$transfer 2'), ('reverse_transfer', 'reason', $$'one'$$, $$'other'$$),
    ('hold', 'source', $$'arg:a'$$, $$'arg:b'$$), ('hold', 'destination', $$'arg:c'$$, $$'world'$$), ('hold', 'amount', '1', '2'),
    ('hold', 'ttl', $$'1 hour'$$, $$'2 hours'$$), ('hold', 'metadata', $$'{"m": 1}'$$, $$'{"m": 2}'$$),
    ('post_hold', 'hold', '$hold 1', '$hold 2'), ('post_hold', 'amount', '1', '2'), ('post_hold', 'final', 'true', 'false'),
    ('void_hold', 'hold', '$hold 1', '$hold 2'),
    ('create_stock', 'sku', $$'arg-3'$$, $$'arg-4'$$), ('create_stock', 'quantity', '1', '2'), ('create_stock', 'metadata', $$'{"m": 1}'$$, $$'{"m": 2}'$$),
    ('add_stock', 'sku', $$'arg-1'$$, $$'arg-2'$$), ('add_stock', 'quantity', '1', '2'),
    ('restore_stock', 'sku', $$'arg-1'$$, $$'arg-2'$$), ('restore_stock', 'quantity', '1', '2'),
    ('deduct_stock', 'sku', $$'arg-1'$$, $$'arg-2'$$), ('deduct_stock', 'quantity', '1', '2'), ('deduct_stock', 'metadata', $$'{"m": 1}'$$, $$'{"m": 2}'$$),
    ('try_deduct_stock', 'sku', $$'arg-1'$$, $$'arg-2'$$), ('try_deduct_stock', 'quantity', '1', '2'), ('try_deduct_stock', 'metadata', $$'{"m": 1}'$$, $$'{"m": 2}'$$),
    ('deduct_stocks', 'skus', $$'{arg-1,arg-2}'$$, $$'{arg-2,arg-1}'$$), ('deduct_stocks', 'quantities', $$'{1,2}'$$, $$'{1,3}'$$),
    ('reserve_stock', 'sku', $$'arg-1'$$, $$'arg-2'$$), ('reserve_stock', 'quantity', '1', '2'), ('reserve_stock', 'ttl', $$'1 hour'$$, $$'2 hours'$$),
    ('reserve_stocks', 'skus', $$'{arg-1,arg-2}'$$, $$'{arg-2,arg-1}'$$), ('reserve_stocks', 'quantities', $$'{1,2}'$$, $$'{1,3}'$$), ('reserve_stocks', 'ttl', $$'1 hour'$$, $$'2 hours'$$),
    ('confirm_reservation', 'reservation', '$reservation 1', '$reservation 2'), ('release_reservation', 'reservation', '$reservation 1', '$reservation 2');
-- None is missing. (A batch under other conditions, atomic or not, is of the same transfers.)
CREATE TEMPORARY VIEW signature AS
SELECT p.proname AS function, a.name AS argument
FROM pg_proc AS p CROSS JOIN LATERAL unnest(p.proargnames[1:p.pronargs]) AS a (name)
WHERE p.pronamespace = 'ledger'::regnamespace AND p.proargnames[1:p.pronargs] && '{key,keys}' AND p.proname NOT IN ('begin_request', 'complete_request', 'fail_request');
SELECT function, argument FROM signature WHERE argument NOT IN ('key', 'keys', 'atomic')
EXCEPT SELECT function, argument FROM argument;
SELECT function, argument FROM argument EXCEPT SELECT function, argument FROM signature;
SELECT count(DISTINCT function) AS functions, count(*) AS arguments FROM argument;

-- The call under the key k, one of its arguments another (NULL: none). A batch's id is what it tells.
CREATE FUNCTION helper.keyed_call(of text, another text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
SELECT format('SELECT string_agg(c::text, '' '') FROM ledger.%I(%s, %s) AS c', of,
              string_agg(format('%I => %s', a.argument, helper.value(CASE WHEN a.argument = another THEN a.other ELSE a.value END)), ', '),
              CASE WHEN of = 'transfer_batch' THEN $k$keys => '{k}'$k$ ELSE $k$key => 'k'$k$ END)
FROM argument AS a WHERE a.function = of
$$;
-- What the second call is told after the first; both are taken back.
CREATE FUNCTION helper.second_of(first text, second text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    told text;
    again text;
BEGIN
    BEGIN
        EXECUTE first INTO told;
        BEGIN
            EXECUTE second INTO again;
        EXCEPTION WHEN OTHERS THEN again := sqlstate;
        END;
        RAISE EXCEPTION USING errcode = 'XX999';
    EXCEPTION WHEN SQLSTATE 'XX999' THEN
        -- An element of a batch that was made before says so.
        RETURN CASE WHEN again IS NOT DISTINCT FROM replace(told, 'ok', 'duplicate') THEN 'the same' ELSE again END;
    END;
END $$;
SELECT function, helper.second_of(helper.keyed_call(function), helper.keyed_call(function)) AS repeated FROM (SELECT DISTINCT function FROM argument) AS f
WHERE helper.second_of(helper.keyed_call(function), helper.keyed_call(function)) IS DISTINCT FROM 'the same' ORDER BY function;
SELECT a.function, a.argument, t.told
FROM argument AS a CROSS JOIN LATERAL (SELECT helper.second_of(helper.keyed_call(a.function), helper.keyed_call(a.function, a.argument))) AS t (told)
WHERE t.told IS DISTINCT FROM 'LG301' ORDER BY a.function, a.argument;
SELECT f.function AS first, s.function AS second, t.told
FROM (SELECT DISTINCT function FROM argument) AS f CROSS JOIN (SELECT DISTINCT function FROM argument) AS s
CROSS JOIN LATERAL (SELECT helper.second_of(helper.keyed_call(f.function), helper.keyed_call(s.function))) AS t (told)
WHERE f.function <> s.function AND t.told IS DISTINCT FROM 'LG301' ORDER BY f.function, s.function;
SELECT count(*) FROM ledger.requests WHERE key = 'k';

-- A key belongs to the role that used it first: another role learns that, and nothing else.
CREATE ROLE ledger_test_one;
CREATE ROLE ledger_test_two;
CREATE ROLE ledger_test_member IN ROLE ledger_test_one;
SELECT ledger.grant_access(r, 'operator') FROM unnest('{ledger_test_one,ledger_test_two,ledger_test_member}'::regrole[]) AS r;
-- What another role is told by the second call after the first of the owner; both are taken back.
CREATE FUNCTION helper.second_of_another(owner name, first text, another name, second text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    told text;
    again text;
    detail text;
    hint text;
BEGIN
    BEGIN
        EXECUTE format('SET LOCAL ROLE %I', owner);
        EXECUTE first INTO told;
        EXECUTE format('SET LOCAL ROLE %I', another);
        BEGIN
            EXECUTE second INTO again;
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS again = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
            again := concat_ws(' | ', sqlstate, again, detail, hint);
        END;
        RAISE EXCEPTION USING errcode = 'XX999';
    EXCEPTION WHEN SQLSTATE 'XX999' THEN
        RETURN CASE WHEN again IS NOT DISTINCT FROM replace(told, 'ok', 'duplicate') THEN 'the same' ELSE again END;
    END;
END $$;
-- Whatever the function and whichever argument is another: the same words.
CREATE TEMPORARY VIEW keyed AS
SELECT function, NULL AS another FROM (SELECT DISTINCT function FROM argument) AS f UNION ALL SELECT function, argument FROM argument;
SELECT t.told, count(*)
FROM keyed AS k CROSS JOIN LATERAL (SELECT helper.second_of_another('ledger_test_one', helper.keyed_call(k.function),
                                                                    'ledger_test_two', helper.keyed_call(k.function, k.another))) AS t (told)
GROUP BY t.told ORDER BY t.told;
-- A key of a superuser's; and who is told all: a member of the role, a superuser, the role itself.
SELECT o.owner, o.another, left(t.told, 8) AS told, count(*)
FROM (VALUES ('none', 'ledger_test_one'), ('ledger_test_member', 'ledger_test_one'), ('ledger_test_one', 'ledger_test_member'),
             ('ledger_test_one', 'none'), ('ledger_test_one', 'ledger_test_one')) AS o (owner, another)
CROSS JOIN (SELECT DISTINCT function FROM argument) AS f
CROSS JOIN LATERAL (SELECT helper.second_of_another(o.owner, helper.keyed_call(f.function), o.another, helper.keyed_call(f.function))) AS t (told)
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT ledger.revoke_access(r) FROM unnest('{ledger_test_one,ledger_test_two,ledger_test_member}'::regrole[]) AS r;
DROP VIEW keyed;
DROP ROLE ledger_test_one, ledger_test_two, ledger_test_member;
DROP FUNCTION helper.second_of, helper.second_of_another, helper.keyed_call, helper.value;
SELECT * FROM ledger.check_invariants();
