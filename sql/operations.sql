-- What the worker does, for who wants to do it by hand, and what the engine knows.

CREATE FUNCTION ledger_data.fold_account(account bigint) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_fold_account';
COMMENT ON FUNCTION ledger_data.fold_account(bigint) IS 'folds one account up to the present horizon; returns the transfers folded';

CREATE FUNCTION ledger.fold(min_tail integer DEFAULT 1) RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    subject bigint;
    folded  bigint := 0;
BEGIN
    FOR subject IN
        SELECT a.id
        FROM ledger_data.account AS a
        LEFT JOIN ledger_data.balance AS b ON b.account = a.id
        WHERE (SELECT pg_catalog.count(*) FROM (
                   SELECT FROM ledger_data.transfer AS t
                   WHERE t.debit_account = a.id AND t.txid >= COALESCE(b.folded_xid, 0)
                   UNION ALL
                   SELECT FROM ledger_data.transfer AS t
                   WHERE t.credit_account = a.id AND t.txid >= COALESCE(b.folded_xid, 0)
                   LIMIT GREATEST(min_tail, 1)) AS tail) >= GREATEST(min_tail, 1)
        ORDER BY a.id
    LOOP
        folded := folded + (ledger_data.fold_account(subject) > 0)::integer;
    END LOOP;
    RETURN folded;
END
$$;
COMMENT ON FUNCTION ledger.fold(integer) IS
'Folds every account with at least min_tail transfers past its horizon, up to the oldest running transaction; returns how many accounts were folded. The worker does the same for long tails by itself. Balances are the same before and after.';

CREATE FUNCTION ledger_data.slots(OUT account bigint, OUT low bigint, OUT high bigint, OUT projected_low bigint,
                                  OUT projected_high bigint, OUT users integer, OUT prepared boolean, OUT tail bigint, OUT version bigint) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1000 AS 'MODULE_PATHNAME', 'ledger_slots';
COMMENT ON FUNCTION ledger_data.slots() IS
'This database''s accounts in shared memory: the bounds of each balance over every outcome of the transactions in flight, in minor units, less what is held (low, high) and with what is held for it (projected); transactions using it; whether prepared ones are among them; transfers not folded; a counter of uses';

CREATE FUNCTION ledger_data.stat(OUT transfers bigint, OUT refusals bigint, OUT slot_loads bigint, OUT evictions bigint,
                                 OUT folds bigint, OUT longest_tail bigint, OUT lanes_in_use integer, OUT slots_in_use integer,
                                 OUT slots_total integer, OUT prepared_effects integer, OUT worker_pid integer, OUT worker_due_at timestamptz) RETURNS record
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_stat';
COMMENT ON FUNCTION ledger_data.stat() IS 'the engine''s counters; see the view ledger.stat';

CREATE VIEW ledger.stat AS SELECT s.* FROM ledger_data.stat() AS s;
COMMENT ON VIEW ledger.stat IS
'The engine''s counters in this database since the server started: transfers made (whether or not they committed), refusals, folds, longest_tail and lanes_in_use; and of the whole server: slot_loads, evictions, slots_in_use of slots_total, prepared_effects. worker_pid: the worker, NULL while nothing is due. worker_due_at: when something is, NULL where nothing is known to be. All NULL where the library is not preloaded.';

CREATE FUNCTION ledger.check_invariants(OUT invariant text, OUT subject text, OUT detail text) RETURNS SETOF record
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
COMMENT ON FUNCTION ledger.check_invariants() IS
'Checks the whole ledger; empty means healthy. Reads every transfer. Safe while the ledger is in use.';

-- Slots that nobody is using must hold the exact balance. Each statement of a
-- VOLATILE function in READ COMMITTED has a new snapshot, so an account is
-- judged only if its slot was not used between a reading before the snapshot
-- and one after it; in an older snapshot nothing can be said.
CREATE FUNCTION ledger_data.check_escrow(OUT invariant text, OUT subject text, OUT detail text) RETURNS SETOF record
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    before jsonb;
    doubts jsonb;
BEGIN
    IF pg_catalog.current_setting('transaction_isolation') <> 'read committed' THEN
        RETURN;
    END IF;
    SELECT pg_catalog.jsonb_agg(pg_catalog.to_jsonb(s)) INTO before
    FROM ledger_data.slots() AS s WHERE s.users = 0;
    SELECT pg_catalog.jsonb_agg(pg_catalog.to_jsonb(x)) INTO doubts
    FROM (SELECT a.code, b.*, p.credits - p.debits - p.held AS spendable, p.credits - p.debits + p.incoming AS projected
          FROM pg_catalog.jsonb_to_recordset(before)
              AS b (account bigint, version bigint, low bigint, high bigint, projected_low bigint, projected_high bigint)
          JOIN ledger_data.account AS a ON a.id = b.account
          JOIN ledger_data.position AS p ON p.account = b.account) AS x
    WHERE x.low <> x.spendable OR x.high <> x.spendable OR x.projected_low <> x.projected OR x.projected_high <> x.projected;
    RETURN QUERY
    SELECT 'escrow = balance', d.code,
           pg_catalog.format('bounds %s to %s, less what is held %s; bounds %s to %s, with what is held for it %s minor units',
                             d.low, d.high, d.spendable, d.projected_low, d.projected_high, d.projected)
    FROM pg_catalog.jsonb_to_recordset(doubts)
        AS d (code text, account bigint, version bigint, low bigint, high bigint, projected_low bigint, projected_high bigint,
              spendable numeric, projected numeric)
    JOIN ledger_data.slots() AS s ON s.account = d.account AND s.version = d.version AND s.users = 0;
END
$$;
COMMENT ON FUNCTION ledger_data.check_escrow() IS 'compares idle slots in shared memory with the exact balances';
