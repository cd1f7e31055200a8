# A long run, autovacuum, folding and sealing as they come. Ledger and peer take turns
# of ten seconds, in databases of their own, so that both have the same machine.
# shellcheck shell=bash disable=SC2154

slice=10  # seconds

part_sustained() {
    : >"$results/sustained.tsv"
    create_database ledger hot/ledger
    create_database peer hot/update
    local begun=$SECONDS number=0
    while ((SECONDS - begun < sustained * 60)); do
        number=$((number + 1))
        sustain ledger ledger "longest_tail, slots_in_use FROM ledger.stat" \
            'ledger_data.transfer' 'ledger_data.balance'
        sustain peer update '0, 0' orders stock
    done
    check ledger 'sustained, ledger'
    check peer 'sustained, update'
    local verified
    verified=$(sql ledger -c 'SELECT count(*) FROM ledger.verify()')
    ((verified == 0)) || fail "verify() names $verified records"
    drop_database ledger
    drop_database peer
    report_sustained
}

# One slice, as a line: minute, contestant, sales/s, p50, p99, max in ms, MB of the movements' table,
# of its indexes, kB of the balances' table, longest tail, slots.
sustain() {
    local database=$1 contestant=$2 counters=$3 movements=$4 balances=$5 latencies=$work/latencies.slice
    rm -f "$latencies"
    load "$database" "hot/$contestant" 64 "$slice" "$number" "$latencies"
    printf '%s\t%s\t%.0f\t%s\t%s\n' "$(awk "BEGIN { printf \"%.2f\", ($SECONDS - $begun) / 60 }")" "$contestant" "$rate" \
        "$(percentiles "$latencies" | cut -f 1,3,5)" \
        "$(sql "$database" -F $'\t' -c "SELECT round(pg_table_size('$movements') / 1e6, 1), round(pg_indexes_size('$movements') / 1e6, 1),
            pg_table_size('$balances') / 1000, $counters")" >>"$results/sustained.tsv"
    progress "$(tail -n 1 "$results/sustained.tsv")"
}

report_sustained() {
    echo "In $sustained minutes, in turns of $slice s, 64 clients; medians of the turns in the first and the last fifth of the time:"
    echo
    echo '| sold by | sales/s: first fifth | last fifth | last / first | slowest, fastest turn | p50, ms | p99, ms | longest, ms | movements, MB | indexes, MB | balances, kB | longest tail at the end of a turn |'
    echo '| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |'
    local contestant turns
    for contestant in ledger update; do
        turns=$work/turns.$contestant
        awk -F '\t' -v "c=$contestant" '$2 == c' "$results/sustained.tsv" >"$turns"
        local fifth=$((($(wc -l <"$turns") + 4) / 5)) first last
        first=$(head -n "$fifth" "$turns" | cut -f 3 | median)
        last=$(tail -n "$fifth" "$turns" | cut -f 3 | median)
        awk -F '\t' -v OFS='\t' -v "first=$first" -v "last=$last" -v "p50=$(cut -f 4 "$turns" | median)" -v "p99=$(cut -f 5 "$turns" | median)" '
            NR == 1 || $3 < low { low = $3 }
            $3 > high { high = $3 }
            $6 > longest { longest = $6 }
            $10 > tail { tail = $10 }
            END { print $2, first, last, sprintf("**%.2f**", last / first), low ", " high, p50, p99, longest, $7, $8, $9, tail + 0 }' "$turns"
    done | table_rows
}
