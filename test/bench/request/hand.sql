-- A table of idempotent requests as one writes it by hand, with what begin_request
-- keeps: a fingerprint against reuse with another payload, a lease, an expiry and its index.
CREATE TABLE request (
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    leased_until timestamptz NOT NULL,
    attempt      integer     NOT NULL DEFAULT 1,
    state        smallint    NOT NULL,
    scope        text        COLLATE "C" NOT NULL,
    key          text        COLLATE "C" NOT NULL,
    fingerprint  bytea,
    response     jsonb,
    PRIMARY KEY (key, scope)
) WITH (fillfactor = 85);
CREATE INDEX ON request (expires_at);

INSERT INTO request (expires_at, leased_until, state, scope, key, response)
    SELECT now() + interval '24 hours', now(), 2, 'default', 'first-' || i, '{"order": 1}' FROM generate_series(1, 10000) AS i;

CREATE VIEW made AS SELECT FROM request WHERE state = 2;
CREATE VIEW problem AS SELECT format('%s is %s', key, state) FROM request WHERE state <> 2 OR response <> '{"order": 1}';
