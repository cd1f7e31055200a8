-- Each of :accounts accounts is :steps times a source and as often a destination.
SELECT set_config('bench.accounts', :'accounts', false), set_config('bench.steps', :'steps', false);
DO $$
DECLARE
    accounts int := current_setting('bench.accounts');
    codes    text[] := array_agg(n::text ORDER BY n) FROM generate_series(1, accounts) AS n;
    next     int;
BEGIN
    FOR step IN 1 .. current_setting('bench.steps')::int LOOP
        next := 1 + step * 37 % (accounts - 1);
        PERFORM count(*) FROM ledger.transfer_batch(codes, codes[next + 1:] || codes[:next], array_fill(step::numeric, ARRAY[accounts]));
        COMMIT;
    END LOOP;
END
$$;
VACUUM ANALYZE;
CHECKPOINT;
