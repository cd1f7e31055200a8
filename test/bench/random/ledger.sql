-- :accounts of them, with money.
SELECT ledger.create_asset('EUR', 2);
SELECT ledger.open_account('bank', 'EUR', floor => NULL);
SELECT count(ledger.open_account(n::text, 'EUR')) FROM generate_series(1, :accounts) AS n;
SELECT count(*) FROM ledger.transfer_batch(
    array_fill('bank'::text, ARRAY[:accounts]),
    (SELECT array_agg(n::text) FROM generate_series(1, :accounts) AS n),
    array_fill(10000::numeric, ARRAY[:accounts]));
SELECT ledger.fold();

CREATE VIEW made AS SELECT FROM ledger_data.transfer;
CREATE VIEW problem AS SELECT * FROM ledger.check_invariants();
