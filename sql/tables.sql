-- Storage. The C++ engine reads and writes these tables directly: it relies on
-- the order and types of the columns (src/engine/storage.hpp mirrors them) and
-- on there being no triggers or constraints that an INSERT would have to fire.
-- Amounts are minor units of the account's asset. Ids are time-ordered
-- (src/core/ids.hpp), so no table needs a sequence.

CREATE TABLE ledger_data.asset (
    id          bigint  PRIMARY KEY,
    scale       integer NOT NULL CHECK (scale BETWEEN 0 AND 18),
    code        text    COLLATE "C" NOT NULL UNIQUE CHECK (char_length(code) BETWEEN 1 AND 64),
    unit        numeric NOT NULL,   -- one minor unit in natural units: 0.01 at scale 2
    description text
) USING heap;
COMMENT ON TABLE ledger_data.asset IS 'units of value: a code and its number of decimal places';

-- floor and ceiling: minor units; -9223372036854775807 and 9223372036854775807,
-- the range of every balance, stand for unbounded.
CREATE TABLE ledger_data.account (
    id        bigint      PRIMARY KEY,
    asset     bigint      NOT NULL,  -- no foreign key: pg_restore -j fills the tables in any order
    floor     bigint      NOT NULL CHECK (floor >= -9223372036854775807),
    ceiling   bigint      NOT NULL CHECK (ceiling >= floor),
    opened_at timestamptz NOT NULL,
    state     smallint    NOT NULL CHECK (state BETWEEN 0 AND 2),  -- 0 open, 1 frozen, 2 closed
    code      text        COLLATE "C" NOT NULL UNIQUE CHECK (char_length(code) BETWEEN 1 AND 255),
    metadata  jsonb       NOT NULL
) USING heap;
COMMENT ON TABLE ledger_data.account IS 'accounts: what seldom changes (limits, state); balances are in ledger_data.balance and the transfers past its horizon';

-- An account's totals over all its transfers with txid < folded_xid. No row
-- means nothing is folded yet. Updated by folding alone.
CREATE TABLE ledger_data.balance (
    account        bigint  PRIMARY KEY,
    folded_xid     bigint  NOT NULL,
    debits_posted  numeric NOT NULL,
    credits_posted numeric NOT NULL,
    debits_pending  numeric NOT NULL,  -- set aside by holds
    credits_pending numeric NOT NULL   -- held for it
) USING heap WITH (fillfactor = 50);
COMMENT ON TABLE ledger_data.balance IS 'totals of each account up to a transaction horizon; the transfers from folded_xid on come on top';

-- The truth: one row a movement, appended and never changed.
-- kind: 1 posted, 2 pending (a hold), 3 post and 4 void (of a hold, or a part of
-- it), 5 reversal. ref: the hold that a post or a void resolves, the transfer
-- that a reversal undoes, else 0.
-- txid: the top-level transaction, as xid8 plus ledger_data.installation.base.
-- lane, seq, hash: the chain (docs/chain-format.md).
CREATE TABLE ledger_data.transfer (
    id             bigint      PRIMARY KEY,
    debit_account  bigint      NOT NULL,
    credit_account bigint      NOT NULL,
    amount         bigint      NOT NULL,
    ref            bigint      NOT NULL,
    txid           bigint      NOT NULL,
    created_at     timestamptz NOT NULL,
    seq            bigint      NOT NULL,
    kind           smallint    NOT NULL,
    lane           smallint    NOT NULL,
    hash           bytea       NOT NULL,
    metadata       jsonb
) USING heap;
CREATE INDEX transfer_debit_account_txid_idx ON ledger_data.transfer (debit_account, txid);
CREATE INDEX transfer_credit_account_txid_idx ON ledger_data.transfer (credit_account, txid);
COMMENT ON TABLE ledger_data.transfer IS 'transfers, append-only: amount minor units moved from debit_account to credit_account';

-- Holds: what of a pending transfer has been resolved. The only rows updated in a user's path.
-- state: 1 open, 2 posted, 3 voided, 4 expired.
CREATE TABLE ledger_data.hold (
    transfer       bigint      PRIMARY KEY,  -- of kind pending
    debit_account  bigint      NOT NULL,
    credit_account bigint      NOT NULL,
    amount         bigint      NOT NULL,
    posted         bigint      NOT NULL,     -- the part of amount that was
    due_at         timestamptz NOT NULL,     -- when it expires; infinity once it is resolved
    state          smallint    NOT NULL,
    is_branch      boolean     NOT NULL      -- of a TCC transaction, which alone resolves it
) USING heap WITH (fillfactor = 85);
-- What is resolved stays out of these (src/engine/hold.cpp).
CREATE INDEX hold_due_at_idx ON ledger_data.hold (due_at) WHERE due_at < 'infinity';
CREATE INDEX hold_debit_account_due_at_idx ON ledger_data.hold (debit_account, due_at) WHERE due_at < 'infinity';
CREATE INDEX hold_credit_account_due_at_idx ON ledger_data.hold (credit_account, due_at) WHERE due_at < 'infinity';
COMMENT ON TABLE ledger_data.hold IS 'holds and what became of them';

-- TCC transactions. state: 1 trying, 2 confirming, 3 confirmed, 4 canceling,
-- 5 canceled, 6 timed out.
CREATE TABLE ledger_data.tcc (
    due_at     timestamptz NOT NULL,  -- when the worker is next to see to it: to cancel it, to go on with it, to forget it
    expires_at timestamptz NOT NULL,  -- the timeout: from then on, if nothing is decided, it can only be canceled
    begun_at   timestamptz NOT NULL,
    ended_at   timestamptz NOT NULL,  -- infinity until then
    attempts   integer     NOT NULL,  -- to confirm or cancel it that failed
    state      smallint    NOT NULL,
    xid        text        COLLATE "C" PRIMARY KEY,
    metadata   jsonb,
    last_error text
) USING heap WITH (fillfactor = 85);
CREATE INDEX tcc_due_at_idx ON ledger_data.tcc (due_at);
COMMENT ON TABLE ledger_data.tcc IS 'TCC transactions: the fence';

-- Their branches. What became of one its hold tells; hold 0: canceled before it was tried.
CREATE TABLE ledger_data.tcc_branch (
    hold     bigint      NOT NULL,
    tried_at timestamptz NOT NULL,
    xid      text        COLLATE "C" NOT NULL,
    branch   text        COLLATE "C" NOT NULL,
    PRIMARY KEY (xid, branch)
) USING heap;
COMMENT ON TABLE ledger_data.tcc_branch IS 'the branches of TCC transactions, and their holds';

-- The audit log: changes of audited tables, appended by the audit trigger, chained as
-- transfers are. key, old and new are kept as the text that was hashed.
CREATE TABLE ledger_data.audit (
    id           bigint      PRIMARY KEY,
    seq          bigint      NOT NULL,
    txid         bigint      NOT NULL,
    at           timestamptz NOT NULL,
    relation_oid oid         NOT NULL,
    lane         smallint    NOT NULL,
    hash         bytea       NOT NULL,
    relation     text        NOT NULL,
    operation    text        NOT NULL,
    actor        text        NOT NULL,
    acting_as    text        NOT NULL,
    application  text,
    client       text,
    key          json,
    old          json,
    new          json
) USING heap;
COMMENT ON TABLE ledger_data.audit IS 'changes of audited tables, append-only';

-- Seals: what the chains had come to, and the trees over what came since the seal before.
-- Every record that is in no seal yet has an id of at least from_id; none that is in one
-- has an id above until_id. heads: each lane's last record covered (docs/chain-format.md).
CREATE TABLE ledger_data.seal (
    number        bigint      PRIMARY KEY,
    sealed_at     timestamptz NOT NULL,
    transfers     bigint      NOT NULL,
    audits        bigint      NOT NULL,
    from_id       bigint      NOT NULL,
    until_id      bigint      NOT NULL,
    transfer_root bytea       NOT NULL,
    audit_root    bytea       NOT NULL,
    previous      bytea       NOT NULL,
    hash          bytea       NOT NULL,
    heads         bytea       NOT NULL
) USING heap;
COMMENT ON TABLE ledger_data.seal IS 'seals over transfers and audit records, chained';

-- A transfer is reversed at most once: this key decides between two that try.
CREATE TABLE ledger_data.reversal (
    transfer bigint PRIMARY KEY,
    reversal bigint NOT NULL
) USING heap;
COMMENT ON TABLE ledger_data.reversal IS 'which transfer reversed which';

-- The registry of idempotent requests: one row a name, which the primary key makes unique.
-- kind: 1 request, 2 call of a function under a key, 3 message of an inbox, 4 nonce.
-- state: 0 issued (a token), 1 in progress, 2 completed, 3 failed (may be tried again), 4 rejected.
-- Purged from expires_at on; if it is in progress, not before the same time has passed since its lease ran out.
CREATE TABLE ledger_data.request (
    begun_at     timestamptz NOT NULL,  -- the present attempt
    expires_at   timestamptz NOT NULL,
    leased_until timestamptz NOT NULL,  -- of a request in progress
    holder       bigint      NOT NULL,  -- the session that began the present attempt
    transfer     bigint      NOT NULL,  -- that a call made, else 0
    attempt      integer     NOT NULL,
    kind         smallint    NOT NULL,
    state        smallint    NOT NULL,
    scope        text        COLLATE "C" NOT NULL,
    key          text        COLLATE "C" NOT NULL,
    fingerprint  bytea,                 -- SHA-256 of a request's payload
    arguments    jsonb,                 -- a call's function and arguments
    response     jsonb,
    issued_at    timestamptz,           -- of a token
    role         text,                  -- that it belongs to: a name; NULL: everybody's, of a version before 0.3 or a nonce
    PRIMARY KEY (key, scope, kind)      -- the key first: it alone decides nearly every comparison
) USING heap WITH (fillfactor = 85);
CREATE INDEX request_expires_at_idx ON ledger_data.request (expires_at);
COMMENT ON TABLE ledger_data.request IS 'the registry of idempotent requests, keys, inbox messages and nonces';

-- Who may sign requests (ledger.verify_signed_request). Secrets: no role is granted anything here.
CREATE TABLE ledger_data.client (
    client         text        COLLATE "C" PRIMARY KEY,
    secret         text        NOT NULL,
    previous       text,                -- valid until previous_until
    previous_until timestamptz,
    added_at       timestamptz NOT NULL
) USING heap;
COMMENT ON TABLE ledger_data.client IS 'clients that sign their requests, and their secrets';

-- Where this ledger lives. Never dumped: a ledger that finds no row of its own
-- here (restored, or copied by CREATE DATABASE ... TEMPLATE) sets base so that
-- its txids go on above the ones it brought along.
CREATE TABLE ledger_data.installation (
    system_identifier bigint NOT NULL,
    database          oid    NOT NULL,
    extension         oid    NOT NULL,
    base              bigint NOT NULL
) USING heap;
COMMENT ON TABLE ledger_data.installation IS 'the cluster, database and installation these tables belong to, and the offset of their txids';

SELECT pg_catalog.pg_extension_config_dump('ledger_data.asset', '');
SELECT pg_catalog.pg_extension_config_dump('ledger_data.account', '');
SELECT pg_catalog.pg_extension_config_dump('ledger_data.balance', '');
SELECT pg_catalog.pg_extension_config_dump('ledger_data.transfer', '');
SELECT pg_catalog.pg_extension_config_dump('ledger_data.audit', '');
SELECT pg_catalog.pg_extension_config_dump('ledger_data.seal', '');
SELECT pg_catalog.pg_extension_config_dump('ledger_data.hold', '');
SELECT pg_catalog.pg_extension_config_dump('ledger_data.tcc', '');
SELECT pg_catalog.pg_extension_config_dump('ledger_data.tcc_branch', '');
SELECT pg_catalog.pg_extension_config_dump('ledger_data.reversal', '');
SELECT pg_catalog.pg_extension_config_dump('ledger_data.request', '');
SELECT pg_catalog.pg_extension_config_dump('ledger_data.client', '');

-- Guards against hand-made changes (LG401). They let an INSERT in while the
-- ledger is not in use yet, which is when pg_restore copies the rows back; into
-- installation never.
CREATE FUNCTION ledger_data.guard() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'ledger_guard';
COMMENT ON FUNCTION ledger_data.guard() IS 'refuses changes to the ledger''s tables by hand (LG401)';

CREATE TRIGGER guard BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_data.asset
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_data.guard();
CREATE TRIGGER guard BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_data.account
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_data.guard();
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON ledger_data.balance
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_data.guard();
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON ledger_data.transfer
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_data.guard();
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON ledger_data.audit
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_data.guard();
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON ledger_data.seal
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_data.guard();
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON ledger_data.hold
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_data.guard();
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON ledger_data.tcc
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_data.guard();
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON ledger_data.tcc_branch
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_data.guard();
CREATE TRIGGER guard BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_data.reversal
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_data.guard();
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON ledger_data.request
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_data.guard();
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON ledger_data.installation
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_data.guard();
