#include "worker/sweep.hpp"

#include "engine/fold.hpp"
#include "engine/position.hpp"
#include "engine/settings.hpp"
#include "pg/work.hpp"

namespace ledger {

namespace {

// Accounts looked at in one part: some milliseconds of reading.
constexpr int kAccountsAtOnce = 1000;

// Of a part: which accounts to fold, and where the next one begins.
struct Part {
    AccountId accounts[kAccountsAtOnce];
    int count;
    int looked_at;
    AccountId last;
    bool left_some;  // accounts in use, whose tails stay for now
};

// The newest transfer of one side of the account's tail; 0 if it has none.
Txid newest_in_tail(Relation transfer, Side side, Snapshot snapshot, AccountId account, Txid horizon) {
    Txid newest{0};
    const auto note = [&](const TransferRow &row) {
        newest = row.txid;
        return false;
    };
    scan_tail_side(transfer, side, snapshot, account, horizon, note, BackwardScanDirection);
    return newest;
}

// in_use_from: an account with a transfer of this transaction or a later one is in use.
void look_at(Relation transfer, Snapshot snapshot, AccountId account, Txid in_use_from, Part &part) {
    const Txid horizon = read_folded(snapshot, account).horizon;
    Txid newest{0};
    for (const Side side : {Side::debit, Side::credit})
        newest = Max(newest, newest_in_tail(transfer, side, snapshot, account, horizon));
    if (newest == Txid{0}) return;
    if (newest >= in_use_from)
        part.left_some = true;
    else
        part.accounts[part.count++] = account;
}

void find_part(Database &database, Txid in_use_from, Part &part) {
    with_latest_snapshot([&](Snapshot snapshot) {
        with_table(storage().account, AccessShareLock, [&](Relation accounts) {
            with_table(storage().transfer, AccessShareLock, [&](Relation transfer) {
                ScanKeyData key;
                key_bigint(key, AccountColumn::id, BTGreaterEqualStrategyNumber,
                           static_cast<std::int64_t>(database.sweep_after) + 1);
                scan_index(accounts, storage().account_by_id, snapshot, &key, 1, [&](HeapTuple tuple) {
                    part.last = row_of<AccountRow>(tuple)->id;
                    look_at(transfer, snapshot, part.last, in_use_from, part);
                    return ++part.looked_at < kAccountsAtOnce;
                });
            });
        });
    });
}

bool is_in_progress(const Database &database) {
    return database.sweep_after != AccountId{0};
}

// Until the next sweep, accounts with transfers from now on are in use.
void end_sweep(Database &database) {
    database.sweep_after = AccountId{0};
    database.sweep_horizon = txid_of(oldest_running_xid());
    write_time(database.swept_at, GetCurrentTimestamp());
}

}  // namespace

TimestampTz next_sweep(Database &database, TimestampTz now) {
    if (is_in_progress(database)) return now;
    if (pg_atomic_read_u32(&database.unfolded) == 0) return DT_NOEND;
    return due_after(read_time(database.swept_at), settings.sweep_interval_s, now);
}

void sweep_if_due(Database &database, MemoryContext context) {
    if (next_sweep(database, GetCurrentTimestamp()) > GetCurrentTimestamp()) return;
    if (!is_in_progress(database)) pg_atomic_write_u32(&database.unfolded, 0);
    static Part part;
    part = {};
    part.last = database.sweep_after;
    bool is_read = false;
    const char *error = try_in_transaction(context, [&] {
        if (ready_database() != &database) return;
        find_part(database, database.sweep_horizon, part);
        is_read = true;
    });
    const bool found = !error && is_read;
    if (!found && part.last == database.sweep_after) {  // from the beginning, after the interval
        write_time(database.swept_at, GetCurrentTimestamp());
        pg_atomic_write_u32(&database.unfolded, 1);
        database.sweep_after = AccountId{0};
        return;
    }
    if (part.left_some) pg_atomic_write_u32(&database.unfolded, 1);
    for (int i = 0; i < part.count; ++i) {
        CHECK_FOR_INTERRUPTS();
        try_in_transaction(context, [&] {
            if (ready_database() == &database) try_fold_account(part.accounts[i]);
        });
    }
    database.sweep_after = part.last;
    if (!found || part.looked_at == kAccountsAtOnce) return;  // past an account that cannot be read
    try_in_transaction(context, [&] {
        if (ready_database() == &database) end_sweep(database);
    });
}

}  // namespace ledger
