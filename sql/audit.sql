-- Audit triggers: changes of any table, chained as transfers are (docs/audit-triggers.md).

CREATE FUNCTION ledger.audit() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_audit';
COMMENT ON FUNCTION ledger.audit() IS
'The audit trigger, which ledger.enable_audit puts on a table; its arguments are the columns not to be logged.';

CREATE FUNCTION ledger.enable_audit(relation regclass, exclude name[] DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_enable_audit';
COMMENT ON FUNCTION ledger.enable_audit(regclass, name[]) IS
'Logs every change of the table from now on in ledger.audit_log: INSERT, UPDATE, DELETE, TRUNCATE; with all its partitions, present and future. exclude: columns whose values are not logged. Called again, it replaces what was there. For the table''s owner. 42809 not an ordinary table, 42703 unknown column, 22023 a primary key''s column or a table of the system.';

CREATE FUNCTION ledger.disable_audit(relation regclass) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_disable_audit';
COMMENT ON FUNCTION ledger.disable_audit(regclass) IS
'Ends what ledger.enable_audit began; what was logged stays. For the table''s owner. 42704 if it is not audited.';

CREATE VIEW ledger.audit_log AS
    SELECT a.id, a.lane, a.seq, a.at, a.txid, a.relation_oid, a.relation, a.operation, a.key, a.old, a.new,
           a.actor, a.acting_as, a.application, a.client, a.hash
    FROM ledger_data.audit AS a;
COMMENT ON VIEW ledger.audit_log IS
'Who changed what in audited tables: the row before (old) and after (new) and its primary key, json as stored and hashed; actor (session_user: who logged in), acting_as (current_user), application_name, the client''s address (NULL for a local socket). id orders them; lane, seq and hash are the chain''s. ledger.audit_change gives jsonb.';

CREATE FUNCTION ledger.audit_change(id bigint, OUT key jsonb, OUT old jsonb, OUT new jsonb) RETURNS record
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    stored record;
BEGIN
    IF id IS NULL THEN
        RAISE EXCEPTION 'the id is null' USING
            ERRCODE = 'null_value_not_allowed', HINT = 'For example ledger.audit_change(max(id)) of ledger.audit_log.';
    END IF;
    SELECT a.key, a.old, a.new INTO stored FROM ledger_data.audit AS a WHERE a.id = audit_change.id;
    IF NOT FOUND THEN
        PERFORM ledger_data.refuse('unknown_transfer', pg_catalog.format('audit record %s does not exist', id), NULL,
            'The column id of ledger.audit_log has the ids of audit records.');
    END IF;
    -- One record that jsonb cannot hold must not keep the others from being read.
    BEGIN
        key := stored.key;
        old := stored.old;
        new := stored.new;
    EXCEPTION WHEN OTHERS THEN
        key := pg_catalog.to_jsonb(stored.key::text);
        old := pg_catalog.to_jsonb(stored.old::text);
        new := pg_catalog.to_jsonb(stored.new::text);
    END;
END
$$;
COMMENT ON FUNCTION ledger.audit_change(bigint) IS
'One record of ledger.audit_log with its key, old and new as jsonb; a record that jsonb cannot hold is returned as strings. LG010 for an unknown id, 22004 for NULL.';

-- The records as docs/chain-format.md describes them, for verifiers that trust nothing here.
CREATE VIEW ledger.transfer_records AS
    SELECT t.id, t.lane, t.seq, t.kind, t.debit_account, t.credit_account, t.amount, t.ref, t.txid,
           (EXTRACT(epoch FROM t.created_at) * 1000000)::bigint AS created_us, t.metadata::text AS metadata,
           pg_catalog.encode(t.hash, 'hex') AS hash
    FROM ledger_data.transfer AS t;
COMMENT ON VIEW ledger.transfer_records IS
'Transfers as they are hashed, field by field (docs/chain-format.md): created_us is microseconds since 1970, hash hexadecimal.';

CREATE VIEW ledger.audit_records AS
    SELECT a.id, a.lane, a.seq, a.txid, (EXTRACT(epoch FROM a.at) * 1000000)::bigint AS at_us, a.relation_oid, a.relation,
           a.operation, a.key::text AS key, a.old::text AS old, a.new::text AS new, a.actor, a.acting_as, a.application, a.client,
           pg_catalog.encode(a.hash, 'hex') AS hash
    FROM ledger_data.audit AS a;
COMMENT ON VIEW ledger.audit_records IS
'Audit records as they are hashed, field by field (docs/chain-format.md): at_us is microseconds since 1970, key, old and new the texts as logged, hash hexadecimal.';
