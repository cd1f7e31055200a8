\ir pairs.sql
CREATE TABLE batch AS
SELECT array_agg(source::text ORDER BY n) AS sources,
       array_agg(destination::text ORDER BY n) AS destinations,
       array_agg(1::numeric ORDER BY n) AS amounts
FROM pairs;

SELECT ledger.create_asset('EUR', 2);
SELECT ledger.open_account('bank', 'EUR', floor => NULL);
SELECT count(ledger.open_account(n::text, 'EUR')) FROM generate_series(1, 1000) AS n;
SELECT count(*) FROM ledger.transfer_batch(
    array_fill('bank'::text, ARRAY[1000]),
    (SELECT array_agg(n::text) FROM generate_series(1, 1000) AS n),
    array_fill(10000::numeric, ARRAY[1000]));
SELECT ledger.fold();

CREATE VIEW made AS SELECT FROM ledger_data.transfer;
CREATE VIEW problem AS SELECT * FROM ledger.check_invariants();
