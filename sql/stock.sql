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
