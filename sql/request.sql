-- Idempotent requests: one registry (ledger_data.request) for requests between
-- begin and complete, the keys of calls, the inbox, and the nonces of signed requests.

-- Internals, for the functions written in SQL. Between recall and remember the
-- key is locked for others; a recall that finds an answer locks nothing.
CREATE FUNCTION ledger_data.recall(key text, arguments jsonb) RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_recall';
COMMENT ON FUNCTION ledger_data.recall(text, jsonb) IS
'the answer given to a call under this key, JSON null for none, or NULL if it has not been made; LG301 with other arguments, LG308 where it is another role''s';

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
'Asks whether to do a request''s work. new: do it, then complete_request or fail_request. in_progress: another caller has it. completed, failed: the response stored. Never waits for another transaction. Exactly one of any number of concurrent callers gets new. After lease, or a retryable failure, the next caller gets new with attempt + 1. ttl: kept at least so long. LG301: seen with another payload. LG303: no valid token, where one is required. LG308: another role''s. LG017: a payload, lease or ttl beyond the limits.';

CREATE FUNCTION ledger.complete_request(key text, response jsonb DEFAULT NULL, scope text DEFAULT 'default', attempt integer DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_complete_request';
COMMENT ON FUNCTION ledger.complete_request(text, jsonb, text, integer) IS
'Stores the response of a request in progress, for good. attempt: the one begin_request returned; without it the session that began the request is known, or any for a first attempt. LG302 unknown, LG304 not in progress, LG305 another attempt has begun since, LG308 another role''s, LG017 a response beyond ledger.max_response.';

CREATE FUNCTION ledger.fail_request(key text, error jsonb DEFAULT NULL, scope text DEFAULT 'default', retryable boolean DEFAULT true,
                                    attempt integer DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_fail_request';
COMMENT ON FUNCTION ledger.fail_request(text, jsonb, text, boolean, integer) IS
'Stores the failure of a request in progress. retryable: the next begin_request is new, with attempt + 1; otherwise it answers failed, with the error. Errors and attempt as for ledger.complete_request.';

CREATE FUNCTION ledger.accept_message(consumer text, message_id text) RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'ledger_accept_message';
COMMENT ON FUNCTION ledger.accept_message(text, text) IS
'The inbox: true the first time a consumer sees a message, false ever after, for ledger.key_ttl. Waits for a transaction that is accepting the same message. LG308: another role''s.';

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
       r.expires_at,
       r.role
FROM ledger_data.request AS r;
COMMENT ON VIEW ledger.requests IS
'the registry: requests, calls under a key, messages of inboxes (scope: the consumer) and nonces (scope: the client), and the role that each belongs to. Of a token not used yet, key shows the beginning alone';

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
