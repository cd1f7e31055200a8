#include "engine/chain.hpp"

#include "pg/bytes.hpp"

namespace ledger {

bool find_last_seal(LastSeal &seal) {
    return with_latest_snapshot([&](Snapshot snapshot) {
        return with_table(storage().seal, AccessShareLock, [&](Relation table) {
            HeapTuple tuple = find_last_row(table, storage().seal_by_number, snapshot);
            if (!tuple) return false;
            const SealRow &row = *row_of<SealRow>(tuple);
            TupleDesc shape = RelationGetDescr(table);
            seal = {row.number, row.sealed_at, row.from_id, row.until_id, {}, {}};
            bool is_null;
            hash_in(heap_getattr(tuple, SealColumn::hash, shape, &is_null), seal.hash);
            seal.heads = *column_bytes(tuple, SealColumn::heads, shape);
            return true;
        });
    });
}

ScopeTable table_of(Scope scope) {
    const Storage &s = storage();
    if (scope == Scope::transfer) return {s.transfer, s.transfer_by_id};
    return {s.audit, s.audit_by_id};
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
