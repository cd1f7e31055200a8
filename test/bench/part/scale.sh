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
    local accounts contestant
    for accounts in 1000 10000 100000 1000000; do
        ((accounts <= transfers)) || continue
        for contestant in ledger update; do
            create_database bench "random/$contestant"
            scale_point accounts "$accounts" "$contestant" transfer "random/$contestant"
            scale_point accounts "$accounts" "$contestant" balance "balance/$contestant"
            check bench "$contestant, $accounts accounts"
            drop_database bench
        done
    done
}

# One database each, which grows; 100,000 accounts.
scale_transfers() {
    local contestant size
    for contestant in ledger update; do
        create_database bench "scale/$contestant"
        for size in $((transfers / 10)) $((transfers / 5)) $((transfers / 2)) "$transfers"; do
            grow "$contestant" "$size"
            scale_point transfers "$size" "$contestant" transfer "random/$contestant"
            scale_point transfers "$size" "$contestant" balance "balance/$contestant"
            [[ $contestant == ledger ]] || continue
            scale_point transfers "$size" ledger deduct_stock scale/deduct_stock
            scale_first_use "$size"
        done
        check bench "$contestant, $transfers transfers"
        drop_database bench
    done
}

# One load, as a line: curve, size, contestant, work, calls/s, mean, p50, p99 in ms.
scale_point() {
    local curve=$1 size=$2 contestant=$3 what=$4 latencies=$work/latencies.scale
    rm -f "$latencies"
    sql bench -c CHECKPOINT
    load bench "$5" "$scale_clients" "$seconds" 1 "$latencies"
    printf '%s\t%s\t%s\t%s\t%.0f\t%s\t%s\n' "$curve" "$size" "$contestant" "$what" "$rate" \
        "$(awk "BEGIN { printf \"%.3f\", $scale_clients * 1000 / ($rate > 0 ? $rate : 1) }")" \
        "$(percentiles "$latencies" | cut -f 1,3)" >>"$results/scale.tsv"
    progress "$size $curve, $contestant, $what: $rate calls/s"
}

# Inserts random transfers until there are $2.
grow() {
    local contestant=$1 missing
    missing=$(($2 - $(sql bench -c 'SELECT count(*) FROM made')))
    ((missing > 20000)) || return 0
    "$bin/pgbench" -n -M prepared -c 2 -j 2 -t $((missing / 20000)) -D accounts=100000 \
        -f "scale/$contestant.pgbench" bench >"$work/load.log" 2>&1 || fail "growing $contestant: $(tail -n 3 "$work/load.log")"
    sql bench -c 'VACUUM ANALYZE'
    [[ $contestant != ledger ]] || sql bench -c 'SELECT ledger.fold(), ledger.seal()' >/dev/null
}

# After a crash: the first write in the database, then the first of an account and its second.
scale_first_use() {
    crash
    local deduct="SELECT ledger.deduct_stock('0', 1)"
    printf '%s\t%s\t%s\t%s\n' "$1" "$(milliseconds "SELECT ledger.transfer('1', '2', 1)")" \
        "$(milliseconds "$deduct")" "$(milliseconds "$deduct")" >>"$results/scale_first.tsv"
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
