# The first use of an account after a crash: its slot is loaded from the folded row
# and the tail, here of a million transfers.
# shellcheck shell=bash disable=SC2016,SC2154

part_first_use() {
    local tail=$((transfers < 1000000 ? transfers : 1000000)) run recovery first again count
    local transfer="SELECT ledger.transfer('hot', 'bank', 1)"
    # Nothing is folded: a long transaction would do the same.
    sql postgres -c 'ALTER SYSTEM SET ledger.fold_threshold = 2147483647' -c 'SELECT pg_reload_conf()' >/dev/null
    create_database bench first_use/ledger
    sql bench -v rows="$tail" -f first_use/tail.sql >/dev/null
    for ((run = 1; run <= runs; run++)); do
        crash
        # The ledger's own recovery is not the account's: another account comes first.
        recovery=$(milliseconds "SELECT ledger.transfer('bank', 'another', 1)")
        first=$(milliseconds "$transfer")
        again=$(milliseconds "$transfer")
        crash
        count=$(milliseconds "SET max_parallel_workers_per_gather = 0; SELECT count(*) FROM ledger_data.transfer
            WHERE debit_account = (SELECT id FROM ledger_data.account WHERE code = 'hot')")
        progress "run $run: first use $first ms, count(*) $count ms"
        printf '%s\t%s\t%s\t%s\t%s\n' "$tail" "$recovery" "$first" "$again" "$count"
    done >"$results/first_use.tsv"
    check bench 'first use'
    drop_database bench
    sql postgres -c 'ALTER SYSTEM RESET ledger.fold_threshold' -c 'SELECT pg_reload_conf()' >/dev/null

    echo '| tail, transfers | first write in the database, ms | first use of the account, ms | second use, ms | `SELECT count(*)` over the tail, ms | first use / count | at most | |'
    echo '| ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |'
    awk -F '\t' -v OFS='\t' '{ print $0, sprintf("**%.2f**", $3 / $5), 3, ($3 <= 3 * $5 ? "met" : "not met") }' \
        "$results/first_use.tsv" | table_rows
}
