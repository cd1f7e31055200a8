-- The ledger, and a row of the shop's own.
SELECT ledger.create_stock('1001', 1000000000000);
\ir orders.sql

CREATE VIEW made AS SELECT FROM orders;
CREATE VIEW problem AS
SELECT concat_ws(' ', c.invariant, c.subject, c.detail) AS p FROM ledger.check_invariants() AS c
UNION ALL
SELECT 'stock + sold' FROM ledger.stock AS s, (SELECT coalesce(sum(quantity), 0) AS sold FROM orders) AS o
WHERE s.available + o.sold <> 1000000000000;
