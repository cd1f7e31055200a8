-- From 0.2 to 0.3.
--
-- A change of the SQL is made twice: in its part in sql/, of which new installations
-- are made, and here, in the same order, for those of 0.2. How: ledger--0.1--0.2.sql.
\echo Use "ALTER EXTENSION ledger UPDATE" to load this file. \quit

SET LOCAL search_path = pg_catalog, pg_temp;

-- A request, key or message belongs to the role that used it first. What there is already is
-- everybody's, as it was, until it expires.

ALTER TABLE ledger_data.request ADD COLUMN role text;

COMMENT ON FUNCTION ledger_data.recall(text, jsonb) IS
'the answer given to a call under this key, JSON null for none, or NULL if it has not been made; LG301 with other arguments, LG308 where it is another role''s';

COMMENT ON FUNCTION ledger.begin_request(text, jsonb, text, interval, interval, boolean) IS
'Asks whether to do a request''s work. new: do it, then complete_request or fail_request. in_progress: another caller has it. completed, failed: the response stored. Never waits for another transaction. Exactly one of any number of concurrent callers gets new. After lease, or a retryable failure, the next caller gets new with attempt + 1. ttl: kept at least so long. LG301: seen with another payload. LG303: no valid token, where one is required. LG308: another role''s. LG017: a payload, lease or ttl beyond the limits.';
COMMENT ON FUNCTION ledger.complete_request(text, jsonb, text, integer) IS
'Stores the response of a request in progress, for good. attempt: the one begin_request returned; without it the session that began the request is known, or any for a first attempt. LG302 unknown, LG304 not in progress, LG305 another attempt has begun since, LG308 another role''s, LG017 a response beyond ledger.max_response.';
COMMENT ON FUNCTION ledger.accept_message(text, text) IS
'The inbox: true the first time a consumer sees a message, false ever after, for ledger.key_ttl. Waits for a transaction that is accepting the same message. LG308: another role''s.';

CREATE OR REPLACE VIEW ledger.requests AS
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

-- What a caller leaves behind has a largest size.

CREATE FUNCTION ledger_data.check_size(what text, value jsonb) RETURNS void
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'ledger_check_size';
COMMENT ON FUNCTION ledger_data.check_size(text, jsonb) IS 'raises LG017 if metadata, or another text, is larger than ledger.max_metadata';
REVOKE ALL ON FUNCTION ledger_data.check_size(text, jsonb) FROM PUBLIC;

CREATE OR REPLACE FUNCTION ledger.create_asset(code text, scale integer DEFAULT 0, description text DEFAULT NULL, key text DEFAULT NULL) RETURNS void
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
    PERFORM ledger_data.check_size('description', pg_catalog.to_jsonb(description));
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

CREATE OR REPLACE FUNCTION ledger.open_account(code text, asset text, floor numeric DEFAULT 0, ceiling numeric DEFAULT NULL, metadata jsonb DEFAULT '{}', key text DEFAULT NULL) RETURNS bigint
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
    PERFORM ledger_data.check_size('metadata', metadata);
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
