-- The peers' table: the shape and indexes of ledger_data.transfer. Its txid is
-- xid8, as wide and as ordered as bigint, so that the peer need not cast
-- pg_current_xact_id() through text.
CREATE TABLE transfer (LIKE ledger_data.transfer INCLUDING ALL);
ALTER TABLE transfer ALTER txid TYPE xid8 USING NULL::xid8;
CREATE SEQUENCE transfer_id CACHE 32;
