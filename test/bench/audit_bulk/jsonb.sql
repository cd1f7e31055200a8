\ir ../audited_table.sql
\ir ../audit_log_table.sql
CREATE FUNCTION log_payment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO log (txid, at, relation_oid, relation, operation, actor, acting_as, application, key, new)
    VALUES (pg_current_xact_id(), clock_timestamp(), TG_RELID, TG_TABLE_NAME, TG_OP, session_user, current_user,
            current_setting('application_name'), jsonb_build_object('id', NEW.id), to_jsonb(NEW));
    RETURN NULL;
END
$$;
CREATE TRIGGER log AFTER INSERT ON payment FOR EACH ROW EXECUTE FUNCTION log_payment();
