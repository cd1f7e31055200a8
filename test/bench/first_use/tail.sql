-- :rows transfers from one account, a thousand a transaction.
SELECT set_config('bench.rows', :'rows', false);
DO $$
BEGIN
    FOR i IN 1 .. current_setting('bench.rows')::int / 1000 LOOP
        PERFORM count(*) FROM ledger.transfer_batch(array_fill('hot'::text, ARRAY[1000]), array_fill('bank'::text, ARRAY[1000]),
                                                    array_fill(i::numeric, ARRAY[1000]));
        COMMIT;
    END LOOP;
END
$$;
-- The rows as they are some time later: hint bits set, on disk, not vacuumed, for a tail is what vacuum must leave alone.
SELECT count(*), sum(amount) FROM ledger_data.transfer;
ANALYZE;
CHECKPOINT;
