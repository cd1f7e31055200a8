# Sourced by run: sqlsmith's random statements on the ledger's tables, views and
# functions. It rolls every statement back. Each slice is another role and seed.
# shellcheck shell=bash

# sqlsmith chooses functions by the type they return, and ours are few among thousands.
# So each gets wrappers of every common type, many of each. What sqlsmith cannot cope
# with is taken away: names to be quoted, a table that nobody can read, operators on
# types that no value has.
prepare_for_sqlsmith() {
    psql -X -q -v ON_ERROR_STOP=1 >/dev/null <<'SQL'
DROP FOREIGN TABLE fuzz.a_foreign;
ALTER TABLE fuzz."Odd ""name" RENAME "a column" TO name;
ALTER TABLE fuzz."Odd ""name" RENAME TO odd;
CREATE SCHEMA fuzz_wrapped;
GRANT USAGE ON SCHEMA fuzz_wrapped TO PUBLIC;
DO $do$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT p.oid::regproc AS name, concat_ws('_', p.proname, t.type, p.oid, n) AS wrapper, t.type, t.result,
                    (SELECT string_agg(format_type(a, NULL), ', ') FROM unnest(p.proargtypes) AS a) AS types,
                    (SELECT string_agg('$' || i, ', ') FROM generate_series(1, p.pronargs) AS i) AS arguments
             FROM pg_proc AS p CROSS JOIN generate_series(1, 10) AS n
             CROSS JOIN (VALUES ('text', 'max(f::text)'), ('integer', 'count(f)'), ('bigint', 'count(f)'), ('numeric', 'count(f)'),
                                ('boolean', 'bool_and(f IS NULL)'), ('jsonb', 'jsonb_agg(f)'), ('oid', 'count(f)'),
                                ('timestamptz', 'now() + count(f) * interval ''1 s'''), ('name', 'max(f::text)')) AS t (type, result)
             WHERE p.pronamespace IN ('ledger'::regnamespace, 'ledger_data'::regnamespace)
             AND p.prorettype <> 'trigger'::regtype AND p.pronargs > 0
    LOOP
        EXECUTE format('CREATE FUNCTION fuzz_wrapped.%I(%s) RETURNS %s LANGUAGE sql VOLATILE AS %L', f.wrapper, f.types, f.type,
            format('SELECT (%s)::%s FROM %s(%s) AS f', f.result, f.type, f.name, f.arguments));
    END LOOP;
END
$do$;
ALTER ROLE fuzz_operator LOGIN;
ALTER ROLE fuzz_writer LOGIN;
ALTER ROLE fuzz_auditor LOGIN;
ALTER DATABASE sqlsmith SET statement_timeout = '5s';
DELETE FROM pg_operator WHERE '{anyrange,anymultirange,anyenum}'::regtype[] && ARRAY[oprleft, oprright]::regtype[];
DELETE FROM pg_proc WHERE '{anyrange,anymultirange,anyenum}'::regtype[] && proargtypes::oid[]::regtype[];
SELECT pg_stat_reset();
SQL
}

# Complaints about an internal error that ours raised, or that a function of ours met.
internal_errors() {
    awk '/^.*(ERROR|FATAL|PANIC):  XX/ { error = $0; ours = 0 }
         error && (/LOCATION:.*\.cpp:/ || /CONTEXT:.*ledger/) { ours = 1 }
         error && /LOCATION:/ { location = $0 }
         error && /STATEMENT:/ { if (ours && !seen[location]++) { print error; print location; print $0 } error = "" }' "$1"
}

# Functions entered, functions there are, calls that came to their end.
calls_made() {
    psql -X -A -t -F ' ' -c "SELECT count(s.funcid), count(*), COALESCE(sum(s.calls), 0)
        FROM pg_proc AS p LEFT JOIN pg_stat_user_functions AS s ON s.funcid = p.oid
        WHERE p.pronamespace IN ('ledger'::regnamespace, 'ledger_data'::regnamespace)"
}

fuzz_sqlsmith() {
    local roles=(postgres fuzz_operator postgres fuzz_writer postgres fuzz_auditor) slice=30 status=0 i=0 began statements=0 role out reached functions calls
    make_database sqlsmith
    prepare_for_sqlsmith
    began=$SECONDS
    [ "$seconds" -ge 120 ] || slice=$((seconds / 4 + 1))
    while [ $((SECONDS - began)) -lt "$seconds" ]; do
        role=${roles[i % ${#roles[@]}]}
        : >"$work/log"
        out=$work/sqlsmith.out
        # No end of its own that could be told by time.
        unprivileged timeout "$slice" sqlsmith --verbose --exclude-catalog --seed=$((seed + i)) \
            --target="host=$work port=5432 dbname=sqlsmith user=$role" >"$out" 2>&1 || true
        statements=$((statements + $(grep -xE '[.eSCt]+' "$out" | tr -d '\n' | wc -c))) # a letter a statement
        if ! check_server || internal_errors "$work/log" | tee "$work/internal" | grep .; then
            echo "FINDING: sqlsmith --seed=$((seed + i)) as $role" >&2
            status=1
        fi
        i=$((i + 1))
    done
    read -r reached functions calls < <(calls_made)
    echo "$statements statements; of $functions functions $reached called, $calls calls with success"
    [ "$reached" -gt 0 ] || { echo 'sqlsmith has called none of our functions' >&2; status=1; }
    psql -X -A -t -c 'SELECT * FROM ledger.check_invariants()' -c 'SELECT * FROM ledger.verify()' | grep . >&2 && status=1
    return "$status"
}
