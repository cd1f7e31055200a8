# A synchronous standby behind a wire of a millisecond there and back: a commit waits
# for it, and who holds a row lock makes everybody wait.
# shellcheck shell=bash disable=SC2154

wire_us=500  # one way

part_standby() {
    start_standby
    local run clients contestant
    for ((run = 1; run <= runs; run++)); do
        for clients in 8 64 200; do
            for contestant in insert ledger update; do
                measure "$run" hot "$contestant" "$clients" 1
            done
        done
    done
    standby_is_synchronous || fail 'the standby is not synchronous any more'
    report_standby
    sql postgres -c 'ALTER SYSTEM RESET synchronous_standby_names' -c 'SELECT pg_reload_conf()' >/dev/null
    stop_standby
    kill "$(<"$work/delay.pid")"
    rm -rf "$work/standby" "$work/far" "$work/delay.pid"
}

# The standby's connection alone goes through the wire (delay.cpp).
start_standby() {
    unprivileged mkdir "$work/far"
    (umask 000 && exec "$root/build/bench_delay" "$work/far/.s.PGSQL.5432" "$work/.s.PGSQL.5432" "$wire_us") >"$work/delay.log" 2>&1 &
    echo $! >"$work/delay.pid"
    unprivileged "$bin/pg_basebackup" -h "$work" -p 5432 -U postgres -D "$work/standby" -X stream -c fast
    printf '%s\n' "port = 5433" "primary_conninfo = 'host=$work/far port=5432 user=postgres application_name=far'" |
        unprivileged tee -a "$work/standby/postgresql.conf" >/dev/null
    unprivileged touch "$work/standby/standby.signal"
    unprivileged "$bin/pg_ctl" -D "$work/standby" -l "$work/standby.log" -w start >/dev/null
    sql postgres -c "ALTER SYSTEM SET synchronous_standby_names = 'far'" -c 'SELECT pg_reload_conf()' >/dev/null
    await standby_is_synchronous
}

standby_is_synchronous() { [[ $(sql postgres -c 'SELECT sync_state FROM pg_stat_replication') == sync ]]; }

# Mean time of a statement that does nothing, in ms, by the socket in directory $1.
round_trip() {
    "$bin/pgbench" -h "$1" -n -M prepared -c 1 -T 2 -f <(echo 'SELECT 1;') postgres 2>/dev/null |
        sed -n 's/^latency average = \([0-9.]*\) ms/\1/p'
}

report_standby() {
    local clients contestant key
    echo "A statement that does nothing takes $(round_trip "$work") ms, and $(round_trip "$work/far") ms through the wire."
    echo
    for clients in 8 64 200; do
        for contestant in insert ledger update; do
            key="hot $contestant $clients"
            printf '%s\t%s\t%.0f\t%.2f\t%s\n' "$clients" "$contestant" "$(median <<<"${tps[$key]}")" \
                "$(ratios "${tps[hot ledger $clients]}" "${tps[$key]}" | median)" "$(percentiles "$(latencies_of "$key")")"
        done
    done >"$results/standby.tsv"
    echo '| clients | sold by | sales/s | ledger / this | p50, ms | p95 | p99 | p99.9 | max |'
    echo '| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |'
    table_rows <"$results/standby.tsv"
}
