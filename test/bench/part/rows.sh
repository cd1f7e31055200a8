# The rows of the contract: ledger against peer, ratio against what is wanted.
# shellcheck shell=bash disable=SC2154

# row | folder | clients | peer | at least | rows a transaction | what
# The cells of one folder and number of clients stand together: the ledger is then
# measured once in each run for all of them.
cells='
1|hot|8|insert|0.9|1|deduct_stock, one hot SKU, against a bare INSERT
1|hot|64|insert|0.9|1|deduct_stock, one hot SKU, against a bare INSERT
2|hot|64|update|6|1|deduct_stock, one hot SKU, against conditional UPDATE + INSERT
1|hot|200|insert|0.9|1|deduct_stock, one hot SKU, against a bare INSERT
2|hot|200|update|15|1|deduct_stock, one hot SKU, against conditional UPDATE + INSERT
3|random|64|update|1.3|1|transfer, 100,000 accounts, against UPDATE, UPDATE, INSERT
4|batch|1|insert|0.9|1000|transfer_batch of 1,000 against INSERT ... SELECT
4|batch|2|insert|0.9|1000|transfer_batch of 1,000 against INSERT ... SELECT
5|tcc|64|hand|5|1|tcc_begin, tcc_freeze, tcc_confirm, one hot account, against a fence table and row updates
6|request|1|hand|1.0|1|begin_request + complete_request against INSERT ... ON CONFLICT + UPDATE
6|request|64|hand|1.0|1|begin_request + complete_request against INSERT ... ON CONFLICT + UPDATE
7|audit|64|plain|0.75|1|INSERT into an audited table against the same unaudited
7|audit|64|chain|8|1|INSERT into an audited table against a plpgsql trigger that locks a chain head and hashes
8|audit_bulk|1|jsonb|2.5|100000|INSERT of 100,000 rows into an audited table against a plpgsql trigger that logs to_jsonb(NEW)
k|key|64|unkeyed|0.7|1|deduct_stock with a key, one hot SKU, against the same without
v|verify|1|text|3|200000|verify() on one core against sum(length(sha256(t::text::bytea))) over the same rows
'

part_rows() {
    local run row folder clients peer target rows_each what contestant order
    cells=$(grep "^[${rows//,/}]|" <<<"$cells") || { echo "no such rows: $rows" >&2; exit 2; }
    for ((run = 1; run <= runs; run++)); do
        while IFS='|' read -r row folder clients peer target rows_each what; do
            # The peer goes first in odd runs, the ledger in even ones.
            order="$peer ledger"
            ((run % 2)) || order="ledger $peer"
            for contestant in $order; do
                measure "$run" "$folder" "$contestant" "$clients" "$rows_each"
            done
        done <<<"$cells"
    done
    report_ratios | tee "$work/ratios"
    echo
    awk -F ' *[|] *' '/[|] not met [|]/ { list = list "; row " $2 ", " $4 " clients: " $7 " of " $8 }
        END { print list ? "Not met: " substr(list, 3) "." : "All met." }' "$work/ratios"
    echo
    report_latencies
}

report_ratios() {
    echo '| row | work | clients | ledger, rows/s | peer, rows/s | ratio (lowest, highest run) | at least | | WAL bytes a row: ledger, peer | disk bytes a row: ledger, peer |'
    echo '| --- | --- | ---: | ---: | ---: | ---: | ---: | --- | ---: | ---: |'
    local row folder clients peer target rows_each what
    while IFS='|' read -r row folder clients peer target rows_each what; do
        local ours="$folder ledger $clients" theirs="$folder $peer $clients" each
        each=$(ratios "${tps[$ours]}" "${tps[$theirs]}")
        awk -v "head=| $row | $what | $clients" -v "target=$target" -v "ratio=$(median <<<"$each")" \
            -v "ours=$(median <<<"${tps[$ours]}")" -v "theirs=$(median <<<"${tps[$theirs]}")" \
            -v "low=$(head -n 1 <<<"$each")" -v "high=$(tail -n 1 <<<"$each")" \
            -v "wal=$(median <<<"${wal[$ours]}"), $(median <<<"${wal[$theirs]}")" \
            -v "disk=$(median <<<"${disk[$ours]}"), $(median <<<"${disk[$theirs]}")" 'BEGIN {
                printf "%s | %.0f | %.0f | **%.2f** (%.2f, %.2f) | %s | %s | %s | %s |\n",
                    head, ours, theirs, ratio, low, high, target, (ratio >= target ? "met" : "not met"), wal, disk
            }'
    done < <(sort -s -t '|' -k 1,1 <<<"$cells")
}

# Of all transactions of all runs.
report_latencies() {
    echo '| row | contestant | clients | p50, ms | p95 | p99 | p99.9 | max |'
    echo '| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |'
    local row folder clients peer contestant rest
    while IFS='|' read -r row folder clients peer rest; do
        for contestant in ledger "$peer"; do
            printf '%s\t%s\t%s\t%s\n' "$row" "$folder/$contestant" "$clients" \
                "$(percentiles "$(latencies_of "$folder $contestant $clients")")"
        done
    done < <(sort -s -t '|' -k 1,1 <<<"$cells") | sort -u -t $'\t' -k 2,2 -k 3,3n | sort -s -k 1,1 |
        tee "$results/latency.tsv" | table_rows
}
