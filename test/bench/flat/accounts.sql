-- :accounts of them, without limits.
SELECT ledger.create_asset('EUR', 2);
SELECT count(ledger.open_account(n::text, 'EUR', floor => NULL)) FROM generate_series(1, :accounts) AS n;

CREATE VIEW problem AS SELECT * FROM ledger.check_invariants();
