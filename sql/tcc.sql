-- TCC: Try (freeze), Confirm, Cancel. The row in ledger_data.tcc is the fence: it
-- makes repetitions harmless, and refuses what comes after the decision.

CREATE FUNCTION ledger.tcc_begin(xid text, timeout interval DEFAULT '60 seconds', metadata jsonb DEFAULT NULL) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_tcc_begin';
COMMENT ON FUNCTION ledger.tcc_begin(text, interval, jsonb) IS
'Opens a TCC transaction named xid (1 to 255 characters) and returns trying; repeated, it changes nothing and returns the state. timeout: from then on it is canceled and cannot be confirmed (NULL: an outside coordinator alone decides). LG202 where a cancel came first, LG204 with other metadata, LG205 past the timeout.';

CREATE FUNCTION ledger.tcc_freeze(xid text, branch text, source text, destination text, amount numeric) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_tcc_freeze';
COMMENT ON FUNCTION ledger.tcc_freeze(text, text, text, text, numeric) IS
'Try: holds amount of source for destination as a branch of the transaction, and returns frozen; repeated, it changes nothing. LG201 unknown transaction, LG202 canceled, LG203 confirmed, LG204 tried with other arguments, LG205 timed out; what forbids a hold (LG001 and so on) leaves the transaction as it was. Waits for others at the same transaction.';

CREATE FUNCTION ledger.tcc_freeze_stock(xid text, branch text, sku text, quantity bigint) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_tcc_freeze_stock';
COMMENT ON FUNCTION ledger.tcc_freeze_stock(text, text, text, bigint) IS
'Try for stock: reserves quantity of a SKU as a branch of the transaction. As ledger.tcc_freeze.';

CREATE FUNCTION ledger.tcc_confirm(xid text) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_tcc_confirm';
COMMENT ON FUNCTION ledger.tcc_confirm(text) IS
'Confirm: posts every branch, all or none, and returns confirmed; repeated, it changes nothing. Where an account is frozen it posts nothing and returns confirming: the decision stands, nothing expires any more, and the worker tries again until it is confirmed. LG201 unknown, LG202 canceled, LG205 timed out. Waits for others at the same transaction.';

CREATE FUNCTION ledger.tcc_cancel(xid text) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_tcc_cancel';
COMMENT ON FUNCTION ledger.tcc_cancel(text) IS
'Cancel: gives back every branch and returns canceled; repeated, it changes nothing. Of an unknown transaction it is noted, and a Try that comes later is refused (LG202). LG203 confirmed. Waits for others at the same transaction.';

CREATE FUNCTION ledger.tcc_confirm_branch(xid text, branch text) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_tcc_confirm_branch';
COMMENT ON FUNCTION ledger.tcc_confirm_branch(text, text) IS
'For an outside coordinator (Seata, DTM): posts one branch and returns confirmed; repeated, it changes nothing. It decides for the whole transaction: from then on no branch can be tried or canceled, or times out; past the timeout the worker confirms the rest. LG201 unknown transaction or branch, LG202 canceled, LG205 timed out, LG004 a frozen account.';

CREATE FUNCTION ledger.tcc_cancel_branch(xid text, branch text) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_tcc_cancel_branch';
COMMENT ON FUNCTION ledger.tcc_cancel_branch(text, text) IS
'For an outside coordinator: gives back one branch and returns canceled; repeated, or before its Try or tcc_begin came, it changes nothing but the decision: from then on no branch can be tried or confirmed (LG202); past the timeout the worker cancels the rest. LG203 confirmed.';

CREATE FUNCTION ledger.tcc_expire(max integer DEFAULT 1000) RETURNS integer
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_tcc_expire';
COMMENT ON FUNCTION ledger.tcc_expire(integer) IS
'Cancels up to max transactions past their timeout, and goes on with those that are decided but not done; returns how many have ended by it. Those that others are at are left to them. The worker does the same by itself.';

CREATE VIEW ledger.tcc_branches AS
SELECT b.xid,
       b.branch,
       CASE h.state WHEN 1 THEN 'frozen' WHEN 2 THEN 'confirmed' WHEN 3 THEN 'canceled' ELSE 'expired' END AS state,
       d.code AS source,
       c.code AS destination,
       s.code AS asset,
       h.amount * s.unit AS amount,
       b.hold,
       b.tried_at
FROM ledger_data.tcc_branch AS b
JOIN ledger_data.hold AS h ON h.transfer = b.hold
JOIN ledger_data.account AS d ON d.id = h.debit_account
JOIN ledger_data.account AS c ON c.id = h.credit_account
JOIN ledger_data.asset AS s ON s.id = d.asset;
COMMENT ON VIEW ledger.tcc_branches IS 'branches of TCC transactions: frozen, confirmed, canceled, or expired by the timeout';

CREATE VIEW ledger.tcc_transactions AS
SELECT g.xid,
       CASE g.state WHEN 1 THEN CASE WHEN g.expires_at <= pg_catalog.clock_timestamp() THEN 'overdue' ELSE 'trying' END
                    WHEN 2 THEN 'confirming' WHEN 3 THEN 'confirmed' WHEN 4 THEN 'canceling' WHEN 5 THEN 'canceled'
                    ELSE 'timed_out' END AS state,
       LEAST(g.ended_at, pg_catalog.clock_timestamp()) - g.begun_at AS age,
       b.branches,
       b.frozen,
       NULLIF(g.expires_at, 'infinity') AS expires_at,
       CASE WHEN g.ended_at = 'infinity' AND g.due_at < 'infinity' THEN g.due_at END AS next_at,
       g.attempts,
       g.last_error,
       g.begun_at,
       NULLIF(g.ended_at, 'infinity') AS ended_at,
       g.metadata
FROM ledger_data.tcc AS g
CROSS JOIN LATERAL (SELECT pg_catalog.count(*) AS branches, pg_catalog.count(*) FILTER (WHERE h.state = 1) AS frozen
                    FROM ledger_data.tcc_branch AS x
                    JOIN ledger_data.hold AS h ON h.transfer = x.hold
                    WHERE x.xid = g.xid) AS b;
COMMENT ON VIEW ledger.tcc_transactions IS
'TCC transactions: trying, overdue (past the timeout, not canceled yet), confirming and canceling (decided, with branches still frozen), confirmed, canceled, timed_out; age: until the end or now; branches and how many of them are frozen; expires_at: its timeout; next_at: when the worker is next to see to it; attempts that failed, and why the last one did';
