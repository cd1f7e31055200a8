-- Nobody changes the ledger's tables by hand, not even a superuser in passing.
\a \t
SELECT helper.outcome($$UPDATE ledger_data.transfer SET amount = 1$$);
SELECT helper.outcome($$DELETE FROM ledger_data.transfer$$);
SELECT helper.outcome($$TRUNCATE ledger_data.transfer$$);
SELECT helper.outcome($$INSERT INTO ledger_data.transfer VALUES (1, 1, 2, 3, 0, 1, now(), 1, 1, 0, '')$$);
SELECT helper.outcome($$UPDATE ledger_data.balance SET credits_posted = 1$$);
SELECT helper.outcome($$DELETE FROM ledger_data.balance WHERE false$$);
SELECT helper.outcome($$INSERT INTO ledger_data.balance VALUES (1, 1, 0, 0)$$);
SELECT helper.outcome($$UPDATE ledger_data.account SET floor = -100$$);
SELECT helper.outcome($$DELETE FROM ledger_data.account$$);
SELECT helper.outcome($$TRUNCATE ledger_data.account, ledger_data.asset$$);
SELECT helper.outcome($$UPDATE ledger_data.asset SET scale = 3$$);
SELECT helper.outcome($$DELETE FROM ledger_data.reversal$$);
SELECT helper.outcome($$DELETE FROM ledger_data.installation$$);
SELECT helper.outcome($$INSERT INTO ledger_data.installation SELECT * FROM ledger_data.installation$$);
SELECT helper.outcome($$DROP EXTENSION ledger CASCADE$$);
SELECT helper.outcome($$ALTER TABLE ledger_data.client DROP COLUMN previous$$);
-- An index that the engine cannot maintain is noticed before it goes wrong; any other is fine.
CREATE INDEX odd ON ledger_data.transfer (amount) WHERE amount > 100;
SELECT helper.outcome($$SELECT ledger.transfer('world', 'acc:1', 1) > 0$$);
DROP INDEX ledger_data.odd;
CREATE INDEX plain ON ledger_data.transfer (created_at);
SELECT helper.outcome($$SELECT ledger.transfer('world', 'acc:1', 1) > 0$$);
DROP INDEX ledger_data.plain;
SELECT helper.outcome($$INSERT INTO ledger.accounts VALUES ('x')$$) ~ 'cannot insert into view';
SELECT * FROM ledger.check_invariants();
