-- Two SKUs of one piece each.
SELECT ledger.create_stock('busy', 1), ledger.create_stock('calm', 1);

CREATE VIEW problem AS SELECT * FROM ledger.check_invariants();
