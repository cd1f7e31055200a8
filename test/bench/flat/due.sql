-- Holds that are due 20 ms one after the other, the first of them in two seconds, and when exactly.
SELECT count(ledger.hold('hot', 'another', 1, '2 s'::interval + n * '20 ms'::interval)) FROM generate_series(1, :holds) AS n;
CREATE TABLE due AS SELECT id, expires_at FROM ledger.holds WHERE state = 'open';
