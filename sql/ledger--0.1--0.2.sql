-- From 0.1 to 0.2.
--
-- A change of the SQL is made twice: in its part in sql/, of which new installations
-- are made, and here, in the same order, for those of 0.1.
--   New object: CREATE and COMMENT as in the part (never OR REPLACE or IF NOT EXISTS,
--     which would adopt what somebody planted), then REVOKE ALL ... FROM PUBLIC.
--   Function with another body or attribute: CREATE OR REPLACE; it keeps its grants,
--     and PostgreSQL refuses to replace one that is not the extension's.
--   Function or view with other arguments or columns: DROP and CREATE; grants are lost.
--   Table: new columns last and in the same order, because C++ goes by position;
--     pg_extension_config_dump for a new one.
-- The library may meet the SQL of 0.1 until the update is made, and has to work with it.
-- Roles get what is new in their level when grant_access is called for them again.
-- test/t/033_update.pl compares an updated ledger with a new one, object by object.
\echo Use "ALTER EXTENSION ledger UPDATE" to load this file. \quit

SET LOCAL search_path = pg_catalog, pg_temp;

-- Secrets and unused tokens are shown less.

CREATE OR REPLACE FUNCTION ledger.add_client(client text, secret text DEFAULT NULL) RETURNS text
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

CREATE OR REPLACE FUNCTION ledger.rotate_client(client text, secret text DEFAULT NULL, overlap interval DEFAULT '24 hours') RETURNS text
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

CREATE OR REPLACE FUNCTION ledger.sign_request(client text, payload text, signed_at timestamptz, nonce text, secret text) RETURNS text
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
       r.expires_at
FROM ledger_data.request AS r;
COMMENT ON VIEW ledger.requests IS
'the registry: requests, calls under a key, messages of inboxes (scope: the consumer) and nonces (scope: the client). Of a token not used yet, key shows the beginning alone';
