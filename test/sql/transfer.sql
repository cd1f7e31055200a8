-- transfer and try_transfer: what they move and what they refuse.
\a \t
SELECT ledger.open_account('t:a', 'USD') > 0, ledger.open_account('t:b', 'USD', ceiling => 100) > 0,
       ledger.open_account('t:e', 'EUR', floor => NULL) > 0, ledger.open_account('t:p', 'POINT', floor => NULL) > 0;
SELECT ledger.transfer('world', 't:a', 100.50) > 0 AS funded;
SELECT ledger.transfer('t:a', 't:b', 0.01, metadata => '{"order": 7}') > 0 AS moved;
SELECT posted, available FROM ledger.balance('t:a');
SELECT posted, available FROM ledger.balance('t:b');

SELECT helper.outcome($$SELECT ledger.transfer('t:a', 't:b', 100.50)$$);
SELECT helper.outcome($$SELECT ledger.try_transfer('t:a', 't:b', 100.50)$$);
SELECT helper.outcome($$SELECT ledger.try_transfer('t:a', 't:b', 1) > 0$$);
SELECT helper.outcome($$SELECT ledger.transfer('world', 't:b', 99)$$);
SELECT helper.outcome($$SELECT ledger.try_transfer('world', 't:b', 99)$$);
SELECT helper.outcome($$SELECT ledger.transfer('t:a', 'nobody', 1)$$);
SELECT helper.outcome($$SELECT ledger.transfer('nobody', 't:a', 1)$$);
SELECT helper.outcome($$SELECT ledger.transfer('t:a', '', 1)$$);
SELECT helper.outcome($$SELECT ledger.transfer('t:a', 't:a', 1)$$);
SELECT helper.outcome($$SELECT ledger.transfer('t:a', 't:e', 1)$$);
SELECT helper.outcome($$SELECT ledger.transfer('t:a', 't:b', 0)$$);
SELECT helper.outcome($$SELECT ledger.transfer('t:a', 't:b', -1)$$);
SELECT helper.outcome($$SELECT ledger.transfer('t:a', 't:b', 0.001)$$);
SELECT helper.outcome($$SELECT ledger.transfer('t:a', 't:b', 1.00000) > 0$$);
SELECT helper.outcome($$SELECT ledger.transfer('t:p', 't:e', 1)$$);
SELECT helper.outcome($$SELECT ledger.transfer('t:a', 't:b', 'NaN')$$);
SELECT helper.outcome($$SELECT ledger.transfer('t:a', 't:b', 'Infinity')$$);
SELECT helper.outcome($$SELECT ledger.transfer('t:a', 't:b', 1e400)$$);
SELECT helper.outcome($$SELECT ledger.transfer('t:a', 't:b', 92233720368547758.08)$$);
SELECT helper.outcome($$SELECT ledger.transfer('t:a', 't:b', 99999999999999999999999999999999)$$);
SELECT helper.outcome($$SELECT ledger.transfer(NULL, 't:b', 1)$$);
SELECT helper.outcome($$SELECT ledger.transfer('t:a', NULL, 1)$$);
SELECT helper.outcome($$SELECT ledger.transfer('t:a', 't:b', NULL)$$);

-- The whole range of a balance, and not one minor unit more.
SELECT ledger.open_account('t:max', 'EUR', floor => NULL) > 0;
SELECT helper.outcome($$SELECT ledger.transfer('t:e', 't:max', 92233720368547758.07) > 0$$);
SELECT helper.outcome($$SELECT ledger.transfer('t:e', 't:max', 0.01)$$);
SELECT helper.outcome($$SELECT ledger.transfer('world:eur', 't:max', 0.01)$$);
SELECT posted FROM ledger.balance('t:max');
SELECT posted FROM ledger.balance('t:e');
-- Lifetime turnover may pass a bigint.
SELECT ledger.transfer('t:max', 't:e', 92233720368547758.07) > 0;
SELECT ledger.transfer('t:e', 't:max', 92233720368547758.07) > 0;
SELECT ledger.fold() > 0 AS folded;
SELECT debits_posted, credits_posted FROM ledger_data.balance
WHERE account = ledger_data.account_id('t:max');
SELECT ledger.transfer('t:max', 't:e', 92233720368547758.07) > 0;
SELECT posted FROM ledger.balance('t:max');

-- An own inflow may be spent before it is committed; a savepoint takes it back.
BEGIN;
SELECT ledger.open_account('t:c', 'USD') > 0;
SELECT ledger.transfer('t:a', 't:c', 50) > 0;
SAVEPOINT s;
SELECT ledger.transfer('world', 't:c', 10) > 0;
SELECT ledger.transfer('t:c', 't:a', 60) > 0;
SELECT helper.outcome($$SELECT ledger.transfer('t:c', 't:a', 0.01)$$);
ROLLBACK TO s;
SELECT helper.outcome($$SELECT ledger.transfer('t:c', 't:a', 50.01)$$);
SELECT ledger.transfer('t:c', 't:a', 20) > 0;
RELEASE s;
SELECT posted FROM ledger.balance('t:c');
COMMIT;
SELECT posted FROM ledger.balance('t:c');
SELECT helper.outcome($$SELECT ledger.transfer('t:c', 't:a', 30.01)$$);

-- Nested savepoints, released and rolled back at several depths.
DO $$
BEGIN
    FOR depth IN 1..3 LOOP
        BEGIN
            PERFORM ledger.transfer('t:a', 't:c', depth);
            BEGIN
                PERFORM ledger.transfer('t:a', 't:c', 10);
                BEGIN
                    PERFORM ledger.transfer('t:c', 't:a', 5);
                    RAISE EXCEPTION 'back' USING ERRCODE = 'P9999';
                EXCEPTION WHEN SQLSTATE 'P9999' THEN NULL;
                END;
                IF depth = 2 THEN RAISE EXCEPTION 'back' USING ERRCODE = 'P9999'; END IF;
            EXCEPTION WHEN SQLSTATE 'P9999' THEN NULL;
            END;
        END;
    END LOOP;
END
$$;
SELECT posted FROM ledger.balance('t:c');
SELECT * FROM ledger.check_invariants();

-- What was refused left nothing; what was made can be read back in every view.
SELECT kind, source, destination, asset, amount, ref, metadata FROM ledger.transfers WHERE source = 't:a' AND destination = 't:b' ORDER BY id;
SELECT account, counterparty, amount, asset FROM ledger.entries WHERE account = 't:b' ORDER BY transfer_id;
-- Ids grow, and tell the time.
SELECT bool_and(id > before) FROM (SELECT id, lag(id) OVER (ORDER BY created_at, id) AS before FROM ledger.transfers) AS t WHERE before IS NOT NULL;
SELECT bool_and(abs(extract(epoch FROM created_at - (timestamptz '2025-01-01 00:00:00+00' + (id >> 22) * interval '1 ms'))) < 5) FROM ledger.transfers;
-- A read-only transaction may not.
BEGIN READ ONLY;
SELECT ledger.transfer('t:a', 't:b', 1);
ROLLBACK;
