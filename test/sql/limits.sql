-- alter, freeze, unfreeze and close.
\a \t
SELECT ledger.open_account('l:a', 'USD') > 0, ledger.open_account('l:b', 'USD') > 0;
SELECT ledger.transfer('world', 'l:a', 50) > 0;
SELECT helper.outcome($$SELECT ledger.alter_account('l:a', floor => -25)$$);
SELECT posted, available FROM ledger.balance('l:a');
SELECT helper.outcome($$SELECT ledger.transfer('l:a', 'l:b', 75) > 0$$);
SELECT helper.outcome($$SELECT ledger.transfer('l:a', 'l:b', 0.01)$$);
SELECT helper.outcome($$SELECT ledger.alter_account('l:a', floor => 0)$$);
SELECT helper.outcome($$SELECT ledger.alter_account('l:a', floor => NULL, metadata => '{"vip": true}')$$);
SELECT helper.outcome($$SELECT ledger.transfer('l:a', 'l:b', 1000) > 0$$);
SELECT helper.outcome($$SELECT ledger.alter_account('l:b', ceiling => 1000)$$);
SELECT helper.outcome($$SELECT ledger.alter_account('l:b', floor => 2000, ceiling => 1000)$$);
SELECT helper.outcome($$SELECT ledger.alter_account('l:b', ceiling => 1100)$$);
-- A limit that is left out stays.
SELECT ledger.alter_account('l:b', floor => -1);
SELECT floor, ceiling FROM ledger.accounts WHERE account = 'l:b';
SELECT ledger.alter_account('l:b', floor => 0);
SELECT helper.outcome($$SELECT ledger.transfer('world', 'l:b', 26)$$);
SELECT helper.outcome($$SELECT ledger.alter_account('l:b', ceiling => NULL)$$);
SELECT helper.outcome($$SELECT ledger.alter_account('l:b', floor => 0.001)$$);
SELECT helper.outcome($$SELECT ledger.alter_account('l:b', floor => 100)$$);
SELECT helper.outcome($$SELECT ledger.transfer('l:b', 'world', 1000)$$);
SELECT helper.outcome($$SELECT ledger.alter_account('nobody', floor => 0)$$);
SELECT helper.outcome($$SELECT ledger.alter_account(NULL, floor => 0)$$);
SELECT account, posted, available, floor, ceiling, state, metadata FROM ledger.accounts WHERE account ~ '^l:' ORDER BY 1;

-- Frozen: no movement either way; reads go on.
SELECT ledger.freeze_account('l:b'), ledger.freeze_account('l:b');
SELECT helper.outcome($$SELECT ledger.transfer('l:b', 'world', 1)$$);
SELECT helper.outcome($$SELECT ledger.try_transfer('l:b', 'world', 1)$$);
SELECT helper.outcome($$SELECT ledger.transfer('world', 'l:b', 1)$$);
SELECT helper.outcome($$SELECT ledger.transfer_up_to('l:b', 'world', 1)$$);
SELECT posted FROM ledger.balance('l:b');
SELECT ledger.unfreeze_account('l:b'), ledger.unfreeze_account('l:b');
SELECT helper.outcome($$SELECT ledger.transfer('l:b', 'world', 1) > 0$$);

-- Changes of limits roll back with their savepoint or transaction.
BEGIN;
SELECT ledger.freeze_account('l:b');
SAVEPOINT s;
SELECT ledger.unfreeze_account('l:b');
SELECT helper.outcome($$SELECT ledger.transfer('l:b', 'world', 1) > 0$$);
ROLLBACK TO s;
SELECT helper.outcome($$SELECT ledger.transfer('l:b', 'world', 1)$$);
ROLLBACK;
SELECT helper.outcome($$SELECT ledger.transfer('l:b', 'world', 1) > 0$$);
BEGIN;
SAVEPOINT s;
SELECT ledger.alter_account('l:b', floor => NULL);
RELEASE s;
SELECT ledger.transfer('l:b', 'world', 5000) > 0;
ROLLBACK;
SELECT helper.outcome($$SELECT ledger.transfer('l:b', 'world', 5000)$$);

-- Closing needs a zero balance, and is for ever.
SELECT helper.outcome($$SELECT ledger.close_account('l:b')$$);
BEGIN;
SELECT ledger.alter_account('l:b', floor => 0);
SELECT amount FROM ledger.transfer_up_to('l:b', 'world', 1e9);
SELECT ledger.close_account('l:b');
SELECT helper.outcome($$SELECT ledger.transfer('world', 'l:b', 1)$$);
COMMIT;
SELECT helper.outcome($$SELECT ledger.transfer('world', 'l:b', 1)$$);
SELECT helper.outcome($$SELECT ledger.unfreeze_account('l:b')$$);
SELECT helper.outcome($$SELECT ledger.freeze_account('l:b')$$);
SELECT helper.outcome($$SELECT ledger.close_account('l:b')$$);
SELECT account, posted, state FROM ledger.accounts WHERE account ~ '^l:' ORDER BY 1;
SELECT * FROM ledger.check_invariants();
