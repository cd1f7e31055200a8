#include "engine/load.hpp"

#include "engine/database.hpp"
#include "engine/prepared.hpp"
#include "pg/numeric.hpp"

namespace ledger {

namespace {

// What transactions in progress moved, one entry a transaction.
struct InFlight {
    struct Entry {
        Txid txid;
        Wide net;
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
    flight.entries[flight.count] = {txid, 0};
    return flight.entries[flight.count++];
}

// Adds one side of the tail to the committed balance, or to in_flight what is
// not decided. A dirty snapshot shows rows of transactions in progress and
// tells so in its xmin.
void add_side(Relation transfer, Oid index, AttrNumber side, int sign, AccountId account, Txid horizon,
              Wide &balance, std::int64_t &tail, InFlight &in_flight) {
    SnapshotData dirty;
    InitDirtySnapshot(dirty);
    scan_tail_side(transfer, index, side, &dirty, account, horizon, [&](const TransferRow &row) {
        const Wide change = Wide{sign} * row.amount;
        if (TransactionIdIsValid(dirty.xmin))
            entry_of(in_flight, row.txid).net += change;
        else
            balance += change;
        ++tail;
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

}  // namespace

Folded read_folded(Snapshot snapshot, AccountId account) {
    return with_table(storage().balance, AccessShareLock, [&](Relation relation) {
        ScanKeyData key;
        key_bigint(key, BalanceColumn::account, BTEqualStrategyNumber, static_cast<std::int64_t>(account));
        HeapTuple tuple = find_row(relation, storage().balance_by_account, snapshot, &key, 1);
        if (!tuple) {
            Folded nothing = {Txid{0}, int64_to_numeric(0), int64_to_numeric(0), {}};
            ItemPointerSetInvalid(&nothing.tid);
            return nothing;
        }
        bool is_null;
        const TupleDesc shape = RelationGetDescr(relation);
        return Folded{
            row_of<BalanceRow>(tuple)->folded_xid,
            DatumGetNumericCopy(heap_getattr(tuple, BalanceColumn::debits_posted, shape, &is_null)),
            DatumGetNumericCopy(heap_getattr(tuple, BalanceColumn::credits_posted, shape, &is_null)),
            tuple->t_self,
        };
    });
}

void load_account(Slot *slot) {
    const AccountId account = slot->key.account;
    // Folded row first, tail after: whatever is folded meanwhile, the tail from
    // that row's horizon on completes it.
    with_latest_snapshot([&](Snapshot snapshot) {
        const Limits limits = read_limits(snapshot, account);
        const Folded folded = read_folded(snapshot, account);
        Wide balance = numeric_difference(folded.credits, folded.debits);
        std::int64_t tail = 0;
        InFlight in_flight = {};
        with_table(storage().transfer, AccessShareLock, [&](Relation transfer) {
            add_side(transfer, storage().transfer_by_debit, TransferColumn::debit_account, -1, account,
                     folded.horizon, balance, tail, in_flight);
            add_side(transfer, storage().transfer_by_credit, TransferColumn::credit_account, +1, account,
                     folded.horizon, balance, tail, in_flight);
        });
        Wide low = balance;
        Wide high = balance;
        for (int i = 0; i < in_flight.count; ++i) {
            low += Min(in_flight.entries[i].net, Wide{0});
            high += Max(in_flight.entries[i].net, Wide{0});
        }
        const Bounds bounds = {checked(low, account), checked(high, account)};
        with_slot(slot, [&] {
            slot->bounds = bounds;
            slot->limits = limits;
            slot->tail = tail;
        });
        // Only now: an effect may be resolved as soon as it is there.
        for (int i = 0; i < in_flight.count; ++i) {
            const Minor net = checked(in_flight.entries[i].net, account);
            add_effect(slot, in_flight.entries[i].txid, {net, Max(-net, Minor{0}), Max(net, Minor{0})});
        }
    });
}

}  // namespace ledger
