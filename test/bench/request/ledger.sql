-- Some requests there already, so that both contestants look into an index that is one.
SELECT count(*) FROM generate_series(1, 10000) AS i, ledger.begin_request('first-' || i, '{"sku": "TEA", "quantity": 1}');
SELECT count(*) FROM (SELECT ledger.complete_request('first-' || i, '{"order": 1}') FROM generate_series(1, 10000) AS i OFFSET 0) AS t;

CREATE VIEW made AS SELECT FROM ledger.requests WHERE state = 'completed';
CREATE VIEW problem AS
    SELECT format('%s is %s, attempt %s', key, state, attempt) FROM ledger.requests
    WHERE state <> 'completed' OR attempt <> 1 OR response <> '{"order": 1}'
    UNION ALL SELECT invariant || ': ' || subject FROM ledger.check_invariants();
