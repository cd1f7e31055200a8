-- Holds: set aside now, posted, voided or expired later, once.
\a \t
SELECT ledger.open_account('hold:a', 'USD') > 0, ledger.open_account('hold:b', 'USD', ceiling => 200) > 0,
       ledger.open_account('hold:eur', 'EUR') > 0, ledger.transfer('world', 'hold:a', 100) > 0;
-- Ids are new in every run: a hold is called by its metadata.
CREATE FUNCTION helper.hold(name text) RETURNS bigint LANGUAGE sql AS
    $$SELECT h.id FROM ledger.holds AS h WHERE h.metadata ->> 'name' = name$$;
CREATE FUNCTION helper.told(statement text) RETURNS text LANGUAGE sql AS
    $$SELECT regexp_replace(helper.outcome(statement), '\d{15,}', 'ID', 'g')$$;

-- It cannot be spent, and neither balance changes.
SELECT ledger.hold('hold:a', 'hold:b', 60, metadata => '{"name": "one"}') > 0;
SELECT account, posted, held, incoming, available FROM ledger.accounts WHERE account IN ('hold:a', 'hold:b') ORDER BY account;
SELECT b.* FROM unnest('{hold:a,hold:b}'::text[]) AS a, ledger.balance(a) AS b;
SELECT helper.told($$SELECT ledger.transfer('hold:a', 'world', 40.01)$$);
SELECT helper.told($$SELECT ledger.hold('hold:a', 'hold:b', 40.01)$$);
SELECT helper.told($$SELECT ledger.try_transfer('hold:a', 'world', 40.01)$$);
-- It counts towards the ceiling, so that it can always be posted.
SELECT helper.told($$SELECT ledger.transfer('world', 'hold:b', 140.01)$$);
SELECT helper.told($$SELECT ledger.hold('world', 'hold:b', 140.01)$$);
-- Neither account can be closed, nor a limit be set that the hold would pass.
SELECT helper.told($$SELECT ledger.close_account('hold:b')$$);
SELECT helper.told($$SELECT ledger.alter_account('hold:b', ceiling => 59)$$);
SELECT helper.told($$SELECT ledger.alter_account('hold:a', floor => 41)$$);
-- All of it is posted.
SELECT helper.told(format('SELECT ledger.post_hold(%s)', helper.hold('one')));
SELECT account, posted, held, incoming, available FROM ledger.accounts WHERE account IN ('hold:a', 'hold:b') ORDER BY account;
SELECT kind, source, destination, amount, ref IS NOT NULL AS has_ref FROM ledger.transfers WHERE source = 'hold:a' ORDER BY id;
SELECT helper.told(format('SELECT ledger.post_hold(%s)', helper.hold('one')));
SELECT helper.told(format('SELECT ledger.void_hold(%s)', helper.hold('one')));
SELECT account, amount, counterparty, kind FROM ledger.entries WHERE account IN ('hold:a', 'hold:b') ORDER BY transfer_id, account;
SELECT kind, amount, balance FROM ledger.statement('hold:a');
SELECT ledger.balance_at('hold:a', now() + '1 hour'), ledger.balance_at('hold:b', now() + '1 hour');

-- A part is posted and ends it: the rest goes back.
SELECT ledger.hold('hold:a', 'hold:b', 30, metadata => '{"name": "part"}') > 0;
SELECT helper.told(format('SELECT ledger.post_hold(%s, 12.34)', helper.hold('part')));
SELECT amount, posted, remaining, state FROM ledger.holds WHERE id = (SELECT helper.hold('part'));
SELECT kind, amount FROM ledger.transfers WHERE ref = (SELECT helper.hold('part')) ORDER BY id;
-- Several parts, until nothing remains.
SELECT ledger.hold('hold:a', 'hold:b', 10, metadata => '{"name": "parts"}') > 0;
SELECT helper.told(format('SELECT ledger.post_hold(%s, 3.33, final => false)', helper.hold('parts')));
SELECT helper.told(format('SELECT ledger.post_hold(%s, 3.33, final => false)', helper.hold('parts')));
SELECT amount, posted, remaining, state FROM ledger.holds WHERE id = (SELECT helper.hold('parts'));
SELECT helper.told(format('SELECT ledger.post_hold(%s, 3.35)', helper.hold('parts')));
SELECT helper.told(format('SELECT ledger.post_hold(%s, 3.333)', helper.hold('parts')));
SELECT helper.told(format('SELECT ledger.post_hold(%s, 0)', helper.hold('parts')));
SELECT helper.told(format('SELECT ledger.post_hold(%s, -1)', helper.hold('parts')));
SELECT helper.told(format('SELECT ledger.post_hold(%s, %L)', helper.hold('parts'), 'NaN'));
SELECT helper.told(format('SELECT ledger.post_hold(%s, 1, final => NULL)', helper.hold('parts')));
SELECT helper.told(format('SELECT ledger.post_hold(%s, 3.34, final => false)', helper.hold('parts')));
SELECT amount, posted, remaining, state FROM ledger.holds WHERE id = (SELECT helper.hold('parts'));
SELECT helper.told(format('SELECT ledger.post_hold(%s, 0.01, final => false)', helper.hold('parts')));
-- Some parts, and the rest is voided.
SELECT ledger.hold('hold:a', 'hold:b', 10, metadata => '{"name": "cut"}') > 0;
SELECT helper.told(format('SELECT ledger.post_hold(%s, 4, final => false)', helper.hold('cut')));
SELECT helper.told(format('SELECT ledger.void_hold(%s)', helper.hold('cut')));
SELECT helper.told(format('SELECT ledger.void_hold(%s)', helper.hold('cut')));
SELECT helper.told(format('SELECT ledger.post_hold(%s)', helper.hold('cut')));
SELECT account, posted, held, incoming FROM ledger.accounts WHERE account IN ('hold:a', 'hold:b') ORDER BY account;
-- What moved nothing, holds and voids, is no entry.
SELECT kind, count(*) FROM ledger.entries WHERE account IN ('hold:a', 'hold:b') GROUP BY kind ORDER BY kind;

-- Time: past its ttl it cannot be posted or voided, whether or not it has been expired.
SELECT ledger.hold('hold:a', 'hold:b', 5, '20 ms', metadata => '{"name": "short"}') > 0, pg_sleep(0.03);
SELECT helper.told(format('SELECT ledger.post_hold(%s)', helper.hold('short')));
SELECT helper.told(format('SELECT ledger.void_hold(%s)', helper.hold('short')));
BEGIN;
SELECT ledger.hold('hold:a', 'hold:b', 5, '1 ms', metadata => '{"name": "same transaction"}') > 0, pg_sleep(0.01);
SELECT ledger.expire_holds() >= 1;
SELECT state, remaining, expires_at FROM ledger.holds WHERE id = (SELECT helper.hold('same transaction'));
COMMIT;
SELECT helper.told(format('SELECT ledger.post_hold(%s)', helper.hold('same transaction')));
SELECT helper.told(format('SELECT ledger.void_hold(%s)', helper.hold('same transaction')));
-- Who is short of balance first gets back what overdue holds set aside.
SELECT posted FROM ledger.balance('hold:a');
BEGIN;
SELECT count(ledger.hold('hold:a', 'hold:b', 2, '1 ms')) FROM generate_series(1, 3);
SELECT pg_sleep(0.01);
SELECT ledger.transfer('hold:a', 'world', (SELECT posted FROM ledger.balance('hold:a'))) > 0;
ROLLBACK;
BEGIN;
SELECT count(ledger.hold('hold:a', 'hold:b', 2, '1 ms')) FROM generate_series(1, 3);
SELECT pg_sleep(0.01);
SELECT amount FROM ledger.transfer_up_to('hold:a', 'world', 1000);
ROLLBACK;
BEGIN;
SELECT count(ledger.hold('hold:a', 'hold:b', 2)) FROM generate_series(1, 3);
SELECT amount FROM ledger.transfer_up_to('hold:a', 'world', 1000);
ROLLBACK;
-- Nothing is given back where the destination refuses.
BEGIN;
SELECT ledger.open_account('hold:low', 'USD', ceiling => 5) > 0, ledger.hold('hold:a', 'hold:b', 10, '1 ms') > 0;
SELECT pg_sleep(0.01);
SELECT status FROM ledger.transfer_batch('{hold:a}', '{hold:low}', '{12}', atomic => false);
SELECT posted, held, available FROM ledger.balance('hold:a');
SELECT ledger.transfer('hold:a', 'world', 12) > 0;
ROLLBACK;
SELECT helper.told($$SELECT ledger.hold('hold:a', 'hold:b', 1, '0')$$);
SELECT helper.told($$SELECT ledger.hold('hold:a', 'hold:b', 1, '-1 s')$$);
SELECT helper.told($$SELECT ledger.hold('hold:a', 'hold:b', 1, '1000 years')$$);
SELECT helper.told($$SELECT ledger.expire_holds(0)$$);
SELECT helper.told($$SELECT ledger.expire_holds(NULL)$$);

-- Freezing stops posts, not voids or expiries.
SELECT ledger.hold('hold:a', 'hold:b', 1, metadata => '{"name": "frozen"}') > 0, ledger.hold('hold:a', 'hold:b', 1, '1 ms', metadata => '{"name": "frozen, short"}') > 0;
SELECT ledger.freeze_account('hold:b'), pg_sleep(0.01);
SELECT helper.told(format('SELECT ledger.post_hold(%s)', helper.hold('frozen')));
SELECT helper.told($$SELECT ledger.hold('hold:a', 'hold:b', 1)$$);
SELECT helper.told(format('SELECT ledger.void_hold(%s)', helper.hold('frozen')));
SELECT ledger.expire_holds() >= 0;
SELECT name, (SELECT state FROM ledger.holds WHERE id = helper.hold(name)) FROM unnest('{frozen,"frozen, short"}'::text[]) AS name;
SELECT ledger.unfreeze_account('hold:b');

-- What is no hold, and arguments that are none.
SELECT helper.told('SELECT ledger.post_hold(1)');
SELECT helper.told('SELECT ledger.void_hold(-9223372036854775808)');
SELECT helper.told('SELECT ledger.post_hold(NULL)');
SELECT helper.told(format('SELECT ledger.post_hold(%s)', (SELECT id FROM ledger.transfers WHERE kind = 'posted' LIMIT 1)));
SELECT helper.told($$SELECT ledger.hold(NULL, 'hold:b', 1)$$);
SELECT helper.told($$SELECT ledger.hold('hold:a', 'hold:eur', 1)$$);
SELECT helper.told($$SELECT ledger.hold('hold:a', 'hold:a', 1)$$);
SELECT helper.told($$SELECT ledger.hold('hold:a', 'nobody', 1)$$);
SELECT helper.told($$SELECT ledger.hold('hold:a', 'hold:b', 0)$$);
SELECT helper.told($$SELECT ledger.hold('hold:a', 'hold:b', 0.001)$$);
SELECT helper.told(format('SELECT ledger.reverse_transfer(%s)', helper.hold('one')));
SELECT helper.told(format('SELECT ledger.reverse_transfer(%s)', (SELECT id FROM ledger.transfers WHERE kind = 'void' AND ref = (SELECT helper.hold('cut')))));
-- What a hold posted can be reversed.
SELECT ledger.reverse_transfer((SELECT id FROM ledger.transfers WHERE kind = 'post' AND ref = (SELECT helper.hold('one')))) > 0;

-- Keys.
SELECT ledger.hold('hold:a', 'hold:b', 1, '1 hour', 'h-1') = ledger.hold('hold:a', 'hold:b', 1, '60 min', 'h-1');
SELECT helper.told($$SELECT ledger.hold('hold:a', 'hold:b', 1, '2 hours', 'h-1')$$);
SELECT ledger.post_hold(ledger.hold('hold:a', 'hold:b', 1, '1 hour', 'h-1'), key => 'p-1') = ledger.post_hold(ledger.hold('hold:a', 'hold:b', 1, '1 hour', 'h-1'), key => 'p-1');
SELECT helper.told($$SELECT ledger.post_hold(ledger.hold('hold:a', 'hold:b', 1, '1 hour', 'h-1'), 1, 'p-1')$$);
SELECT ledger.void_hold(ledger.hold('hold:a', 'hold:b', 1, key => 'h-2'), 'v-2') = ledger.void_hold(ledger.hold('hold:a', 'hold:b', 1, key => 'h-2'), 'v-2');

-- Savepoints: what was taken goes back, what was resolved is open again.
BEGIN;
SELECT ledger.hold('hold:a', 'hold:b', 1, metadata => '{"name": "saved"}') > 0;
SAVEPOINT s;
SELECT ledger.post_hold(helper.hold('saved')) > 0;
ROLLBACK TO s;
SELECT ledger.void_hold(helper.hold('saved')) > 0;
ROLLBACK TO s;
SELECT state, remaining FROM ledger.holds WHERE id = (SELECT helper.hold('saved'));
SELECT ledger.hold('hold:a', 'hold:b', 1) > 0;
ROLLBACK TO s;
SELECT ledger.post_hold(helper.hold('saved')) > 0;
COMMIT;
SELECT state, posted FROM ledger.holds WHERE id = (SELECT helper.hold('saved'));

-- Every state by every call, with and without a part posted before, against a model: who may
-- resolve it, what is told otherwise, and what moves.
CREATE FUNCTION helper.hold_table(OUT state text, OUT part boolean, OUT call text, OUT told text, OUT moved numeric, OUT left_held numeric)
    RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE
    made bigint;
    before record;
    after record;
BEGIN
    FOR state, part, call IN
        SELECT s.state, p.part, c.call
        FROM unnest('{open,overdue,posted,voided,expired}'::text[]) WITH ORDINALITY AS s (state, i),
             unnest('{f,t}'::boolean[]) AS p (part),
             unnest('{post_all,post_part,post_some_more,post_too_much,void,expire}'::text[]) WITH ORDINALITY AS c (call, k)
        ORDER BY s.i, p.part, c.k
    LOOP
        made := ledger.hold('world', 'hold:b', 8, CASE WHEN state IN ('overdue', 'expired') THEN '40 ms'::interval END);
        IF part THEN PERFORM ledger.post_hold(made, 3, final => false); END IF;
        CASE state
            WHEN 'overdue' THEN PERFORM pg_sleep(0.05);
            WHEN 'posted' THEN PERFORM ledger.post_hold(made);
            WHEN 'voided' THEN PERFORM ledger.void_hold(made);
            WHEN 'expired' THEN PERFORM pg_sleep(0.05), ledger.expire_holds();
            ELSE NULL;
        END CASE;
        SELECT b.posted, b.incoming INTO before FROM ledger.balance('hold:b') AS b;
        BEGIN
            told := 'ok';
            CASE call
                WHEN 'post_all' THEN PERFORM ledger.post_hold(made);
                WHEN 'post_part' THEN PERFORM ledger.post_hold(made, 2);
                WHEN 'post_some_more' THEN PERFORM ledger.post_hold(made, 2, final => false);
                WHEN 'post_too_much' THEN PERFORM ledger.post_hold(made, 9);
                WHEN 'void' THEN PERFORM ledger.void_hold(made);
                WHEN 'expire' THEN PERFORM ledger.expire_holds();
            END CASE;
        EXCEPTION WHEN OTHERS THEN told := SQLSTATE;
        END;
        SELECT b.posted, b.incoming INTO after FROM ledger.balance('hold:b') AS b;
        moved := after.posted - before.posted;
        left_held := (SELECT h.remaining FROM ledger.holds AS h WHERE h.id = made);
        RETURN NEXT;
        PERFORM ledger.transfer('hold:b', 'world', after.posted) WHERE after.posted > 0;
        PERFORM ledger.void_hold(made) FROM ledger.holds AS h WHERE h.id = made AND h.state = 'open';
        PERFORM ledger.expire_holds();
    END LOOP;
END $$;
CREATE TEMPORARY TABLE seen AS SELECT * FROM helper.hold_table();
-- The model: rest is what the call finds, of which it may post some and leave some.
CREATE TEMPORARY VIEW model AS
SELECT s.*, e.told AS expected_told,
       CASE WHEN e.told <> 'ok' THEN 0 ELSE CASE s.call WHEN 'post_all' THEN e.rest WHEN 'post_part' THEN 2 WHEN 'post_some_more' THEN 2 ELSE 0 END END AS expected_moved,
       CASE WHEN s.state = 'open' AND e.told <> 'ok' THEN e.rest
            WHEN s.state = 'open' AND s.call = 'post_some_more' THEN e.rest - 2
            WHEN s.state = 'open' AND s.call = 'expire' THEN e.rest
            WHEN s.state = 'overdue' AND s.call <> 'expire' THEN e.rest
            ELSE 0 END AS expected_left
FROM (SELECT t.*, CASE WHEN t.state IN ('open', 'overdue') THEN CASE WHEN t.part THEN 5 ELSE 8 END ELSE 0 END AS rest FROM seen AS t) AS s
CROSS JOIN LATERAL (SELECT s.rest, CASE
    WHEN s.call = 'expire' THEN 'ok'
    WHEN s.state = 'posted' THEN 'LG102'
    WHEN s.state = 'voided' THEN 'LG103'
    WHEN s.state IN ('overdue', 'expired') THEN 'LG104'
    WHEN s.call = 'post_too_much' THEN 'LG105'
    ELSE 'ok' END AS told) AS e;
SELECT count(*) FROM model;
SELECT * FROM model WHERE (told, moved, left_held) IS DISTINCT FROM (expected_told, expected_moved, expected_left);
SELECT state, call, told, moved, left_held FROM seen WHERE part ORDER BY state, call;

-- The balance is the same folded.
SELECT ledger.fold() >= 0;
SELECT account, posted, held, incoming, available FROM ledger.accounts WHERE account IN ('hold:a', 'hold:b') ORDER BY account;
SELECT * FROM ledger.check_invariants();

-- Reservations: the same in the words of stock.
SELECT ledger.create_stock('R', 10) > 0, ledger.create_stock('S', 2) > 0;
SELECT ledger.reserve_stock('R', 4, key => 'r-1') > 0;
SELECT expires_at - created_at BETWEEN '14 min' AND '16 min' FROM ledger.holds WHERE source = 'R';
SELECT * FROM ledger.stock WHERE sku = 'R';
SELECT helper.told($$SELECT ledger.deduct_stock('R', 7)$$);
SELECT helper.told($$SELECT ledger.try_deduct_stock('R', 7)$$);
SELECT helper.told($$SELECT ledger.reserve_stock('R', 7)$$);
SELECT helper.told($$SELECT ledger.confirm_reservation(ledger.reserve_stock('R', 4, key => 'r-1'), 'c-1')$$);
SELECT helper.told($$SELECT ledger.confirm_reservation(ledger.reserve_stock('R', 4, key => 'r-1'), 'c-1')$$);
SELECT helper.told($$SELECT ledger.confirm_reservation(ledger.reserve_stock('R', 4, key => 'r-1'))$$);
SELECT helper.told($$SELECT ledger.release_reservation(ledger.reserve_stock('R', 4, key => 'r-1'))$$);
SELECT helper.told($$SELECT ledger.release_reservation(ledger.reserve_stock('R', 6, key => 'r-2'))$$);
SELECT helper.told($$SELECT ledger.release_reservation(ledger.reserve_stock('R', 6, key => 'r-2'))$$);
SELECT * FROM ledger.stock WHERE sku = 'R';
SELECT helper.told($$SELECT ledger.confirm_reservation(1)$$);
SELECT helper.told(format('SELECT ledger.confirm_reservation(%s)', helper.hold('one')));
SELECT helper.told($$SELECT ledger.reserve_stock('R', 1, '0')$$);
SELECT helper.told($$SELECT ledger.reserve_stock('R', 0)$$);
SELECT helper.told($$SELECT ledger.reserve_stock('Q', 1)$$);
SELECT helper.told($$SELECT ledger.reserve_stock('world', 1)$$);
-- A cart: all or none.
SELECT sku, reservation > 0, remaining FROM ledger.reserve_stocks('{R,S,R}', '{1,2,3}', key => 'cart');
SELECT sku, remaining FROM ledger.reserve_stocks('{R,S,R}', '{1,2,3}', key => 'cart');
SELECT helper.told($$SELECT reservation FROM ledger.reserve_stocks('{R,S}', '{1,1}')$$);
SELECT helper.told($$SELECT reservation FROM ledger.reserve_stocks('{R}', '{1}', '-1 s')$$);
SELECT helper.told($$SELECT reservation FROM ledger.reserve_stocks('{R}', '{1,2}')$$);
SELECT count(ledger.confirm_reservation(reservation)) FROM ledger.reserve_stocks('{R,S,R}', '{1,2,3}', key => 'cart');
SELECT * FROM ledger.stock WHERE sku IN ('R', 'S') ORDER BY sku;
-- A sale finds what an overdue reservation held.
BEGIN;
SELECT ledger.reserve_stock('R', 2, '1 ms') > 0, pg_sleep(0.01);
SELECT * FROM ledger.stock WHERE sku = 'R';
SELECT ledger.deduct_stock('R', 2);
COMMIT;
SELECT * FROM ledger.stock WHERE sku = 'R';
SELECT * FROM ledger.check_invariants();
