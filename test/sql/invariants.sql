-- check_invariants: each kind of damage done by hand is found, by its name, and nothing else is
-- reported with it that is not so.
\a \t
SELECT ledger.open_account('i:a', 'USD') > 0, ledger.open_account('i:b', 'USD') > 0, ledger.open_account('i:c', 'USD') > 0, ledger.open_account('i:eur', 'EUR') > 0,
       ledger.transfer('world', 'i:a', 100) > 0, ledger.transfer('world', 'i:b', 10) > 0;
SELECT count(ledger.fold());
CREATE TEMPORARY TABLE known AS
SELECT ledger.transfer('i:a', 'i:b', 1, 'i-key') AS moved, ledger.reverse_transfer(ledger.transfer('i:a', 'i:b', 2)) AS reversal,
       ledger.hold('i:a', 'i:b', 30) AS kept, ledger.hold('i:a', 'i:b', 5) AS paid, ledger.hold('i:a', 'i:b', 6) AS returned,
       ledger_data.account_id('i:a') AS a, ledger_data.account_id('i:b') AS b, ledger_data.account_id('i:c') AS c, ledger_data.account_id('i:eur') AS eur;
SELECT ledger.post_hold(paid, 4) > 0, ledger.void_hold(returned) > 0 FROM known;
SELECT ledger.tcc_begin('i-' || x), ledger.tcc_freeze('i-' || x, 'one', 'i:a', 'i:b', 1) FROM unnest('{open,done,undone}'::text[]) AS x;
SELECT ledger.tcc_confirm('i-done'), ledger.tcc_cancel('i-undone');
SELECT * FROM ledger.check_invariants();

-- The invariants that do not hold after the statement, which is taken back. What the engine
-- knows of the accounts is compared for one of them alone.
CREATE FUNCTION helper.damage(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    found text;
BEGIN
    SET LOCAL session_replication_role = replica;
    EXECUTE statement;
    SELECT string_agg(DISTINCT i.invariant, ', ') INTO found FROM ledger.check_invariants() AS i WHERE i.invariant <> 'escrow = balance' OR statement ~ 'escrow';
    RAISE EXCEPTION USING errcode = 'XX999', message = coalesce(found, 'NOTHING');
EXCEPTION WHEN SQLSTATE 'XX999' THEN
    RETURN sqlerrm;
END $$;
CREATE TEMPORARY TABLE damage (nr integer GENERATED ALWAYS AS IDENTITY, statement text);
INSERT INTO damage (statement) VALUES
    ('SELECT 1'),
    ('UPDATE ledger_data.balance SET debits_posted = debits_posted + 1 FROM known WHERE account = a'),
    ('UPDATE ledger_data.balance SET credits_posted = credits_posted + 1 FROM known WHERE account = a'),
    ('UPDATE ledger_data.balance SET debits_pending = debits_pending + 1 FROM known WHERE account = a'),
    ('UPDATE ledger_data.balance SET credits_pending = credits_pending + 1 FROM known WHERE account = a'),
    ('UPDATE ledger_data.balance SET debits_posted = debits_posted + 1, credits_posted = credits_posted + 1 FROM known WHERE account = a'),
    ('UPDATE ledger_data.balance SET debits_pending = debits_pending + 1, credits_pending = credits_pending + 1 FROM known WHERE account = a'),
    ('UPDATE ledger_data.balance SET folded_xid = 0 FROM known WHERE account = a'),
    ('UPDATE ledger_data.transfer SET amount = amount + 1 FROM known WHERE id = moved -- escrow'),
    ('UPDATE ledger_data.transfer SET amount = 0 FROM known WHERE id = moved'),
    ('UPDATE ledger_data.transfer SET amount = -amount FROM known WHERE id = moved'),
    ('UPDATE ledger_data.transfer SET debit_account = credit_account FROM known WHERE id = moved'),
    ('UPDATE ledger_data.transfer SET credit_account = eur FROM known WHERE id = moved'),
    ('UPDATE ledger_data.transfer SET debit_account = 7, credit_account = 8 FROM known WHERE id = moved'),
    ('UPDATE ledger_data.account SET asset = 7 FROM known WHERE id = c'),
    ('UPDATE ledger_data.account SET floor = p.credits - p.debits - p.held FROM known, ledger_data.position AS p WHERE id = a AND p.account = a'),
    ('UPDATE ledger_data.account SET floor = p.credits - p.debits - p.held + 1 FROM known, ledger_data.position AS p WHERE id = a AND p.account = a'),
    ('UPDATE ledger_data.account SET ceiling = p.credits - p.debits + p.incoming FROM known, ledger_data.position AS p WHERE id = b AND p.account = b'),
    ('UPDATE ledger_data.account SET ceiling = p.credits - p.debits + p.incoming - 1 FROM known, ledger_data.position AS p WHERE id = b AND p.account = b'),
    ('UPDATE ledger_data.account SET state = 2 FROM known WHERE id = c'),
    ('UPDATE ledger_data.account SET state = 2 FROM known WHERE id = a'),
    ($$SELECT ledger.hold('i:a', 'i:c', 1); UPDATE ledger_data.account SET state = 2 FROM known WHERE id = c$$),
    ($$SELECT ledger.open_account('i:d', 'USD', floor => -5), ledger.hold('i:d', 'i:c', 1); UPDATE ledger_data.account SET state = 2 WHERE code = 'i:d'$$),
    ('DELETE FROM ledger_data.hold USING known WHERE transfer = kept'),
    ('DELETE FROM ledger_data.hold USING known WHERE transfer = paid'),
    ('UPDATE ledger_data.hold SET amount = amount + 1 FROM known WHERE transfer = kept'),
    ('UPDATE ledger_data.hold SET posted = posted + 1 FROM known WHERE transfer = kept'),
    ('UPDATE ledger_data.hold SET posted = posted + 1 FROM known WHERE transfer = paid'),
    ('UPDATE ledger_data.hold SET posted = amount + 1 FROM known WHERE transfer = paid'),
    ('UPDATE ledger_data.hold SET debit_account = c FROM known WHERE transfer = kept'),
    ('UPDATE ledger_data.hold SET credit_account = c FROM known WHERE transfer = kept'),
    ('UPDATE ledger_data.hold SET state = 3 FROM known WHERE transfer = kept'),
    ('UPDATE ledger_data.hold SET state = 1 FROM known WHERE transfer = returned'),
    ('DELETE FROM ledger_data.transfer USING known WHERE kind = 4 AND ref = returned'),
    ('DELETE FROM ledger_data.transfer USING known WHERE kind = 3 AND ref = paid'),
    ('DELETE FROM ledger_data.transfer USING known WHERE id = kept'),
    ($$DELETE FROM ledger_data.tcc WHERE xid = 'i-done'$$),
    ($$UPDATE ledger_data.hold SET is_branch = false WHERE is_branch AND transfer IN (SELECT b.hold FROM ledger_data.tcc_branch AS b WHERE b.xid = 'i-open')$$),
    ($$UPDATE ledger_data.tcc_branch SET hold = 7 WHERE xid = 'i-open'$$),
    ('DELETE FROM ledger_data.reversal USING known AS k WHERE reversal.reversal = k.reversal'),
    ('UPDATE ledger_data.reversal SET transfer = moved FROM known AS k WHERE reversal.reversal = k.reversal'),
    ('UPDATE ledger_data.transfer SET ref = moved FROM known WHERE id = reversal'),
    ('UPDATE ledger_data.transfer SET kind = 1 FROM known WHERE id = reversal'),
    ($$UPDATE ledger_data.request SET transfer = 7 WHERE key = 'i-key'$$);
SELECT nr, helper.damage(statement) AS found, statement FROM damage ORDER BY nr;

-- A TCC transaction in every state, its branch in every state a hold has: what may be, and
-- what is named. 1 open 2 posted 3 voided 4 expired; 1 trying 2 confirming 3 confirmed
-- 4 canceling 5 canceled 6 timed out.
SELECT t.state AS transaction, string_agg(h.state::text, ' ' ORDER BY h.state) FILTER (WHERE d.found !~ 'TCC') AS may_be
FROM generate_series(1, 6) AS t (state) CROSS JOIN generate_series(1, 4) AS h (state)
CROSS JOIN LATERAL (SELECT helper.damage(format($$UPDATE ledger_data.tcc SET state = %s WHERE xid = 'i-open';
    UPDATE ledger_data.hold SET state = %s WHERE transfer = (SELECT b.hold FROM ledger_data.tcc_branch AS b WHERE b.xid = 'i-open')$$, t.state, h.state))) AS d (found)
GROUP BY t.state ORDER BY t.state;
SELECT * FROM ledger.check_invariants();
SELECT ledger.tcc_cancel('i-open'), ledger.void_hold(kept) > 0 FROM known;
DROP FUNCTION helper.damage;
