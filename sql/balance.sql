-- Reads. All are exact in the caller's snapshot: an account's folded totals
-- plus the visible transfers past the folded horizon, and work without the
-- library preloaded and on a standby.

-- Totals in minor units, one row an account. numeric: lifetime turnover has no
-- limit. OFFSET 0 keeps the planner from merging the sums into a larger query,
-- where it might compute them for every account to find one. txid has an upper end,
-- which is that of the type, because the planner takes a range for a small part of the
-- table, as a tail is; for half of one it would read the whole table, or compile the query.
CREATE VIEW ledger_data.position AS
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
COMMENT ON VIEW ledger_data.position IS 'exact posted debits and credits of each account, what its holds set aside and what is held for it, in minor units';

-- The words for a kind, and what a transfer of it adds to what is posted and pending (src/core/kind.hpp).
CREATE VIEW ledger_data.weight AS
SELECT w.kind, w.name, w.posted, w.pending
FROM (VALUES (1::smallint, 'posted', 1, 0), (2::smallint, 'pending', 0, 1), (3::smallint, 'post', 1, -1),
             (4::smallint, 'void', 0, -1), (5::smallint, 'reversal', 1, 0)) AS w (kind, name, posted, pending);
COMMENT ON VIEW ledger_data.weight IS 'the kinds of transfers';

CREATE VIEW ledger.accounts AS
SELECT a.code AS account,
       s.code AS asset,
       (p.credits - p.debits) * s.unit AS posted,
       p.held * s.unit AS held,
       p.incoming * s.unit AS incoming,
       CASE WHEN a.floor > -9223372036854775807 THEN (p.credits - p.debits - p.held - a.floor) * s.unit END AS available,
       CASE WHEN a.floor > -9223372036854775807 THEN a.floor * s.unit END AS floor,
       CASE WHEN a.ceiling < 9223372036854775807 THEN a.ceiling * s.unit END AS ceiling,
       CASE a.state WHEN 0 THEN 'open' WHEN 1 THEN 'frozen' ELSE 'closed' END AS state,
       a.opened_at,
       a.metadata
FROM ledger_data.account AS a
JOIN ledger_data.asset AS s ON s.id = a.asset
JOIN ledger_data.position AS p ON p.account = a.id;
COMMENT ON VIEW ledger.accounts IS 'accounts with their exact balances in natural units; held: set aside by open holds; incoming: held for the account; available is posted less held less floor, NULL where the floor is unbounded';

CREATE VIEW ledger.transfers AS
SELECT t.id,
       w.name AS kind,
       d.code AS source,
       c.code AS destination,
       s.code AS asset,
       t.amount * s.unit AS amount,
       NULLIF(t.ref, 0) AS ref,
       t.txid,
       t.created_at,
       t.metadata
FROM ledger_data.transfer AS t
JOIN ledger_data.weight AS w ON w.kind = t.kind
JOIN ledger_data.account AS d ON d.id = t.debit_account
JOIN ledger_data.account AS c ON c.id = t.credit_account
JOIN ledger_data.asset AS s ON s.id = d.asset;
COMMENT ON VIEW ledger.transfers IS 'transfers in natural units with account codes; kind: posted, pending (a hold), post and void (of the hold in ref), reversal (of the transfer in ref); a transfer debits its source and credits its destination';

CREATE VIEW ledger.entries AS
SELECT t.id AS transfer_id, e.account, t.asset, e.amount, e.counterparty, t.kind, t.created_at
FROM ledger.transfers AS t
CROSS JOIN LATERAL (VALUES (t.source, -t.amount, t.destination),
                           (t.destination, t.amount, t.source)) AS e (account, amount, counterparty)
WHERE t.kind NOT IN ('pending', 'void');
COMMENT ON VIEW ledger.entries IS 'double entry: two rows a transfer that moved value (holds and voids move none), the source''s negative and the destination''s positive';

CREATE FUNCTION ledger.balance(INOUT account text, OUT asset text, OUT posted numeric, OUT held numeric,
                               OUT incoming numeric, OUT available numeric)
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'ledger_balance';
COMMENT ON FUNCTION ledger.balance(text) IS
'The account''s balance, exact in the caller''s snapshot, in natural units: posted = credits - debits; held: set aside by open holds, overdue ones too until they are expired; incoming: held for the account; available = posted - held - floor (NULL: unbounded). LG002 for an unknown account.';

CREATE FUNCTION ledger.balance_at(account text, at timestamptz) RETURNS numeric
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
COMMENT ON FUNCTION ledger.balance_at(text, timestamptz) IS
'The account''s posted balance: the sum of its visible transfers made at or before a time, in natural units. A transaction still open then counts once it has committed. Reads the account''s whole history.';

CREATE FUNCTION ledger.statement(account text, from_time timestamptz DEFAULT '-infinity', to_time timestamptz DEFAULT 'infinity',
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
COMMENT ON FUNCTION ledger.statement(text, timestamptz, timestamptz) IS
'The account''s transfers that moved value (no holds) with from_time <= created_at < to_time in order of time: amount is signed, balance is the running balance after it. LG002 for an unknown account.';
