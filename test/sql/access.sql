-- Who may call what: nothing for PUBLIC, and four levels.
CREATE ROLE ledger_test_reader;
CREATE ROLE ledger_test_writer;
CREATE ROLE ledger_test_operator;
CREATE ROLE ledger_test_auditor;
CREATE ROLE "ledger test; nobody";
SELECT ledger.grant_access('ledger_test_reader', 'reader'), ledger.grant_access('ledger_test_writer', 'writer'),
       ledger.grant_access('ledger_test_operator', 'operator'), ledger.grant_access('ledger_test_auditor', 'auditor');
GRANT USAGE ON SCHEMA ledger TO "ledger test; nobody";
\a \t
SELECT helper.outcome($$SELECT ledger.grant_access('ledger_test_reader', 'god')$$);
SELECT helper.outcome($$SELECT ledger.grant_access('ledger_test_reader', NULL)$$);
SELECT helper.outcome($$SELECT ledger.revoke_access(NULL)$$);
\a \t
-- Every function and view of the ledger, and who may use it.
SELECT p.oid::regprocedure AS object,
       concat_ws(' ', CASE WHEN has_function_privilege('ledger test; nobody', p.oid, 'EXECUTE') THEN 'PUBLIC' END,
                      CASE WHEN has_function_privilege('ledger_test_reader', p.oid, 'EXECUTE') THEN 'reader' END,
                      CASE WHEN has_function_privilege('ledger_test_writer', p.oid, 'EXECUTE') THEN 'writer' END,
                      CASE WHEN has_function_privilege('ledger_test_operator', p.oid, 'EXECUTE') THEN 'operator' END,
                      CASE WHEN has_function_privilege('ledger_test_auditor', p.oid, 'EXECUTE') THEN 'auditor' END) AS who
FROM pg_proc AS p WHERE p.pronamespace IN ('ledger'::regnamespace, 'ledger_data'::regnamespace)
ORDER BY p.oid::regprocedure::text COLLATE "C";
SELECT c.oid::regclass AS object,
       concat_ws(' ', CASE WHEN has_table_privilege('ledger test; nobody', c.oid, 'SELECT') THEN 'PUBLIC' END,
                      CASE WHEN has_table_privilege('ledger_test_reader', c.oid, 'SELECT') THEN 'reader' END,
                      CASE WHEN has_table_privilege('ledger_test_writer', c.oid, 'SELECT') THEN 'writer' END,
                      CASE WHEN has_table_privilege('ledger_test_operator', c.oid, 'SELECT') THEN 'operator' END,
                      CASE WHEN has_table_privilege('ledger_test_auditor', c.oid, 'SELECT') THEN 'auditor' END) AS who
FROM pg_class AS c WHERE c.relnamespace IN ('ledger'::regnamespace, 'ledger_data'::regnamespace) AND c.relkind IN ('r', 'v')
ORDER BY c.oid::regclass::text COLLATE "C";
\a \t
-- In practice: each level can do its work with no privilege on any table.
SET ROLE ledger_test_operator;
SELECT ledger.open_account('x:a', 'USD') > 0, ledger.create_stock('x:s', 5) > 0;
RESET ROLE;
GRANT USAGE ON SCHEMA helper TO PUBLIC;
SET ROLE ledger_test_writer;
SELECT ledger.transfer('world', 'x:a', 7) > 0;
SELECT ledger.deduct_stock('x:s', 2);
SELECT ledger.reverse_transfer(id) > 0 FROM ledger.transfers WHERE destination = 'x:a';
SELECT sku, available FROM ledger.stock WHERE sku = 'x:s';
SELECT helper.outcome($$SELECT ledger.freeze_account('x:a')$$);
SELECT helper.outcome($$SELECT ledger_data.post_reversal(1, 2, 3, 4, NULL)$$);
SELECT helper.outcome($$SELECT * FROM ledger_data.transfer$$);
SELECT helper.outcome($$INSERT INTO ledger_data.transfer VALUES (1, 1, 2, 3, 0, 1, now(), 1, 1, 0, '')$$);
SET ROLE ledger_test_reader;
SELECT posted FROM ledger.balance('x:a');
SELECT count(*) FROM ledger.statement('x:a');
SELECT helper.outcome($$SELECT ledger.transfer('world', 'x:a', 7)$$);
SELECT helper.outcome($$SELECT transfers FROM ledger.stat$$);
SET ROLE ledger_test_auditor;
SELECT count(*) FROM ledger.check_invariants();
SELECT transfers > 0 FROM ledger.stat;
SELECT helper.outcome($$SELECT ledger.transfer('world', 'x:a', 7)$$);
SET ROLE "ledger test; nobody";
SELECT helper.outcome($$SELECT ledger.balance('x:a')$$);
SELECT helper.outcome($$SELECT * FROM ledger.accounts$$);
RESET ROLE;
-- A level replaces the one before; revoking leaves nothing.
SELECT ledger.grant_access('ledger_test_operator', 'reader');
SELECT has_function_privilege('ledger_test_operator', 'ledger.fold(integer)', 'EXECUTE'),
       has_function_privilege('ledger_test_operator', 'ledger.balance(text)', 'EXECUTE');
SELECT ledger.revoke_access('ledger_test_operator'), ledger.grant_access('"ledger test; nobody"', 'writer'),
       ledger.revoke_access('"ledger test; nobody"');
DROP ROLE ledger_test_operator;
DROP ROLE "ledger test; nobody";
SELECT ledger.revoke_access('ledger_test_reader'), ledger.revoke_access('ledger_test_writer'), ledger.revoke_access('ledger_test_auditor');
DROP ROLE ledger_test_reader, ledger_test_writer, ledger_test_auditor;
