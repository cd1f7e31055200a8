SELECT ledger.create_asset('COIN'), ledger.open_account('world', 'COIN', floor => NULL), ledger.open_account('hot', 'COIN'),
       ledger.transfer('world', 'hot', 1000000000000);
SELECT count(ledger.open_account('shop-' || i, 'COIN')) FROM generate_series(1, 1000) AS i;

CREATE VIEW made AS SELECT FROM ledger.tcc_transactions WHERE state = 'confirmed';
CREATE VIEW problem AS
SELECT concat_ws(' ', c.invariant, c.subject, c.detail) FROM ledger.check_invariants() AS c
UNION ALL
SELECT 'not spent once each' FROM ledger.balance('hot') AS b
WHERE 1000000000000 - b.posted <> (SELECT count(*) FROM made) OR b.held <> 0;
