#include "engine/chain.hpp"

#include "pg/bytes.hpp"

namespace ledger {

namespace {

// A hash that is none is left zero, and so fits nothing.
void read_seal(HeapTuple tuple, TupleDesc shape, Seal &seal) {
    seal = {copy_of_row<SealRow>(tuple), {}, {}, {}, {}};
    bool is_null;
    const auto hash = [&](AttrNumber column, Hash &to) {
        hash_in(heap_getattr(tuple, column, shape, &is_null), to);
    };
    hash(SealColumn::transfer_root, seal.roots[static_cast<int>(Scope::transfer)]);
    hash(SealColumn::audit_root, seal.roots[static_cast<int>(Scope::audit)]);
    hash(SealColumn::previous, seal.previous);
    hash(SealColumn::hash, seal.hash);
    seal.heads = *column_bytes(tuple, SealColumn::heads, shape);
}

template <typename Find>
bool find(Seal &seal, Find find_tuple) {
    return with_table(storage().seal, AccessShareLock, [&](Relation table) {
        HeapTuple tuple = find_tuple(table);
        if (tuple) read_seal(tuple, RelationGetDescr(table), seal);
        return tuple != nullptr;
    });
}

}  // namespace

bool find_seal(Snapshot snapshot, std::int64_t number, Seal &seal) {
    ScanKeyData key;
    key_bigint(key, SealColumn::number, BTEqualStrategyNumber, number);
    return find(seal,
                [&](Relation table) { return find_row(table, storage().seal_by_number, snapshot, &key, 1); });
}

bool find_last_seal(Snapshot snapshot, Seal &seal) {
    return find(seal,
                [&](Relation table) { return find_last_row(table, storage().seal_by_number, snapshot); });
}

std::int64_t last_committed_seal(Snapshot snapshot) {
    return with_table(storage().seal, AccessShareLock, [&](Relation table) {
        HeapTuple tuple = find_last_row(table, storage().seal_by_number, snapshot);
        while (tuple && TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data))) {
            ScanKeyData key;
            key_bigint(key, SealColumn::number, BTEqualStrategyNumber, row_of<SealRow>(tuple)->number - 1);
            tuple = find_row(table, storage().seal_by_number, snapshot, &key, 1);
        }
        return tuple ? row_of<SealRow>(tuple)->number : 0;
    });
}

ScopeTable table_of(Scope scope) {
    const Storage &s = storage();
    if (scope == Scope::transfer) return {s.transfer, s.transfer_by_id};
    return {s.audit, s.audit_by_id};
}

Window::Window(Relation table, Snapshot snapshot)
    : table_(table),
      snapshot_(snapshot),
      fetch_(table_index_fetch_begin(table)),
      slot_(table_slot_create(table, nullptr)),
      copies_(AllocSetContextCreate(CurrentMemoryContext, "ledger window", ALLOCSET_DEFAULT_SIZES)) {}

void Window::end() {
    ExecDropSingleTupleTableSlot(slot_);
    table_index_fetch_end(fetch_);
    MemoryContextDelete(copies_);
}

void Window::fetch() {
    std::uint64_t order[kRows] = {};  // where the row is, and which of the window's it is
    for (int i = 0; i < count_; ++i)
        order[i] = (std::uint64_t{ItemPointerGetBlockNumber(&tids_[i])} << 16 |
                    ItemPointerGetOffsetNumber(&tids_[i]))
                       << kRowBits |
                   static_cast<std::uint64_t>(i);
    std::sort(order, order + count_);
    MemoryContextReset(copies_);
    MemoryContext caller = MemoryContextSwitchTo(copies_);
    for (int i = 0; i < count_; ++i) {
        const auto row = static_cast<int>(order[i] & (kRows - 1));
        bool call_again = false;
        const bool found =
            table_index_fetch_tuple(fetch_, &tids_[row], snapshot_, slot_, &call_again, nullptr);
        rows_[row] = found ? ExecCopySlotHeapTuple(slot_) : nullptr;
    }
    ExecClearTuple(slot_);
    MemoryContextSwitchTo(caller);
}

Link link_of(Scope scope, HeapTuple tuple, TupleDesc shape) {
    Link link = {};
    AttrNumber hash = TransferColumn::hash;
    if (scope == Scope::transfer) {
        const TransferRow &row = *row_of<TransferRow>(tuple);
        link.place = {static_cast<std::int64_t>(row.id), LaneNumber{row.lane}, row.seq};
        link.txid = row.txid;
    } else {
        const AuditRow &row = *row_of<AuditRow>(tuple);
        link.place = {row.id, LaneNumber{row.lane}, row.seq};
        link.txid = row.txid;
        hash = AuditColumn::hash;
    }
    bool is_null;
    const Datum value = heap_getattr(tuple, hash, shape, &is_null);
    link.is_whole = !is_null && hash_in(value, link.hash);
    return link;
}

}  // namespace ledger
