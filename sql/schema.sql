-- The two schemas. Plain CREATE SCHEMA comes first: where somebody planted a
-- schema of that name, the installation fails instead of adopting it.
CREATE SCHEMA ledger;
COMMENT ON SCHEMA ledger IS 'ledger: transfers, balances and stock; see ledger.transfer, ledger.deduct_stock and \df+ ledger.*';

CREATE SCHEMA ledger_data;
COMMENT ON SCHEMA ledger_data IS 'ledger: tables and internals, written by the extension alone';
