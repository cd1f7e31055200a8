# One hot SKU, sold in every way that we know of, by the same clients (sell.cpp).
# shellcheck shell=bash disable=SC2034,SC2154

sellers='insert ledger ledger_order update pessimistic optimistic audited redis_everysec redis_always'

part_peers() {
    local driver=by_sell run clients seller
    for ((run = 1; run <= runs; run++)); do
        for clients in 8 64 200; do
            for seller in $sellers; do
                start_redis "$seller"
                measure "$run" hot "$seller" "$clients" 1
                stop_redis
            done
        done
    done
    report_peers
}

# Redis as the contestant's name has it: redis_everysec, redis_always.
start_redis() {
    [[ $1 == redis_* ]] || return 0
    rm -rf "$work/redis"
    unprivileged mkdir "$work/redis"
    # Debian has the server in redis-tools by another name; the package redis-server would start one.
    ln -sf "$(command -v redis-check-rdb)" "$work/redis-server"
    unprivileged "$work/redis-server" --port 0 --unixsocket "$work/redis.sock" --dir "$work/redis" --save '' --maxclients 1000 \
        --appendonly yes --appendfsync "${1#redis_}" --daemonize yes --pidfile "$work/redis.pid" >/dev/null
    await redis-cli -s "$work/redis.sock" PING
}

stop_redis() {
    [[ -f $work/redis.pid ]] || return 0
    redis-cli -s "$work/redis.sock" SHUTDOWN NOSAVE >/dev/null 2>&1 || true
    await test ! -f "$work/redis.pid"
}

report_peers() {
    local clients seller key
    for clients in 8 64 200; do
        for seller in $sellers; do
            key="hot $seller $clients"
            printf '%s\t%s\t%.0f\t%.2f\t%s\t%s\t%s\n' "$clients" "$seller" "$(median <<<"${tps[$key]}")" \
                "$(ratios "${tps[hot ledger $clients]}" "${tps[$key]}" | median)" \
                "$(percentiles "$(latencies_of "$key")")" "$(median <<<"${wal[$key]}")" "$(median <<<"${disk[$key]}")"
        done
    done >"$results/peers.tsv"
    echo '| clients | sold by | sales/s | ledger / this | p50, ms | p95 | p99 | p99.9 | max | WAL bytes a sale | disk bytes a sale |'
    echo '| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |'
    table_rows <"$results/peers.tsv"
}
