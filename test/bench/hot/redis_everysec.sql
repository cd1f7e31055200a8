-- The stock is in Redis, here are the orders; sell.cpp compares the two at the end.
\ir orders.sql
CREATE VIEW made AS SELECT FROM orders;
CREATE VIEW problem AS SELECT WHERE false;
