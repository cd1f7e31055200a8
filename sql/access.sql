-- Who may call what. Nothing is granted to PUBLIC; EXECUTE is the gate, and the
-- engine writes with its own authority.

CREATE FUNCTION ledger_data.access_of(level text, OUT kind text, OUT object text) RETURNS SETOF record
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

CREATE FUNCTION ledger.revoke_access(role regrole) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    granted record;
BEGIN
    IF role IS NULL THEN
        RAISE EXCEPTION 'the role is null' USING
            ERRCODE = 'null_value_not_allowed', HINT = 'For example ledger.revoke_access(''app'').';
    END IF;
    FOR granted IN SELECT DISTINCT a.kind, a.object
                   FROM pg_catalog.unnest('{operator,auditor}'::text[]) AS l (level)
                   CROSS JOIN LATERAL ledger_data.access_of(l.level) AS a
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON %s %s FROM %s', granted.kind, granted.object, role);
    END LOOP;
    EXECUTE pg_catalog.format('REVOKE ALL ON SCHEMA ledger FROM %s', role);
END
$$;
COMMENT ON FUNCTION ledger.revoke_access(regrole) IS 'Takes away what ledger.grant_access gave to a role.';

CREATE FUNCTION ledger.grant_access(role regrole, level text) RETURNS void
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

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ledger FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ledger_data FROM PUBLIC;
