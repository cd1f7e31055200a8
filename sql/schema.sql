-- Refused at once, not at the first record.
DO $$
BEGIN
    IF pg_catalog.getdatabaseencoding() OPERATOR(pg_catalog.=) 'MULE_INTERNAL'::name THEN
        RAISE EXCEPTION 'encoding "%" is not supported by the ledger', pg_catalog.getdatabaseencoding() USING
            ERRCODE = 'feature_not_supported',
            DETAIL = 'Records are hashed in UTF-8, and PostgreSQL has no conversion from this encoding.',
            HINT = 'Use a database with another encoding: CREATE DATABASE ... TEMPLATE template0 ENCODING ''UTF8''.';
    END IF;
END
$$;

-- The two schemas. Plain CREATE SCHEMA comes first: where somebody planted a
-- schema of that name, the installation fails instead of adopting it.
CREATE SCHEMA ledger;
COMMENT ON SCHEMA ledger IS 'ledger: transfers, balances and stock; see ledger.transfer, ledger.deduct_stock and \df+ ledger.*';

CREATE SCHEMA ledger_data;
COMMENT ON SCHEMA ledger_data IS 'ledger: tables and internals, written by the extension alone';
