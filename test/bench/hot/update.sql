-- Room in the page for HOT updates, and an order row with no index but its key.
CREATE TABLE stock (
    id       bigint PRIMARY KEY,
    quantity bigint NOT NULL
) WITH (fillfactor = 50);
INSERT INTO stock VALUES (1001, 1000000000000);

CREATE TABLE orders (
    id         bigint      PRIMARY KEY,
    stock      bigint      NOT NULL,
    quantity   bigint      NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE SEQUENCE orders_id CACHE 32;

CREATE VIEW made AS SELECT FROM orders;
CREATE VIEW problem AS
SELECT 'stock + sold' AS invariant, s.id AS subject, s.quantity + o.sold AS detail
FROM stock AS s, (SELECT coalesce(sum(quantity), 0) AS sold FROM orders) AS o
WHERE s.quantity + o.sold <> 1000000000000;
