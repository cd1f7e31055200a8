# Is this tree slower than another revision? Two builds, each with a server of its own,
# take turns: what disturbs the machine hits both. Only one of them is loaded at a time.
# shellcheck shell=bash disable=SC2034,SC2154

# row | folder | clients | rows a transaction | what: the ledger's side of part rows
compared='
1|hot|8|1|deduct_stock, one hot SKU
1|hot|64|1|deduct_stock, one hot SKU
1|hot|200|1|deduct_stock, one hot SKU
3|random|64|1|transfer, 100,000 accounts
4|batch|1|1000|transfer_batch of 1,000
4|batch|2|1000|transfer_batch of 1,000
5|tcc|64|1|tcc_begin, tcc_freeze, tcc_confirm, one hot account
7|audit|64|1|INSERT into an audited table
8|audit_bulk|1|100000|INSERT of 100,000 rows into an audited table
k|key|64|1|deduct_stock with a key, one hot SKU
'

declare -A port_of=([before]=5434 [now]=5435)

part_builds() {
    local runs=${chosen_runs:-15} seconds=${chosen_seconds:-20} revision bin=$bin data=$data server_log=$server_log build run
    local row folder clients rows_each what order
    local -x PGPORT
    compared=$(grep "^[${rows//,/}]|" <<<"$compared") || { echo "not among the rows of this part: $rows" >&2; exit 2; }
    revision=$(other_revision)
    make_builds "$revision"
    for build in before now; do
        bin=$(bin_of "$build") PGPORT=${port_of[$build]}
        start_server "$build" "$settings" 'max_prepared_transactions = 20'
        make_segments
    done
    for ((run = 1; run <= runs; run++)); do
        order='before now'
        ((run % 2)) || order='now before'
        while IFS='|' read -r row folder clients rows_each what; do
            for build in $order; do
                bin=$(bin_of "$build") PGPORT=${port_of[$build]} data=$work/$build server_log=$work/$build.log
                measure "$run" "$folder" ledger "$clients" "$rows_each"
            done
        done <<<"$compared"
    done
    report_builds
    for build in before now; do
        bin=$(bin_of "$build") data=$work/$build server_log=$work/$build.log
        control -m fast stop
    done
}

# A run without a transaction is a failure (see load) and has no ratio.
report_builds() {
    local key
    echo "Before: \`$revision\`. Now: $(described_tree). $runs runs of $seconds s each."
    echo
    echo '| row | work | clients | before, rows/s | now, rows/s | now / before, median | 95 % interval | |'
    echo '| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |'
    : >"$results/builds.tsv"
    while IFS='|' read -r row folder clients rows_each what; do
        key="$folder ledger $clients"
        paste <(tr ' ' '\n' <<<"${tps[before $key]}") <(tr ' ' '\n' <<<"${tps[now $key]}") |
            awk -v OFS='\t' -v "row=$row" -v "clients=$clients" \
                'NF == 2 && $1 > 0 { print row, clients, NR, $1, $2, sprintf("%.4f", $2 / $1) }' >"$work/pairs"
        cat "$work/pairs" >>"$results/builds.tsv"
        printf '%s\t%s\t%s\t%.0f\t%.0f\t%s\n' "$row" "$what" "$clients" "$(cut -f 4 "$work/pairs" | median)" \
            "$(cut -f 5 "$work/pairs" | median)" "$(cut -f 6 "$work/pairs" | sort -g | judge)"
    done <<<"$compared" | table_rows
}

# The median of sorted ratios, the interval in which the true median lies in at least
# 95 of 100 cases, and what that means. The interval's ends are two of the ratios: the
# median is below the k-th smallest of n with the probability of fewer than k heads in n
# throws of a coin. Below six runs not even the smallest and the largest are far enough
# apart.
judge() {
    awk '
        { v[NR] = $1 }
        END {
            median = (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2
            term = 0.5 ^ NR; tail = term; k = 0
            while (tail <= 0.025) { ++k; term *= (NR - k + 1) / k; tail += term }
            if (k == 0) {
                printf "**%.3f**\tnone below 6 runs (lowest %.3f, highest %.3f)\tundecided\n", median, v[1], v[NR]
                exit
            }
            low = v[k]; high = v[NR + 1 - k]
            met = low >= 0.97 ? "met" : high < 1 && median < 0.97 ? "not met" : "undecided"
            printf "**%.3f**\t%.3f to %.3f\t%s\n", median, low, high, met
        }'
}
