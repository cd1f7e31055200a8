-- The median time of a transaction of :statement, in µs, tried for :seconds seconds.
SET synchronous_commit = off;
SELECT format($format$
    DO $do$
    DECLARE
        until  timestamptz := clock_timestamp() + %L;
        began  timestamptz;
        ended  timestamptz := '-infinity';
        times  float8[] := '{}';
        number int := 0;
    BEGIN
        WHILE ended < until LOOP
            began := clock_timestamp();
            %s;
            COMMIT;
            ended := clock_timestamp();
            number := number + 1;
            times[number] := extract(epoch FROM ended - began) * 1000000;
        END LOOP;
        PERFORM set_config('bench.median', (SELECT round(percentile_disc(0.5) WITHIN GROUP (ORDER BY t)) FROM unnest(times) AS t)::text, false);
    END
    $do$ $format$, :'seconds' || ' s', :'statement') \gexec
SELECT current_setting('bench.median');
