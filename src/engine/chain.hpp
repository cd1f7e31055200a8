// The chains as the tables have them: records in the order of their ids, and the
// last seal.
#pragma once

#include "core/record.hpp"
#include "engine/storage.hpp"
#include "pg/table.hpp"

namespace ledger {

// The last seal, as this transaction sees it now; false if there is none. heads
// is in the current memory context.
struct LastSeal {
    std::int64_t number;
    TimestampTz sealed_at;
    std::int64_t from_id;
    std::int64_t until_id;
    Hash hash;
    std::string_view heads;
};
bool find_last_seal(LastSeal &seal);

// The least id that a record in no seal can have, and the largest of one that is in
// one, leave no id out between them.
inline std::int64_t scan_from(const LastSeal &seal) {
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

}  // namespace ledger
