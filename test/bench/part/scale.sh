# Does a call take longer where there are more accounts, or more transfers behind it?
# shellcheck shell=bash disable=SC2154

scale_clients=8

part_scale() {
    : >"$results/scale.tsv"
    : >"$results/scale_first.tsv"
    scale_accounts
    scale_transfers
    report_scale
}

scale_accounts() {
    local accounts contestant database=bench
    for accounts in 1000 10000 100000 1000000; do
        ((accounts <= transfers)) || continue
        for contestant in ledger update; do
            create_database bench "random/$contestant"
            scale_point accounts "$accounts" transfer "random/$contestant"
            scale_point accounts "$accounts" balance "balance/$contestant"
            check bench "$contestant, $accounts accounts"
            drop_database bench
        done
    done
}

# A database each, which grow in turns; 100,000 accounts.
scale_transfers() {
    local size contestant database
    create_database of_ledger scale/ledger
    create_database of_update scale/update
    for size in $((transfers / 10)) $((transfers / 5)) $((transfers / 2)) "$transfers"; do
        for contestant in ledger update; do
            database=of_$contestant
            grow "$size"
            scale_point transfers "$size" transfer "random/$contestant"
            scale_point transfers "$size" balance "balance/$contestant"
        done
        contestant=ledger database=of_ledger
        scale_point transfers "$size" deduct_stock scale/deduct_stock
        scale_first_use "$size"
    done
    for contestant in ledger update; do
        check "of_$contestant" "$contestant, $transfers transfers"
        drop_database "of_$contestant"
    done
}

# One load on $database by $contestant, as a line: curve, size, contestant, call,
# calls/s, mean, p50, p99 in ms.
scale_point() {
    local curve=$1 size=$2 call=$3 latencies=$work/latencies.scale
    rm -f "$latencies"
    sql "$database" -c CHECKPOINT
    load "$database" "$4" "$scale_clients" "$seconds" 1 "$latencies"
    printf '%s\t%s\t%s\t%s\t%.0f\t%s\t%s\n' "$curve" "$size" "$contestant" "$call" "$rate" \
        "$(awk "BEGIN { printf \"%.3f\", $scale_clients * 1000 / ($rate > 0 ? $rate : 1) }")" \
        "$(percentiles "$latencies" | cut -f 1,3)" >>"$results/scale.tsv"
    progress "$size $curve, $contestant, $call: $rate calls/s"
}

# Inserts random transfers until there are $1.
grow() {
    local missing
    missing=$(($1 - $(sql "$database" -c 'SELECT count(*) FROM made')))
    ((missing > 20000)) || return 0
    "$bin/pgbench" -n -M prepared -c 2 -j 2 -t $((missing / 20000)) -D accounts=100000 \
        -f "scale/$contestant.pgbench" "$database" >"$work/load.log" 2>&1 || fail "growing $contestant: $(tail -n 3 "$work/load.log")"
    [[ $contestant != ledger ]] || sql "$database" -c 'SELECT ledger.fold(), ledger.seal()' >/dev/null
    sql "$database" -c 'VACUUM ANALYZE'
}

# After a crash: the first write in the database, then the first of an account and its second.
scale_first_use() {
    crash
    local deduct="SELECT ledger.deduct_stock('0', 1)"
    printf '%s\t%s\t%s\t%s\n' "$1" "$(milliseconds "SELECT ledger.transfer('1', '2', 1)" "$database")" \
        "$(milliseconds "$deduct" "$database")" "$(milliseconds "$deduct" "$database")" >>"$results/scale_first.tsv"
}

report_scale() {
    echo "With $scale_clients clients:"
    echo
    echo '| growing | size | contestant | call | calls/s | mean, ms | p50, ms | p99, ms |'
    echo '| --- | ---: | --- | --- | ---: | ---: | ---: | ---: |'
    sort -s -k 1,1 -k 4,4 -k 3,3 -k 2,2n "$results/scale.tsv" | table_rows
    echo
    echo 'After a crash, from new sessions:'
    echo
    echo '| transfers | first write in the database, ms | first deduct_stock of a SKU, ms | second, ms |'
    echo '| ---: | ---: | ---: | ---: |'
    table_rows <"$results/scale_first.tsv"
}
