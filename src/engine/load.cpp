#include "engine/load.hpp"

#include "engine/database.hpp"
#include "engine/fold_queue.hpp"
#include "engine/position.hpp"
#include "engine/prepared.hpp"
#include "engine/settings.hpp"
#include "pg/numeric.hpp"

namespace ledger {

namespace {

// What transactions in progress moved, one entry a transaction.
struct InFlight {
    struct Entry {
        Txid txid;
        Change net;
    };
    static_assert(alignof(Entry) <= MAXIMUM_ALIGNOF, "palloc would not align it");
    Entry *entries;
    int count;
    int room;
};

// The entry of txid; rows come grouped by transaction, so look at the newest first.
InFlight::Entry &entry_of(InFlight &flight, Txid txid) {
    for (int i = flight.count; i-- > 0;)
        if (flight.entries[i].txid == txid) return flight.entries[i];
    if (flight.count == flight.room) {
        flight.room = flight.room ? 2 * flight.room : 8;
        const Size size = static_cast<Size>(flight.room) * sizeof(InFlight::Entry);
        flight.entries =
            static_cast<InFlight::Entry *>(flight.entries ? repalloc(flight.entries, size) : palloc(size));
    }
    flight.entries[flight.count] = {txid, {}};
    return flight.entries[flight.count++];
}

void add(Change &sum, const Change &change) {
    sum.spendable += change.spendable;
    sum.projected += change.projected;
}

// Adds one side of the tail to what is committed, or to in_flight what is not
// decided. A dirty snapshot shows rows of transactions in progress and tells so
// in its xmin.
void add_side(Relation transfer, Side side, AccountId account, Txid horizon, Change &committed,
              std::int64_t &tail, InFlight &in_flight) {
    SnapshotData dirty;
    InitDirtySnapshot(dirty);
    scan_tail_side(transfer, side, &dirty, account, horizon, [&](const TransferRow &row) {
        const bool is_decided = !TransactionIdIsValid(dirty.xmin);
        add(is_decided ? committed : entry_of(in_flight, row.txid).net,
            change_of(row.kind, side, row.amount));
        if (++tail == settings.fold_threshold) call_fold(current_database(), account);
        return true;
    });
}

Minor checked(Wide value, AccountId account) {
    if (value < -kBalanceMax || value > kBalanceMax)
        ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
                errmsg("the balance of account %lld is out of range", static_cast<long long>(account)),
                errhint("Run SELECT * FROM ledger.check_invariants()."));
    return static_cast<Minor>(value);
}

Bounds bounds_at(Wide value, AccountId account) {
    const Minor certain = checked(value, account);
    return {certain, certain};
}

// Makes room for a transaction in progress that may change the quantity by net or not at all.
void widen(Bounds &bounds, Wide net, AccountId account) {
    bounds.low = checked(Wide{bounds.low} + Min(net, Wide{0}), account);
    bounds.high = checked(Wide{bounds.high} + Max(net, Wide{0}), account);
}

Limits read_limits(Snapshot snapshot, AccountId account) {
    return with_table(storage().account, AccessShareLock, [&](Relation relation) {
        ScanKeyData key;
        key_bigint(key, AccountColumn::id, BTEqualStrategyNumber, static_cast<std::int64_t>(account));
        HeapTuple tuple = find_row(relation, storage().account_by_id, snapshot, &key, 1);
        if (!tuple)
            ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
                    errmsg("account %lld does not exist", static_cast<long long>(account)),
                    errhint("Run SELECT * FROM ledger.check_invariants()."));
        const AccountRow &row = *row_of<AccountRow>(tuple);
        const Limits limits = {row.floor, row.ceiling, row.state};
        heap_freetuple(tuple);
        return limits;
    });
}

LoadLocks indexes_of(const Storage &s) {
    return {{s.account_by_id, s.balance_by_account, s.transfer_by_debit, s.transfer_by_credit}};
}

}  // namespace

// While a lock was waited for, an index may have been replaced.
LoadLocks lock_for_load() {
    for (;;) {
        const std::uint32_t epoch = storage().epoch;
        const LoadLocks locks = indexes_of(storage());
        for (const Oid relation : {storage().account, storage().balance, storage().transfer})
            LockRelationOid(relation, AccessShareLock);
        for (const Oid index : locks.indexes) LockRelationOid(index, AccessShareLock);
        if (storage().epoch == epoch) return locks;
        unlock_after_load(locks);
    }
}

void unlock_after_load(const LoadLocks &locks) {
    for (const Oid index : locks.indexes) UnlockRelationOid(index, AccessShareLock);
}

void load_account(Slot *slot) {
    const AccountId account = slot->key.account;
    // Folded row first, tail after: whatever is folded meanwhile, the tail from
    // that row's horizon on completes it.
    with_latest_snapshot([&](Snapshot snapshot) {
        const Limits limits = read_limits(snapshot, account);
        const Folded folded = read_folded(snapshot, account);
        const Wide posted =
            wide_from_numeric(folded.credits.posted) - wide_from_numeric(folded.debits.posted);
        Change committed = {posted - wide_from_numeric(folded.debits.pending),
                            posted + wide_from_numeric(folded.credits.pending)};
        std::int64_t tail = 0;
        InFlight in_flight = {};
        with_table(storage().transfer, AccessShareLock, [&](Relation transfer) {
            for (const Side side : {Side::debit, Side::credit})
                add_side(transfer, side, account, folded.horizon, committed, tail, in_flight);
        });
        Bounds spendable = bounds_at(committed.spendable, account);
        Bounds projected = bounds_at(committed.projected, account);
        for (int i = 0; i < in_flight.count; ++i) {
            widen(spendable, in_flight.entries[i].net.spendable, account);
            widen(projected, in_flight.entries[i].net.projected, account);
        }
        with_slot(slot, [&] {
            slot->bounds = {spendable, projected};
            slot->limits = limits;
            slot->tail = static_cast<std::uint32_t>(Min(tail, INT64CONST(0xFFFFFFFF)));
            slot->looks = 0;
            slot->due = DT_NOBEGIN;  // not known until somebody looks
            slot->due_noted = DT_NOEND;
        });
        // Only now: an effect may be resolved as soon as it is there.
        for (int i = 0; i < in_flight.count; ++i) {
            const Change &net = in_flight.entries[i].net;
            add_effect(
                slot, in_flight.entries[i].txid,
                {share_of(checked(net.spendable, account)), share_of(checked(net.projected, account))});
        }
    });
}

}  // namespace ledger
