-- Runs each work of calls.sql whose name matches :only (a regular expression) :calls
-- times in this one session, after a first transaction, and tells in leak.growth by how
-- much the session's memory has grown meanwhile. A transaction is 500 calls, or fewer
-- where one_in says so.
\set ON_ERROR_STOP on
\set QUIET on
\o /dev/null
SET client_min_messages = warning;
\ir calls.sql

-- A work as a procedure: its calls first..last.
SELECT format('CREATE PROCEDURE leak.%I(first bigint, last bigint) LANGUAGE plpgsql AS %L', c.name, format(
              'BEGIN FOR i IN first..last LOOP %s IF i %% %s = 0 THEN COMMIT; END IF; END LOOP; END',
              CASE WHEN c.refusal IS NULL THEN c.work
              ELSE format('BEGIN %s RAISE ''not refused''; EXCEPTION WHEN SQLSTATE %L THEN NULL; END;', c.work, c.refusal) END, greatest(500 / c.one_in, 1)))
FROM leak.call AS c \gexec

-- What is in use of each memory context, and what of the process's memory is its own.
CREATE TABLE leak.sample (name text, calls bigint, context text, bytes bigint);
CREATE PROCEDURE leak.take_sample(name text, calls bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_variable
BEGIN
    FOR i IN 1..2 LOOP  -- the first time may have to plan the statement again, which takes memory
        DELETE FROM leak.sample AS s WHERE s.name = name AND s.calls = calls;
        INSERT INTO leak.sample
        SELECT name, calls, m.name, sum(m.used_bytes)
        FROM pg_backend_memory_contexts AS m GROUP BY 3
        UNION ALL
        SELECT name, calls, NULL, (s[2]::bigint - s[3]::bigint) * 4096
        FROM string_to_array(pg_read_file('/proc/self/statm'), ' ') AS s;
    END LOOP;
END
$$;

-- worst: the context that has grown most.
CREATE VIEW leak.growth AS
SELECT name, max(calls) AS calls, COALESCE(sum(grown) FILTER (WHERE context IS NOT NULL), 0)::bigint AS contexts,
       sum(grown) FILTER (WHERE context IS NULL)::bigint AS process,
       (array_agg(context || ': ' || grown ORDER BY grown DESC) FILTER (WHERE context IS NOT NULL))[1] AS worst
FROM (SELECT name, context, max(calls) AS calls, sum(CASE calls WHEN 0 THEN -bytes ELSE bytes END) AS grown
      FROM leak.sample GROUP BY 1, 2) AS s
GROUP BY name;

-- The functions that no work calls.
CREATE VIEW leak.uncalled AS
SELECT p.proname FROM pg_proc AS p
WHERE p.pronamespace = 'ledger'::regnamespace AND NOT EXISTS (SELECT FROM leak.call AS c WHERE c.work ~ ('ledger\.' || p.proname || '\('));

CALL leak.take_sample('the sample itself', 0);
DELETE FROM leak.sample;
SELECT format('CALL leak.%I(1, %s)', c.name, w.calls), format('CALL leak.take_sample(%L, 0)', c.name),
       format('CALL leak.%I(%s, %s)', c.name, w.calls + 1, w.calls + n.calls), format('CALL leak.take_sample(%L, %s)', c.name, n.calls)
FROM leak.call AS c
CROSS JOIN LATERAL (SELECT greatest(:calls / c.one_in, 1) AS calls) AS n
CROSS JOIN LATERAL (SELECT least(greatest(500 / c.one_in, 1), n.calls) AS calls) AS w
WHERE c.name ~ :'only'
ORDER BY c.ordinal \gexec

-- What may be left: a little that does not depend on the number of calls.
CREATE VIEW leak.leaking AS SELECT * FROM leak.growth WHERE contexts > 8192 OR process > 1048576;

-- What shared memory still has in use after all that.
CREATE VIEW leak.left_behind AS
SELECT (SELECT count(*) FROM ledger_data.slots() WHERE users > 0) AS slots, lanes_in_use AS lanes, prepared_effects AS effects FROM ledger.stat;
\o
