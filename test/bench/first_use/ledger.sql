SELECT ledger.create_asset('EUR', 2), ledger.open_account('bank', 'EUR', floor => NULL), ledger.open_account('another', 'EUR');
SELECT ledger.open_account('hot', 'EUR', floor => NULL);

CREATE VIEW problem AS SELECT * FROM ledger.check_invariants();
