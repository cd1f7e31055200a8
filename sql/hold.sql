-- Holds: an amount set aside now, and posted, voided or expired later, once.

CREATE FUNCTION ledger.hold(source text, destination text, amount numeric, ttl interval DEFAULT NULL, key text DEFAULT NULL,
                            metadata jsonb DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_hold';
COMMENT ON FUNCTION ledger.hold(text, text, numeric, interval, text, jsonb) IS
'Sets amount (natural units, exact) of source aside for destination and returns the hold''s id. Until it is resolved source cannot spend it, and it counts towards destination''s ceiling; neither balance changes. ttl: from then on it cannot be posted and is given back (NULL: it stays until it is resolved). Errors as for ledger.transfer; 22023 for a ttl that is not positive or beyond 100 years. Locks no account. Repeated under its key it returns the same id.';

CREATE FUNCTION ledger.post_hold(hold bigint, amount numeric DEFAULT NULL, key text DEFAULT NULL, final boolean DEFAULT true) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_post_hold';
COMMENT ON FUNCTION ledger.post_hold(bigint, numeric, text, boolean) IS
'Moves what is held, or amount of it, to the destination and returns the transfer''s id. final: the rest is given back and the hold is resolved; otherwise the rest stays held for further posts, until nothing remains. LG101 unknown, LG102 posted already, LG103 voided, LG104 expired, LG105 more than remains, LG106 of a TCC transaction, LG004 a frozen account, LG006 amount. Waits for another session that is resolving the hold. Repeated under its key it returns the same id.';

CREATE FUNCTION ledger.void_hold(hold bigint, key text DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_void_hold';
COMMENT ON FUNCTION ledger.void_hold(bigint, text) IS
'Gives back what remains of a hold; returns the id of the transfer that says so. Goes through frozen accounts: it moves nothing. LG101 unknown, LG102 posted already, LG103 voided already, LG104 expired, LG106 of a TCC transaction. Waits for another session that is resolving the hold. Repeated under its key it returns the same id.';

CREATE FUNCTION ledger.expire_holds(max integer DEFAULT 1000) RETURNS integer
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_expire_holds';
COMMENT ON FUNCTION ledger.expire_holds(integer) IS
'Gives back up to max holds past their ttl; returns how many. Those that others are resolving are left to them. The worker does the same by itself; and a call that is short of balance first expires that account''s.';

CREATE VIEW ledger.holds AS
SELECT h.transfer AS id,
       d.code AS source,
       c.code AS destination,
       s.code AS asset,
       h.amount * s.unit AS amount,
       h.posted * s.unit AS posted,
       CASE h.state WHEN 1 THEN h.amount - h.posted ELSE 0 END * s.unit AS remaining,
       CASE h.state WHEN 1 THEN CASE WHEN h.due_at <= pg_catalog.clock_timestamp() THEN 'overdue' ELSE 'open' END
                    WHEN 2 THEN 'posted' WHEN 3 THEN 'voided' ELSE 'expired' END AS state,
       CASE WHEN h.due_at < 'infinity' THEN h.due_at END AS expires_at,
       b.xid,
       t.created_at,
       t.metadata
FROM ledger_data.hold AS h
JOIN ledger_data.transfer AS t ON t.id = h.transfer
JOIN ledger_data.account AS d ON d.id = h.debit_account
JOIN ledger_data.account AS c ON c.id = h.credit_account
JOIN ledger_data.asset AS s ON s.id = d.asset
LEFT JOIN ledger_data.tcc_branch AS b ON h.is_branch AND b.hold = h.transfer;
COMMENT ON VIEW ledger.holds IS
'holds in natural units: open, overdue (past the ttl and not expired yet), posted, voided or expired; expires_at: of open ones with a ttl; xid: the TCC transaction it is a branch of; what became of each part is in ledger.transfers, with ref the hold''s id';
