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

CREATE FUNCTION ledger_data.check_size(what text, value jsonb) RETURNS void
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'ledger_check_size';
COMMENT ON FUNCTION ledger_data.check_size(text, jsonb) IS 'raises LG017 if metadata, or another text, is larger than ledger.max_metadata';

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
