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
