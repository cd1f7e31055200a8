-- 200,000 transfers under a hundred seals.
SELECT ledger.create_asset('EUR', 2);
SELECT ledger.open_account('bank', 'EUR', floor => NULL);
SELECT ledger.open_account('shop', 'EUR');
DO $$
BEGIN
    FOR i IN 1 .. 100 LOOP
        PERFORM count(*) FROM ledger.transfer_batch(array_fill('bank'::text, ARRAY[2000]), array_fill('shop'::text, ARRAY[2000]),
                                                    array_fill(i::numeric, ARRAY[2000]));
        COMMIT;
        PERFORM ledger.seal();
        COMMIT;
    END LOOP;
END
$$;
CREATE TABLE run (result bigint);
CREATE VIEW made AS SELECT FROM run, generate_series(1, 200000);
