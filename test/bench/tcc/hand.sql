-- TCC as one writes it by hand: a fence table that makes Try and Confirm happen once,
-- with a deadline to find what timed out, and accounts with a frozen part. One
-- statement a phase, so that the row lock is held for no round trip; room for HOT updates.
CREATE TABLE account (
    id        bigint PRIMARY KEY,
    available bigint NOT NULL CHECK (available >= 0),
    frozen    bigint NOT NULL DEFAULT 0 CHECK (frozen >= 0)
) WITH (fillfactor = 50);
INSERT INTO account VALUES (1, 1000000000000);
INSERT INTO account SELECT i, 0 FROM generate_series(2, 1001) AS i;

CREATE TABLE fence (
    xid         text        COLLATE "C" NOT NULL,
    branch      text        COLLATE "C" NOT NULL,
    state       smallint    NOT NULL,
    source      bigint      NOT NULL,
    destination bigint      NOT NULL,
    amount      bigint      NOT NULL,
    due_at      timestamptz NOT NULL,
    PRIMARY KEY (xid, branch)
) WITH (fillfactor = 85);
CREATE INDEX ON fence (due_at);

CREATE VIEW made AS SELECT FROM fence WHERE state = 2;
CREATE VIEW problem AS
SELECT format('account %s', id) FROM account WHERE id = 1 AND (1000000000000 - available <> (SELECT count(*) FROM made) OR frozen <> 0);
