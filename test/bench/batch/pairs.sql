-- 1,000 transfers among 1,000 accounts, each once the source and once the
-- destination, in no order.
CREATE VIEW pairs AS
SELECT n, 1 + n * 7919 % 1000 AS source, 1 + (n * 4801 + 501) % 1000 AS destination
FROM generate_series(1, 1000) AS n;
