\ir ../transfer_table.sql
-- A journal kept by hand has no chain.
ALTER TABLE transfer DROP seq, DROP lane, DROP hash;

CREATE TABLE account (
    id      bigint PRIMARY KEY,
    balance bigint NOT NULL CHECK (balance >= 0)
) WITH (fillfactor = 90);
INSERT INTO account SELECT n, 1000000 FROM generate_series(1, :accounts) AS n;

CREATE VIEW made AS SELECT FROM transfer;
CREATE VIEW problem AS
SELECT 'sum of balances' AS invariant, 'account' AS subject, sum(balance) AS detail
FROM account HAVING sum(balance) <> 1000000::numeric * (SELECT count(*) FROM account);
