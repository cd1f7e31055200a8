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

# ---- Servers ----

# pg_ctl for the server in use: $bin, $data and $PGPORT name it.
control() { unprivileged "$bin/pg_ctl" -D "$data" -l "$server_log" -w "$@" >/dev/null; }

# Another server, next to the one that all parts use. Arguments: its directory in the
# work directory, and lines of postgresql.conf.
start_server() {
    data=$work/$1 server_log=$work/$1.log
    shift
    unprivileged "$bin/initdb" -D "$data" -U postgres -A trust --no-sync >/dev/null
    printf '%s\n' "shared_preload_libraries = 'ledger'" "listen_addresses = ''" "unix_socket_directories = '$work'" \
        "port = $PGPORT" "$@" "include_if_exists = 'part.conf'" | unprivileged tee -a "$data/postgresql.conf" >/dev/null
    control start
}

# Starts it again with these lines in place of those of the last time.
restart_with() {
    printf '%s\n' "$@" | unprivileged tee "$data/part.conf" >/dev/null
    control -m fast stop
    control start
}

# WAL segments to recycle, so that no measurement pays for making files.
make_segments() {
    for _ in {1..64}; do
        sql postgres -c "SELECT pg_logical_emit_message(false, 'bench', 'x'), pg_switch_wal()"
    done >/dev/null
}

# ---- Two builds ----

# Of this tree, whoever owns it.
git_here() { git -c safe.directory='*' -C "$root" "$@"; }

# The revision to compare with: the one asked for, or the first release.
other_revision() {
    local revision=${against:-v0.1}
    [[ ${against-} ]] || git_here rev-parse -q --verify 'v0.1^{commit}' >/dev/null || revision=HEAD~1
    git_here rev-parse -q --verify --short "$revision^{commit}" || { echo "no such revision: $revision" >&2; return 1; }
}

described_tree() {
    local changes=
    [[ -z $(git_here status --porcelain --untracked-files=no) ]] || changes=', with changes that are not committed'
    echo "\`$(git_here rev-parse --short HEAD)\`$changes"
}

# Builds the ledger twice: "before" from the revision $1, "now" from this tree with what
# is not committed. Each gets a copy of the PostgreSQL installation: PostgreSQL finds the
# other directories by the place of its programs.
make_builds() {
    [[ ! -d $work/builds ]] || return 0
    install_build_packages
    local name
    for name in before now; do
        mkdir -p "$work/builds/$name/tree"
        copy_installation "$work/builds/$name"
    done
    git_here archive "$1" | tar -C "$work/builds/before/tree" -xf -
    copy_sources "$work/builds/now/tree"
    for name in before now; do
        progress "building $name"
        quiet_make -C "$work/builds/$name/tree" PG_CONFIG="$(bin_of "$name")/pg_config" CLIENTS= all
        quiet_make -C "$work/builds/$name/tree" PG_CONFIG="$(bin_of "$name")/pg_config" CLIENTS= install
    done
}

bin_of() { echo "$work/builds/$1$("$PG_CONFIG" --bindir)"; }

# Under the directory $1, with the same paths; without the ledger, if it is installed.
copy_installation() {
    local directories libraries
    directories=$(printf '%s\n' "$bin" "$("$PG_CONFIG" --pkglibdir)" "$("$PG_CONFIG" --sharedir)" \
        "$("$PG_CONFIG" --includedir)" "$("$PG_CONFIG" --includedir-server)" | sort -u | sed 's,^/,,')
    tar -C / --exclude='ledger.so' --exclude='extension/ledger*' -cf - -T <(echo "$directories") | tar -C "$1" -xf -
    libraries=$("$PG_CONFIG" --libdir)
    [[ -e $1$libraries ]] || { mkdir -p "$1${libraries%/*}" && ln -s "$libraries" "$1$libraries"; }
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

declare -A tps wal disk measured  # by "folder contestant clients", before it the build where there are two

forget() { tps=() wal=() disk=() measured=(); rm -f "$work"/latencies.*; }

latencies_of() { echo "$work/latencies.${1// /.}"; }

# Measures one contestant in a database of its own, made fresh and dropped after.
measure() {
    local run=$1 folder=$2 contestant=$3 clients=$4 rows_each=$5
    local key="${build:+$build }$folder $contestant $clients" transactions rate
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
    control -m immediate stop
    control start
}

# How long a statement, the last of $1, takes in a new session.
milliseconds() {
    sql "${2:-bench}" <<<"\\timing on
$1;" | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p' | tail -n 1
}
