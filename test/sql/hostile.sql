-- Bad input never crashes the server nor leaves half a change.
\a \t
SELECT ledger.open_account('h:a', 'USD') > 0, ledger.open_account('h:b', 'USD') > 0;
SELECT ledger.transfer('world', 'h:a', 100) > 0;
SELECT length(helper.outcome($$SELECT ledger.transfer(repeat('x', 10485760), 'h:b', 1)$$));
SELECT left(helper.outcome($$SELECT ledger.transfer(repeat('é', 5242880), 'h:b', 1)$$), 40);
SELECT left(helper.outcome($$SELECT ledger.open_account(repeat('x', 10485760), 'USD')$$), 60);
SELECT left(helper.outcome($$SELECT ledger.open_account('h:c', repeat('x', 10485760))$$), 60);
SELECT left(helper.outcome($$SELECT ledger.create_asset(repeat('x', 10485760))$$), 60);
SELECT left(helper.outcome($$SELECT ledger.create_stock(repeat('x', 10485760))$$), 60);
SELECT left(helper.outcome($$SELECT ledger.deduct_stock(repeat('x', 10485760), 1)$$), 60);
SELECT left(helper.outcome($$SELECT ledger.balance(repeat('x', 10485760))$$), 60);
SELECT left(helper.outcome($$SELECT ledger.freeze_account(repeat('x', 10485760))$$), 60);
SELECT left(helper.outcome($$SELECT ledger.transfer('h:a', 'h:b', ('1e131071')::numeric)$$), 60);
SELECT left(helper.outcome($$SELECT ledger.transfer('h:a', 'h:b', ('1e-16383')::numeric)$$), 60);
SELECT helper.outcome($$SELECT ledger.transfer('h:a''; DROP TABLE x; --', 'h:b', 1)$$);
SELECT helper.outcome($$SELECT ledger.transfer('h:a%s%n', 'h:b', 1)$$);
-- Big metadata is kept.
SET ledger.max_metadata = '1MB';
SELECT ledger.transfer('h:a', 'h:b', 1, metadata => jsonb_build_object('blob', repeat('x', 1000000))) > 0;
RESET ledger.max_metadata;
SELECT length(metadata ->> 'blob') FROM ledger.statement('h:b');
-- Internals cannot be tricked with ids that do not exist.
SELECT helper.outcome($$SELECT ledger_data.post_reversal(1, 2, 3, 4, NULL)$$);
SELECT helper.outcome($$SELECT ledger_data.fold_account(12345)$$);
SELECT helper.outcome($$SELECT ledger_data.fold_account(NULL)$$);
SELECT helper.outcome($$SELECT ledger_data.refuse('no such condition', 'x', NULL, NULL)$$);
SELECT helper.outcome($$SELECT ledger_data.guard()$$);
SELECT helper.outcome($$SELECT ledger_data.recall(NULL, '{}')$$);
SELECT helper.outcome($$SELECT ledger_data.recall('h', NULL)$$);
SELECT helper.outcome($$SELECT ledger_data.recall('h', '1')$$);
SELECT helper.outcome($$SELECT ledger_data.remember('h', '{}', NULL, NULL)$$);
SELECT helper.outcome($$SELECT ledger_data.remember('h', NULL, NULL, 0)$$);
SELECT helper.outcome($$SELECT ledger_data.use_nonce(NULL, 'n', now())$$);
SELECT helper.outcome($$SELECT ledger_data.use_nonce('c', 'n', NULL)$$);
SELECT helper.outcome($$SELECT ledger_data.sign_digest(1, '')$$);
SELECT helper.outcome($$SELECT ledger_data.minor_units(0, 2147483647)$$);
SELECT helper.outcome($$SELECT ledger_data.minor_units(0, -1)$$);
-- A hundred thousand elements, cancelled in the middle by a timeout: nothing of it stays.
SELECT count(*) AS before FROM ledger.transfers WHERE source = 'h:b' \gset
SET statement_timeout = '20ms';
SELECT count(*) FROM ledger.transfer_batch(array_fill('h:a'::text, '{400000}'), array_fill('h:b'::text, '{400000}'), array_fill(0.01, '{400000}'), atomic => false);
RESET statement_timeout;
SELECT posted FROM ledger.balance('h:b');
SELECT helper.outcome($$SELECT ledger.transfer('h:a', 'h:b', 99) > 0$$);
-- Ten thousand savepoints in one transaction.
DO $$
BEGIN
    FOR i IN 1..10000 LOOP
        BEGIN
            PERFORM ledger.transfer('h:b', 'h:a', 0.01);
            IF i % 2 = 0 THEN RAISE EXCEPTION USING ERRCODE = 'P9999'; END IF;
        EXCEPTION WHEN SQLSTATE 'P9999' THEN NULL;
        END;
    END LOOP;
END
$$;
SELECT posted FROM ledger.balance('h:b');
SELECT * FROM ledger.check_invariants();
-- A movement between ids.
SELECT helper.outcome(format($$SELECT ledger_data.post_reversal(%s, %s, -1, 1, NULL)$$,
    ledger_data.account_id('h:a'), ledger_data.account_id('h:b')));
BEGIN;
SELECT ledger_data.post_reversal(ledger_data.account_id('h:a'), ledger_data.account_id('h:b'), 1, 1, NULL) > 0;
ROLLBACK;
SELECT * FROM ledger.check_invariants();
