# Long transactions: one that has written and idles, a REPEATABLE READ snapshot, and
# a pg_dump, all open during a run. They hold back vacuum and folding.
# shellcheck shell=bash disable=SC2154

part_horizon() {
    local run contestant phase
    : >"$work/horizon.tsv"
    for ((run = 1; run <= runs; run++)); do
        for contestant in update ledger; do
            create_database bench "hot/$contestant"
            # So that no dump fits into a pipe.
            sql bench -c "CREATE TABLE filler AS SELECT repeat('x', 1000) FROM generate_series(1, 10000)"
            horizon_phase before
            open_transactions
            horizon_phase during
            end_transactions
            horizon_phase after
            check bench "$contestant with long transactions"
            drop_database bench
        done
    done
    report_horizon
}

# A line: phase, contestant, sales/s, p99, time to read the balance, its tail, seconds until it was folded.
horizon_phase() {
    local phase=$1 sales reads=$work/latencies.read latencies=$work/latencies.horizon folded=- tail=-
    rm -f "$latencies" "$reads"
    load bench "hot/$contestant" 64 "$seconds" "$run" "$latencies"
    sales=$rate
    if [[ $contestant == ledger ]]; then
        [[ $phase == during ]] || folded=$(seconds_until_folded)
        tail=$(sql bench -c 'SELECT longest_tail FROM ledger.stat')
    fi
    load bench "horizon/$contestant" 1 1 "$run" "$reads"
    printf '%s\t%s\t%.0f\t%s\t%s\t%s\t%s\n' "$phase" "$contestant" "$sales" "$(percentiles "$latencies" | cut -f 3)" \
        "$(percentiles "$reads" | cut -f 1)" "$tail" "$folded" >>"$work/horizon.tsv"
    progress "run $run: $contestant, $phase: $sales sales/s"
}

# What the worker has not folded within a minute is a finding.
seconds_until_folded() {
    local start=$EPOCHREALTIME tail=1000000
    while ((tail >= 1000)); do
        sleep 0.1
        tail=$(sql bench -c 'SELECT longest_tail FROM ledger.stat')
        awk "BEGIN { exit $EPOCHREALTIME - $start > 60 }" || { fail "the tail is $tail after a minute"; break; }
    done
    awk "BEGIN { printf \"%.1f\", $EPOCHREALTIME - $start }"
}

# Two sessions fed through pipes, so that they idle, and a dump into a pipe that nobody empties.
open_transactions() {
    exec {writer}> >(sql bench >/dev/null)
    echo 'BEGIN; SELECT pg_current_xact_id();' >&"$writer"
    exec {reader}> >(sql bench >"$work/snapshot")
    echo 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM made;' >&"$reader"
    mkfifo "$work/dump"
    { "$bin/pg_dump" bench >"$work/dump" || fail pg_dump; } &
    dump=$!
    exec {dumped}<"$work/dump"
    await three_are_open
}

# The old snapshot must not have seen anything of what was sold since.
end_transactions() {
    echo 'SELECT count(*) FROM made; COMMIT;' >&"$reader"
    echo 'COMMIT;' >&"$writer"
    exec {reader}>&- {writer}>&-
    cat <&"$dumped" >/dev/null
    exec {dumped}<&-
    wait "$dump"
    rm "$work/dump"
    await both_answers_are_there
    [[ $(sort -u "$work/snapshot" | wc -l) == 1 ]] || fail "a snapshot changed: $(paste -sd ' ' "$work/snapshot")"
}

# Of a column of $phase and $contestant over the runs; - where it has none.
horizon_median() {
    awk -F '\t' -v "p=$phase" -v "c=$contestant" -v "n=$1" '$1 == p && $2 == c { print $n }' "$work/horizon.tsv" |
        sed 's/^-$/nan/' | median | sed 's/.*nan.*/-/'
}

three_are_open() {
    [[ $(sql bench -c "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%' OR application_name = 'pg_dump'") == 3 ]]
}

both_answers_are_there() { [[ $(wc -l <"$work/snapshot") == 2 ]]; }

report_horizon() {
    local phase contestant column
    for phase in before during after; do
        for contestant in ledger update; do
            printf '%s\t%s' "$phase" "$contestant"
            for column in 3 4 5 6 7; do
                printf '\t%s' "$(horizon_median "$column")"
            done
            echo
        done
    done >"$results/horizon.tsv"
    echo '| long transactions | sold by | sales/s | p99, ms | reading the balance, p50, ms | tail, transfers | folded after, s |'
    echo '| --- | --- | ---: | ---: | ---: | ---: | ---: |'
    table_rows <"$results/horizon.tsv"
}
