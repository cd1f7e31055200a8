-- Assets and accounts: what may be opened, and what is refused with which words.
\a \t
SELECT helper.outcome($$SELECT ledger.create_asset('USD', 2)$$);
SELECT helper.outcome($$SELECT ledger.create_asset('USD', 3)$$);
SELECT helper.outcome($$SELECT ledger.create_asset('USD', 2, 'dollars')$$);
SELECT helper.outcome($$SELECT ledger.create_asset(NULL)$$);
SELECT helper.outcome($$SELECT ledger.create_asset('')$$);
SELECT helper.outcome($$SELECT ledger.create_asset(repeat('x', 65))$$);
SELECT helper.outcome($$SELECT ledger.create_asset('WEI', 19)$$);
SELECT helper.outcome($$SELECT ledger.create_asset('WEI', -1)$$);
SELECT helper.outcome($$SELECT ledger.create_asset('WEI', 18)$$);

SELECT helper.outcome($$SELECT ledger.open_account('acc:1', 'USD') > 0$$);
SELECT helper.outcome($$SELECT ledger.open_account('acc:1', 'USD')$$);
SELECT helper.outcome($$SELECT ledger.open_account('acc:2', 'GOLD')$$);
SELECT helper.outcome($$SELECT ledger.open_account(NULL, 'USD')$$);
SELECT helper.outcome($$SELECT ledger.open_account('acc:2', NULL)$$);
SELECT helper.outcome($$SELECT ledger.open_account('', 'USD')$$);
SELECT helper.outcome($$SELECT ledger.open_account(repeat('x', 256), 'USD')$$);
SELECT helper.outcome($$SELECT ledger.open_account(repeat('ж', 255), 'USD') > 0$$);
SELECT helper.outcome($$SELECT ledger.open_account('acc:2', 'USD', floor => 1)$$);
SELECT helper.outcome($$SELECT ledger.open_account('acc:2', 'USD', ceiling => -0.01)$$);
SELECT helper.outcome($$SELECT ledger.open_account('acc:2', 'USD', floor => -0.001)$$);
SELECT helper.outcome($$SELECT ledger.open_account('acc:2', 'USD', floor => 'NaN')$$);
SELECT helper.outcome($$SELECT ledger.open_account('acc:2', 'USD', floor => -1e400)$$);
SELECT helper.outcome($$SELECT ledger.open_account('acc:2', 'USD', -100, 5000, '{"owner": "bob"}') > 0$$);
SELECT helper.outcome($$SELECT ledger.open_account('acc:wei', 'WEI', floor => NULL, ceiling => 9.223372036854775807) > 0$$);

SELECT account, asset, posted, held, incoming, available, floor, ceiling, state, metadata
FROM ledger.accounts WHERE account ~ '^acc:' ORDER BY account;

-- An account opened and rolled back is unknown again, and its code is free.
BEGIN;
SELECT ledger.open_account('acc:gone', 'USD') > 0;
SELECT ledger.transfer('world', 'acc:gone', 1) > 0;
ROLLBACK;
SELECT helper.outcome($$SELECT ledger.transfer('world', 'acc:gone', 1)$$);
SELECT ledger.open_account('acc:gone', 'USD') > 0;
SELECT ledger.transfer('world', 'acc:gone', 1) > 0;
SELECT posted FROM ledger.balance('acc:gone');
-- Opened and used in one statement.
SELECT ledger.transfer('world', c.code, 2) > 0
FROM (SELECT 'acc:now' AS code, ledger.open_account('acc:now', 'USD') AS id OFFSET 0) AS c WHERE c.id > 0;
SELECT posted FROM ledger.balance('acc:now');
SELECT * FROM ledger.check_invariants();
