\ir ../random/ledger.sql
SELECT ledger.create_stock('1001', 1000000000000);
