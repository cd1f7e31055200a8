-- Room in the page for HOT updates.
CREATE TABLE stock (
    id       bigint PRIMARY KEY,
    quantity bigint NOT NULL
) WITH (fillfactor = 50);
INSERT INTO stock VALUES (1001, 1000000000000);
\ir orders.sql

CREATE VIEW made AS SELECT FROM orders;
CREATE VIEW problem AS
SELECT 'stock + sold' AS invariant, s.id AS subject, s.quantity + o.sold AS detail
FROM stock AS s, (SELECT coalesce(sum(quantity), 0) AS sold FROM orders) AS o
WHERE s.quantity + o.sold <> 1000000000000;
