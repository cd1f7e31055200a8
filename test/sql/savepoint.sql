-- Savepoints within savepoints: what is released goes to the one around, and back with it.
\a \t
SELECT ledger.open_account('sp:a', 'USD') > 0, ledger.open_account('sp:b', 'USD') > 0, ledger.transfer('world', 'sp:a', 100) > 0;
-- What can still be spent of it, to the cent: that much goes, a cent more does not.
CREATE FUNCTION helper.spendable(account text, amount numeric) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF ledger.try_transfer(account, 'world', amount + 0.01) IS NOT NULL THEN RETURN false; END IF;
    BEGIN
        IF amount > 0 AND ledger.try_transfer(account, 'world', amount) IS NULL THEN RETURN false; END IF;
        RAISE EXCEPTION 'taken back';
    EXCEPTION WHEN raise_exception THEN RETURN true;
    END;
END $$;

-- Released into one that is within another, and rolled back with the outer or the inner one.
BEGIN;
SAVEPOINT one;
SAVEPOINT two;
SELECT ledger.transfer('sp:a', 'sp:b', 10) > 0;
RELEASE two;
ROLLBACK TO one;
SELECT helper.spendable('sp:a', 100), helper.spendable('sp:b', 0);
COMMIT;
BEGIN;
SAVEPOINT one;
SAVEPOINT two;
SAVEPOINT three;
SELECT ledger.transfer('sp:a', 'sp:b', 10) > 0;
RELEASE three;
SELECT helper.spendable('sp:a', 90), helper.spendable('sp:b', 10);
ROLLBACK TO two;
SELECT helper.spendable('sp:a', 100), helper.spendable('sp:b', 0);
COMMIT;
BEGIN;
SAVEPOINT one;
SAVEPOINT two;
SAVEPOINT three;
SELECT ledger.transfer('sp:a', 'sp:b', 10) > 0;
RELEASE three;
RELEASE two;
ROLLBACK TO one;
SELECT helper.spendable('sp:a', 100), helper.spendable('sp:b', 0);
COMMIT;
-- One of the two around has moved the account itself: its own state is the older one.
BEGIN;
SAVEPOINT one;
SELECT ledger.transfer('sp:a', 'sp:b', 1) > 0;
SAVEPOINT two;
SAVEPOINT three;
SELECT ledger.transfer('sp:a', 'sp:b', 10) > 0;
RELEASE three;
ROLLBACK TO two;
SELECT helper.spendable('sp:a', 99), helper.spendable('sp:b', 1);
ROLLBACK TO one;
SELECT helper.spendable('sp:a', 100), helper.spendable('sp:b', 0);
COMMIT;
BEGIN;
SAVEPOINT one;
SAVEPOINT two;
SELECT ledger.transfer('sp:a', 'sp:b', 1) > 0;
SAVEPOINT three;
SELECT ledger.transfer('sp:a', 'sp:b', 10) > 0;
RELEASE three;
SELECT helper.spendable('sp:a', 89), helper.spendable('sp:b', 11);
ROLLBACK TO two;
SELECT helper.spendable('sp:a', 100), helper.spendable('sp:b', 0);
COMMIT;
-- Two accounts at two depths; released to the transaction, and rolled back as a whole.
BEGIN;
SAVEPOINT one;
SELECT ledger.transfer('world', 'sp:b', 5) > 0;
SAVEPOINT two;
SELECT ledger.transfer('sp:a', 'world', 10) > 0;
RELEASE two;
SAVEPOINT three;
SELECT ledger.transfer('sp:a', 'sp:b', 20) > 0;
ROLLBACK TO three;
SELECT helper.spendable('sp:a', 90), helper.spendable('sp:b', 5);
RELEASE one;
SELECT helper.spendable('sp:a', 90), helper.spendable('sp:b', 5);
ROLLBACK;
SELECT helper.spendable('sp:a', 100), helper.spendable('sp:b', 0);
-- Holds, and limits, whose ceiling is another's quantity.
BEGIN;
SAVEPOINT one;
SAVEPOINT two;
SELECT ledger.alter_account('sp:b', ceiling => 30), ledger.hold('sp:a', 'sp:b', 10) > 0, ledger.hold('sp:a', 'sp:b', 20) > 0;
RELEASE two;
SELECT ledger.try_transfer('sp:a', 'world', 70.01) IS NULL AS held, split_part(helper.outcome($$SELECT ledger.transfer('world', 'sp:b', 0.01)$$), ':', 1) AS full;
ROLLBACK TO one;
SELECT helper.spendable('sp:a', 100), ledger.transfer('world', 'sp:b', 30.01) > 0 AS no_ceiling;
ROLLBACK TO one;
SELECT helper.spendable('sp:b', 0);
COMMIT;
-- The chain goes on where what was rolled back had begun.
BEGIN;
SELECT ledger.transfer('sp:a', 'sp:b', 1) > 0;
SAVEPOINT one;
SAVEPOINT two;
SELECT ledger.transfer('sp:a', 'sp:b', 2) > 0;
RELEASE two;
ROLLBACK TO one;
SELECT ledger.transfer('sp:a', 'sp:b', 3) > 0;
RELEASE one;
COMMIT;
SELECT account, posted, available FROM ledger.accounts WHERE account ~ '^sp:' ORDER BY 1;
-- Sixty deep, given up at three of the depths: what was moved above the highest of them stays.
CREATE FUNCTION helper.deep(depth int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM ledger.transfer('sp:a', 'sp:b', 0.01);
    IF depth = 0 THEN RETURN; END IF;
    BEGIN
        PERFORM helper.deep(depth - 1);
        IF depth % 20 = 10 THEN RAISE EXCEPTION 'given up'; END IF;
    EXCEPTION WHEN raise_exception THEN NULL;
    END;
END $$;
BEGIN;
SELECT helper.deep(60);
SELECT helper.spendable('sp:a', 95.89), helper.spendable('sp:b', 4.11);
COMMIT;
SELECT account, posted, available FROM ledger.accounts WHERE account ~ '^sp:' ORDER BY 1;
-- An account that was opened and used in what was rolled back is not there.
BEGIN;
SAVEPOINT one;
SELECT ledger.open_account('sp:ghost', 'USD') > 0, ledger.transfer('world', 'sp:ghost', 1) > 0;
ROLLBACK TO one;
SELECT split_part(helper.outcome($$SELECT ledger.transfer('world', 'sp:ghost', 1)$$), ':', 1);
COMMIT;
SELECT split_part(helper.outcome($$SELECT ledger.transfer('world', 'sp:ghost', 1)$$), ':', 1);
SELECT * FROM ledger.check_invariants();
SELECT * FROM ledger.verify();
DROP FUNCTION helper.deep, helper.spendable;
