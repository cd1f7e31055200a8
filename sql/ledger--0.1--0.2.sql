-- From 0.1 to 0.2.
--
-- A change of the SQL is made twice: in its part in sql/, of which new installations
-- are made, and here, in the same order, for those of 0.1.
--   New object: CREATE and COMMENT as in the part (never OR REPLACE or IF NOT EXISTS,
--     which would adopt what somebody planted), then REVOKE ALL ... FROM PUBLIC.
--   Function with another body or attribute: CREATE OR REPLACE; it keeps its grants,
--     and PostgreSQL refuses to replace one that is not the extension's.
--   Function or view with other arguments or columns: DROP and CREATE; grants are lost.
--   Table: new columns last and in the same order, because C++ goes by position;
--     pg_extension_config_dump for a new one.
-- The library may meet the SQL of 0.1 until the update is made, and has to work with it.
-- Roles get what is new in their level when grant_access is called for them again.
-- test/t/033_update.pl compares an updated ledger with a new one, object by object.
\echo Use "ALTER EXTENSION ledger UPDATE" to load this file. \quit

SET LOCAL search_path = pg_catalog, pg_temp;

-- Secrets and unused tokens are shown less.

CREATE OR REPLACE FUNCTION ledger.add_client(client text, secret text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan  -- auto_explain shows the constants of a custom plan
AS $$
#variable_conflict use_column
DECLARE
    chosen text := COALESCE(secret, ledger_data.new_secret());
BEGIN
    PERFORM ledger_data.check_client(client, chosen);
    INSERT INTO ledger_data.client (client, secret, added_at)
        VALUES (add_client.client, chosen, pg_catalog.clock_timestamp())
        ON CONFLICT ON CONSTRAINT client_pkey DO NOTHING;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'client "%" already exists', add_client.client USING
            ERRCODE = 'duplicate_object', HINT = 'Change its secret with ledger.rotate_client().';
    END IF;
    RETURN chosen;
END
$$;

CREATE OR REPLACE FUNCTION ledger.rotate_client(client text, secret text DEFAULT NULL, overlap interval DEFAULT '24 hours') RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan  -- auto_explain shows the constants of a custom plan
AS $$
#variable_conflict use_column
DECLARE
    chosen text := COALESCE(secret, ledger_data.new_secret());
BEGIN
    PERFORM ledger_data.check_client(client, chosen);
    IF overlap IS NULL OR overlap < '0'::interval OR overlap > '1 year'::interval THEN
        RAISE EXCEPTION 'an overlap of % is out of range', overlap USING
            ERRCODE = 'invalid_parameter_value', HINT = 'Give an interval from 0 to 1 year.';
    END IF;
    UPDATE ledger_data.client AS c
        SET secret = chosen, previous = c.secret, previous_until = pg_catalog.clock_timestamp() + overlap
        WHERE c.client = rotate_client.client;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'client "%" does not exist', rotate_client.client USING
            ERRCODE = 'undefined_object', HINT = 'Add it with ledger.add_client().';
    END IF;
    RETURN chosen;
END
$$;

CREATE OR REPLACE FUNCTION ledger.sign_request(client text, payload text, signed_at timestamptz, nonce text, secret text) RETURNS text
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
BEGIN
    RETURN ledger_data.hmac_sha256(
        pg_catalog.convert_to(pg_catalog.concat_ws(E'\n', 'ledger-request-v1', client,
            pg_catalog.to_char(signed_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), nonce,
            pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(payload, 'UTF8')), 'hex')), 'UTF8'),
        pg_catalog.convert_to(secret, 'UTF8'));
END
$$;

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
       r.expires_at
FROM ledger_data.request AS r;
COMMENT ON VIEW ledger.requests IS
'the registry: requests, calls under a key, messages of inboxes (scope: the consumer) and nonces (scope: the client). Of a token not used yet, key shows the beginning alone';

-- Sums of transfers are read once.

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

    -- MATERIALIZED, here and below: a planner that expects few sources would otherwise
    -- read all the sums again for each account.
    RETURN QUERY
    WITH position AS MATERIALIZED (SELECT * FROM ledger_data.position)
    SELECT 'totals = sum of transfers', a.code,
           pg_catalog.format('position is debits %s, credits %s, held %s, incoming %s; the transfers sum to %s, %s, %s and %s',
                             p.debits * s.unit, p.credits * s.unit, p.held * s.unit, p.incoming * s.unit,
                             COALESCE(d.posted, 0) * s.unit, COALESCE(c.posted, 0) * s.unit,
                             COALESCE(d.pending, 0) * s.unit, COALESCE(c.pending, 0) * s.unit)
    FROM position AS p
    JOIN ledger_data.account AS a ON a.id = p.account
    JOIN ledger_data.asset AS s ON s.id = a.asset
    LEFT JOIN (SELECT t.debit_account, pg_catalog.sum(t.amount * w.posted) AS posted, pg_catalog.sum(t.amount * w.pending) AS pending
               FROM ledger_data.transfer AS t JOIN ledger_data.weight AS w ON w.kind = t.kind
               GROUP BY t.debit_account) AS d ON d.debit_account = a.id
    LEFT JOIN (SELECT t.credit_account, pg_catalog.sum(t.amount * w.posted) AS posted, pg_catalog.sum(t.amount * w.pending) AS pending
               FROM ledger_data.transfer AS t JOIN ledger_data.weight AS w ON w.kind = t.kind
               GROUP BY t.credit_account) AS c ON c.credit_account = a.id
    WHERE p.debits <> COALESCE(d.posted, 0) OR p.credits <> COALESCE(c.posted, 0)
       OR p.held <> COALESCE(d.pending, 0) OR p.incoming <> COALESCE(c.pending, 0);

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

-- One account is read by its indexes, whatever the statistics say of others.

CREATE OR REPLACE VIEW ledger_data.position AS
SELECT a.id AS account, totals.debits, totals.credits, totals.held, totals.incoming
FROM ledger_data.account AS a
CROSS JOIN LATERAL (
    SELECT COALESCE(b.debits_posted, 0) + COALESCE(d.posted, 0) AS debits,
           COALESCE(b.credits_posted, 0) + COALESCE(c.posted, 0) AS credits,
           COALESCE(b.debits_pending, 0) + COALESCE(d.pending, 0) AS held,
           COALESCE(b.credits_pending, 0) + COALESCE(c.pending, 0) AS incoming
    FROM (SELECT a.id) AS x
    LEFT JOIN ledger_data.balance AS b ON b.account = x.id
    CROSS JOIN LATERAL (SELECT pg_catalog.sum(t.amount) FILTER (WHERE t.kind IN (1, 3, 5)) AS posted,
                               pg_catalog.sum(CASE t.kind WHEN 2 THEN t.amount ELSE -t.amount END) FILTER (WHERE t.kind IN (2, 3, 4)) AS pending
                        FROM ledger_data.transfer AS t
                        WHERE t.debit_account = x.id AND t.txid >= COALESCE(b.folded_xid, 0) AND t.txid < 9223372036854775807) AS d
    CROSS JOIN LATERAL (SELECT pg_catalog.sum(t.amount) FILTER (WHERE t.kind IN (1, 3, 5)) AS posted,
                               pg_catalog.sum(CASE t.kind WHEN 2 THEN t.amount ELSE -t.amount END) FILTER (WHERE t.kind IN (2, 3, 4)) AS pending
                        FROM ledger_data.transfer AS t
                        WHERE t.credit_account = x.id AND t.txid >= COALESCE(b.folded_xid, 0) AND t.txid < 9223372036854775807) AS c
    OFFSET 0) AS totals;

CREATE OR REPLACE FUNCTION ledger.balance(INOUT account text, OUT asset text, OUT posted numeric, OUT held numeric,
                               OUT incoming numeric, OUT available numeric)
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'ledger_balance';

CREATE OR REPLACE FUNCTION ledger.balance_at(account text, at timestamptz) RETURNS numeric
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan  -- the account decides between its index and the whole table
AS $$
#variable_conflict use_column
DECLARE
    subject bigint;
    result  numeric;
BEGIN
    IF balance_at.at IS NULL THEN
        RAISE EXCEPTION 'the time of the balance is null' USING
            ERRCODE = 'null_value_not_allowed', HINT = 'For the present balance use ledger.balance().';
    END IF;
    subject := ledger_data.account_id(balance_at.account);
    SELECT (COALESCE((SELECT pg_catalog.sum(t.amount) FROM ledger_data.transfer AS t
                      WHERE t.credit_account = subject AND t.kind IN (1, 3, 5) AND t.created_at <= balance_at.at), 0)
          - COALESCE((SELECT pg_catalog.sum(t.amount) FROM ledger_data.transfer AS t
                      WHERE t.debit_account = subject AND t.kind IN (1, 3, 5) AND t.created_at <= balance_at.at), 0)) * s.unit
    INTO STRICT result
    FROM ledger_data.account AS a
    JOIN ledger_data.asset AS s ON s.id = a.asset
    WHERE a.id = subject;
    RETURN result;
END
$$;

CREATE OR REPLACE FUNCTION ledger.statement(account text, from_time timestamptz DEFAULT '-infinity', to_time timestamptz DEFAULT 'infinity',
                                 OUT transfer_id bigint, OUT created_at timestamptz, OUT kind text, OUT counterparty text,
                                 OUT amount numeric, OUT balance numeric, OUT metadata jsonb) RETURNS SETOF record
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan  -- the account decides between its index and the whole table
AS $$
#variable_conflict use_column
DECLARE
    subject bigint := ledger_data.account_id(statement.account);
BEGIN
    RETURN QUERY
    WITH movement AS (
        SELECT t.id, t.created_at, t.kind, t.debit_account AS other, t.amount, t.metadata
        FROM ledger_data.transfer AS t WHERE t.credit_account = subject AND t.kind IN (1, 3, 5)
        UNION ALL
        SELECT t.id, t.created_at, t.kind, t.credit_account, -t.amount, t.metadata
        FROM ledger_data.transfer AS t WHERE t.debit_account = subject AND t.kind IN (1, 3, 5)
    ), running AS (
        SELECT m.*, pg_catalog.sum(m.amount) OVER (ORDER BY m.created_at, m.id ROWS UNBOUNDED PRECEDING) AS balance
        FROM movement AS m
        WHERE m.created_at < statement.to_time OR statement.to_time = 'infinity'
    )
    SELECT r.id, r.created_at, w.name, o.code,
           r.amount * s.unit, r.balance * s.unit, r.metadata
    FROM running AS r
    JOIN ledger_data.account AS a ON a.id = subject
    JOIN ledger_data.asset AS s ON s.id = a.asset
    JOIN ledger_data.account AS o ON o.id = r.other
    JOIN ledger_data.weight AS w ON w.kind = r.kind
    WHERE r.created_at >= statement.from_time
    ORDER BY r.created_at, r.id;
END
$$;

-- Overdue holds are found from the side that they are held for, too; and what is resolved
-- stays out of the indexes by deadline.

DROP INDEX ledger_data.hold_due_at_idx;
DROP INDEX ledger_data.hold_debit_account_due_at_idx;
CREATE INDEX hold_due_at_idx ON ledger_data.hold (due_at) WHERE due_at < 'infinity';
CREATE INDEX hold_debit_account_due_at_idx ON ledger_data.hold (debit_account, due_at) WHERE due_at < 'infinity';
CREATE INDEX hold_credit_account_due_at_idx ON ledger_data.hold (credit_account, due_at) WHERE due_at < 'infinity';
