// The chains as the tables have them: records in the order of their ids, and the
// last seal.
#pragma once

#include "core/record.hpp"
#include "engine/storage.hpp"
#include "pg/table.hpp"

namespace ledger {

// A seal as it is stored. heads is in the current memory context.
struct Seal {
    SealRow row;
    Hash roots[kScopes];
    Hash previous;
    Hash hash;
    std::string_view heads;
};
bool find_seal(Snapshot snapshot, std::int64_t number, Seal &seal);
bool find_last_seal(Snapshot snapshot, Seal &seal);

// The number of the last seal that some other, or an earlier, transaction made; 0 if
// there is none.
std::int64_t last_committed_seal(Snapshot snapshot);

// Calls visit(LaneHead) for each head in heads that makes sense.
template <typename Visit>
void each_head(std::string_view heads, Visit visit) {
    const auto *bytes = reinterpret_cast<const std::uint8_t *>(heads.data());
    for (std::size_t at = 0; at + kHeadBytes <= heads.size(); at += kHeadBytes) {
        const LaneHead head = get_head(bytes + at);
        const int scope = static_cast<int>(head.scope), lane = static_cast<int>(head.lane);
        if (scope >= 0 && scope < kScopes && lane < kLanes) visit(head);
    }
}

// Ids are positive; what somebody forged may not be.
inline constexpr std::int64_t kFirstId = INT64_MIN;

// Where to look from for records that the seal does not cover: between the least id
// that one can have and the largest of those it covers no id is left out.
inline std::int64_t scan_from(const SealRow &seal) {
    return Min(seal.from_id, seal.until_id + 1);
}

// The table of a scope and its index by id.
struct ScopeTable {
    Oid table;
    Oid by_id;
};
ScopeTable table_of(Scope scope);

// Where a record of either table stands, and its hash.
struct Link {
    Place place;
    Txid txid;
    Hash hash;
    bool is_whole;  // false: the hash is no hash
};
Link link_of(Scope scope, HeapTuple tuple, TupleDesc shape);

// Calls visit(HeapTuple, Relation) for the scope's records with ids from first on, in
// their order, until it returns false.
template <typename Visit>
void scan_records(Scope scope, std::int64_t first, Snapshot snapshot, Visit visit) {
    const ScopeTable of = table_of(scope);
    with_table(of.table, AccessShareLock, [&](Relation table) {
        ScanKeyData key;
        key_bigint(key, 1, BTGreaterEqualStrategyNumber, first);
        scan_index(table, of.by_id, snapshot, &key, 1,
                   [&](HeapTuple tuple) { return visit(tuple, RelationGetDescr(table)); });
    });
}

// The same in an MVCC snapshot; the rows of ids that wanted(id) does not want are not looked at.
template <typename Wanted, typename Visit>
void scan_wanted_records(Scope scope, std::int64_t first, Snapshot snapshot, Wanted wanted, Visit visit) {
    const ScopeTable of = table_of(scope);
    with_table(of.table, AccessShareLock, [&](Relation table) {
        ScanKeyData key;
        key_bigint(key, 1, BTGreaterEqualStrategyNumber, first);
        scan_index_where(table, of.by_id, snapshot, key, wanted,
                         [&](HeapTuple tuple) { return visit(tuple, RelationGetDescr(table)); });
    });
}

// The same for many records: looks up a window of ids in the index,
// fetches their rows block by block, and visits them in the order of their ids.
class Window {
  public:
    Window(Relation table, Snapshot snapshot);
    void end();

    bool is_full() const { return count_ == kRows; }
    void add(ItemPointerData tid) { tids_[count_++] = tid; }
    void fetch();  // copies the rows that the snapshot sees

    // Empties the window; false if visit_row(HeapTuple, TupleDesc) wants no more.
    template <typename Visit>
    bool visit(Visit visit_row) {
        const int count = count_;
        count_ = 0;
        for (int i = 0; i < count; ++i)
            if (rows_[i] && !visit_row(rows_[i], RelationGetDescr(table_))) return false;
        return true;
    }

  private:
    static constexpr int kRowBits = 10;
    static constexpr int kRows = 1 << kRowBits;

    Relation table_;
    Snapshot snapshot_;
    IndexFetchTableData *fetch_;
    TupleTableSlot *slot_;
    MemoryContext copies_;
    int count_ = 0;
    ItemPointerData tids_[kRows];
    HeapTuple rows_[kRows];
};

template <typename Visit>
void scan_many_records(Scope scope, std::int64_t first, Snapshot snapshot, Visit visit) {
    const ScopeTable of = table_of(scope);
    with_table(of.table, AccessShareLock, [&](Relation table) {
        auto *window = new (palloc(sizeof(Window))) Window(table, snapshot);
        ScanKeyData key;
        key_bigint(key, 1, BTGreaterEqualStrategyNumber, first);
        scan_tids(table, of.by_id, snapshot, key, [&](ItemPointerData tid) {
            window->add(tid);
            if (!window->is_full()) return true;
            window->fetch();
            return window->visit(visit);
        });
        window->fetch();
        window->visit(visit);
        window->end();
    });
}

}  // namespace ledger
