-- A log as one makes it by hand: the columns and the primary key of ledger_data.audit.
CREATE TABLE log (
    id           bigint      GENERATED ALWAYS AS IDENTITY (CACHE 32) PRIMARY KEY,
    seq          bigint,
    txid         xid8        NOT NULL,
    at           timestamptz NOT NULL,
    relation_oid oid         NOT NULL,
    lane         smallint,
    hash         bytea,
    relation     text        NOT NULL,
    operation    text        NOT NULL,
    actor        text        NOT NULL,
    acting_as    text        NOT NULL,
    application  text,
    client       text,
    key          jsonb,
    old          jsonb,
    new          jsonb
);
CREATE VIEW problem AS
    SELECT 'rows that are not logged, or records without a row' WHERE (SELECT count(*) FROM payment) <> (SELECT count(*) FROM log);
