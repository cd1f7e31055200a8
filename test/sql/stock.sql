-- Stock: never oversold, whatever is asked.
\a \t
SELECT ledger.create_stock('TEA', 10) > 0, ledger.create_stock('CUP') > 0;
SELECT * FROM ledger.stock ORDER BY sku;
SELECT ledger.add_stock('CUP', 3);
SELECT ledger.deduct_stock('TEA', 4, metadata => '{"order": 1}');
SELECT helper.outcome($$SELECT ledger.deduct_stock('TEA', 7)$$);
SELECT helper.outcome($$SELECT ledger.try_deduct_stock('TEA', 7)$$);
SELECT helper.outcome($$SELECT ledger.try_deduct_stock('TEA', 6)$$);
SELECT helper.outcome($$SELECT ledger.deduct_stock('TEA', 1)$$);
SELECT helper.outcome($$SELECT ledger.restore_stock('TEA', 2)$$);
SELECT helper.outcome($$SELECT ledger.restore_stock('TEA', 9)$$);
SELECT helper.outcome($$SELECT ledger.deduct_stock('MILK', 1)$$);
SELECT helper.outcome($$SELECT ledger.try_deduct_stock('MILK', 1)$$);
SELECT helper.outcome($$SELECT ledger.add_stock('MILK', 1)$$);
SELECT helper.outcome($$SELECT ledger.deduct_stock('world', 1)$$);
SELECT helper.outcome($$SELECT ledger.deduct_stock('TEA', 0)$$);
SELECT helper.outcome($$SELECT ledger.add_stock('TEA', -1)$$);
SELECT helper.outcome($$SELECT ledger.restore_stock('TEA', -9223372036854775808)$$);
SELECT helper.outcome($$SELECT ledger.deduct_stock(NULL, 1)$$);
SELECT helper.outcome($$SELECT ledger.deduct_stock('TEA', NULL)$$);
SELECT helper.outcome($$SELECT ledger.create_stock('TEA')$$);
SELECT helper.outcome($$SELECT ledger.create_stock('SALT', -1)$$);
SELECT helper.outcome($$SELECT ledger.create_stock(NULL)$$);
SELECT helper.outcome($$SELECT ledger.create_stock(repeat('x', 251))$$);
SELECT helper.outcome($$SELECT ledger.create_stock(repeat('x', 250), 1) > 0$$);
SELECT helper.outcome($$SELECT ledger.deduct_stock(repeat('x', 250), 1)$$);

-- Money is no stock, whatever its accounts are called; who would rather be told NULL is told of a freeze.
SELECT ledger.open_account('COIN', 'USD') > 0, ledger.open_account('COIN:sold', 'USD') > 0, ledger.transfer('world', 'COIN', 5) > 0;
SELECT helper.outcome($$SELECT ledger.deduct_stock('COIN', 1)$$);
SELECT helper.outcome($$SELECT ledger.add_stock('COIN', 1)$$);
SELECT ledger.transfer('COIN', 'world', 5) > 0;
BEGIN;
SELECT ledger.freeze_account('TEA');
SELECT helper.outcome($$SELECT ledger.try_deduct_stock('TEA', 1)$$);
ROLLBACK;

-- A cart: all or none; one SKU may stand in it twice.
SELECT * FROM ledger.deduct_stocks('{TEA,CUP,TEA}', '{1,2,1}');
SELECT helper.outcome($$SELECT remaining FROM ledger.deduct_stocks('{CUP,TEA}', '{1,1}')$$);
SELECT helper.outcome($$SELECT remaining FROM ledger.deduct_stocks('{CUP,MILK}', '{1,1}')$$);
SELECT helper.outcome($$SELECT remaining FROM ledger.deduct_stocks('{CUP,NULL}', '{1,1}')$$);
SELECT helper.outcome($$SELECT remaining FROM ledger.deduct_stocks('{CUP,TEA}', '{1,NULL}')$$);
SELECT helper.outcome($$SELECT remaining FROM ledger.deduct_stocks('{CUP,TEA}', '{1}')$$);
SELECT helper.outcome($$SELECT remaining FROM ledger.deduct_stocks('{CUP}', '{0}')$$);
SELECT count(*) FROM ledger.deduct_stocks('{}', '{}');
SELECT * FROM ledger.stock WHERE sku IN ('TEA', 'CUP') ORDER BY sku;
-- The same figures as an account.
SELECT posted FROM ledger.balance('TEA:sold');
SELECT * FROM ledger.check_invariants();
