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

-- Is the audit as it should be? (docs/audit-triggers.md, "Is the audit on?")

CREATE FUNCTION ledger_data.audit_trigger_problems(relation oid) RETURNS SETOF text
    LANGUAGE c STABLE STRICT PARALLEL UNSAFE ROWS 4 AS 'MODULE_PATHNAME', 'ledger_audit_trigger_problems';
COMMENT ON FUNCTION ledger_data.audit_trigger_problems(oid) IS 'what is wrong with the audit triggers of a table';

CREATE FUNCTION ledger_data.audit_shape(relation oid, OUT key text, OUT exclusion text, OUT is_newer boolean) RETURNS record
    LANGUAGE c STABLE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_audit_shape';
COMMENT ON FUNCTION ledger_data.audit_shape(oid) IS
'names of the columns of an audited table''s key, NULL where its rows cannot be compared; what is excluded; whether it changed after the snapshot';

CREATE FUNCTION ledger_data.audit_rows(relation oid, OUT key text, OUT content text) RETURNS SETOF record
    LANGUAGE c STABLE STRICT PARALLEL UNSAFE ROWS 100000 AS 'MODULE_PATHNAME', 'ledger_audit_rows';
COMMENT ON FUNCTION ledger_data.audit_rows(oid) IS 'the rows of an audited table, each as the audit would log it now';

CREATE FUNCTION ledger_data.audit_names(object text) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'ledger_audit_names';
COMMENT ON FUNCTION ledger_data.audit_names(text) IS 'the names of a logged object''s members, in their order';

CREATE FUNCTION ledger_data.audit_key(content text, key text) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'ledger_audit_key';
COMMENT ON FUNCTION ledger_data.audit_key(text, text) IS 'the key of a logged row, of the same columns as another key';

-- Records belong to the table that has their relation's OID and name; after a restore, which gives other
-- OIDs, to the table of that name. Each is followed through the renamings after its last record of a name:
-- no two tables have one name at a time. When the table of that name is dropped, they are no other table's.
-- The JSON of DDL records alone is read: the log is long.
CREATE FUNCTION ledger_data.audit_subjects(OUT present oid, OUT name text, OUT oids oid[], OUT names text[]) RETURNS SETOF record
    LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
AS $$
    WITH RECURSIVE
    pair AS MATERIALIZED (
        SELECT a.relation_oid, a.relation, pg_catalog.max(a.at) AS at FROM ledger_data.audit AS a GROUP BY a.relation_oid, a.relation),
    ddl AS MATERIALIZED (
        SELECT a.relation_oid, a.relation, a.at, a.new FROM ledger_data.audit AS a WHERE a.operation = 'DDL'),
    dropped AS (
        SELECT d.relation_oid, d.relation, d.at FROM ddl AS d WHERE d.new -> 'dropped' IS NOT NULL),
    renaming AS MATERIALIZED (
        SELECT d.relation_oid, d.relation, d.at, d.new ->> 'renamed_from' AS before
        FROM ddl AS d WHERE d.new ->> 'renamed_from' IS NOT NULL),
    named AS (
        SELECT p.relation_oid, p.relation AS origin, p.relation_oid AS oid, p.relation AS name, p.at FROM pair AS p
        UNION
        SELECT n.relation_oid, n.origin, r.relation_oid, r.relation, r.at
        FROM named AS n CROSS JOIN LATERAL (
            SELECT x.* FROM renaming AS x WHERE x.before = n.name AND x.at >= n.at ORDER BY x.at LIMIT 1) AS r
        WHERE NOT EXISTS (
            SELECT FROM dropped AS d
            WHERE d.relation = n.name AND CASE d.relation_oid WHEN n.oid THEN d.at BETWEEN n.at AND r.at ELSE d.at > n.at AND d.at < r.at END)),
    last_name AS (
        SELECT DISTINCT ON (n.relation_oid, n.origin) n.* FROM named AS n ORDER BY n.relation_oid, n.origin, n.at DESC),
    present AS MATERIALIZED (
        SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name,
               EXISTS (SELECT FROM pg_catalog.pg_trigger AS t WHERE t.tgrelid = c.oid AND pg_catalog.starts_with(t.tgname::text, 'ledger_audit_')
                       AND t.tgfoid = 'ledger.audit()'::pg_catalog.regprocedure) AS is_audited
        FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'f')),
    home AS (
        SELECT l.relation_oid, l.origin, l.name, COALESCE(same.oid, other.oid, renamed.oid) AS present
        FROM last_name AS l
        LEFT JOIN present AS same ON same.oid = l.oid AND same.name = l.name
        LEFT JOIN present AS other ON other.name = l.name
        LEFT JOIN present AS renamed ON renamed.oid = l.oid AND renamed.is_audited
        WHERE NOT EXISTS (
            SELECT FROM dropped AS d
            WHERE d.relation = l.name AND CASE d.relation_oid WHEN l.oid THEN d.at >= l.at ELSE d.at > l.at END))
    SELECT h.present, COALESCE(p.name, pg_catalog.min(h.name)), pg_catalog.array_agg(h.relation_oid), pg_catalog.array_agg(h.origin)
    FROM home AS h LEFT JOIN present AS p ON p.oid = h.present
    GROUP BY h.present, p.name, CASE WHEN h.present IS NULL THEN h.name END
    UNION ALL
    SELECT p.oid, p.name, '{}', '{}' FROM present AS p WHERE p.is_audited AND NOT EXISTS (SELECT FROM home AS h WHERE h.present = p.oid)
$$;
COMMENT ON FUNCTION ledger_data.audit_subjects() IS
'the tables that the audit log knows or that are audited: present, its OID, NULL if it is gone; the OIDs and names of its records';

-- STABLE: all of it reads in the one snapshot of the caller's statement.
--
-- The last word on a key is the last record of it in the transaction that changed it last: that one has
-- the latest time, since it had to wait for the row. An UPDATE that changes a key is the last word on the
-- old key as well, until a later record has it. Where the primary key is checked late, a row may have come
-- to have the key before it was free: then no row of the same time is to have it.
CREATE FUNCTION ledger.check_audit(OUT relation text, OUT problem text) RETURNS SETOF record
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
DECLARE
    subject record;
    said    record;
    shape   record;
    is_late boolean;
BEGIN
    FOR subject IN
        SELECT s.*, t.oid IS NOT NULL AS has_trigger
        FROM ledger_data.audit_subjects() AS s
        LEFT JOIN pg_catalog.pg_trigger AS t ON t.tgrelid = s.present AND pg_catalog.starts_with(t.tgname::text, 'ledger_audit_')
             AND t.tgfoid = 'ledger.audit()'::pg_catalog.regprocedure
             AND t.tgname = (SELECT pg_catalog.min(o.tgname::text) FROM pg_catalog.pg_trigger AS o
                             WHERE o.tgrelid = t.tgrelid AND o.tgfoid = t.tgfoid AND pg_catalog.starts_with(o.tgname::text, 'ledger_audit_'))
        ORDER BY s.name
    LOOP
        relation := subject.name;
        -- is_audited: by the last ENABLE, DISABLE or DDL. exclusion: by the last ENABLE. since: when all rows
        -- became others, or the columns did; what was logged before is not compared.
        WITH control AS MATERIALIZED (
            SELECT a.operation, a.at, a.txid, a.seq, a.new
            FROM ledger_data.audit AS a
            JOIN ROWS FROM (pg_catalog.unnest(subject.oids), pg_catalog.unnest(subject.names)) AS m (oid, name)
                 ON m.oid = a.relation_oid AND m.name = a.relation
            WHERE a.operation IN ('ENABLE', 'DISABLE', 'DDL', 'TRUNCATE')),
        reset AS (
            SELECT c.* FROM control AS c
            WHERE c.operation IN ('ENABLE', 'TRUNCATE')
               OR c.operation = 'DDL' AND (c.new -> 'audited' IS NOT NULL OR c.new -> 'columns' IS NOT NULL OR c.new -> 'rewritten' IS NOT NULL)
            ORDER BY c.at DESC, c.seq DESC LIMIT 1)
        SELECT (SELECT c.operation <> 'DISABLE' AND NOT (c.operation = 'DDL' AND c.new -> 'dropped' IS NOT NULL)
                FROM control AS c WHERE c.operation <> 'TRUNCATE' ORDER BY c.at DESC, c.seq DESC LIMIT 1) AS is_audited,
               (SELECT CASE c.operation WHEN 'ENABLE' THEN c.new::text END
                FROM control AS c WHERE c.operation = 'ENABLE' OR c.operation = 'DDL' AND c.new -> 'audited' IS NOT NULL
                ORDER BY c.at DESC, c.seq DESC LIMIT 1) AS exclusion,
               r.at AS since, r.txid AS since_txid, r.seq AS since_seq
        INTO said FROM (VALUES (1)) AS one LEFT JOIN reset AS r ON true;

        IF NOT COALESCE(subject.has_trigger, false) THEN
            IF said.is_audited THEN
                problem := CASE WHEN subject.present IS NULL THEN 'gone: the audited table is not there, and no record says that it was dropped'
                                ELSE 'trigger: the table has no audit trigger, and no record says that its audit was disabled' END;
                RETURN NEXT;
            END IF;
            CONTINUE;
        END IF;
        RETURN QUERY SELECT subject.name, p.problem FROM ledger_data.audit_trigger_problems(subject.present) AS p (problem);
        IF EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = subject.present AND c.relpersistence = 'u') THEN
            problem := 'unlogged: after a crash the table is empty, and no record says so';
            RETURN NEXT;
        END IF;
        SELECT s.* INTO shape FROM ledger_data.audit_shape(subject.present) AS s;
        IF said.exclusion <> shape.exclusion THEN
            problem := pg_catalog.format('trigger: ledger_audit_row excludes other columns (%s) than were logged (%s)', shape.exclusion, said.exclusion);
            RETURN NEXT;
        END IF;
        IF shape.is_newer THEN
            problem := 'not compared: the table has changed since the snapshot was taken; call ledger.check_audit() again';
            RETURN NEXT;
        ELSIF shape.key IS NOT NULL THEN
            is_late := EXISTS (SELECT FROM pg_catalog.pg_index AS i WHERE i.indrelid = subject.present AND i.indisprimary AND NOT i.indimmediate);
            RETURN QUERY
            WITH word AS MATERIALIZED (
                SELECT a.txid, a.seq, a.at, a.operation, a.key::text COLLATE "C" AS key, a.old::text AS old, a.new::text AS new
                FROM ledger_data.audit AS a
                JOIN ROWS FROM (pg_catalog.unnest(subject.oids), pg_catalog.unnest(subject.names)) AS m (oid, name)
                     ON m.oid = a.relation_oid AND m.name = a.relation
                WHERE a.operation IN ('INSERT', 'UPDATE', 'DELETE') AND ledger_data.audit_names(a.key::text) = shape.key
                  AND (said.since IS NULL OR CASE WHEN a.txid = said.since_txid THEN a.seq > said.since_seq ELSE a.at > said.since END)),
            moved AS (
                SELECT w.txid, CASE WHEN is_late THEN pg_catalog.min(w.seq) OVER (PARTITION BY w.txid, w.at) ELSE w.seq END AS seq,
                       w.at, k.key COLLATE "C" AS key
                FROM word AS w CROSS JOIN LATERAL (SELECT ledger_data.audit_key(w.old, w.key) AS key) AS k
                WHERE w.operation = 'UPDATE' AND k.key <> w.key),
            words AS (
                SELECT w.txid, w.seq, w.at, w.key, w.operation = 'DELETE' AS is_gone, false AS is_moved, w.new FROM word AS w
                UNION ALL
                SELECT m.txid, m.seq, m.at, m.key, true, true, NULL FROM moved AS m),
            last_of_transaction AS (
                SELECT DISTINCT ON (s.key, s.txid) s.* FROM words AS s ORDER BY s.key, s.txid, s.seq DESC, s.is_moved),
            last_word AS (
                SELECT DISTINCT ON (s.key) s.* FROM last_of_transaction AS s ORDER BY s.key, s.at DESC, s.txid DESC)
            SELECT subject.name,
                   CASE WHEN l.is_gone THEN 'inserted: the table has the row '
                        WHEN r.key IS NULL THEN 'missing: the table does not have the row '
                        ELSE 'altered: the log and the table differ in the row ' END || l.key
            FROM last_word AS l LEFT JOIN ledger_data.audit_rows(subject.present) AS r ON r.key COLLATE "C" = l.key
            WHERE CASE WHEN l.is_gone OR r.key IS NULL THEN l.is_gone <> (r.key IS NULL)
                       ELSE l.new <> r.content AND ledger_data.audit_names(l.new) = ledger_data.audit_names(r.content) END;
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION ledger.check_audit() IS 'Names the audited tables whose triggers or rows are not as the log says; empty is healthy.';
