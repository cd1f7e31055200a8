\ir ../audited_table.sql
SELECT ledger.enable_audit('payment');
CREATE VIEW problem AS
    SELECT 'rows that are not logged, or records without a row'
    WHERE (SELECT count(*) FROM payment) <> (SELECT count(*) FROM ledger_data.audit WHERE operation = 'INSERT')
    UNION ALL SELECT 'a gap in a lane'
    WHERE EXISTS (SELECT FROM ledger_data.audit GROUP BY lane HAVING count(*) <> max(seq) OR min(seq) <> 1)
    UNION ALL SELECT invariant || ': ' || subject FROM ledger.check_invariants();
