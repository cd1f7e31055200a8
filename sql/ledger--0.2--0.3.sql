-- From 0.2 to 0.3.
--
-- A change of the SQL is made twice: in its part in sql/, of which new installations
-- are made, and here, in the same order, for those of 0.2. How: ledger--0.1--0.2.sql.
\echo Use "ALTER EXTENSION ledger UPDATE" to load this file. \quit

SET LOCAL search_path = pg_catalog, pg_temp;

-- A request, key or message belongs to the role that used it first. What there is already is
-- everybody's, as it was, until it expires.

ALTER TABLE ledger_data.request ADD COLUMN role text;

COMMENT ON FUNCTION ledger_data.recall(text, jsonb) IS
'the answer given to a call under this key, JSON null for none, or NULL if it has not been made; LG301 with other arguments, LG308 where it is another role''s';

COMMENT ON FUNCTION ledger.begin_request(text, jsonb, text, interval, interval, boolean) IS
'Asks whether to do a request''s work. new: do it, then complete_request or fail_request. in_progress: another caller has it. completed, failed: the response stored. Never waits for another transaction. Exactly one of any number of concurrent callers gets new. After lease, or a retryable failure, the next caller gets new with attempt + 1. ttl: kept at least so long. LG301: seen with another payload. LG303: no valid token, where one is required. LG308: another role''s. LG017: a payload, lease or ttl beyond the limits.';
COMMENT ON FUNCTION ledger.complete_request(text, jsonb, text, integer) IS
'Stores the response of a request in progress, for good. attempt: the one begin_request returned; without it the session that began the request is known, or any for a first attempt. LG302 unknown, LG304 not in progress, LG305 another attempt has begun since, LG308 another role''s, LG017 a response beyond ledger.max_response.';
COMMENT ON FUNCTION ledger.accept_message(text, text) IS
'The inbox: true the first time a consumer sees a message, false ever after, for ledger.key_ttl. Waits for a transaction that is accepting the same message. LG308: another role''s.';

CREATE OR REPLACE VIEW ledger.requests AS
SELECT CASE r.kind WHEN 1 THEN 'request' WHEN 2 THEN 'call' WHEN 3 THEN 'message' ELSE 'nonce' END AS kind,
       r.scope,
       CASE r.state WHEN 0 THEN pg_catalog.left(r.key, 8) || '...' ELSE r.key END AS key,
       CASE r.state WHEN 0 THEN 'issued' WHEN 1 THEN 'in_progress' WHEN 2 THEN 'completed' ELSE 'failed' END AS state,
       r.state = 3 AS retryable,
       r.attempt,
       CASE WHEN r.state = 1 THEN r.leased_until END AS leased_until,
       pg_catalog.encode(r.fingerprint, 'hex') AS fingerprint,
       r.arguments,
       r.response,
       NULLIF(r.transfer, 0) AS transfer_id,
       r.begun_at,
       r.expires_at,
       r.role
FROM ledger_data.request AS r;
COMMENT ON VIEW ledger.requests IS
'the registry: requests, calls under a key, messages of inboxes (scope: the consumer) and nonces (scope: the client), and the role that each belongs to. Of a token not used yet, key shows the beginning alone';

-- What a caller leaves behind has a largest size.

CREATE FUNCTION ledger_data.check_size(what text, value jsonb) RETURNS void
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'ledger_check_size';
COMMENT ON FUNCTION ledger_data.check_size(text, jsonb) IS 'raises LG017 if metadata, or another text, is larger than ledger.max_metadata';
REVOKE ALL ON FUNCTION ledger_data.check_size(text, jsonb) FROM PUBLIC;

CREATE OR REPLACE FUNCTION ledger.create_asset(code text, scale integer DEFAULT 0, description text DEFAULT NULL, key text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    existing ledger_data.asset%ROWTYPE;
    call     jsonb;
BEGIN
    IF key IS NOT NULL THEN
        call := pg_catalog.jsonb_build_object('function', 'create_asset', 'code', code, 'scale', scale, 'description', description);
        IF ledger_data.recall(key, call) IS NOT NULL THEN
            RETURN;
        END IF;
    END IF;
    IF code IS NULL OR scale IS NULL THEN
        RAISE EXCEPTION 'an asset needs a code and a scale' USING
            ERRCODE = 'null_value_not_allowed', HINT = 'For example ledger.create_asset(''USD'', 2).';
    ELSIF pg_catalog.char_length(code) NOT BETWEEN 1 AND 64 THEN
        RAISE EXCEPTION 'an asset code has 1 to 64 characters' USING
            ERRCODE = 'invalid_parameter_value',
            DETAIL = pg_catalog.format('The code given has %s characters.', pg_catalog.char_length(code)),
            HINT = 'Use the currency''s code, such as USD.';
    ELSIF scale NOT BETWEEN 0 AND 18 THEN
        RAISE EXCEPTION 'the scale of asset "%" must be between 0 and 18', code USING
            ERRCODE = 'invalid_parameter_value',
            DETAIL = pg_catalog.format('The scale given is %s.', scale),
            HINT = 'The scale is the number of decimal places: 2 for USD, 0 for JPY.';
    END IF;
    PERFORM ledger_data.check_size('description', pg_catalog.to_jsonb(description));
    INSERT INTO ledger_data.asset (id, scale, code, unit, description)
        VALUES (ledger_data.next_id(), create_asset.scale, create_asset.code,
                ('1e-' || create_asset.scale)::numeric, create_asset.description)
        ON CONFLICT ON CONSTRAINT asset_code_key DO NOTHING;
    IF NOT FOUND THEN
        SELECT a.* INTO STRICT existing FROM ledger_data.asset AS a WHERE a.code = create_asset.code;
        IF existing.scale <> create_asset.scale OR existing.description IS DISTINCT FROM create_asset.description THEN
            RAISE EXCEPTION 'asset "%" already exists and differs', code USING
                ERRCODE = 'duplicate_object',
                DETAIL = pg_catalog.format('It has scale %s and description %L.', existing.scale, existing.description),
                HINT = 'An asset cannot be changed; choose another code.';
        END IF;
    END IF;
    IF key IS NOT NULL THEN
        PERFORM ledger_data.remember(key, call, NULL::jsonb, 0::bigint);
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION ledger.open_account(code text, asset text, floor numeric DEFAULT 0, ceiling numeric DEFAULT NULL, metadata jsonb DEFAULT '{}', key text DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    unit  ledger_data.asset%ROWTYPE;
    lower bigint;
    upper bigint;
    opened bigint;
    call   jsonb;
    answer jsonb;
BEGIN
    IF key IS NOT NULL THEN
        call := pg_catalog.jsonb_build_object('function', 'open_account', 'code', code, 'asset', asset, 'floor', floor,
                                              'ceiling', ceiling, 'metadata', ledger_data.fingerprint(metadata));
        answer := ledger_data.recall(key, call);
        IF answer IS NOT NULL THEN
            RETURN answer::bigint;
        END IF;
    END IF;
    IF code IS NULL OR asset IS NULL THEN
        RAISE EXCEPTION 'an account needs a code and an asset' USING
            ERRCODE = 'null_value_not_allowed', HINT = 'For example ledger.open_account(''alice'', ''USD'').';
    ELSIF pg_catalog.char_length(code) NOT BETWEEN 1 AND 255 THEN
        RAISE EXCEPTION 'an account code has 1 to 255 characters' USING
            ERRCODE = 'invalid_parameter_value',
            DETAIL = pg_catalog.format('The code given has %s characters.', pg_catalog.char_length(code)),
            HINT = 'Put longer names into metadata.';
    END IF;
    PERFORM ledger_data.check_size('metadata', metadata);
    SELECT a.* INTO unit FROM ledger_data.asset AS a WHERE a.code = open_account.asset;
    IF NOT FOUND THEN
        PERFORM ledger_data.refuse('unknown_asset',
            pg_catalog.format('asset "%s" does not exist', pg_catalog.left(asset, 64)), NULL,
            'Create it with ledger.create_asset().');
    END IF;
    lower := COALESCE(ledger_data.minor_units(floor, unit.scale), -9223372036854775807);
    upper := COALESCE(ledger_data.minor_units(ceiling, unit.scale), 9223372036854775807);
    IF lower > 0 OR upper < 0 THEN
        RAISE EXCEPTION 'the limits of account "%" exclude its opening balance', code USING
            ERRCODE = 'invalid_parameter_value',
            DETAIL = pg_catalog.format('An account opens at zero; floor %s, ceiling %s.',
                                       COALESCE(floor::text, 'none'), COALESCE(ceiling::text, 'none')),
            HINT = 'The floor must be zero or negative and the ceiling zero or positive; NULL means unbounded.';
    END IF;
    INSERT INTO ledger_data.account (id, asset, floor, ceiling, opened_at, state, code, metadata)
        VALUES (ledger_data.next_id(), unit.id, lower, upper, pg_catalog.clock_timestamp(), 0::smallint,
                open_account.code, COALESCE(open_account.metadata, '{}'::jsonb))
        ON CONFLICT ON CONSTRAINT account_code_key DO NOTHING
        RETURNING id INTO opened;
    IF opened IS NULL THEN
        PERFORM ledger_data.refuse('account_exists',
            pg_catalog.format('account "%s" already exists', code), NULL,
            'Choose another code, or change its limits with ledger.alter_account().');
    END IF;
    IF key IS NOT NULL THEN
        PERFORM ledger_data.remember(key, call, pg_catalog.to_jsonb(opened), 0::bigint);
    END IF;
    RETURN opened;
END
$$;

-- The audit log is shown as it is stored. Who could read the view still can.

DO $$
DECLARE
    grants text[];
    again  text;
BEGIN
    SELECT pg_catalog.array_agg(pg_catalog.format('GRANT %s %s ON ledger.audit_log TO %s %s', a.privilege_type, p.columns,
               CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END,
               CASE WHEN a.is_grantable THEN 'WITH GRANT OPTION' ELSE '' END)) INTO grants
    FROM (SELECT c.relowner, '' AS columns, c.relacl AS acl
          FROM pg_catalog.pg_class AS c WHERE c.oid = 'ledger.audit_log'::regclass
          UNION ALL
          SELECT c.relowner, pg_catalog.format('(%I)', t.attname), t.attacl
          FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_attribute AS t ON t.attrelid = c.oid
          WHERE c.oid = 'ledger.audit_log'::regclass) AS p
    CROSS JOIN LATERAL pg_catalog.aclexplode(p.acl) AS a
    WHERE a.grantee <> p.relowner;
    DROP VIEW ledger.audit_log;
    CREATE VIEW ledger.audit_log AS
        SELECT a.id, a.lane, a.seq, a.at, a.txid, a.relation_oid, a.relation, a.operation, a.key, a.old, a.new,
               a.actor, a.acting_as, a.application, a.client, a.hash
        FROM ledger_data.audit AS a;
    COMMENT ON VIEW ledger.audit_log IS
    'Who changed what in audited tables: the row before (old) and after (new) and its primary key, json as stored and hashed; actor (session_user: who logged in), acting_as (current_user), application_name, the client''s address (NULL for a local socket). id orders them; lane, seq and hash are the chain''s. ledger.audit_change gives jsonb.';
    FOREACH again IN ARRAY COALESCE(grants, '{}') LOOP
        EXECUTE again;
    END LOOP;
    -- The grants are the users', not initial privileges of the extension, which no dump would have.
    DELETE FROM pg_catalog.pg_init_privs AS i
        WHERE i.classoid = 'pg_catalog.pg_class'::regclass AND i.objoid = 'ledger.audit_log'::regclass;
    DELETE FROM pg_catalog.pg_shdepend AS d
        WHERE d.dbid = (SELECT b.oid FROM pg_catalog.pg_database AS b WHERE b.datname = pg_catalog.current_database())
          AND d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = 'ledger.audit_log'::regclass AND d.deptype = 'i';
END
$$;

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

REVOKE ALL ON FUNCTION ledger.audit_change(bigint) FROM PUBLIC;

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

REVOKE ALL ON FUNCTION ledger_data.audit_trigger_problems(oid), ledger_data.audit_shape(oid), ledger_data.audit_rows(oid),
    ledger_data.audit_names(text), ledger_data.audit_key(text, text), ledger_data.audit_subjects(), ledger.check_audit() FROM PUBLIC;

-- Nobody inserts by hand into the table that says how transactions are numbered.

CREATE OR REPLACE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON ledger_data.installation
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_data.guard();

-- Balances by the indexes are compared with the table of transfers.

CREATE FUNCTION ledger_data.compare_balances(OUT account bigint, OUT debits numeric, OUT credits numeric, OUT held numeric, OUT incoming numeric,
                                             OUT table_debits numeric, OUT table_credits numeric, OUT table_held numeric, OUT table_incoming numeric) RETURNS SETOF record
    LANGUAGE c STABLE PARALLEL SAFE ROWS 1 COST 1000000 AS 'MODULE_PATHNAME', 'ledger_compare_balances';
COMMENT ON FUNCTION ledger_data.compare_balances() IS
'the accounts whose totals by the indexes, as ledger.balance() reads them, are not the sums of the table of transfers read without an index; minor units, in one snapshot';
REVOKE ALL ON FUNCTION ledger_data.compare_balances() FROM PUBLIC;

CREATE OR REPLACE FUNCTION ledger_data.verify(wanted text, OUT scope text, OUT lane integer, OUT seq bigint, OUT id bigint, OUT problem text) RETURNS SETOF record
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    SET parallel_setup_cost = 0 SET parallel_tuple_cost = 0 SET min_parallel_table_scan_size = 0
AS $$
#variable_conflict use_column
DECLARE
    last bigint;
    live bytea;
BEGIN
    IF wanted IS NULL OR wanted = 'balances' THEN
        RETURN QUERY
        SELECT 'balances', NULL::integer, NULL::bigint, c.account,
               pg_catalog.format('mismatch: by the indexes debits are %s, credits %s, held %s, incoming %s minor units; the transfers in the table sum to %s, %s, %s and %s',
                                 c.debits, c.credits, c.held, c.incoming, c.table_debits, c.table_credits, c.table_held, c.table_incoming)
        FROM ledger_data.compare_balances() AS c;
        IF wanted = 'balances' THEN
            RETURN;
        END IF;
    END IF;
    -- The heads first, the snapshot that is read in after: so it sees at least as much.
    -- A snapshot taken before them can't.
    IF pg_catalog.current_setting('transaction_isolation') NOT IN ('repeatable read', 'serializable') THEN
        live := ledger_data.live_heads();
    END IF;
    SELECT COALESCE(pg_catalog.max(s.number), 0) INTO last FROM ledger_data.seal AS s;
    PERFORM ledger_data.begin_progress(wanted, (SELECT COALESCE(pg_catalog.sum(
            CASE WHEN wanted = 'audit' THEN 0 ELSE s.transfers END + CASE WHEN wanted = 'transfers' THEN 0 ELSE s.audits END), 0)::bigint
        FROM ledger_data.seal AS s));
    RETURN QUERY
    SELECT 'seals', NULL::integer, s.before + 1, NULL::bigint,
           CASE s.number - s.before WHEN 2 THEN 'missing: it is not there'
                                    ELSE pg_catalog.format('missing: seals %s to %s are not there', s.before + 1, s.number - 1) END
    FROM (SELECT x.number, pg_catalog.lag(x.number, 1, 0::bigint) OVER (ORDER BY x.number) AS before
          FROM ledger_data.seal AS x WHERE x.number BETWEEN 1 AND last) AS s
    WHERE s.number > s.before + 1
    UNION ALL
    SELECT 'seals', NULL::integer, s.number, NULL::bigint, 'inserted: seals are numbered from 1'
    FROM ledger_data.seal AS s WHERE s.number < 1
    UNION ALL
    SELECT CASE i.inhparent WHEN 'ledger_data.transfer'::pg_catalog.regclass THEN 'transfers'
                            WHEN 'ledger_data.audit'::pg_catalog.regclass THEN 'audit' ELSE 'seals' END,
           NULL::integer, NULL::bigint, NULL::bigint, pg_catalog.format('inserted: table %s inherits, and its rows are read as records', i.inhrelid::pg_catalog.regclass)
    FROM pg_catalog.pg_inherits AS i
    WHERE i.inhparent IN ('ledger_data.transfer'::pg_catalog.regclass, 'ledger_data.audit'::pg_catalog.regclass, 'ledger_data.seal'::pg_catalog.regclass);
    RETURN QUERY
    SELECT v.* FROM ledger_data.seal AS s CROSS JOIN LATERAL ledger_data.verify_seal(s.number, wanted) AS v
    WHERE s.number BETWEEN 1 AND last;
    RETURN QUERY
    SELECT v.* FROM ledger_data.verify_tail(last, wanted, live) AS v;
    PERFORM ledger_data.end_progress();
END
$$;

COMMENT ON FUNCTION ledger.verify(text) IS
'Recomputes the chains of transfers and audit records (scope transfers or audit), and compares them with the seals and with what the running server knows; and compares balances by the indexes with the sums of the table (scope balances). NULL: all. Empty means that nothing was found. problem begins with altered, missing, inserted, reordered, truncated, rewritten or mismatch; scope seals, with the number as seq, stands for a seal itself; of balances id is the account. Progress is in ledger.verify_progress. Who may have changed seals, too, is found by ledger.verify_digest() alone.';

CREATE OR REPLACE FUNCTION ledger.check_invariants(OUT invariant text, OUT subject text, OUT detail text) RETURNS SETOF record
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT 'debits = credits', s.code,
           pg_catalog.format('debits %s, credits %s; held %s, incoming %s',
                             pg_catalog.sum(p.debits) * s.unit, pg_catalog.sum(p.credits) * s.unit,
                             pg_catalog.sum(p.held) * s.unit, pg_catalog.sum(p.incoming) * s.unit)
    FROM ledger_data.position AS p
    JOIN ledger_data.account AS a ON a.id = p.account
    JOIN ledger_data.asset AS s ON s.id = a.asset
    GROUP BY s.id, s.code, s.unit
    HAVING pg_catalog.sum(p.debits) <> pg_catalog.sum(p.credits) OR pg_catalog.sum(p.held) <> pg_catalog.sum(p.incoming);

    -- Without an index on one side: the planner might read both sides by the same one.
    RETURN QUERY
    SELECT 'totals = sum of transfers', COALESCE(a.code, c.account::text),
           pg_catalog.format('position is debits %s, credits %s, held %s, incoming %s; the transfers sum to %s, %s, %s and %s',
                             c.debits * u.unit, c.credits * u.unit, c.held * u.unit, c.incoming * u.unit,
                             c.table_debits * u.unit, c.table_credits * u.unit, c.table_held * u.unit, c.table_incoming * u.unit)
    FROM ledger_data.compare_balances() AS c
    LEFT JOIN ledger_data.account AS a ON a.id = c.account
    LEFT JOIN ledger_data.asset AS s ON s.id = a.asset
    CROSS JOIN LATERAL (SELECT COALESCE(s.unit, 1) AS unit) AS u;

    RETURN QUERY
    SELECT 'transfers are well formed', t.id::text,
           pg_catalog.format('amount %s from account %s to account %s', t.amount, t.debit_account, t.credit_account)
    FROM ledger_data.transfer AS t
    LEFT JOIN ledger_data.account AS d ON d.id = t.debit_account
    LEFT JOIN ledger_data.account AS c ON c.id = t.credit_account
    WHERE t.amount <= 0 OR t.debit_account = t.credit_account OR d.asset IS DISTINCT FROM c.asset OR d.asset IS NULL;

    RETURN QUERY
    SELECT 'limits hold', a.code,
           pg_catalog.format('balance %s, held %s, incoming %s, floor %s, ceiling %s', (p.credits - p.debits) * s.unit,
                             p.held * s.unit, p.incoming * s.unit, a.floor * s.unit, a.ceiling * s.unit)
    FROM ledger_data.position AS p
    JOIN ledger_data.account AS a ON a.id = p.account
    JOIN ledger_data.asset AS s ON s.id = a.asset
    WHERE p.credits - p.debits - p.held < a.floor OR p.credits - p.debits + p.incoming > a.ceiling;

    RETURN QUERY
    SELECT 'accounts have an asset', a.code, pg_catalog.format('asset %s', a.asset)
    FROM ledger_data.account AS a
    WHERE NOT EXISTS (SELECT FROM ledger_data.asset AS s WHERE s.id = a.asset);

    RETURN QUERY
    SELECT 'closed accounts are empty', a.code, pg_catalog.format('balance %s, held %s, incoming %s minor units', p.credits - p.debits, p.held, p.incoming)
    FROM ledger_data.position AS p
    JOIN ledger_data.account AS a ON a.id = p.account
    WHERE a.state = 2 AND (p.credits <> p.debits OR p.held <> 0 OR p.incoming <> 0);

    -- MATERIALIZED: a planner that expects few sources would otherwise read all the sums
    -- again for each account.
    RETURN QUERY
    WITH position AS MATERIALIZED (SELECT * FROM ledger_data.position)
    SELECT 'held = open holds', a.code,
           pg_catalog.format('held %s, incoming %s; open holds %s and %s minor units',
                             p.held, p.incoming, COALESCE(d.amount, 0), COALESCE(c.amount, 0))
    FROM position AS p
    JOIN ledger_data.account AS a ON a.id = p.account
    LEFT JOIN (SELECT h.debit_account, pg_catalog.sum(h.amount - h.posted) AS amount
               FROM ledger_data.hold AS h WHERE h.state = 1 GROUP BY h.debit_account) AS d ON d.debit_account = a.id
    LEFT JOIN (SELECT h.credit_account, pg_catalog.sum(h.amount - h.posted) AS amount
               FROM ledger_data.hold AS h WHERE h.state = 1 GROUP BY h.credit_account) AS c ON c.credit_account = a.id
    WHERE p.held <> COALESCE(d.amount, 0) OR p.incoming <> COALESCE(c.amount, 0);

    RETURN QUERY
    SELECT 'holds agree with their transfers', COALESCE(h.transfer, t.id)::text,
           pg_catalog.format('hold of %s, posted %s, state %s; transfers: held %s, posted %s, given back %s',
                             h.amount, h.posted, h.state, t.pending, t.post, t.void)
    FROM ledger_data.hold AS h
    FULL JOIN (SELECT CASE x.kind WHEN 2 THEN x.id ELSE x.ref END AS id,
                      COALESCE(pg_catalog.sum(x.amount) FILTER (WHERE x.kind = 2), 0) AS pending,
                      COALESCE(pg_catalog.sum(x.amount) FILTER (WHERE x.kind = 3), 0) AS post,
                      COALESCE(pg_catalog.sum(x.amount) FILTER (WHERE x.kind = 4), 0) AS void
               FROM ledger_data.transfer AS x WHERE x.kind IN (2, 3, 4) GROUP BY 1) AS t ON t.id = h.transfer
    WHERE (h.amount = t.pending AND h.posted = t.post AND h.posted <= h.amount
           AND t.void = CASE h.state WHEN 1 THEN 0 ELSE h.amount - h.posted END) IS NOT TRUE;

    RETURN QUERY
    SELECT 'TCC branches end with their transaction', g.xid,
           pg_catalog.format('state %s; branch "%s" has hold %s in state %s', g.state, b.branch, b.hold, h.state)
    FROM ledger_data.tcc AS g
    JOIN ledger_data.tcc_branch AS b ON b.xid = g.xid
    LEFT JOIN ledger_data.hold AS h ON h.transfer = b.hold AND h.is_branch
    WHERE h.transfer IS NULL
       OR g.state = 3 AND h.state <> 2
       OR g.state IN (5, 6) AND h.state NOT IN (3, 4)
       OR g.state = 2 AND h.state NOT IN (1, 2)
       OR g.state = 4 AND h.state NOT IN (1, 3, 4)
       OR g.state = 1 AND h.state NOT IN (1, 4)
    UNION ALL
    SELECT 'TCC branches have a transaction', b.xid, pg_catalog.format('branch "%s"', b.branch)
    FROM ledger_data.tcc_branch AS b
    WHERE NOT EXISTS (SELECT FROM ledger_data.tcc AS g WHERE g.xid = b.xid);

    RETURN QUERY
    SELECT 'reversals are linked', COALESCE(r.transfer, t.ref)::text,
           pg_catalog.format('reversal %s', COALESCE(r.reversal, t.id))
    FROM ledger_data.reversal AS r
    FULL JOIN (SELECT x.id, x.ref FROM ledger_data.transfer AS x WHERE x.kind = 5) AS t
        ON t.id = r.reversal AND t.ref = r.transfer
    WHERE r.transfer IS NULL OR t.id IS NULL;

    RETURN QUERY
    SELECT 'calls have their transfer', r.key, pg_catalog.format('transfer %s does not exist', r.transfer)
    FROM ledger_data.request AS r
    WHERE r.transfer <> 0 AND NOT EXISTS (SELECT FROM ledger_data.transfer AS t WHERE t.id = r.transfer);

    RETURN QUERY
    SELECT 'one installation', 'ledger_data.installation', pg_catalog.format('%s rows, with the bases %s', pg_catalog.count(*), pg_catalog.string_agg(i.base::text, ', '))
    FROM ledger_data.installation AS i
    HAVING pg_catalog.count(*) > 1;

    RETURN QUERY
    SELECT 'horizons are past', a.code,
           pg_catalog.format('folded up to transaction %s, but the next one is %s: transfers until then are not counted', b.folded_xid, n.txid)
    FROM (SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::bigint + i.base AS txid
          FROM ledger_data.installation AS i
          WHERE i.system_identifier = (SELECT c.system_identifier FROM pg_catalog.pg_control_system() AS c)
            AND i.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
            AND i.extension = (SELECT e.oid FROM pg_catalog.pg_extension AS e WHERE e.extname = 'ledger')) AS n
    JOIN ledger_data.balance AS b ON b.folded_xid > n.txid
    JOIN ledger_data.account AS a ON a.id = b.account;

    RETURN QUERY SELECT e.* FROM ledger_data.check_escrow() AS e;
END
$$;

-- ledger_verify reads the tables: auditors may read them, once grant_access is called for them again.

CREATE OR REPLACE FUNCTION ledger_data.access_of(level text, OUT kind text, OUT object text) RETURNS SETOF record
    LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN p.oid IS NULL THEN 'TABLE' ELSE 'FUNCTION' END,
           CASE WHEN p.oid IS NULL THEN pg_catalog.format('ledger.%I', g.name) ELSE p.oid::pg_catalog.regprocedure::text END
    FROM (VALUES
        ('reader',   'accounts'), ('reader', 'transfers'), ('reader', 'entries'), ('reader', 'stock'),
        ('reader',   'holds'), ('reader', 'tcc_transactions'), ('reader', 'tcc_branches'),
        ('reader',   'balance'), ('reader', 'balance_at'), ('reader', 'statement'),
        ('writer',   'transfer'), ('writer', 'try_transfer'), ('writer', 'transfer_batch'), ('writer', 'transfer_up_to'),
        ('writer',   'reverse_transfer'), ('writer', 'add_stock'), ('writer', 'deduct_stock'), ('writer', 'try_deduct_stock'),
        ('writer',   'deduct_stocks'), ('writer', 'restore_stock'),
        ('writer',   'hold'), ('writer', 'post_hold'), ('writer', 'void_hold'), ('writer', 'reserve_stock'), ('writer', 'reserve_stocks'),
        ('writer',   'confirm_reservation'), ('writer', 'release_reservation'),
        ('writer',   'tcc_begin'), ('writer', 'tcc_freeze'), ('writer', 'tcc_freeze_stock'), ('writer', 'tcc_confirm'), ('writer', 'tcc_cancel'),
        ('writer',   'tcc_confirm_branch'), ('writer', 'tcc_cancel_branch'),
        ('writer',   'issue_request_token'), ('writer', 'begin_request'), ('writer', 'complete_request'), ('writer', 'fail_request'),
        ('writer',   'accept_message'), ('writer', 'sign_request'), ('writer', 'verify_signed_request'),
        ('operator', 'create_asset'), ('operator', 'open_account'), ('operator', 'alter_account'), ('operator', 'freeze_account'),
        ('operator', 'unfreeze_account'), ('operator', 'close_account'), ('operator', 'create_stock'), ('operator', 'fold'),
        ('operator', 'expire_holds'), ('operator', 'tcc_expire'), ('operator', 'requests'), ('operator', 'purge_requests'), ('operator', 'add_client'), ('operator', 'rotate_client'),
        ('operator', 'remove_client'), ('operator', 'check_invariants'), ('operator', 'stat'),
        ('operator', 'seal'), ('operator', 'digest'), ('operator', 'verify'), ('operator', 'verify_progress'),
        ('auditor',  'seal_records'), ('auditor', 'digest'), ('auditor', 'verify'), ('auditor', 'verify_progress'), ('auditor', 'verify_digest'),
        ('auditor',  'inclusion_proof'), ('auditor', 'consistency_proof'),
        ('operator', 'enable_audit'), ('operator', 'disable_audit'), ('operator', 'audit'),
        ('auditor',  'audit_log'), ('auditor', 'audit_change'), ('auditor', 'audit_records'), ('auditor', 'transfer_records'),
        ('auditor',  'requests'), ('auditor', 'check_invariants'), ('auditor', 'check_audit'), ('auditor', 'stat')) AS g (level, name)
    LEFT JOIN pg_catalog.pg_proc AS p
        ON p.proname OPERATOR(pg_catalog.=) g.name AND p.pronamespace OPERATOR(pg_catalog.=) 'ledger'::pg_catalog.regnamespace
    WHERE g.level OPERATOR(pg_catalog.=) ANY (CASE access_of.level
              WHEN 'reader' THEN '{reader}'::text[]
              WHEN 'writer' THEN '{reader,writer}'::text[]
              WHEN 'operator' THEN '{reader,writer,operator}'::text[]
              WHEN 'auditor' THEN '{reader,auditor}'::text[] END)
    -- ledger_verify reads the tables: a view may show something else
    UNION ALL
    SELECT v.kind, v.object FROM (VALUES
        ('SCHEMA', 'ledger_data'), ('TABLE', 'ledger_data.asset'), ('TABLE', 'ledger_data.account'),
        ('TABLE', 'ledger_data.transfer'), ('TABLE', 'ledger_data.audit'), ('TABLE', 'ledger_data.seal')) AS v (kind, object)
    WHERE access_of.level OPERATOR(pg_catalog.=) 'auditor'
    -- the views of that name call these with the reader's own rights
    UNION ALL
    SELECT 'FUNCTION', f.name FROM (VALUES ('ledger_data.stat()'), ('ledger_data.verify_progress()')) AS f (name)
    WHERE access_of.level IN ('operator', 'auditor')
$$;
COMMENT ON FUNCTION ledger_data.access_of(text) IS 'the views, functions and tables of an access level';

CREATE OR REPLACE FUNCTION ledger.grant_access(role regrole, level text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    granted record;
BEGIN
    IF role IS NULL OR level IS NULL OR level <> ALL ('{reader,writer,operator,auditor}'::text[]) THEN
        RAISE EXCEPTION 'access level "%" does not exist', level USING
            ERRCODE = 'invalid_parameter_value', HINT = 'The levels are reader, writer, operator and auditor.';
    END IF;
    PERFORM ledger.revoke_access(role);
    EXECUTE pg_catalog.format('GRANT USAGE ON SCHEMA ledger TO %s', role);
    FOR granted IN SELECT a.kind, a.object FROM ledger_data.access_of(level) AS a LOOP
        EXECUTE pg_catalog.format('GRANT %s ON %s %s TO %s',
            CASE granted.kind WHEN 'TABLE' THEN 'SELECT' WHEN 'SCHEMA' THEN 'USAGE' ELSE 'EXECUTE' END, granted.kind, granted.object, role);
    END LOOP;
END
$$;
COMMENT ON FUNCTION ledger.grant_access(regrole, text) IS
'Gives a role one level, in place of any it had: reader (views, balances), writer (reader, and daily work), operator (writer, and accounts, limits, freezing, folding, purging, clients, audit triggers, checks) or auditor (reader, and requests, the audit log, checks, the tables that ledger_verify reads). For a superuser or the extension''s owner.';
