\ir ../random/ledger.sql
SELECT ledger.create_stock('0', 1000000000000);
