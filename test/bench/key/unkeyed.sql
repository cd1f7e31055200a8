SELECT ledger.create_stock('1001', 1000000000000);

CREATE VIEW made AS SELECT FROM ledger_data.transfer;
CREATE VIEW problem AS SELECT * FROM ledger.check_invariants();
