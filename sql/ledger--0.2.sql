-- Made of the parts in sql/ by the Makefile. Do not edit.
\echo Use "CREATE EXTENSION ledger" to load this file. \quit

-- sql/schema.sql

-- The two schemas. Plain CREATE SCHEMA comes first: where somebody planted a
-- schema of that name, the installation fails instead of adopting it.
CREATE SCHEMA ledger;
COMMENT ON SCHEMA ledger IS 'ledger: transfers, balances and stock; see ledger.transfer, ledger.deduct_stock and \df+ ledger.*';

CREATE SCHEMA ledger_data;
COMMENT ON SCHEMA ledger_data IS 'ledger: tables and internals, written by the extension alone';

-- sql/tables.sql

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
-- ledger is not in use yet, which is when pg_restore copies the rows back.
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
CREATE TRIGGER guard BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_data.installation
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_data.guard();

-- sql/request.sql

-- Idempotent requests: one registry (ledger_data.request) for requests between
-- begin and complete, the keys of calls, the inbox, and the nonces of signed requests.

-- Internals, for the functions written in SQL. Between recall and remember the
-- key is locked for others; a recall that finds an answer locks nothing.
CREATE FUNCTION ledger_data.recall(key text, arguments jsonb) RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_recall';
COMMENT ON FUNCTION ledger_data.recall(text, jsonb) IS
'the answer given to a call under this key, JSON null for none, or NULL if it has not been made; LG301 with other arguments';

CREATE FUNCTION ledger_data.remember(key text, arguments jsonb, answer jsonb, transfer bigint) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_remember';
COMMENT ON FUNCTION ledger_data.remember(text, jsonb, jsonb, bigint) IS 'notes the answer of a call under a key, after recall found none';

CREATE FUNCTION ledger_data.fingerprint(payload jsonb) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'ledger_fingerprint';
COMMENT ON FUNCTION ledger_data.fingerprint(jsonb) IS 'the SHA-256 of a jsonb''s canonical text, in hexadecimal';

CREATE FUNCTION ledger_data.use_nonce(client text, nonce text, expires_at timestamptz) RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_use_nonce';
COMMENT ON FUNCTION ledger_data.use_nonce(text, text, timestamptz) IS 'true the first time; waits for a transaction that is using it';

CREATE FUNCTION ledger_data.signature_window() RETURNS interval
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'ledger_signature_window';
COMMENT ON FUNCTION ledger_data.signature_window() IS 'the setting ledger.signature_window; LG901 where the library is not preloaded';

CREATE FUNCTION ledger_data.secrets_of(client text, OUT secret text, OUT previous text) RETURNS record
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_secrets_of';
COMMENT ON FUNCTION ledger_data.secrets_of(text) IS
'a client''s secrets as they are now, whatever the snapshot; NULL where there is none or it is no longer valid';

CREATE FUNCTION ledger_data.hmac_sha256(message bytea, secret bytea) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'ledger_hmac';
COMMENT ON FUNCTION ledger_data.hmac_sha256(bytea, bytea) IS 'HMAC-SHA256 (RFC 2104), in hexadecimal';

CREATE FUNCTION ledger_data.same_digest(one text, other text) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'ledger_same_digest';
COMMENT ON FUNCTION ledger_data.same_digest(text, text) IS 'compares digests in a time that does not tell where they differ';

-- Requests.

CREATE FUNCTION ledger.issue_request_token(scope text DEFAULT 'default', ttl interval DEFAULT '24 hours') RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_issue_request_token';
COMMENT ON FUNCTION ledger.issue_request_token(text, interval) IS
'A one-time token of 64 hexadecimal digits from 32 random bytes, to be the key of one ledger.begin_request(require_token => true) within ttl.';

CREATE FUNCTION ledger.begin_request(key text, payload jsonb DEFAULT NULL, scope text DEFAULT 'default', lease interval DEFAULT '5 minutes',
                                     ttl interval DEFAULT '24 hours', require_token boolean DEFAULT false,
                                     OUT state text, OUT response jsonb, OUT attempt integer) RETURNS record
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_begin_request';
COMMENT ON FUNCTION ledger.begin_request(text, jsonb, text, interval, interval, boolean) IS
'Asks whether to do a request''s work. new: do it, then complete_request or fail_request. in_progress: another caller has it. completed, failed: the response stored. Never waits for another transaction. Exactly one of any number of concurrent callers gets new. After lease, or a retryable failure, the next caller gets new with attempt + 1. ttl: kept at least so long. LG301: seen with another payload. LG303: no valid token, where one is required.';

CREATE FUNCTION ledger.complete_request(key text, response jsonb DEFAULT NULL, scope text DEFAULT 'default', attempt integer DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_complete_request';
COMMENT ON FUNCTION ledger.complete_request(text, jsonb, text, integer) IS
'Stores the response of a request in progress, for good. attempt: the one begin_request returned; without it the session that began the request is known, or any for a first attempt. LG302 unknown, LG304 not in progress, LG305 another attempt has begun since.';

CREATE FUNCTION ledger.fail_request(key text, error jsonb DEFAULT NULL, scope text DEFAULT 'default', retryable boolean DEFAULT true,
                                    attempt integer DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_fail_request';
COMMENT ON FUNCTION ledger.fail_request(text, jsonb, text, boolean, integer) IS
'Stores the failure of a request in progress. retryable: the next begin_request is new, with attempt + 1; otherwise it answers failed, with the error. Errors and attempt as for ledger.complete_request.';

CREATE FUNCTION ledger.accept_message(consumer text, message_id text) RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_accept_message';
COMMENT ON FUNCTION ledger.accept_message(text, text) IS
'The inbox: true the first time a consumer sees a message, false ever after, for ledger.key_ttl. Waits for a transaction that is accepting the same message.';

CREATE FUNCTION ledger.purge_requests(max integer DEFAULT 10000) RETURNS integer
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_purge_requests';
COMMENT ON FUNCTION ledger.purge_requests(integer) IS
'Forgets up to max requests, keys, messages, nonces and ended TCC transactions whose time is up; returns how many. What others are using is left for the next purge. Their keys are fresh again from commit. The worker does the same by itself.';

CREATE VIEW ledger.requests AS
SELECT CASE r.kind WHEN 1 THEN 'request' WHEN 2 THEN 'call' WHEN 3 THEN 'message' ELSE 'nonce' END AS kind,
       r.scope,
       CASE r.state WHEN 0 THEN pg_catalog.left(r.key, 8) || '...' ELSE r.key END AS key,
       CASE r.state WHEN 0 THEN 'issued' WHEN 1 THEN 'in_progress' WHEN 2 THEN 'completed' ELSE 'failed' END AS state,
       r.state = 3 AS retryable,
       r.attempt,
       CASE WHEN r.state = 1 THEN r.leased_until END AS leased_until,
       pg_catalog.encode(r.fingerprint, 'hex') AS fingerprint,
       r.arguments,
       r.response,
       NULLIF(r.transfer, 0) AS transfer_id,
       r.begun_at,
       r.expires_at
FROM ledger_data.request AS r;
COMMENT ON VIEW ledger.requests IS
'the registry: requests, calls under a key, messages of inboxes (scope: the consumer) and nonces (scope: the client). Of a token not used yet, key shows the beginning alone';

-- Signed requests.

CREATE FUNCTION ledger_data.check_client(client text, secret text) RETURNS void
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF client IS NULL OR pg_catalog.char_length(client) NOT BETWEEN 1 AND 255 OR client ~ '[[:cntrl:]]' THEN
        RAISE EXCEPTION 'a client''s name has 1 to 255 characters, none of them a control character' USING
            ERRCODE = CASE WHEN client IS NULL THEN 'null_value_not_allowed' ELSE 'invalid_parameter_value' END,
            HINT = 'For example ledger.add_client(''shop-web'').';
    ELSIF pg_catalog.char_length(secret) NOT BETWEEN 32 AND 255 THEN
        RAISE EXCEPTION 'a secret has 32 to 255 characters' USING
            ERRCODE = 'invalid_parameter_value',
            DETAIL = pg_catalog.format('The one given has %s.', pg_catalog.char_length(secret)),
            HINT = 'Leave it out, and one is made of 32 random bytes.';
    END IF;
END
$$;
COMMENT ON FUNCTION ledger_data.check_client(text, text) IS 'refuses names and secrets unfit for signing';

CREATE FUNCTION ledger_data.new_secret() RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_new_secret';
COMMENT ON FUNCTION ledger_data.new_secret() IS '64 hexadecimal digits of 32 random bytes';

CREATE FUNCTION ledger.add_client(client text, secret text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan  -- auto_explain shows the constants of a custom plan
AS $$
#variable_conflict use_column
DECLARE
    chosen text := COALESCE(secret, ledger_data.new_secret());
BEGIN
    PERFORM ledger_data.check_client(client, chosen);
    INSERT INTO ledger_data.client (client, secret, added_at)
        VALUES (add_client.client, chosen, pg_catalog.clock_timestamp())
        ON CONFLICT ON CONSTRAINT client_pkey DO NOTHING;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'client "%" already exists', add_client.client USING
            ERRCODE = 'duplicate_object', HINT = 'Change its secret with ledger.rotate_client().';
    END IF;
    RETURN chosen;
END
$$;
COMMENT ON FUNCTION ledger.add_client(text, text) IS
'Registers a client that signs its requests and returns its secret, which is shown this once; made of 32 random bytes where none is given (32 to 255 characters). 42710 where the client exists.';

CREATE FUNCTION ledger.rotate_client(client text, secret text DEFAULT NULL, overlap interval DEFAULT '24 hours') RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan  -- auto_explain shows the constants of a custom plan
AS $$
#variable_conflict use_column
DECLARE
    chosen text := COALESCE(secret, ledger_data.new_secret());
BEGIN
    PERFORM ledger_data.check_client(client, chosen);
    IF overlap IS NULL OR overlap < '0'::interval OR overlap > '1 year'::interval THEN
        RAISE EXCEPTION 'an overlap of % is out of range', overlap USING
            ERRCODE = 'invalid_parameter_value', HINT = 'Give an interval from 0 to 1 year.';
    END IF;
    UPDATE ledger_data.client AS c
        SET secret = chosen, previous = c.secret, previous_until = pg_catalog.clock_timestamp() + overlap
        WHERE c.client = rotate_client.client;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'client "%" does not exist', rotate_client.client USING
            ERRCODE = 'undefined_object', HINT = 'Add it with ledger.add_client().';
    END IF;
    RETURN chosen;
END
$$;
COMMENT ON FUNCTION ledger.rotate_client(text, text, interval) IS
'Gives a client a new secret and returns it; the one before stays valid for overlap (0 to 1 year), any older one ends now. 42704 for an unknown client.';

CREATE FUNCTION ledger.remove_client(client text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    DELETE FROM ledger_data.client AS c WHERE c.client = remove_client.client;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'client "%" does not exist', remove_client.client USING
            ERRCODE = 'undefined_object', HINT = 'It may have been removed already.';
    END IF;
END
$$;
COMMENT ON FUNCTION ledger.remove_client(text) IS 'Ends a client and its secrets. 42704 for an unknown client.';

-- In plpgsql, whose simple expressions no statement is run for: auto_explain would show its parameters.
CREATE FUNCTION ledger.sign_request(client text, payload text, signed_at timestamptz, nonce text, secret text) RETURNS text
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
BEGIN
    RETURN ledger_data.hmac_sha256(
        pg_catalog.convert_to(pg_catalog.concat_ws(E'\n', 'ledger-request-v1', client,
            pg_catalog.to_char(signed_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), nonce,
            pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(payload, 'UTF8')), 'hex')), 'UTF8'),
        pg_catalog.convert_to(secret, 'UTF8'));
END
$$;
COMMENT ON FUNCTION ledger.sign_request(text, text, timestamptz, text, text) IS
'The signature of a request, 64 hexadecimal digits: HMAC-SHA256 by the secret of five lines joined by newlines: ledger-request-v1, the client, the time in UTC as 2025-12-31T23:59:59.123456Z, the nonce, and the SHA-256 of the payload in lower-case hexadecimal.';

CREATE FUNCTION ledger.verify_signed_request(client text, payload text, signed_at timestamptz, nonce text, signature text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    signer  record;
    allowed interval := ledger_data.signature_window();
    now     timestamptz := pg_catalog.clock_timestamp();
    valid   boolean;
BEGIN
    IF client IS NULL OR payload IS NULL OR signed_at IS NULL OR nonce IS NULL OR signature IS NULL THEN
        RAISE EXCEPTION 'a signed request needs a client, a payload, a time, a nonce and a signature' USING
            ERRCODE = 'null_value_not_allowed', HINT = 'Give every argument a value.';
    ELSIF pg_catalog.char_length(nonce) NOT BETWEEN 1 AND 255 OR nonce ~ '[[:cntrl:]]' THEN
        RAISE EXCEPTION 'a nonce has 1 to 255 characters, none of them a control character' USING
            ERRCODE = 'invalid_parameter_value', HINT = 'Use a UUID, a new one for each request.';
    END IF;
    -- An unknown client takes the same way and fails with the same words.
    SELECT x.secret, x.previous INTO signer FROM ledger_data.secrets_of(client) AS x;
    valid := ledger_data.same_digest(signature, ledger.sign_request(client, payload, signed_at, nonce, COALESCE(signer.secret, '')))
             AND signer.secret IS NOT NULL;
    valid := ledger_data.same_digest(signature, ledger.sign_request(client, payload, signed_at, nonce, COALESCE(signer.previous, '')))
             AND signer.previous IS NOT NULL OR valid;
    IF valid IS NOT TRUE THEN
        PERFORM ledger_data.refuse('invalid_signature',
            pg_catalog.format('the signature is not one of client "%s"', pg_catalog.left(client, 64)),
            'The client is unknown, its secret is another, or what was signed differs from what was given.',
            'See docs/idempotency.md for what is signed; ledger.sign_request() signs in SQL.');
    ELSIF signed_at < now - allowed OR signed_at > now + allowed THEN
        PERFORM ledger_data.refuse('replayed_request',
            pg_catalog.format('the request of client "%s" was signed outside the time window', client),
            pg_catalog.format('It was signed at %s; the window is %s around %s.', signed_at, allowed, now),
            'Sign again with the present time and a new nonce, and keep the client''s clock right.');
    -- Kept for a day past its window: a clock that is set back meets it again.
    ELSIF NOT ledger_data.use_nonce(client, nonce, signed_at + allowed + '24 hours'::interval) THEN
        PERFORM ledger_data.refuse('replayed_request',
            pg_catalog.format('nonce "%s" of client "%s" has been used', pg_catalog.left(nonce, 64), client), NULL,
            'A request is accepted once; sign a new one with a new nonce.');
    END IF;
    RETURN true;
END
$$;
COMMENT ON FUNCTION ledger.verify_signed_request(text, text, timestamptz, text, text) IS
'Accepts a signed request once: true, or LG307 for a wrong signature or client, LG306 outside ledger.signature_window or for a nonce used before. See ledger.sign_request for what is signed. The nonce is used if the transaction commits; waits for one that is using it.';

-- sql/account.sql

-- Assets and accounts.

-- Internals in C++: ids, amounts and names as the engine understands them.
CREATE FUNCTION ledger_data.next_id() RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_next_id';
COMMENT ON FUNCTION ledger_data.next_id() IS 'the next time-ordered id of this transaction''s lane';

CREATE FUNCTION ledger_data.minor_units(amount numeric, scale integer) RETURNS bigint
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'ledger_minor_units';
COMMENT ON FUNCTION ledger_data.minor_units(numeric, integer) IS 'an amount in minor units, exact or LG006; any sign, zero included';

CREATE FUNCTION ledger_data.account_id(code text) RETURNS bigint
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'ledger_account_id';
COMMENT ON FUNCTION ledger_data.account_id(text) IS 'the id of the account of that code, or LG002';

CREATE FUNCTION ledger_data.refuse(condition text, message text, detail text, hint text) RETURNS void
    LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'ledger_refuse';
COMMENT ON FUNCTION ledger_data.refuse(text, text, text, text) IS 'raises one of the ledger''s conditions by name';

CREATE FUNCTION ledger.create_asset(code text, scale integer DEFAULT 0, description text DEFAULT NULL, key text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    existing ledger_data.asset%ROWTYPE;
    call     jsonb;
BEGIN
    IF key IS NOT NULL THEN
        call := pg_catalog.jsonb_build_object('function', 'create_asset', 'code', code, 'scale', scale, 'description', description);
        IF ledger_data.recall(key, call) IS NOT NULL THEN
            RETURN;
        END IF;
    END IF;
    IF code IS NULL OR scale IS NULL THEN
        RAISE EXCEPTION 'an asset needs a code and a scale' USING
            ERRCODE = 'null_value_not_allowed', HINT = 'For example ledger.create_asset(''USD'', 2).';
    ELSIF pg_catalog.char_length(code) NOT BETWEEN 1 AND 64 THEN
        RAISE EXCEPTION 'an asset code has 1 to 64 characters' USING
            ERRCODE = 'invalid_parameter_value',
            DETAIL = pg_catalog.format('The code given has %s characters.', pg_catalog.char_length(code)),
            HINT = 'Use the currency''s code, such as USD.';
    ELSIF scale NOT BETWEEN 0 AND 18 THEN
        RAISE EXCEPTION 'the scale of asset "%" must be between 0 and 18', code USING
            ERRCODE = 'invalid_parameter_value',
            DETAIL = pg_catalog.format('The scale given is %s.', scale),
            HINT = 'The scale is the number of decimal places: 2 for USD, 0 for JPY.';
    END IF;
    INSERT INTO ledger_data.asset (id, scale, code, unit, description)
        VALUES (ledger_data.next_id(), create_asset.scale, create_asset.code,
                ('1e-' || create_asset.scale)::numeric, create_asset.description)
        ON CONFLICT ON CONSTRAINT asset_code_key DO NOTHING;
    IF NOT FOUND THEN
        SELECT a.* INTO STRICT existing FROM ledger_data.asset AS a WHERE a.code = create_asset.code;
        IF existing.scale <> create_asset.scale OR existing.description IS DISTINCT FROM create_asset.description THEN
            RAISE EXCEPTION 'asset "%" already exists and differs', code USING
                ERRCODE = 'duplicate_object',
                DETAIL = pg_catalog.format('It has scale %s and description %L.', existing.scale, existing.description),
                HINT = 'An asset cannot be changed; choose another code.';
        END IF;
    END IF;
    IF key IS NOT NULL THEN
        PERFORM ledger_data.remember(key, call, NULL::jsonb, 0::bigint);
    END IF;
END
$$;
COMMENT ON FUNCTION ledger.create_asset(text, integer, text, text) IS
'Registers a unit of value. scale: decimal places, 0 to 18 (CNY 2, JPY 0, BTC 8). Repeating it identically is no error; with another scale or description it is 42710.';

CREATE FUNCTION ledger.open_account(code text, asset text, floor numeric DEFAULT 0, ceiling numeric DEFAULT NULL, metadata jsonb DEFAULT '{}', key text DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    unit  ledger_data.asset%ROWTYPE;
    lower bigint;
    upper bigint;
    opened bigint;
    call   jsonb;
    answer jsonb;
BEGIN
    IF key IS NOT NULL THEN
        call := pg_catalog.jsonb_build_object('function', 'open_account', 'code', code, 'asset', asset, 'floor', floor,
                                              'ceiling', ceiling, 'metadata', ledger_data.fingerprint(metadata));
        answer := ledger_data.recall(key, call);
        IF answer IS NOT NULL THEN
            RETURN answer::bigint;
        END IF;
    END IF;
    IF code IS NULL OR asset IS NULL THEN
        RAISE EXCEPTION 'an account needs a code and an asset' USING
            ERRCODE = 'null_value_not_allowed', HINT = 'For example ledger.open_account(''alice'', ''USD'').';
    ELSIF pg_catalog.char_length(code) NOT BETWEEN 1 AND 255 THEN
        RAISE EXCEPTION 'an account code has 1 to 255 characters' USING
            ERRCODE = 'invalid_parameter_value',
            DETAIL = pg_catalog.format('The code given has %s characters.', pg_catalog.char_length(code)),
            HINT = 'Put longer names into metadata.';
    END IF;
    SELECT a.* INTO unit FROM ledger_data.asset AS a WHERE a.code = open_account.asset;
    IF NOT FOUND THEN
        PERFORM ledger_data.refuse('unknown_asset',
            pg_catalog.format('asset "%s" does not exist', pg_catalog.left(asset, 64)), NULL,
            'Create it with ledger.create_asset().');
    END IF;
    lower := COALESCE(ledger_data.minor_units(floor, unit.scale), -9223372036854775807);
    upper := COALESCE(ledger_data.minor_units(ceiling, unit.scale), 9223372036854775807);
    IF lower > 0 OR upper < 0 THEN
        RAISE EXCEPTION 'the limits of account "%" exclude its opening balance', code USING
            ERRCODE = 'invalid_parameter_value',
            DETAIL = pg_catalog.format('An account opens at zero; floor %s, ceiling %s.',
                                       COALESCE(floor::text, 'none'), COALESCE(ceiling::text, 'none')),
            HINT = 'The floor must be zero or negative and the ceiling zero or positive; NULL means unbounded.';
    END IF;
    INSERT INTO ledger_data.account (id, asset, floor, ceiling, opened_at, state, code, metadata)
        VALUES (ledger_data.next_id(), unit.id, lower, upper, pg_catalog.clock_timestamp(), 0::smallint,
                open_account.code, COALESCE(open_account.metadata, '{}'::jsonb))
        ON CONFLICT ON CONSTRAINT account_code_key DO NOTHING
        RETURNING id INTO opened;
    IF opened IS NULL THEN
        PERFORM ledger_data.refuse('account_exists',
            pg_catalog.format('account "%s" already exists', code), NULL,
            'Choose another code, or change its limits with ledger.alter_account().');
    END IF;
    IF key IS NOT NULL THEN
        PERFORM ledger_data.remember(key, call, pg_catalog.to_jsonb(opened), 0::bigint);
    END IF;
    RETURN opened;
END
$$;
COMMENT ON FUNCTION ledger.open_account(text, text, numeric, numeric, jsonb, text) IS
'Opens an account of 1 to 255 characters'' code in an asset and returns its id. floor and ceiling bound its balance, in natural units; NULL means unbounded (a system account). LG003 where it exists, LG008 for an unknown asset. Repeated under its key it returns the same id.';

CREATE FUNCTION ledger.alter_account(code text, floor numeric DEFAULT 'NaN', ceiling numeric DEFAULT 'NaN', metadata jsonb DEFAULT NULL, key text DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_alter_account';
COMMENT ON FUNCTION ledger.alter_account(text, numeric, numeric, jsonb, text) IS
'Changes what is named: alter_account(''alice'', floor => -100). A limit left out (NaN) stays, NULL removes it; metadata left out or NULL stays. A limit the balance is already past is refused (LG001, LG005, or LG009 while transactions are in flight). A stricter limit holds for everybody at once, a looser one from commit. Waits for another change of the same account. Repeated under its key it changes nothing.';

CREATE FUNCTION ledger.freeze_account(code text, key text DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_freeze_account';
COMMENT ON FUNCTION ledger.freeze_account(text, text) IS
'Refuses every later movement into or out of the account (LG004), for everybody at once; transfers already made in open transactions may still commit. Freezing twice is no error.';

CREATE FUNCTION ledger.unfreeze_account(code text, key text DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_unfreeze_account';
COMMENT ON FUNCTION ledger.unfreeze_account(text, text) IS
'Lets a frozen account move again, from commit. An open account is left as it is; a closed one is LG004.';

CREATE FUNCTION ledger.close_account(code text, key text DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_close_account';
COMMENT ON FUNCTION ledger.close_account(text, text) IS
'Closes an account for ever. Its balance must be zero (LG012 otherwise) with no transaction in flight (LG009).';

-- sql/transfer.sql

-- Transfers. All of them go through the engine's one way (src/engine/post.cpp).

CREATE FUNCTION ledger.transfer(source text, destination text, amount numeric, key text DEFAULT NULL, metadata jsonb DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_transfer';
COMMENT ON FUNCTION ledger.transfer(text, text, numeric, text, jsonb) IS
'Moves amount (natural units, exact) from source to destination and returns the transfer''s id, or raises: LG001 short, LG009 short only because of transactions in flight, LG002 unknown account, LG004 not open, LG005 over the ceiling, LG006 amount, LG007 assets differ. Locks no row and waits for nobody. key: made once, repeated it returns the same id; LG301 with other arguments.';

CREATE FUNCTION ledger.try_transfer(source text, destination text, amount numeric, key text DEFAULT NULL, metadata jsonb DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_try_transfer';
COMMENT ON FUNCTION ledger.try_transfer(text, text, numeric, text, jsonb) IS
'As ledger.transfer, but NULL where the source cannot cover the amount now; raises on everything else. Under a key NULL is an answer too, and stays NULL.';

CREATE FUNCTION ledger.transfer_batch(sources text[], destinations text[], amounts numeric[], keys text[] DEFAULT NULL, atomic boolean DEFAULT true,
                                      OUT ordinal integer, OUT transfer_id bigint, OUT status text) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1000 AS 'MODULE_PATHNAME', 'ledger_transfer_batch';
COMMENT ON FUNCTION ledger.transfer_batch(text[], text[], numeric[], text[], boolean) IS
'Makes many transfers, in order, in one call. atomic: all, or an error that names the first failing ordinal (from 1). Otherwise each on its own: status is ok or the condition''s name (insufficient_balance, unknown_account, ...). The arrays have one length. keys: an element whose key was used is a duplicate, with the id made then.';

CREATE FUNCTION ledger.transfer_up_to(source text, destination text, maximum numeric, key text DEFAULT NULL, metadata jsonb DEFAULT NULL,
                                      OUT transfer_id bigint, OUT amount numeric) RETURNS record
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_transfer_up_to';
COMMENT ON FUNCTION ledger.transfer_up_to(text, text, numeric, text, jsonb) IS
'Moves as much as the source can give and the destination can take now, up to maximum (a sweep). NULL and 0 where that is nothing. Repeated under its key it returns what it did.';

CREATE FUNCTION ledger_data.post_reversal(source bigint, destination bigint, amount bigint, ref bigint, metadata jsonb) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_post_reversal';
COMMENT ON FUNCTION ledger_data.post_reversal(bigint, bigint, bigint, bigint, jsonb) IS 'posts a transfer of kind reversal between account ids';

CREATE FUNCTION ledger.reverse_transfer(transfer_id bigint, key text DEFAULT NULL, reason text DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    original ledger_data.transfer%ROWTYPE;
    reversed bigint;
    call     jsonb;
    answer   jsonb;
BEGIN
    IF key IS NOT NULL THEN
        call := pg_catalog.jsonb_build_object('function', 'reverse_transfer', 'transfer_id', transfer_id, 'reason', reason);
        answer := ledger_data.recall(key, call);
        IF answer IS NOT NULL THEN
            RETURN answer::bigint;
        END IF;
    END IF;
    IF transfer_id IS NULL THEN
        RAISE EXCEPTION 'the transfer to reverse is null' USING
            ERRCODE = 'null_value_not_allowed', HINT = 'Give the id that ledger.transfer() returned.';
    END IF;
    SELECT t.* INTO original FROM ledger_data.transfer AS t WHERE t.id = reverse_transfer.transfer_id
        FOR NO KEY UPDATE;  -- one reversal at a time: a concurrent one is waited for
    IF NOT FOUND THEN
        PERFORM ledger_data.refuse('unknown_transfer',
            pg_catalog.format('transfer %s does not exist', transfer_id), NULL,
            'Look it up in the view ledger.transfers.');
    END IF;
    IF original.kind IN (2, 4) THEN
        RAISE EXCEPTION 'transfer % moved nothing that could be reversed', transfer_id USING
            ERRCODE = 'invalid_parameter_value',
            DETAIL = CASE original.kind WHEN 2 THEN 'It is a hold.' ELSE 'It gave back what a hold had set aside.' END,
            HINT = 'A hold is given back with ledger.void_hold(); what it posted is a transfer of its own.';
    END IF;
    SELECT r.reversal INTO reversed FROM ledger_data.reversal AS r WHERE r.transfer = original.id;
    IF FOUND THEN
        PERFORM ledger_data.refuse('transfer_already_reversed',
            pg_catalog.format('transfer %s has already been reversed', transfer_id),
            pg_catalog.format('Transfer %s reversed it.', reversed),
            'A transfer is reversed once; to move the amount again, make a new transfer.');
    END IF;
    reversed := ledger_data.post_reversal(original.credit_account, original.debit_account, original.amount, original.id,
        CASE WHEN reason IS NULL THEN NULL ELSE pg_catalog.jsonb_build_object('reason', reason) END);
    -- In an older snapshot than the other reversal: 40001.
    INSERT INTO ledger_data.reversal (transfer, reversal) VALUES (original.id, reversed)
        ON CONFLICT ON CONSTRAINT reversal_pkey DO NOTHING;
    IF key IS NOT NULL THEN
        PERFORM ledger_data.remember(key, call, pg_catalog.to_jsonb(reversed), reversed);
    END IF;
    RETURN reversed;
END
$$;
COMMENT ON FUNCTION ledger.reverse_transfer(bigint, text, text) IS
'Makes the opposite movement of a transfer, linked to it (kind reversal, ref), and returns its id. Once: LG011 afterwards; LG010 for an unknown transfer, 22023 for a hold or a void, which moved nothing. Limits apply as to any transfer: LG001 where the destination no longer has the amount. Repeated under its key it returns the same id.';

-- sql/hold.sql

-- Holds: an amount set aside now, and posted, voided or expired later, once.

CREATE FUNCTION ledger.hold(source text, destination text, amount numeric, ttl interval DEFAULT NULL, key text DEFAULT NULL,
                            metadata jsonb DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_hold';
COMMENT ON FUNCTION ledger.hold(text, text, numeric, interval, text, jsonb) IS
'Sets amount (natural units, exact) of source aside for destination and returns the hold''s id. Until it is resolved source cannot spend it, and it counts towards destination''s ceiling; neither balance changes. ttl: from then on it cannot be posted and is given back (NULL: it stays until it is resolved). Errors as for ledger.transfer; 22023 for a ttl that is not positive or beyond 100 years. Locks no account. Repeated under its key it returns the same id.';

CREATE FUNCTION ledger.post_hold(hold bigint, amount numeric DEFAULT NULL, key text DEFAULT NULL, final boolean DEFAULT true) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_post_hold';
COMMENT ON FUNCTION ledger.post_hold(bigint, numeric, text, boolean) IS
'Moves what is held, or amount of it, to the destination and returns the transfer''s id. final: the rest is given back and the hold is resolved; otherwise the rest stays held for further posts, until nothing remains. LG101 unknown, LG102 posted already, LG103 voided, LG104 expired, LG105 more than remains, LG106 of a TCC transaction, LG004 a frozen account, LG006 amount. Waits for another session that is resolving the hold. Repeated under its key it returns the same id.';

CREATE FUNCTION ledger.void_hold(hold bigint, key text DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_void_hold';
COMMENT ON FUNCTION ledger.void_hold(bigint, text) IS
'Gives back what remains of a hold; returns the id of the transfer that says so. Goes through frozen accounts: it moves nothing. LG101 unknown, LG102 posted already, LG103 voided already, LG104 expired, LG106 of a TCC transaction. Waits for another session that is resolving the hold. Repeated under its key it returns the same id.';

CREATE FUNCTION ledger.expire_holds(max integer DEFAULT 1000) RETURNS integer
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_expire_holds';
COMMENT ON FUNCTION ledger.expire_holds(integer) IS
'Gives back up to max holds past their ttl; returns how many. Those that others are resolving are left to them. The worker does the same by itself; and a call that is short of balance first expires that account''s.';

CREATE VIEW ledger.holds AS
SELECT h.transfer AS id,
       d.code AS source,
       c.code AS destination,
       s.code AS asset,
       h.amount * s.unit AS amount,
       h.posted * s.unit AS posted,
       CASE h.state WHEN 1 THEN h.amount - h.posted ELSE 0 END * s.unit AS remaining,
       CASE h.state WHEN 1 THEN CASE WHEN h.due_at <= pg_catalog.clock_timestamp() THEN 'overdue' ELSE 'open' END
                    WHEN 2 THEN 'posted' WHEN 3 THEN 'voided' ELSE 'expired' END AS state,
       CASE WHEN h.due_at < 'infinity' THEN h.due_at END AS expires_at,
       b.xid,
       t.created_at,
       t.metadata
FROM ledger_data.hold AS h
JOIN ledger_data.transfer AS t ON t.id = h.transfer
JOIN ledger_data.account AS d ON d.id = h.debit_account
JOIN ledger_data.account AS c ON c.id = h.credit_account
JOIN ledger_data.asset AS s ON s.id = d.asset
LEFT JOIN ledger_data.tcc_branch AS b ON h.is_branch AND b.hold = h.transfer;
COMMENT ON VIEW ledger.holds IS
'holds in natural units: open, overdue (past the ttl and not expired yet), posted, voided or expired; expires_at: of open ones with a ttl; xid: the TCC transaction it is a branch of; what became of each part is in ledger.transfers, with ref the hold''s id';

-- sql/tcc.sql

-- TCC: Try (freeze), Confirm, Cancel. The row in ledger_data.tcc is the fence: it
-- makes repetitions harmless, and refuses what comes after the decision.

CREATE FUNCTION ledger.tcc_begin(xid text, timeout interval DEFAULT '60 seconds', metadata jsonb DEFAULT NULL) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_tcc_begin';
COMMENT ON FUNCTION ledger.tcc_begin(text, interval, jsonb) IS
'Opens a TCC transaction named xid (1 to 255 characters) and returns trying; repeated, it changes nothing and returns the state. timeout: from then on it is canceled and cannot be confirmed (NULL: an outside coordinator alone decides). LG202 where a cancel came first, LG204 with other metadata, LG205 past the timeout.';

CREATE FUNCTION ledger.tcc_freeze(xid text, branch text, source text, destination text, amount numeric) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_tcc_freeze';
COMMENT ON FUNCTION ledger.tcc_freeze(text, text, text, text, numeric) IS
'Try: holds amount of source for destination as a branch of the transaction, and returns frozen; repeated, it changes nothing. LG201 unknown transaction, LG202 canceled, LG203 confirmed, LG204 tried with other arguments, LG205 timed out; what forbids a hold (LG001 and so on) leaves the transaction as it was. Waits for others at the same transaction.';

CREATE FUNCTION ledger.tcc_freeze_stock(xid text, branch text, sku text, quantity bigint) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_tcc_freeze_stock';
COMMENT ON FUNCTION ledger.tcc_freeze_stock(text, text, text, bigint) IS
'Try for stock: reserves quantity of a SKU as a branch of the transaction. As ledger.tcc_freeze.';

CREATE FUNCTION ledger.tcc_confirm(xid text) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_tcc_confirm';
COMMENT ON FUNCTION ledger.tcc_confirm(text) IS
'Confirm: posts every branch, all or none, and returns confirmed; repeated, it changes nothing. Where an account is frozen it posts nothing and returns confirming: the decision stands, nothing expires any more, and the worker tries again until it is confirmed. LG201 unknown, LG202 canceled, LG205 timed out. Waits for others at the same transaction.';

CREATE FUNCTION ledger.tcc_cancel(xid text) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_tcc_cancel';
COMMENT ON FUNCTION ledger.tcc_cancel(text) IS
'Cancel: gives back every branch and returns canceled; repeated, it changes nothing. Of an unknown transaction it is noted, and a Try that comes later is refused (LG202). LG203 confirmed. Waits for others at the same transaction.';

CREATE FUNCTION ledger.tcc_confirm_branch(xid text, branch text) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_tcc_confirm_branch';
COMMENT ON FUNCTION ledger.tcc_confirm_branch(text, text) IS
'For an outside coordinator (Seata, DTM): posts one branch and returns confirmed; repeated, it changes nothing. It decides for the whole transaction: from then on no branch can be tried or canceled, or times out; past the timeout the worker confirms the rest. LG201 unknown transaction or branch, LG202 canceled, LG205 timed out, LG004 a frozen account.';

CREATE FUNCTION ledger.tcc_cancel_branch(xid text, branch text) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_tcc_cancel_branch';
COMMENT ON FUNCTION ledger.tcc_cancel_branch(text, text) IS
'For an outside coordinator: gives back one branch and returns canceled; repeated, or before its Try or tcc_begin came, it changes nothing but the decision: from then on no branch can be tried or confirmed (LG202); past the timeout the worker cancels the rest. LG203 confirmed.';

CREATE FUNCTION ledger.tcc_expire(max integer DEFAULT 1000) RETURNS integer
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_tcc_expire';
COMMENT ON FUNCTION ledger.tcc_expire(integer) IS
'Cancels up to max transactions past their timeout, and goes on with those that are decided but not done; returns how many have ended by it. Those that others are at are left to them. The worker does the same by itself.';

CREATE VIEW ledger.tcc_branches AS
SELECT b.xid,
       b.branch,
       CASE h.state WHEN 1 THEN 'frozen' WHEN 2 THEN 'confirmed' WHEN 3 THEN 'canceled' ELSE 'expired' END AS state,
       d.code AS source,
       c.code AS destination,
       s.code AS asset,
       h.amount * s.unit AS amount,
       b.hold,
       b.tried_at
FROM ledger_data.tcc_branch AS b
JOIN ledger_data.hold AS h ON h.transfer = b.hold
JOIN ledger_data.account AS d ON d.id = h.debit_account
JOIN ledger_data.account AS c ON c.id = h.credit_account
JOIN ledger_data.asset AS s ON s.id = d.asset;
COMMENT ON VIEW ledger.tcc_branches IS 'branches of TCC transactions: frozen, confirmed, canceled, or expired by the timeout';

CREATE VIEW ledger.tcc_transactions AS
SELECT g.xid,
       CASE g.state WHEN 1 THEN CASE WHEN g.expires_at <= pg_catalog.clock_timestamp() THEN 'overdue' ELSE 'trying' END
                    WHEN 2 THEN 'confirming' WHEN 3 THEN 'confirmed' WHEN 4 THEN 'canceling' WHEN 5 THEN 'canceled'
                    ELSE 'timed_out' END AS state,
       LEAST(g.ended_at, pg_catalog.clock_timestamp()) - g.begun_at AS age,
       b.branches,
       b.frozen,
       NULLIF(g.expires_at, 'infinity') AS expires_at,
       CASE WHEN g.ended_at = 'infinity' AND g.due_at < 'infinity' THEN g.due_at END AS next_at,
       g.attempts,
       g.last_error,
       g.begun_at,
       NULLIF(g.ended_at, 'infinity') AS ended_at,
       g.metadata
FROM ledger_data.tcc AS g
CROSS JOIN LATERAL (SELECT pg_catalog.count(*) AS branches, pg_catalog.count(*) FILTER (WHERE h.state = 1) AS frozen
                    FROM ledger_data.tcc_branch AS x
                    JOIN ledger_data.hold AS h ON h.transfer = x.hold
                    WHERE x.xid = g.xid) AS b;
COMMENT ON VIEW ledger.tcc_transactions IS
'TCC transactions: trying, overdue (past the timeout, not canceled yet), confirming and canceling (decided, with branches still frozen), confirmed, canceled, timed_out; age: until the end or now; branches and how many of them are frozen; expires_at: its timeout; next_at: when the worker is next to see to it; attempts that failed, and why the last one did';

-- sql/balance.sql

-- Reads. All are exact in the caller's snapshot: an account's folded totals
-- plus the visible transfers past the folded horizon, and work without the
-- library preloaded and on a standby.

-- Totals in minor units, one row an account. numeric: lifetime turnover has no
-- limit. OFFSET 0 keeps the planner from merging the sums into a larger query,
-- where it might compute them for every account to find one. txid has an upper end,
-- which is that of the type, because the planner takes a range for a small part of the
-- table, as a tail is; for half of one it would read the whole table, or compile the query.
CREATE VIEW ledger_data.position AS
SELECT a.id AS account, totals.debits, totals.credits, totals.held, totals.incoming
FROM ledger_data.account AS a
CROSS JOIN LATERAL (
    SELECT COALESCE(b.debits_posted, 0) + COALESCE(d.posted, 0) AS debits,
           COALESCE(b.credits_posted, 0) + COALESCE(c.posted, 0) AS credits,
           COALESCE(b.debits_pending, 0) + COALESCE(d.pending, 0) AS held,
           COALESCE(b.credits_pending, 0) + COALESCE(c.pending, 0) AS incoming
    FROM (SELECT a.id) AS x
    LEFT JOIN ledger_data.balance AS b ON b.account = x.id
    CROSS JOIN LATERAL (SELECT pg_catalog.sum(t.amount) FILTER (WHERE t.kind IN (1, 3, 5)) AS posted,
                               pg_catalog.sum(CASE t.kind WHEN 2 THEN t.amount ELSE -t.amount END) FILTER (WHERE t.kind IN (2, 3, 4)) AS pending
                        FROM ledger_data.transfer AS t
                        WHERE t.debit_account = x.id AND t.txid >= COALESCE(b.folded_xid, 0) AND t.txid < 9223372036854775807) AS d
    CROSS JOIN LATERAL (SELECT pg_catalog.sum(t.amount) FILTER (WHERE t.kind IN (1, 3, 5)) AS posted,
                               pg_catalog.sum(CASE t.kind WHEN 2 THEN t.amount ELSE -t.amount END) FILTER (WHERE t.kind IN (2, 3, 4)) AS pending
                        FROM ledger_data.transfer AS t
                        WHERE t.credit_account = x.id AND t.txid >= COALESCE(b.folded_xid, 0) AND t.txid < 9223372036854775807) AS c
    OFFSET 0) AS totals;
COMMENT ON VIEW ledger_data.position IS 'exact posted debits and credits of each account, what its holds set aside and what is held for it, in minor units';

-- The words for a kind, and what a transfer of it adds to what is posted and pending (src/core/kind.hpp).
CREATE VIEW ledger_data.weight AS
SELECT w.kind, w.name, w.posted, w.pending
FROM (VALUES (1::smallint, 'posted', 1, 0), (2::smallint, 'pending', 0, 1), (3::smallint, 'post', 1, -1),
             (4::smallint, 'void', 0, -1), (5::smallint, 'reversal', 1, 0)) AS w (kind, name, posted, pending);
COMMENT ON VIEW ledger_data.weight IS 'the kinds of transfers';

CREATE VIEW ledger.accounts AS
SELECT a.code AS account,
       s.code AS asset,
       (p.credits - p.debits) * s.unit AS posted,
       p.held * s.unit AS held,
       p.incoming * s.unit AS incoming,
       CASE WHEN a.floor > -9223372036854775807 THEN (p.credits - p.debits - p.held - a.floor) * s.unit END AS available,
       CASE WHEN a.floor > -9223372036854775807 THEN a.floor * s.unit END AS floor,
       CASE WHEN a.ceiling < 9223372036854775807 THEN a.ceiling * s.unit END AS ceiling,
       CASE a.state WHEN 0 THEN 'open' WHEN 1 THEN 'frozen' ELSE 'closed' END AS state,
       a.opened_at,
       a.metadata
FROM ledger_data.account AS a
JOIN ledger_data.asset AS s ON s.id = a.asset
JOIN ledger_data.position AS p ON p.account = a.id;
COMMENT ON VIEW ledger.accounts IS 'accounts with their exact balances in natural units; held: set aside by open holds; incoming: held for the account; available is posted less held less floor, NULL where the floor is unbounded';

CREATE VIEW ledger.transfers AS
SELECT t.id,
       w.name AS kind,
       d.code AS source,
       c.code AS destination,
       s.code AS asset,
       t.amount * s.unit AS amount,
       NULLIF(t.ref, 0) AS ref,
       t.txid,
       t.created_at,
       t.metadata
FROM ledger_data.transfer AS t
JOIN ledger_data.weight AS w ON w.kind = t.kind
JOIN ledger_data.account AS d ON d.id = t.debit_account
JOIN ledger_data.account AS c ON c.id = t.credit_account
JOIN ledger_data.asset AS s ON s.id = d.asset;
COMMENT ON VIEW ledger.transfers IS 'transfers in natural units with account codes; kind: posted, pending (a hold), post and void (of the hold in ref), reversal (of the transfer in ref); a transfer debits its source and credits its destination';

CREATE VIEW ledger.entries AS
SELECT t.id AS transfer_id, e.account, t.asset, e.amount, e.counterparty, t.kind, t.created_at
FROM ledger.transfers AS t
CROSS JOIN LATERAL (VALUES (t.source, -t.amount, t.destination),
                           (t.destination, t.amount, t.source)) AS e (account, amount, counterparty)
WHERE t.kind NOT IN ('pending', 'void');
COMMENT ON VIEW ledger.entries IS 'double entry: two rows a transfer that moved value (holds and voids move none), the source''s negative and the destination''s positive';

CREATE FUNCTION ledger.balance(INOUT account text, OUT asset text, OUT posted numeric, OUT held numeric,
                               OUT incoming numeric, OUT available numeric)
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'ledger_balance';
COMMENT ON FUNCTION ledger.balance(text) IS
'The account''s balance, exact in the caller''s snapshot, in natural units: posted = credits - debits; held: set aside by open holds, overdue ones too until they are expired; incoming: held for the account; available = posted - held - floor (NULL: unbounded). LG002 for an unknown account.';

CREATE FUNCTION ledger.balance_at(account text, at timestamptz) RETURNS numeric
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan  -- the account decides between its index and the whole table
AS $$
#variable_conflict use_column
DECLARE
    subject bigint;
    result  numeric;
BEGIN
    IF balance_at.at IS NULL THEN
        RAISE EXCEPTION 'the time of the balance is null' USING
            ERRCODE = 'null_value_not_allowed', HINT = 'For the present balance use ledger.balance().';
    END IF;
    subject := ledger_data.account_id(balance_at.account);
    SELECT (COALESCE((SELECT pg_catalog.sum(t.amount) FROM ledger_data.transfer AS t
                      WHERE t.credit_account = subject AND t.kind IN (1, 3, 5) AND t.created_at <= balance_at.at), 0)
          - COALESCE((SELECT pg_catalog.sum(t.amount) FROM ledger_data.transfer AS t
                      WHERE t.debit_account = subject AND t.kind IN (1, 3, 5) AND t.created_at <= balance_at.at), 0)) * s.unit
    INTO STRICT result
    FROM ledger_data.account AS a
    JOIN ledger_data.asset AS s ON s.id = a.asset
    WHERE a.id = subject;
    RETURN result;
END
$$;
COMMENT ON FUNCTION ledger.balance_at(text, timestamptz) IS
'The account''s posted balance: the sum of its visible transfers made at or before a time, in natural units. A transaction still open then counts once it has committed. Reads the account''s whole history.';

CREATE FUNCTION ledger.statement(account text, from_time timestamptz DEFAULT '-infinity', to_time timestamptz DEFAULT 'infinity',
                                 OUT transfer_id bigint, OUT created_at timestamptz, OUT kind text, OUT counterparty text,
                                 OUT amount numeric, OUT balance numeric, OUT metadata jsonb) RETURNS SETOF record
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_custom_plan  -- the account decides between its index and the whole table
AS $$
#variable_conflict use_column
DECLARE
    subject bigint := ledger_data.account_id(statement.account);
BEGIN
    RETURN QUERY
    WITH movement AS (
        SELECT t.id, t.created_at, t.kind, t.debit_account AS other, t.amount, t.metadata
        FROM ledger_data.transfer AS t WHERE t.credit_account = subject AND t.kind IN (1, 3, 5)
        UNION ALL
        SELECT t.id, t.created_at, t.kind, t.credit_account, -t.amount, t.metadata
        FROM ledger_data.transfer AS t WHERE t.debit_account = subject AND t.kind IN (1, 3, 5)
    ), running AS (
        SELECT m.*, pg_catalog.sum(m.amount) OVER (ORDER BY m.created_at, m.id ROWS UNBOUNDED PRECEDING) AS balance
        FROM movement AS m
        WHERE m.created_at < statement.to_time OR statement.to_time = 'infinity'
    )
    SELECT r.id, r.created_at, w.name, o.code,
           r.amount * s.unit, r.balance * s.unit, r.metadata
    FROM running AS r
    JOIN ledger_data.account AS a ON a.id = subject
    JOIN ledger_data.asset AS s ON s.id = a.asset
    JOIN ledger_data.account AS o ON o.id = r.other
    JOIN ledger_data.weight AS w ON w.kind = r.kind
    WHERE r.created_at >= statement.from_time
    ORDER BY r.created_at, r.id;
END
$$;
COMMENT ON FUNCTION ledger.statement(text, timestamptz, timestamptz) IS
'The account''s transfers that moved value (no holds) with from_time <= created_at < to_time in order of time: amount is signed, balance is the running balance after it. LG002 for an unknown account.';

-- sql/stock.sql

-- Stock. A SKU is an account in the asset STOCK (scale 0) whose code is the SKU;
-- beside it stands <sku>:sold, where what is sold goes, and one account
-- stock:supply without a floor, where everything comes from.

CREATE FUNCTION ledger.add_stock(sku text, quantity bigint, key text DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_add_stock';
COMMENT ON FUNCTION ledger.add_stock(text, bigint, text) IS
'Brings quantity into stock from supply; returns what is available after. LG002 for an unknown SKU, LG006 for a quantity below 1. Repeated under its key it returns the same.';

CREATE FUNCTION ledger.create_stock(sku text, quantity bigint DEFAULT 0, metadata jsonb DEFAULT '{}', key text DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    opened bigint;
    call   jsonb;
    answer jsonb;
BEGIN
    IF key IS NOT NULL THEN
        call := pg_catalog.jsonb_build_object('function', 'create_stock', 'sku', sku, 'quantity', quantity,
                                              'metadata', ledger_data.fingerprint(metadata));
        answer := ledger_data.recall(key, call);
        IF answer IS NOT NULL THEN
            RETURN answer::bigint;
        END IF;
    END IF;
    IF sku IS NULL OR quantity IS NULL THEN
        RAISE EXCEPTION 'stock needs a SKU and a quantity' USING
            ERRCODE = 'null_value_not_allowed', HINT = 'For example ledger.create_stock(''SKU-1'', 100).';
    ELSIF pg_catalog.char_length(sku) NOT BETWEEN 1 AND 250 THEN
        RAISE EXCEPTION 'a SKU has 1 to 250 characters' USING
            ERRCODE = 'invalid_parameter_value',
            DETAIL = pg_catalog.format('The SKU given has %s characters.', pg_catalog.char_length(sku)),
            HINT = 'Put longer names into metadata.';
    ELSIF quantity < 0 THEN
        PERFORM ledger_data.refuse('invalid_amount',
            pg_catalog.format('quantity %s of stock "%s" is negative', quantity, sku), NULL,
            'Stock starts at zero or more.');
    END IF;
    IF NOT EXISTS (SELECT FROM ledger_data.account AS a WHERE a.code = 'stock:supply') THEN
        PERFORM ledger.create_asset('STOCK', 0, 'pieces of goods');
        INSERT INTO ledger_data.account (id, asset, floor, ceiling, opened_at, state, code, metadata)
            SELECT ledger_data.next_id(), s.id, -9223372036854775807, 9223372036854775807,
                   pg_catalog.clock_timestamp(), 0::smallint, 'stock:supply', '{}'
            FROM ledger_data.asset AS s WHERE s.code = 'STOCK'
            ON CONFLICT ON CONSTRAINT account_code_key DO NOTHING;
    END IF;
    opened := ledger.open_account(sku, 'STOCK', metadata => metadata);
    PERFORM ledger.open_account(sku || ':sold', 'STOCK');
    IF quantity > 0 THEN
        PERFORM ledger.add_stock(sku, quantity);
    END IF;
    IF key IS NOT NULL THEN
        PERFORM ledger_data.remember(key, call, pg_catalog.to_jsonb(opened), 0::bigint);
    END IF;
    RETURN opened;
END
$$;
COMMENT ON FUNCTION ledger.create_stock(text, bigint, jsonb, text) IS
'Registers a SKU of 1 to 250 characters with its first quantity, and returns its account id. LG003 where an account has that code already.';

CREATE FUNCTION ledger.deduct_stock(sku text, quantity bigint, key text DEFAULT NULL, metadata jsonb DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_deduct_stock';
COMMENT ON FUNCTION ledger.deduct_stock(text, bigint, text, jsonb) IS
'Sells quantity of a SKU; returns what remains available. Never oversells and waits for nobody. LG001 when short, LG009 when short only because of transactions in flight, LG002 for an unknown SKU, LG006 for a quantity below 1. Repeated under its key it returns the same.';

CREATE FUNCTION ledger.try_deduct_stock(sku text, quantity bigint, key text DEFAULT NULL, metadata jsonb DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_try_deduct_stock';
COMMENT ON FUNCTION ledger.try_deduct_stock(text, bigint, text, jsonb) IS
'As ledger.deduct_stock, but NULL when short: the flash-sale call, with no error and no log line. Under a key NULL is an answer too, and stays NULL.';

CREATE FUNCTION ledger.deduct_stocks(skus text[], quantities bigint[], key text DEFAULT NULL, OUT sku text, OUT remaining bigint) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10 AS 'MODULE_PATHNAME', 'ledger_deduct_stocks';
COMMENT ON FUNCTION ledger.deduct_stocks(text[], bigint[], text) IS
'Sells a cart: every line or none. Returns what remains of each; an error names the first line that cannot be had. Repeated under its key it returns the same.';

CREATE FUNCTION ledger.restore_stock(sku text, quantity bigint, key text DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_restore_stock';
COMMENT ON FUNCTION ledger.restore_stock(text, bigint, text) IS
'Takes quantity back from a customer; returns what is available after. LG001 for more than was ever sold. Repeated under its key it returns the same.';

-- Reservations: holds from a SKU to <sku>:sold.

CREATE FUNCTION ledger.reserve_stock(sku text, quantity bigint, ttl interval DEFAULT '15 minutes', key text DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_reserve_stock';
COMMENT ON FUNCTION ledger.reserve_stock(text, bigint, interval, text) IS
'Sets quantity of a SKU aside for ttl (NULL: for ever) and returns the reservation''s id, for ledger.confirm_reservation or ledger.release_reservation. Errors as for ledger.deduct_stock; 22023 for a ttl that is not positive or beyond 100 years. Repeated under its key it returns the same id.';

CREATE FUNCTION ledger.reserve_stocks(skus text[], quantities bigint[], ttl interval DEFAULT '15 minutes', key text DEFAULT NULL,
                                      OUT sku text, OUT reservation bigint, OUT remaining bigint) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10 AS 'MODULE_PATHNAME', 'ledger_reserve_stocks';
COMMENT ON FUNCTION ledger.reserve_stocks(text[], bigint[], interval, text) IS
'Reserves a cart: every line or none. Returns each line''s reservation and what remains; an error names the first line that cannot be had. Repeated under its key it returns the same.';

CREATE FUNCTION ledger.confirm_reservation(reservation bigint, key text DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_confirm_reservation';
COMMENT ON FUNCTION ledger.confirm_reservation(bigint, text) IS
'Sells what is reserved; returns the transfer''s id. Once: LG102 sold already, LG103 released, LG104 expired, LG101 unknown. Waits for another session that is resolving it. Repeated under its key it returns the same id.';

CREATE FUNCTION ledger.release_reservation(reservation bigint, key text DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_release_reservation';
COMMENT ON FUNCTION ledger.release_reservation(bigint, text) IS
'Gives back what is reserved; returns the id of the transfer that says so. Errors as for ledger.confirm_reservation.';

CREATE VIEW ledger.stock AS
SELECT a.code AS sku,
       p.credits - p.debits AS on_hand,
       p.held AS reserved,
       p.credits - p.debits - p.held AS available,
       q.credits - q.debits AS sold
FROM ledger_data.account AS a
JOIN ledger_data.asset AS s ON s.id = a.asset AND s.code = 'STOCK'
JOIN ledger_data.account AS b ON b.asset = a.asset AND b.code = a.code || ':sold'
JOIN ledger_data.position AS p ON p.account = a.id
JOIN ledger_data.position AS q ON q.account = b.id;
COMMENT ON VIEW ledger.stock IS 'each SKU, exact in the caller''s snapshot: pieces on hand, reserved, available and sold (net of what came back)';

-- sql/chain.sql

-- The chain: seals, digests, verification and proofs. What the bytes are that are
-- hashed, docs/chain-format.md says.

CREATE FUNCTION ledger.seal() RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'ledger_seal';
COMMENT ON FUNCTION ledger.seal() IS
'Seals what has committed since the last seal and returns the number of the last seal; NULL while nothing was ever recorded. The worker does the same every ledger.seal_interval. One at a time: waits for another to end. In READ COMMITTED only, in a transaction that is not prepared; its commit is flushed to disk.';

CREATE VIEW ledger.seal_records AS
SELECT s.number,
       (EXTRACT(epoch FROM s.sealed_at) * 1000000)::bigint AS sealed_us,
       s.transfers,
       pg_catalog.encode(s.transfer_root, 'hex') AS transfer_root,
       s.audits,
       pg_catalog.encode(s.audit_root, 'hex') AS audit_root,
       s.from_id,
       s.until_id,
       pg_catalog.encode(s.heads, 'hex') AS heads,
       pg_catalog.encode(s.previous, 'hex') AS previous,
       pg_catalog.encode(s.hash, 'hex') AS hash
FROM ledger_data.seal AS s;
COMMENT ON VIEW ledger.seal_records IS 'seals, field by field as they are hashed (docs/chain-format.md): times in microseconds since 1970, hashes in hexadecimal';

-- Digests.

CREATE FUNCTION ledger_data.last_seal(OUT number bigint, OUT sealed_at timestamptz, OUT hash bytea) RETURNS record
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_last_seal';
COMMENT ON FUNCTION ledger_data.last_seal() IS 'the last seal that this transaction did not make itself, whatever its snapshot';

CREATE FUNCTION ledger_data.sign_digest(seal bigint, hash bytea, OUT signature bytea, OUT public_key bytea) RETURNS record
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_sign_digest';
COMMENT ON FUNCTION ledger_data.sign_digest(bigint, bytea) IS 'Ed25519 signature of a digest with the key in ledger.signing_key_file; NULLs without one';

CREATE FUNCTION ledger.digest() RETURNS jsonb
    LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
               'version', 1,
               'database', pg_catalog.current_database(),
               'seal', s.number,
               'sealed_at', pg_catalog.to_char(s.sealed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
               'hash', pg_catalog.encode(s.hash, 'hex'),
               'signature', pg_catalog.encode(g.signature, 'hex'),
               'public_key', pg_catalog.encode(g.public_key, 'hex')))
    FROM ledger_data.last_seal() AS s
    CROSS JOIN LATERAL ledger_data.sign_digest(s.number, s.hash) AS g
    WHERE s.number IS NOT NULL
$$;
COMMENT ON FUNCTION ledger.digest() IS
'The newest seal in one small JSON object, to keep where this database''s administrators cannot change it: it proves any later change of what was sealed. NULL while there is no seal. Signed if ledger.signing_key_file is set.';

-- Verification.

CREATE FUNCTION ledger_data.verify_seal(number bigint, scope text, OUT scope text, OUT lane integer, OUT seq bigint, OUT id bigint, OUT problem text) RETURNS SETOF record
    LANGUAGE c STABLE PARALLEL SAFE ROWS 1 COST 1000000 AS 'MODULE_PATHNAME', 'ledger_verify_seal';
COMMENT ON FUNCTION ledger_data.verify_seal(bigint, text) IS 'checks one seal and the records it covers';

CREATE FUNCTION ledger_data.verify_tail(number bigint, scope text, live bytea, OUT scope text, OUT lane integer, OUT seq bigint, OUT id bigint, OUT problem text) RETURNS SETOF record
    LANGUAGE c STABLE PARALLEL SAFE ROWS 1 COST 1000000 AS 'MODULE_PATHNAME', 'ledger_verify_tail';
COMMENT ON FUNCTION ledger_data.verify_tail(bigint, text, bytea) IS 'checks the records past a seal, and that they reach up to the heads given';

CREATE FUNCTION ledger_data.live_heads() RETURNS bytea
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_live_heads';
COMMENT ON FUNCTION ledger_data.live_heads() IS 'the heads of the lanes as the running server knows them, as in a seal; NULL before the first write since its start';

CREATE FUNCTION ledger_data.begin_progress(scope text, sealed bigint) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_begin_progress';
COMMENT ON FUNCTION ledger_data.begin_progress(text, bigint) IS 'shows this session in ledger.verify_progress';

CREATE FUNCTION ledger_data.end_progress() RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_end_progress';
COMMENT ON FUNCTION ledger_data.end_progress() IS 'takes this session out of ledger.verify_progress';

CREATE FUNCTION ledger_data.verify_progress(OUT pid integer, OUT done bigint, OUT total bigint, OUT began_at timestamptz) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1 AS 'MODULE_PATHNAME', 'ledger_verify_progress';
COMMENT ON FUNCTION ledger_data.verify_progress() IS 'see the view ledger.verify_progress';

CREATE VIEW ledger.verify_progress AS SELECT p.* FROM ledger_data.verify_progress() AS p;
COMMENT ON VIEW ledger.verify_progress IS 'verifications that run in this database: whose (pid), records done of how many in total, since when. Up to eight are shown.';

-- Seals are checked beside each other by as many parallel workers as
-- max_parallel_workers_per_gather allows; what no seal covers comes last.
CREATE FUNCTION ledger_data.verify(wanted text, OUT scope text, OUT lane integer, OUT seq bigint, OUT id bigint, OUT problem text) RETURNS SETOF record
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    SET parallel_setup_cost = 0 SET parallel_tuple_cost = 0 SET min_parallel_table_scan_size = 0
AS $$
#variable_conflict use_column
DECLARE
    last bigint;
    live bytea;
BEGIN
    -- The heads first, the snapshot that is read in after: so it sees at least as much.
    -- A snapshot taken before them can't.
    IF pg_catalog.current_setting('transaction_isolation') NOT IN ('repeatable read', 'serializable') THEN
        live := ledger_data.live_heads();
    END IF;
    SELECT COALESCE(pg_catalog.max(s.number), 0) INTO last FROM ledger_data.seal AS s;
    PERFORM ledger_data.begin_progress(wanted, (SELECT COALESCE(pg_catalog.sum(
            CASE WHEN wanted = 'audit' THEN 0 ELSE s.transfers END + CASE WHEN wanted = 'transfers' THEN 0 ELSE s.audits END), 0)::bigint
        FROM ledger_data.seal AS s));
    RETURN QUERY
    SELECT 'seals', NULL::integer, s.before + 1, NULL::bigint,
           CASE s.number - s.before WHEN 2 THEN 'missing: it is not there'
                                    ELSE pg_catalog.format('missing: seals %s to %s are not there', s.before + 1, s.number - 1) END
    FROM (SELECT x.number, pg_catalog.lag(x.number, 1, 0::bigint) OVER (ORDER BY x.number) AS before
          FROM ledger_data.seal AS x WHERE x.number BETWEEN 1 AND last) AS s
    WHERE s.number > s.before + 1
    UNION ALL
    SELECT 'seals', NULL::integer, s.number, NULL::bigint, 'inserted: seals are numbered from 1'
    FROM ledger_data.seal AS s WHERE s.number < 1
    UNION ALL
    SELECT CASE i.inhparent WHEN 'ledger_data.transfer'::pg_catalog.regclass THEN 'transfers'
                            WHEN 'ledger_data.audit'::pg_catalog.regclass THEN 'audit' ELSE 'seals' END,
           NULL::integer, NULL::bigint, NULL::bigint, pg_catalog.format('inserted: table %s inherits, and its rows are read as records', i.inhrelid::pg_catalog.regclass)
    FROM pg_catalog.pg_inherits AS i
    WHERE i.inhparent IN ('ledger_data.transfer'::pg_catalog.regclass, 'ledger_data.audit'::pg_catalog.regclass, 'ledger_data.seal'::pg_catalog.regclass);
    RETURN QUERY
    SELECT v.* FROM ledger_data.seal AS s CROSS JOIN LATERAL ledger_data.verify_seal(s.number, wanted) AS v
    WHERE s.number BETWEEN 1 AND last;
    RETURN QUERY
    SELECT v.* FROM ledger_data.verify_tail(last, wanted, live) AS v;
    PERFORM ledger_data.end_progress();
END
$$;
COMMENT ON FUNCTION ledger_data.verify(text) IS 'ledger.verify() itself';

-- In SQL: plpgsql wants another name for an argument than for a column.
CREATE FUNCTION ledger.verify(scope text DEFAULT NULL, OUT scope text, OUT lane integer, OUT seq bigint, OUT id bigint, OUT problem text) RETURNS SETOF record
    LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ SELECT v.* FROM ledger_data.verify($1) AS v $$;
COMMENT ON FUNCTION ledger.verify(text) IS
'Recomputes the chains of transfers and audit records (scope transfers or audit; NULL: both), and compares them with the seals and with what the running server knows. Empty means intact. problem begins with altered, missing, inserted, reordered, truncated or rewritten; scope seals, with the number as seq, stands for a seal itself. Progress is in ledger.verify_progress. Who may have changed seals, too, is found by ledger.verify_digest() alone.';

CREATE FUNCTION ledger.verify_digest(digest jsonb, OUT scope text, OUT lane integer, OUT seq bigint, OUT id bigint, OUT problem text) RETURNS SETOF record
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    named  bigint;
    stored bytea;
BEGIN
    IF (digest ->> 'version') IS DISTINCT FROM '1'
       OR (pg_catalog.jsonb_typeof(digest -> 'seal') = 'number' AND digest ->> 'seal' ~ '^[1-9][0-9]{0,17}$') IS NOT TRUE
       OR (digest ->> 'hash' ~ '^[0-9a-f]{64}$') IS NOT TRUE THEN
        RAISE EXCEPTION 'this is no digest of version 1' USING
            ERRCODE = 'invalid_parameter_value', DETAIL = COALESCE(pg_catalog.left(digest::text, 200), 'It is NULL.'),
            HINT = 'Give what ledger.digest() returned.';
    END IF;
    named := digest ->> 'seal';
    SELECT s.hash INTO stored FROM ledger_data.seal AS s WHERE s.number = named;
    IF stored IS NULL THEN
        RETURN QUERY SELECT 'seals', NULL::integer, named, NULL::bigint, 'missing: the digest is of a seal that is not there';
    ELSIF stored <> pg_catalog.decode(digest ->> 'hash', 'hex') THEN
        RETURN QUERY SELECT 'seals', NULL::integer, named, NULL::bigint, 'rewritten: it is not the seal that the digest was made of';
    END IF;
    RETURN QUERY SELECT v.* FROM ledger_data.verify(NULL) AS v;
END
$$;
COMMENT ON FUNCTION ledger.verify_digest(jsonb) IS
'Checks the ledger against a digest that was kept outside, and then as ledger.verify() does. Empty means that everything sealed up to the digest is as it was. 22023 if it is no digest. A signature is checked by ledger_verify, not here: the server would be its own witness.';

-- Proofs.

CREATE FUNCTION ledger_data.prove(id bigint, OUT scope text, OUT record bytea, OUT previous bytea, OUT index bigint, OUT size bigint, OUT path bytea, OUT seal bigint) RETURNS record
    LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_prove';
COMMENT ON FUNCTION ledger_data.prove(bigint) IS 'a sealed record, and its way up the tree of its seal: hashes of 32 bytes after each other';

CREATE FUNCTION ledger_data.seal_object(number bigint) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT pg_catalog.to_jsonb(s) - 'heads'
           || pg_catalog.jsonb_build_object('heads_hash', pg_catalog.encode(pg_catalog.sha256(pg_catalog.decode(s.heads, 'hex')), 'hex'))
    FROM ledger.seal_records AS s WHERE s.number = seal_object.number
$$;
COMMENT ON FUNCTION ledger_data.seal_object(bigint) IS 'a seal as proofs have it';

CREATE FUNCTION ledger.inclusion_proof(id bigint) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT pg_catalog.jsonb_build_object(
        'version', 1, 'scope', p.scope, 'id', inclusion_proof.id,
        'record', pg_catalog.encode(p.record, 'hex'), 'previous', pg_catalog.encode(p.previous, 'hex'),
        'index', p.index, 'size', p.size,
        'path', (SELECT COALESCE(pg_catalog.jsonb_agg(pg_catalog.encode(pg_catalog.substr(p.path, 32 * n.i + 1, 32), 'hex') ORDER BY n.i), '[]')
                 FROM pg_catalog.generate_series(0, pg_catalog.length(p.path) / 32 - 1) AS n (i)),
        'seal', ledger_data.seal_object(p.seal))
    FROM ledger_data.prove(inclusion_proof.id) AS p
$$;
COMMENT ON FUNCTION ledger.inclusion_proof(bigint) IS
'Proves that one transfer or audit record is under a seal, checkable without the database (ledger_verify --proof): the record, its way up the tree of the seal, the seal. LG010 for an unknown id, 22004 for NULL, 55000 if it is not sealed yet. Reads the records of that seal.';

CREATE FUNCTION ledger.consistency_proof(first bigint, last bigint DEFAULT NULL) RETURNS jsonb
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    until bigint := COALESCE(last, (SELECT pg_catalog.max(s.number) FROM ledger_data.seal AS s));
BEGIN
    IF first IS NULL OR until IS NULL OR first > until
       OR NOT EXISTS (SELECT FROM ledger_data.seal AS s WHERE s.number = first)
       OR NOT EXISTS (SELECT FROM ledger_data.seal AS s WHERE s.number = until) THEN
        RAISE EXCEPTION 'there are no seals % to %', first, until USING
            ERRCODE = 'invalid_parameter_value', HINT = 'The numbers are those of digests, the older one first.';
    END IF;
    RETURN pg_catalog.jsonb_build_object('version', 1, 'seals',
        (SELECT pg_catalog.jsonb_agg(ledger_data.seal_object(s.number) ORDER BY s.number)
         FROM ledger_data.seal AS s WHERE s.number BETWEEN first AND until));
END
$$;
COMMENT ON FUNCTION ledger.consistency_proof(bigint, bigint) IS
'Proves that the digest of seal last (NULL: the newest) follows on the digest of seal first, checkable without the database (ledger_verify --consistency): the seals from one to the other. 22023 where there are none such.';

-- sql/operations.sql

-- What the worker does, for who wants to do it by hand, and what the engine knows.

CREATE FUNCTION ledger_data.fold_account(account bigint) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_fold_account';
COMMENT ON FUNCTION ledger_data.fold_account(bigint) IS 'folds one account up to the present horizon; returns the transfers folded';

CREATE FUNCTION ledger.fold(min_tail integer DEFAULT 1) RETURNS bigint
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    subject bigint;
    folded  bigint := 0;
BEGIN
    FOR subject IN
        SELECT a.id
        FROM ledger_data.account AS a
        LEFT JOIN ledger_data.balance AS b ON b.account = a.id
        WHERE (SELECT pg_catalog.count(*) FROM (
                   SELECT FROM ledger_data.transfer AS t
                   WHERE t.debit_account = a.id AND t.txid >= COALESCE(b.folded_xid, 0)
                   UNION ALL
                   SELECT FROM ledger_data.transfer AS t
                   WHERE t.credit_account = a.id AND t.txid >= COALESCE(b.folded_xid, 0)
                   LIMIT GREATEST(min_tail, 1)) AS tail) >= GREATEST(min_tail, 1)
        ORDER BY a.id
    LOOP
        folded := folded + (ledger_data.fold_account(subject) > 0)::integer;
    END LOOP;
    RETURN folded;
END
$$;
COMMENT ON FUNCTION ledger.fold(integer) IS
'Folds every account with at least min_tail transfers past its horizon, up to the oldest running transaction; returns how many accounts were folded. The worker does the same for long tails by itself. Balances are the same before and after.';

CREATE FUNCTION ledger_data.slots(OUT account bigint, OUT low bigint, OUT high bigint, OUT projected_low bigint,
                                  OUT projected_high bigint, OUT users integer, OUT prepared boolean, OUT tail bigint, OUT version bigint) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1000 AS 'MODULE_PATHNAME', 'ledger_slots';
COMMENT ON FUNCTION ledger_data.slots() IS
'This database''s accounts in shared memory: the bounds of each balance over every outcome of the transactions in flight, in minor units, less what is held (low, high) and with what is held for it (projected); transactions using it; whether prepared ones are among them; transfers not folded; a counter of uses';

CREATE FUNCTION ledger_data.stat(OUT transfers bigint, OUT refusals bigint, OUT slot_loads bigint, OUT evictions bigint,
                                 OUT folds bigint, OUT longest_tail bigint, OUT lanes_in_use integer, OUT slots_in_use integer,
                                 OUT slots_total integer, OUT prepared_effects integer, OUT worker_pid integer, OUT worker_due_at timestamptz) RETURNS record
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_stat';
COMMENT ON FUNCTION ledger_data.stat() IS 'the engine''s counters; see the view ledger.stat';

CREATE VIEW ledger.stat AS SELECT s.* FROM ledger_data.stat() AS s;
COMMENT ON VIEW ledger.stat IS
'The engine''s counters in this database since the server started: transfers made (whether or not they committed), refusals, folds, longest_tail and lanes_in_use; and of the whole server: slot_loads, evictions, slots_in_use of slots_total, prepared_effects. worker_pid: the worker, NULL while nothing is due. worker_due_at: when something is, NULL where nothing is known to be. All NULL where the library is not preloaded.';

CREATE FUNCTION ledger.check_invariants(OUT invariant text, OUT subject text, OUT detail text) RETURNS SETOF record
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT 'debits = credits', s.code,
           pg_catalog.format('debits %s, credits %s; held %s, incoming %s',
                             pg_catalog.sum(p.debits) * s.unit, pg_catalog.sum(p.credits) * s.unit,
                             pg_catalog.sum(p.held) * s.unit, pg_catalog.sum(p.incoming) * s.unit)
    FROM ledger_data.position AS p
    JOIN ledger_data.account AS a ON a.id = p.account
    JOIN ledger_data.asset AS s ON s.id = a.asset
    GROUP BY s.id, s.code, s.unit
    HAVING pg_catalog.sum(p.debits) <> pg_catalog.sum(p.credits) OR pg_catalog.sum(p.held) <> pg_catalog.sum(p.incoming);

    -- MATERIALIZED, here and below: a planner that expects few sources would otherwise
    -- read all the sums again for each account.
    RETURN QUERY
    WITH position AS MATERIALIZED (SELECT * FROM ledger_data.position)
    SELECT 'totals = sum of transfers', a.code,
           pg_catalog.format('position is debits %s, credits %s, held %s, incoming %s; the transfers sum to %s, %s, %s and %s',
                             p.debits * s.unit, p.credits * s.unit, p.held * s.unit, p.incoming * s.unit,
                             COALESCE(d.posted, 0) * s.unit, COALESCE(c.posted, 0) * s.unit,
                             COALESCE(d.pending, 0) * s.unit, COALESCE(c.pending, 0) * s.unit)
    FROM position AS p
    JOIN ledger_data.account AS a ON a.id = p.account
    JOIN ledger_data.asset AS s ON s.id = a.asset
    LEFT JOIN (SELECT t.debit_account, pg_catalog.sum(t.amount * w.posted) AS posted, pg_catalog.sum(t.amount * w.pending) AS pending
               FROM ledger_data.transfer AS t JOIN ledger_data.weight AS w ON w.kind = t.kind
               GROUP BY t.debit_account) AS d ON d.debit_account = a.id
    LEFT JOIN (SELECT t.credit_account, pg_catalog.sum(t.amount * w.posted) AS posted, pg_catalog.sum(t.amount * w.pending) AS pending
               FROM ledger_data.transfer AS t JOIN ledger_data.weight AS w ON w.kind = t.kind
               GROUP BY t.credit_account) AS c ON c.credit_account = a.id
    WHERE p.debits <> COALESCE(d.posted, 0) OR p.credits <> COALESCE(c.posted, 0)
       OR p.held <> COALESCE(d.pending, 0) OR p.incoming <> COALESCE(c.pending, 0);

    RETURN QUERY
    SELECT 'transfers are well formed', t.id::text,
           pg_catalog.format('amount %s from account %s to account %s', t.amount, t.debit_account, t.credit_account)
    FROM ledger_data.transfer AS t
    LEFT JOIN ledger_data.account AS d ON d.id = t.debit_account
    LEFT JOIN ledger_data.account AS c ON c.id = t.credit_account
    WHERE t.amount <= 0 OR t.debit_account = t.credit_account OR d.asset IS DISTINCT FROM c.asset OR d.asset IS NULL;

    RETURN QUERY
    SELECT 'limits hold', a.code,
           pg_catalog.format('balance %s, held %s, incoming %s, floor %s, ceiling %s', (p.credits - p.debits) * s.unit,
                             p.held * s.unit, p.incoming * s.unit, a.floor * s.unit, a.ceiling * s.unit)
    FROM ledger_data.position AS p
    JOIN ledger_data.account AS a ON a.id = p.account
    JOIN ledger_data.asset AS s ON s.id = a.asset
    WHERE p.credits - p.debits - p.held < a.floor OR p.credits - p.debits + p.incoming > a.ceiling;

    RETURN QUERY
    SELECT 'accounts have an asset', a.code, pg_catalog.format('asset %s', a.asset)
    FROM ledger_data.account AS a
    WHERE NOT EXISTS (SELECT FROM ledger_data.asset AS s WHERE s.id = a.asset);

    RETURN QUERY
    SELECT 'closed accounts are empty', a.code, pg_catalog.format('balance %s, held %s, incoming %s minor units', p.credits - p.debits, p.held, p.incoming)
    FROM ledger_data.position AS p
    JOIN ledger_data.account AS a ON a.id = p.account
    WHERE a.state = 2 AND (p.credits <> p.debits OR p.held <> 0 OR p.incoming <> 0);

    RETURN QUERY
    WITH position AS MATERIALIZED (SELECT * FROM ledger_data.position)
    SELECT 'held = open holds', a.code,
           pg_catalog.format('held %s, incoming %s; open holds %s and %s minor units',
                             p.held, p.incoming, COALESCE(d.amount, 0), COALESCE(c.amount, 0))
    FROM position AS p
    JOIN ledger_data.account AS a ON a.id = p.account
    LEFT JOIN (SELECT h.debit_account, pg_catalog.sum(h.amount - h.posted) AS amount
               FROM ledger_data.hold AS h WHERE h.state = 1 GROUP BY h.debit_account) AS d ON d.debit_account = a.id
    LEFT JOIN (SELECT h.credit_account, pg_catalog.sum(h.amount - h.posted) AS amount
               FROM ledger_data.hold AS h WHERE h.state = 1 GROUP BY h.credit_account) AS c ON c.credit_account = a.id
    WHERE p.held <> COALESCE(d.amount, 0) OR p.incoming <> COALESCE(c.amount, 0);

    RETURN QUERY
    SELECT 'holds agree with their transfers', COALESCE(h.transfer, t.id)::text,
           pg_catalog.format('hold of %s, posted %s, state %s; transfers: held %s, posted %s, given back %s',
                             h.amount, h.posted, h.state, t.pending, t.post, t.void)
    FROM ledger_data.hold AS h
    FULL JOIN (SELECT CASE x.kind WHEN 2 THEN x.id ELSE x.ref END AS id,
                      COALESCE(pg_catalog.sum(x.amount) FILTER (WHERE x.kind = 2), 0) AS pending,
                      COALESCE(pg_catalog.sum(x.amount) FILTER (WHERE x.kind = 3), 0) AS post,
                      COALESCE(pg_catalog.sum(x.amount) FILTER (WHERE x.kind = 4), 0) AS void
               FROM ledger_data.transfer AS x WHERE x.kind IN (2, 3, 4) GROUP BY 1) AS t ON t.id = h.transfer
    WHERE (h.amount = t.pending AND h.posted = t.post AND h.posted <= h.amount
           AND t.void = CASE h.state WHEN 1 THEN 0 ELSE h.amount - h.posted END) IS NOT TRUE;

    RETURN QUERY
    SELECT 'TCC branches end with their transaction', g.xid,
           pg_catalog.format('state %s; branch "%s" has hold %s in state %s', g.state, b.branch, b.hold, h.state)
    FROM ledger_data.tcc AS g
    JOIN ledger_data.tcc_branch AS b ON b.xid = g.xid
    LEFT JOIN ledger_data.hold AS h ON h.transfer = b.hold AND h.is_branch
    WHERE h.transfer IS NULL
       OR g.state = 3 AND h.state <> 2
       OR g.state IN (5, 6) AND h.state NOT IN (3, 4)
       OR g.state = 2 AND h.state NOT IN (1, 2)
       OR g.state = 4 AND h.state NOT IN (1, 3, 4)
       OR g.state = 1 AND h.state NOT IN (1, 4)
    UNION ALL
    SELECT 'TCC branches have a transaction', b.xid, pg_catalog.format('branch "%s"', b.branch)
    FROM ledger_data.tcc_branch AS b
    WHERE NOT EXISTS (SELECT FROM ledger_data.tcc AS g WHERE g.xid = b.xid);

    RETURN QUERY
    SELECT 'reversals are linked', COALESCE(r.transfer, t.ref)::text,
           pg_catalog.format('reversal %s', COALESCE(r.reversal, t.id))
    FROM ledger_data.reversal AS r
    FULL JOIN (SELECT x.id, x.ref FROM ledger_data.transfer AS x WHERE x.kind = 5) AS t
        ON t.id = r.reversal AND t.ref = r.transfer
    WHERE r.transfer IS NULL OR t.id IS NULL;

    RETURN QUERY
    SELECT 'calls have their transfer', r.key, pg_catalog.format('transfer %s does not exist', r.transfer)
    FROM ledger_data.request AS r
    WHERE r.transfer <> 0 AND NOT EXISTS (SELECT FROM ledger_data.transfer AS t WHERE t.id = r.transfer);

    RETURN QUERY
    SELECT 'horizons are past', a.code,
           pg_catalog.format('folded up to transaction %s, but the next one is %s: transfers until then are not counted', b.folded_xid, n.txid)
    FROM (SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::bigint + i.base AS txid
          FROM ledger_data.installation AS i
          WHERE i.system_identifier = (SELECT c.system_identifier FROM pg_catalog.pg_control_system() AS c)
            AND i.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
            AND i.extension = (SELECT e.oid FROM pg_catalog.pg_extension AS e WHERE e.extname = 'ledger')) AS n
    JOIN ledger_data.balance AS b ON b.folded_xid > n.txid
    JOIN ledger_data.account AS a ON a.id = b.account;

    RETURN QUERY SELECT e.* FROM ledger_data.check_escrow() AS e;
END
$$;
COMMENT ON FUNCTION ledger.check_invariants() IS
'Checks the whole ledger; empty means healthy. Reads every transfer. Safe while the ledger is in use.';

-- Slots that nobody is using must hold the exact balance. Each statement of a
-- VOLATILE function in READ COMMITTED has a new snapshot, so an account is
-- judged only if its slot was not used between a reading before the snapshot
-- and one after it; in an older snapshot nothing can be said.
CREATE FUNCTION ledger_data.check_escrow(OUT invariant text, OUT subject text, OUT detail text) RETURNS SETOF record
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    before jsonb;
    doubts jsonb;
BEGIN
    IF pg_catalog.current_setting('transaction_isolation') <> 'read committed' THEN
        RETURN;
    END IF;
    SELECT pg_catalog.jsonb_agg(pg_catalog.to_jsonb(s)) INTO before
    FROM ledger_data.slots() AS s WHERE s.users = 0;
    SELECT pg_catalog.jsonb_agg(pg_catalog.to_jsonb(x)) INTO doubts
    FROM (SELECT a.code, b.*, p.credits - p.debits - p.held AS spendable, p.credits - p.debits + p.incoming AS projected
          FROM pg_catalog.jsonb_to_recordset(before)
              AS b (account bigint, version bigint, low bigint, high bigint, projected_low bigint, projected_high bigint)
          JOIN ledger_data.account AS a ON a.id = b.account
          JOIN ledger_data.position AS p ON p.account = b.account) AS x
    WHERE x.low <> x.spendable OR x.high <> x.spendable OR x.projected_low <> x.projected OR x.projected_high <> x.projected;
    RETURN QUERY
    SELECT 'escrow = balance', d.code,
           pg_catalog.format('bounds %s to %s, less what is held %s; bounds %s to %s, with what is held for it %s minor units',
                             d.low, d.high, d.spendable, d.projected_low, d.projected_high, d.projected)
    FROM pg_catalog.jsonb_to_recordset(doubts)
        AS d (code text, account bigint, version bigint, low bigint, high bigint, projected_low bigint, projected_high bigint,
              spendable numeric, projected numeric)
    JOIN ledger_data.slots() AS s ON s.account = d.account AND s.version = d.version AND s.users = 0;
END
$$;
COMMENT ON FUNCTION ledger_data.check_escrow() IS 'compares idle slots in shared memory with the exact balances';

-- sql/audit.sql

-- Audit triggers: changes of any table, chained as transfers are (docs/audit-triggers.md).

CREATE FUNCTION ledger.audit() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_audit';
COMMENT ON FUNCTION ledger.audit() IS
'The audit trigger, which ledger.enable_audit puts on a table; its arguments are the columns not to be logged.';

CREATE FUNCTION ledger.enable_audit(relation regclass, exclude name[] DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_enable_audit';
COMMENT ON FUNCTION ledger.enable_audit(regclass, name[]) IS
'Logs every change of the table from now on in ledger.audit_log: INSERT, UPDATE, DELETE, TRUNCATE; with all its partitions, present and future. exclude: columns whose values are not logged. Called again, it replaces what was there. For the table''s owner. 42809 not an ordinary table, 42703 unknown column, 22023 a primary key''s column or a table of the system.';

CREATE FUNCTION ledger.disable_audit(relation regclass) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_disable_audit';
COMMENT ON FUNCTION ledger.disable_audit(regclass) IS
'Ends what ledger.enable_audit began; what was logged stays. For the table''s owner. 42704 if it is not audited.';

CREATE VIEW ledger.audit_log AS
    SELECT a.id, a.lane, a.seq, a.at, a.txid, a.relation, a.operation, a.key::jsonb AS key, a.old::jsonb AS old, a.new::jsonb AS new,
           a.actor, a.acting_as, a.application, a.client, a.hash
    FROM ledger_data.audit AS a;
COMMENT ON VIEW ledger.audit_log IS
'Who changed what in audited tables: the row before (old) and after (new), its primary key, actor (session_user: who logged in), acting_as (current_user), application_name, the client''s address (NULL for a local socket). id orders them; lane, seq and hash are the chain''s.';

-- The records as docs/chain-format.md describes them, for verifiers that trust nothing here.
CREATE VIEW ledger.transfer_records AS
    SELECT t.id, t.lane, t.seq, t.kind, t.debit_account, t.credit_account, t.amount, t.ref, t.txid,
           (EXTRACT(epoch FROM t.created_at) * 1000000)::bigint AS created_us, t.metadata::text AS metadata,
           pg_catalog.encode(t.hash, 'hex') AS hash
    FROM ledger_data.transfer AS t;
COMMENT ON VIEW ledger.transfer_records IS
'Transfers as they are hashed, field by field (docs/chain-format.md): created_us is microseconds since 1970, hash hexadecimal.';

CREATE VIEW ledger.audit_records AS
    SELECT a.id, a.lane, a.seq, a.txid, (EXTRACT(epoch FROM a.at) * 1000000)::bigint AS at_us, a.relation_oid, a.relation,
           a.operation, a.key::text AS key, a.old::text AS old, a.new::text AS new, a.actor, a.acting_as, a.application, a.client,
           pg_catalog.encode(a.hash, 'hex') AS hash
    FROM ledger_data.audit AS a;
COMMENT ON VIEW ledger.audit_records IS
'Audit records as they are hashed, field by field (docs/chain-format.md): at_us is microseconds since 1970, key, old and new the texts as logged, hash hexadecimal.';

-- sql/access.sql

-- Who may call what. Nothing is granted to PUBLIC; EXECUTE is the gate, and the
-- engine writes with its own authority.

CREATE FUNCTION ledger_data.access_of(level text, OUT kind text, OUT object text) RETURNS SETOF record
    LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN p.oid IS NULL THEN 'TABLE' ELSE 'FUNCTION' END,
           CASE WHEN p.oid IS NULL THEN pg_catalog.format('ledger.%I', g.name) ELSE p.oid::pg_catalog.regprocedure::text END
    FROM (VALUES
        ('reader',   'accounts'), ('reader', 'transfers'), ('reader', 'entries'), ('reader', 'stock'),
        ('reader',   'holds'), ('reader', 'tcc_transactions'), ('reader', 'tcc_branches'),
        ('reader',   'balance'), ('reader', 'balance_at'), ('reader', 'statement'),
        ('writer',   'transfer'), ('writer', 'try_transfer'), ('writer', 'transfer_batch'), ('writer', 'transfer_up_to'),
        ('writer',   'reverse_transfer'), ('writer', 'add_stock'), ('writer', 'deduct_stock'), ('writer', 'try_deduct_stock'),
        ('writer',   'deduct_stocks'), ('writer', 'restore_stock'),
        ('writer',   'hold'), ('writer', 'post_hold'), ('writer', 'void_hold'), ('writer', 'reserve_stock'), ('writer', 'reserve_stocks'),
        ('writer',   'confirm_reservation'), ('writer', 'release_reservation'),
        ('writer',   'tcc_begin'), ('writer', 'tcc_freeze'), ('writer', 'tcc_freeze_stock'), ('writer', 'tcc_confirm'), ('writer', 'tcc_cancel'),
        ('writer',   'tcc_confirm_branch'), ('writer', 'tcc_cancel_branch'),
        ('writer',   'issue_request_token'), ('writer', 'begin_request'), ('writer', 'complete_request'), ('writer', 'fail_request'),
        ('writer',   'accept_message'), ('writer', 'sign_request'), ('writer', 'verify_signed_request'),
        ('operator', 'create_asset'), ('operator', 'open_account'), ('operator', 'alter_account'), ('operator', 'freeze_account'),
        ('operator', 'unfreeze_account'), ('operator', 'close_account'), ('operator', 'create_stock'), ('operator', 'fold'),
        ('operator', 'expire_holds'), ('operator', 'tcc_expire'), ('operator', 'requests'), ('operator', 'purge_requests'), ('operator', 'add_client'), ('operator', 'rotate_client'),
        ('operator', 'remove_client'), ('operator', 'check_invariants'), ('operator', 'stat'),
        ('operator', 'seal'), ('operator', 'digest'), ('operator', 'verify'), ('operator', 'verify_progress'),
        ('auditor',  'seal_records'), ('auditor', 'digest'), ('auditor', 'verify'), ('auditor', 'verify_progress'), ('auditor', 'verify_digest'),
        ('auditor',  'inclusion_proof'), ('auditor', 'consistency_proof'),
        ('operator', 'enable_audit'), ('operator', 'disable_audit'), ('operator', 'audit'),
        ('auditor',  'audit_log'), ('auditor', 'audit_records'), ('auditor', 'transfer_records'),
        ('auditor',  'requests'), ('auditor', 'check_invariants'), ('auditor', 'stat')) AS g (level, name)
    LEFT JOIN pg_catalog.pg_proc AS p
        ON p.proname OPERATOR(pg_catalog.=) g.name AND p.pronamespace OPERATOR(pg_catalog.=) 'ledger'::pg_catalog.regnamespace
    WHERE g.level OPERATOR(pg_catalog.=) ANY (CASE access_of.level
              WHEN 'reader' THEN '{reader}'::text[]
              WHEN 'writer' THEN '{reader,writer}'::text[]
              WHEN 'operator' THEN '{reader,writer,operator}'::text[]
              WHEN 'auditor' THEN '{reader,auditor}'::text[] END)
    -- the views of that name call these with the reader's own rights
    UNION ALL
    SELECT 'FUNCTION', f.name FROM (VALUES ('ledger_data.stat()'), ('ledger_data.verify_progress()')) AS f (name)
    WHERE access_of.level IN ('operator', 'auditor')
$$;
COMMENT ON FUNCTION ledger_data.access_of(text) IS 'the views and functions of an access level';

CREATE FUNCTION ledger.revoke_access(role regrole) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    granted record;
BEGIN
    IF role IS NULL THEN
        RAISE EXCEPTION 'the role is null' USING
            ERRCODE = 'null_value_not_allowed', HINT = 'For example ledger.revoke_access(''app'').';
    END IF;
    FOR granted IN SELECT DISTINCT a.kind, a.object
                   FROM pg_catalog.unnest('{operator,auditor}'::text[]) AS l (level)
                   CROSS JOIN LATERAL ledger_data.access_of(l.level) AS a
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON %s %s FROM %s', granted.kind, granted.object, role);
    END LOOP;
    EXECUTE pg_catalog.format('REVOKE ALL ON SCHEMA ledger FROM %s', role);
END
$$;
COMMENT ON FUNCTION ledger.revoke_access(regrole) IS 'Takes away what ledger.grant_access gave to a role.';

CREATE FUNCTION ledger.grant_access(role regrole, level text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    granted record;
BEGIN
    IF role IS NULL OR level IS NULL OR level <> ALL ('{reader,writer,operator,auditor}'::text[]) THEN
        RAISE EXCEPTION 'access level "%" does not exist', level USING
            ERRCODE = 'invalid_parameter_value', HINT = 'The levels are reader, writer, operator and auditor.';
    END IF;
    PERFORM ledger.revoke_access(role);
    EXECUTE pg_catalog.format('GRANT USAGE ON SCHEMA ledger TO %s', role);
    FOR granted IN SELECT a.kind, a.object FROM ledger_data.access_of(level) AS a LOOP
        EXECUTE pg_catalog.format('GRANT %s ON %s %s TO %s',
            CASE granted.kind WHEN 'TABLE' THEN 'SELECT' ELSE 'EXECUTE' END, granted.kind, granted.object, role);
    END LOOP;
END
$$;
COMMENT ON FUNCTION ledger.grant_access(regrole, text) IS
'Gives a role one level, in place of any it had: reader (views, balances), writer (reader, and daily work), operator (writer, and accounts, limits, freezing, folding, purging, clients, audit triggers, checks) or auditor (reader, and requests, the audit log, checks). For a superuser or the extension''s owner.';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ledger FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ledger_data FROM PUBLIC;
