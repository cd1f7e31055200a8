-- What the other tests share: a few accounts, and a way to show an error whole.
CREATE SCHEMA helper;

-- Runs a statement; says what came back, or the error's SQLSTATE, MESSAGE, DETAIL and HINT.
CREATE FUNCTION helper.outcome(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
    message text;
    detail text;
    hint text;
BEGIN
    EXECUTE statement INTO result;
    RETURN 'ok: ' || coalesce(result, 'NULL');
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(E'\n  ', sqlstate || ': ' || message, 'DETAIL: ' || nullif(detail, ''), 'HINT: ' || nullif(hint, ''));
END
$$;

-- A short time, longer where the server is slow: under valgrind.
CREATE FUNCTION helper.ms(count int) RETURNS interval LANGUAGE sql AS $$
SELECT count * coalesce(current_setting('helper.slowness', true), '1')::int * interval '1 ms'
$$;

SELECT ledger.create_asset('USD', 2), ledger.create_asset('EUR', 2), ledger.create_asset('POINT');
SELECT ledger.open_account('world', 'USD', floor => NULL) > 0 AS opened;
SELECT ledger.open_account('world:eur', 'EUR', floor => NULL) > 0 AS opened;
SELECT count(*) FROM ledger.accounts;
SHOW ledger.slots;
