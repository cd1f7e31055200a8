-- The shop's orders: no index but the key.
CREATE TABLE orders (
    id         bigint      PRIMARY KEY,
    stock      bigint      NOT NULL,
    quantity   bigint      NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE SEQUENCE orders_id CACHE 32;
