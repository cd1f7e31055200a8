\ir ../audited_table.sql
\ir ../audit_log_table.sql
-- One chain: its head is a row, locked until the commit.
CREATE TABLE head (seq bigint NOT NULL, hash bytea NOT NULL) WITH (fillfactor = 50);
INSERT INTO head VALUES (0, decode(repeat('00', 32), 'hex'));
CREATE FUNCTION log_payment() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    last head%ROWTYPE;
    fresh jsonb := to_jsonb(NEW);
    hashed bytea;
BEGIN
    SELECT * INTO last FROM head FOR UPDATE;
    hashed := sha256(last.hash || convert_to((last.seq + 1) || TG_RELID::text || TG_OP || session_user || fresh::text, 'UTF8'));
    INSERT INTO log (seq, txid, at, relation_oid, hash, relation, operation, actor, acting_as, application, key, new)
    VALUES (last.seq + 1, pg_current_xact_id(), clock_timestamp(), TG_RELID, hashed, TG_TABLE_NAME, TG_OP, session_user, current_user,
            current_setting('application_name'), jsonb_build_object('id', NEW.id), fresh);
    UPDATE head SET seq = last.seq + 1, hash = hashed;
    RETURN NULL;
END
$$;
CREATE TRIGGER log AFTER INSERT ON payment FOR EACH ROW EXECUTE FUNCTION log_payment();
