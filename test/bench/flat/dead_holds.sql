-- :rows reservations of the one piece of the SKU busy, each released at once; of both SKUs one stays.
SELECT set_config('bench.rows', :'rows', false);
DO $$
BEGIN
    FOR i IN 1 .. current_setting('bench.rows')::int LOOP
        PERFORM ledger.release_reservation(ledger.reserve_stock('busy', 1, '5 s'));
        IF i % 1000 = 0 THEN COMMIT; END IF;
    END LOOP;
END
$$;
SELECT ledger.reserve_stock('busy', 1, '1 day'), ledger.reserve_stock('calm', 1, '1 day');
ANALYZE;
-- Until the deadlines of those that are released have passed.
SELECT pg_sleep(6);
