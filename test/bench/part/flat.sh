# Costs that must not grow with what else is there: each measured with little of it and
# with much, in the present build, and with --against in another one, too.
# shellcheck shell=bash disable=SC2016,SC2034,SC2154

part_flat() {
    local runs=$runs seconds=${chosen_seconds:-2} bin=$bin data=$data server_log=$server_log build builds=now
    local records=$((transfers < 1000000 ? transfers : 1000000)) dead_holds=$((transfers < 60000 ? transfers : 60000))
    local revision=
    local -x PGPORT=5436
    if [[ ${against-} ]]; then
        builds='before now'
        revision=$(other_revision)
        make_builds "$revision"
    fi
    rm -f "$results"/flat_*.tsv
    for build in $builds; do
        [[ $builds == now ]] || bin=$(bin_of "$build")
        start_server "flat_$build" "$settings"
        flat_prepared
        flat_dead_holds
        flat_worker
        flat_records
        flat_views
        control -m fast stop
        rm -rf "$data"
    done
    report_flat
}

# A line of a table: $1 its file, the rest its fields. The build is the last field.
note() {
    local file=$results/flat_$1.tsv IFS=$'\t'
    shift
    printf '%s\t%s\n' "$*" "$build" >>"$file"
    progress "$build: $*"
}

# Median time in µs of a transaction of one statement, in a loop in the server, so that no
# client is waited for; nor is the disk.
microseconds() {
    sql bench -v statement="$1" -v seconds="$seconds" -f flat/microseconds.sql | tail -n 1
}

# ---- Prepared transactions ----

flat_prepared() {
    restart_with 'max_prepared_transactions = 700'
    create_database bench flat/prepared
    prepared_row 0 none
    local count accounts_of load
    for accounts_of in 'other accounts' 'the same accounts'; do
        for count in 50 200 590; do
            prepare_transactions "$count" "$accounts_of"
            prepared_row "$count" "$accounts_of"
            end_prepared "$count"
        done
    done
    for count in 0 590; do
        prepare_transactions "$count" busy
        touch "$work/loaded"
        while [[ -f $work/loaded ]]; do
            PGOPTIONS='-c synchronous_commit=off' "$bin/pgbench" -n -M prepared -c 2 -T 1 -f <(echo "SELECT ledger.deduct_stock('busy', 1);") bench
        done >"$work/load.log" 2>&1 &
        load=$!
        prepared_row "$count" 'one other account, which two clients use'
        rm "$work/loaded"
        wait "$load" || fail "the load on the other account: $(tail -n 3 "$work/load.log")"
        end_prepared "$count"
    done
    check bench 'flat, prepared transactions'
    drop_database bench
}

prepare_transactions() {
    local i
    for ((i = 1; i <= $1; i++)); do
        echo 'BEGIN;'
        case $2 in
            other*) echo "SELECT ledger.deduct_stock('other-$i', 1);" ;;
            busy) echo "SELECT ledger.deduct_stock('busy', 1);" ;;
            *) echo "SELECT ledger.deduct_stock('1001', 1), ledger.transfer('payer', 'payee', 1);" ;;
        esac
        echo "PREPARE TRANSACTION 'p$i';"
    done | sql bench >/dev/null
}

# Half of them take place.
end_prepared() {
    local i
    for ((i = 1; i <= $1; i++)); do
        ((i % 2)) && echo "COMMIT PREPARED 'p$i';" || echo "ROLLBACK PREPARED 'p$i';"
    done | sql bench
}

prepared_row() {
    local statement each=()
    for statement in "PERFORM ledger.deduct_stock('1001', 1)" "PERFORM ledger.transfer('payer', 'payee', 1)" \
        "PERFORM ledger.try_deduct_stock('1001', 9000000000000)" "PERFORM ledger.try_transfer('payer', 'payee', 9000000000000)" \
        "INSERT INTO movement (sku, quantity) VALUES ('1001', 1)"; do
        each+=("$(microseconds "$statement")")
    done
    note prepared "$1" "$2" "${each[@]}"
}

# ---- Dead holds under an old snapshot ----

flat_dead_holds() {
    create_database bench flat/holds
    local reader
    exec {reader}> >(sql bench >/dev/null)
    echo 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM ledger.accounts;' >&"$reader"
    await idles_in_transaction
    sql bench -v rows="$dead_holds" -f flat/dead_holds.sql >/dev/null
    note dead_holds 0 "$(microseconds "PERFORM ledger.try_deduct_stock('calm', 1)")"
    note dead_holds "$dead_holds" "$(microseconds "PERFORM ledger.try_deduct_stock('busy', 1)")"
    [[ $(sql bench -c "SELECT ledger.try_deduct_stock('busy', 1) IS NULL AND ledger.try_deduct_stock('calm', 1) IS NULL") == t ]] ||
        fail 'a reserved piece was sold'
    echo 'COMMIT;' >&"$reader"
    exec {reader}>&-
    check bench 'flat, dead holds'
    drop_database bench
}

idles_in_transaction() {
    [[ $(sql bench -c "SELECT count(*) FROM pg_stat_activity WHERE datname = 'bench' AND state = 'idle in transaction'") == 1 ]]
}

# ---- The worker's pass ----

# Holds fall due every 20 ms: how late they are expired, and what the worker uses of a processor.
flat_worker() {
    local slots holds=250 lateness cpu watcher
    for slots in 1024 16777216; do
        restart_with "ledger.slots = $slots" 'max_prepared_transactions = 0' 'ledger.fold_interval = 10ms'
        create_database bench first_use/ledger
        touch "$work/watched"
        watch_worker >"$work/ticks" &
        watcher=$!
        sql bench -v holds="$holds" -f flat/due.sql >/dev/null
        sleep $((2 + holds / 50))
        await nothing_is_due
        rm "$work/watched"
        wait "$watcher"
        cpu=$(awk -v "hertz=$(getconf CLK_TCK)" '{ if (!($1 in first)) first[$1] = $3 ? $2 : 0; last[$1] = $2 }
            END { for (pid in last) sum += last[pid] - first[pid]; printf "%.2f", sum * 1000 / hertz / '"$holds"' }' "$work/ticks")
        lateness=$(sql bench -F $'\t' -c "
            SELECT round(percentile_disc(0.5) WITHIN GROUP (ORDER BY late)::numeric, 1),
                   round(percentile_disc(0.95) WITHIN GROUP (ORDER BY late)::numeric, 1), round(max(late)::numeric, 1)
            FROM due JOIN ledger.transfers AS t ON t.ref = due.id AND t.kind = 'void',
                 LATERAL (SELECT extract(epoch FROM t.created_at - due.expires_at) * 1000 AS late) AS l
            HAVING count(*) = $holds")
        [[ $lateness ]] || fail "flat, $slots slots: not every hold was expired once"
        note worker "$slots" "$lateness" "$cpu"
        check bench 'flat, the worker'
        drop_database bench
    done
}

nothing_is_due() { [[ $(sql bench -c "SELECT count(*) FROM ledger.holds WHERE state IN ('open', 'overdue')") == 0 ]]; }

# Lines: a worker's process, its processor time in ticks until now, 1 in the first round.
watch_worker() {
    local postmaster pid first=1
    postmaster=$(head -n 1 "$data/postmaster.pid")
    while [[ -f $work/watched ]]; do
        for pid in $(pgrep -P "$postmaster" -f 'ledger worker for bench'); do
            # It may have gone.
            { sed 's/.*) //' "/proc/$pid/stat" | awk -v "pid=$pid" -v "first=$first" '{ print pid, $12 + $13, first }'; } 2>/dev/null || true
        done
        first=0
        sleep 0.05
    done
}

# ---- Many records: the start after a crash, and seals ----

flat_records() {
    restart_with 'ledger.seal_interval = 0'
    create_database bench first_use/ledger
    sql bench -v rows="$records" -f first_use/tail.sql >/dev/null
    sql bench -c 'SELECT ledger.fold()' >/dev/null
    flat_start
    flat_seal 'none'
    local writer
    exec {writer}> >(sql bench >/dev/null)
    echo "BEGIN; SELECT ledger.transfer('bank', 'another', 1);" >&"$writer"
    await idles_in_transaction
    sql bench -v rows="$records" -f first_use/tail.sql >/dev/null
    flat_seal 'one, since before the records'
    echo 'COMMIT;' >&"$writer"
    exec {writer}>&-
    await nobody_is_connected
    sql bench -c 'SELECT ledger.seal()' >/dev/null
    local verified
    verified=$(sql bench -c 'SELECT count(*) FROM ledger.verify()')
    ((verified == 0)) || fail "flat: verify() names $verified records"
    check bench 'flat, records'
    drop_database bench
}

nobody_is_connected() {
    [[ $(sql postgres -c "SELECT count(*) FROM pg_stat_activity WHERE datname = 'bench' AND backend_type = 'client backend'") == 0 ]]
}

# After a crash, clients that are connected and begin all at once: time to the first answer, and to the last.
flat_start() {
    local clients run firsts lasts
    for clients in 1 8 64; do
        firsts='' lasts=''
        for ((run = 1; run <= runs; run++)); do
            sql bench -c CHECKPOINT
            crash
            rm -f "$work"/latency.*
            "$bin/pgbench" -n -c "$clients" -j "$(nproc)" -t 1 --log --log-prefix="$work/latency" \
                -f <(echo "SELECT ledger.transfer('hot', 'bank', 1);") bench >"$work/load.log" 2>&1 ||
                fail "after a crash, $clients clients: $(tail -n 3 "$work/load.log")"
            cat "$work"/latency.* | cut -d ' ' -f 3 | sort -n >"$work/starts"
            (($(wc -l <"$work/starts") == clients)) || fail "after a crash, $clients clients: not everybody had an answer"
            firsts+="$(head -n 1 "$work/starts" | to_milliseconds) "
            lasts+="$(tail -n 1 "$work/starts" | to_milliseconds) "
        done
        note start "$records" "$clients" "$(median <<<"$firsts")" "$(median <<<"$lasts")"
    done
}

to_milliseconds() { awk '{ printf "%.1f", $1 / 1000 }'; }

# A seal of all that is there, then seals of a thousand records each.
flat_seal() {
    local all next='' run
    all=$(milliseconds 'SELECT ledger.seal()')
    for ((run = 1; run <= runs; run++)); do
        sql bench -v rows=1000 -f first_use/tail.sql >/dev/null
        next+="$(milliseconds 'SELECT ledger.seal()') "
    done
    note seal "$records" "$1" "$all" "$(median <<<"$next")"
}

# ---- A view over many accounts ----

flat_views() {
    # A build that has no sweep ignores its setting.
    restart_with 'ledger.worker = off' 'ledger.sweep_interval = 1s'
    local accounts=$((transfers < 10000 ? transfers : 10000)) view='SELECT sum(posted) FROM ledger.accounts' unfolded worked after by_hand
    create_database bench flat/accounts
    sql bench -v accounts="$accounts" -v steps=$(((records + accounts - 1) / accounts)) -f flat/short_tails.sql >/dev/null
    unfolded=$(median_milliseconds "$view")
    sql postgres -c 'ALTER SYSTEM SET ledger.worker = on' -c 'SELECT pg_reload_conf()' >/dev/null
    worked=$(seconds_until_swept)
    sql bench -c 'VACUUM ANALYZE'
    after=$(median_milliseconds "$view")
    sql bench -c 'SELECT ledger.fold()' -c 'VACUUM ANALYZE' >/dev/null
    by_hand=$(median_milliseconds "$view")
    [[ $(sql bench -c "$view") == 0.00 ]] || fail 'flat: the balances do not add up to nothing'
    note views "$accounts" $((2 * ((records + accounts - 1) / accounts))) "$unfolded" "$after" "$worked" "$by_hand"
    check bench 'flat, views'
    drop_database bench
    sql postgres -c 'ALTER SYSTEM RESET ledger.worker' -c 'SELECT pg_reload_conf()' >/dev/null
}

median_milliseconds() {
    local run times=''
    for ((run = 1; run <= runs; run++)); do
        times+="$(milliseconds "$1") "
    done
    median <<<"$times"
}

# - where the worker has not folded every account within half a minute.
seconds_until_swept() {
    local start=$EPOCHREALTIME
    while (($(sql bench -c 'SELECT folds FROM ledger.stat') < accounts)); do
        sleep 0.1
        awk "BEGIN { exit $EPOCHREALTIME - $start > 30 }" || { echo -; return; }
    done
    awk "BEGIN { printf \"%.1f\", $EPOCHREALTIME - $start }"
}

# ---- Tables ----

report_flat() {
    [[ ! $revision ]] || printf 'Before: `%s`. Now: %s.\n\n' "$revision" "$(described_tree)"
    echo 'Microseconds of a transaction of one call, with transactions that are prepared (medians of a loop in the server, `synchronous_commit` off):'
    echo
    flat_table prepared 'prepared|which moved|deduct_stock|transfer|try_deduct_stock, refused|try_transfer, refused|a bare INSERT'
    echo
    echo 'Microseconds of a refusal (`try_deduct_stock` of a SKU whose one piece is reserved), under an old snapshot, by reservations that were released since:'
    echo
    flat_table dead_holds 'released reservations|refusal'
    echo
    echo 'Holds that fall due every 20 ms, with `ledger.fold_interval` = 10ms:'
    echo
    flat_table worker '`ledger.slots`|expired late by, ms: p50|p95|max|processor time of the worker a hold, ms'
    echo
    echo 'Answers after a crash, all clients calling at once (medians):'
    echo
    flat_table start 'unsealed records|clients|first answer, ms|last answer, ms'
    echo
    echo 'Seals:'
    echo
    flat_table seal 'records|transactions open|seal of all, ms|seal of the next 1,000, ms'
    echo
    echo '`SELECT sum(posted) FROM ledger.accounts`, each account in as many transfers that are not folded as the table says:'
    echo
    flat_table views 'accounts|transfers of each|nothing folded, ms|after the worker, ms|which took, s|after fold(), ms'
}

# Of flat_$1.tsv, with the heads of its columns. Where there are two builds, each has a
# line below the other's, and a column says which.
flat_table() {
    local file=$results/flat_$1.tsv heads=$2 fields
    fields=$(($(tr -cd '|' <<<"$heads" | wc -c) + 1))
    [[ ! $revision ]] || heads+='|build' fields=$((fields + 1))
    echo "| ${heads//|/ | } |"
    printf '|%s\n' "$(printf ' ---: |%.0s' $(seq "$fields"))"
    awk -F '\t' -v OFS='\t' '{ print ++lines[$NF], $0 }' "$file" | sort -s -n -k 1,1 | cut -f "2-$((fields + 1))" | table_rows
}
