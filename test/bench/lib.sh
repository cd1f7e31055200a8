# Sourced by test/bench/run: a server, contestants in databases of their own, and tables.
# shellcheck shell=bash
# shellcheck disable=SC2154  # runs, seconds and others are set by run

# What is not PostgreSQL's default, beside what start_cluster sets.
settings="
shared_buffers = 1GB
min_wal_size = 2GB
max_wal_size = 8GB
checkpoint_timeout = 15min
fsync = on
synchronous_commit = on
full_page_writes = on
autovacuum = on
max_connections = 300
log_checkpoints = off
ledger.slots = 1200000
ledger.databases = 128
"

sql() { "$bin/psql" -XqAt -v ON_ERROR_STOP=1 -d "$@"; }
progress() { echo "$*" >&2; }

fail() { echo "FAILED: $*" | tee -a "$work/failures" >&2; }

# Waits until the command succeeds, a minute at most.
await() {
    for _ in {1..600}; do
        ! "$@" >/dev/null 2>&1 || return 0
        sleep 0.1
    done
    echo "in vain: $*" >&2
    return 1
}

# ---- One load on one database ----

# Databases are made fresh by the contestant's file, $2.sql.
create_database() {
    local database=$1 contestant=$2
    sql postgres -c "CREATE DATABASE $database"
    sql "$database" -v accounts="${accounts:-100000}" -c 'CREATE EXTENSION ledger' -f "$contestant.sql" -c 'VACUUM ANALYZE' -c CHECKPOINT >/dev/null
}

drop_database() { sql postgres -c "DROP DATABASE $1 WITH (FORCE)"; }

# The two programs that put a load on a database. They write a line a transaction
# to latency.*, the third field its microseconds.
by_pgbench() {
    local database=$1 contestant=$2 clients=$3 duration=$4 seed=$5
    "$bin/pgbench" -n -M prepared -c "$clients" -j "$(nproc)" -T "$duration" --random-seed="$seed" \
        -D accounts="${accounts:-100000}" --log --log-prefix="$work/latency" -f "$contestant.pgbench" "$database"
}

by_sell() {
    local database=$1 contestant=$2 clients=$3 duration=$4 method=${2#*/} redis=()
    [[ $method != redis_* ]] || redis=(--redis "$work/redis.sock")
    "$root/build/bench_sell" --method "${method/#redis_*/redis}" --clients "$clients" --seconds "$duration" \
        --log "$work/latency.sell" "${redis[@]}" -d "dbname=$database"
}

# Loads by $driver and sets transactions and rate; the latencies come into file $6.
driver=by_pgbench
load() {
    local database=$1 contestant=$2 clients=$3 duration=$4 seed=$5 latencies=$6 log=$work/load.log
    rm -f "$work"/latency.*
    touch "$work/latency.none"
    "$driver" "$database" "$contestant" "$clients" "$duration" "$seed" >"$log" 2>&1 ||
        fail "$contestant, $clients clients: $(tail -n 3 "$log")"
    transactions=$(sed -n 's/^number of transactions actually processed: \([0-9]*\).*/\1/p' "$log")
    rate=$(sed -n 's/^tps = \([0-9.]*\).*/\1/p' "$log")
    : "${transactions:=0}" "${rate:=0}"
    ((transactions > 0)) || fail "$contestant, $clients clients: nothing was done in $duration s"
    cat "$work"/latency.* | cut -d ' ' -f 3 >>"$latencies"
}

# The contestant's own check, and the ledger's.
check() {
    local problems
    problems=$(sql "$1" -c ANALYZE -c 'SELECT p FROM problem AS p')
    [[ -z $problems ]] || fail "$2: $problems"
}

# ---- One measurement ----

declare -A tps wal disk measured  # by "folder contestant clients"

forget() { tps=() wal=() disk=() measured=(); rm -f "$work"/latencies.*; }

latencies_of() { echo "$work/latencies.${1// /.}"; }

# Measures one contestant in a database of its own, made fresh and dropped after.
measure() {
    local run=$1 folder=$2 contestant=$3 clients=$4 rows_each=$5
    local key="$folder $contestant $clients" transactions rate
    [[ ${measured["$key $run"]-} ]] && return
    measured["$key $run"]=yes

    create_database bench "$folder/$contestant"
    local made_before lsn_before size_before made lsn_after size_after
    IFS='|' read -r made_before lsn_before size_before < <(state_of bench)
    load bench "$folder/$contestant" "$clients" "$seconds" "$run" "$(latencies_of "$key")"
    IFS='|' read -r made lsn_after size_after < <(state_of bench)
    made=$((made - made_before))
    ((made == transactions * rows_each)) ||
        fail "$key, run $run: $transactions transactions were committed, but there are $made rows"
    check bench "$key, run $run"

    rate=$(awk "BEGIN { printf \"%.1f\", $rate * $rows_each }")
    tps[$key]+="$rate "
    wal[$key]+="$(sql bench -c "SELECT round(pg_wal_lsn_diff('$lsn_after', '$lsn_before') / greatest($made, 1))") "
    disk[$key]+="$(((size_after - size_before) / (made > 0 ? made : 1))) "
    progress "run $run: $key clients: $rate rows/s"
    drop_database bench
}

state_of() { sql "$1" -c "SELECT (SELECT count(*) FROM made), pg_current_wal_insert_lsn(), pg_database_size('$1')"; }

# ---- Numbers ----

median() { tr ' ' '\n' | grep . | sort -g | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'; }

# Of each run the ratio of $1 to $2: what disturbs the machine for long hits both.
ratios() {
    paste <(tr ' ' '\n' <<<"$1") <(tr ' ' '\n' <<<"$2") |
        awk 'NF == 2 { printf "%.2f\n", ($2 > 0 ? $1 / $2 : 0) }' | sort -g
}

# p50, p95, p99, p99.9 and the longest, in ms, of a file of microseconds.
percentiles() {
    sort -n "$1" | awk '
        function share(p) { return v[int((NR - 1) * p) + 1] / 1000 }
        { v[NR] = $1 }
        END { printf "%.2f\t%.2f\t%.2f\t%.2f\t%.2f\n", share(0.5), share(0.95), share(0.99), share(0.999), share(1) }'
}

# A line of a Markdown table, of the fields of a line with tabs.
table_rows() { sed 's/\t/ | /g; s/^/| /; s/$/ |/'; }

# ---- The machine ----

describe_machine() {
    local memory filesystem
    memory=$(awk '/^MemTotal/ { printf "%.1f GiB", $2 / 1048576 }' /proc/meminfo)
    filesystem=$(df --output=fstype,source "$work" | awk 'NR == 2 { print $1 " on " $2 }')
    # shellcheck disable=SC2016
    cat <<END
| | |
| --- | --- |
| CPU | $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores |
| memory | $memory |
| kernel | $(uname -srm) |
| file system | $filesystem |
| fsync | $(fsync_time) |
| server | $(sql postgres -c 'SELECT version()') |
| clients | on the same machine, through a Unix socket, statements prepared |
| settings | $(grep . <<<"$settings" | sed 's/ = /=/; s/.*/`&`/' | paste -sd ' ') |
END
}

# Time to write and sync 8 kB, as a commit must.
fsync_time() {
    unprivileged "$bin/pg_test_fsync" -s 1 -f "$work/fsync" 2>/dev/null |
        awk '$1 == "fdatasync" && !seen++ { print "fdatasync of 8 kB in", $4, "µs (pg_test_fsync)" }'
}

# ---- Times of single statements ----

# A crash, and the start after it: nothing is in shared memory.
crash() {
    unprivileged "$bin/pg_ctl" -D "$work/data" -m immediate -w stop >/dev/null
    unprivileged "$bin/pg_ctl" -D "$work/data" -l "$work/log" -w start >/dev/null
}

# How long a statement, the last of $1, takes in a new session.
milliseconds() {
    sql "${2:-bench}" <<<"\\timing on
$1;" | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p' | tail -n 1
}
