-- The table that is written to in rows 7 and 8, the same for all.
CREATE TABLE payment (
    id         bigint      GENERATED ALWAYS AS IDENTITY (CACHE 32) PRIMARY KEY,
    account    text        NOT NULL,
    amount     numeric     NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    note       text,
    state      smallint    NOT NULL DEFAULT 1
);
CREATE VIEW made AS SELECT FROM payment;
