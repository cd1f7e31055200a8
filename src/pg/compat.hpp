// What differs between PostgreSQL 15 and 18, by its newest name.
#pragma once

#if PG_VERSION_NUM < 150000
#error "ledger needs PostgreSQL 15 or later"
#endif

#if PG_VERSION_NUM >= 160000
extern "C" {
#include "varatt.h"
}
#endif

extern "C" {
#include "replication/logicalworker.h"
}

namespace ledger::compat {

// Transactions before this one have no record in pg_xact any more. Needs XactTruncationLock.
inline TransactionId oldest_recorded_xid() {
#if PG_VERSION_NUM >= 170000
    return TransamVariables->oldestClogXid;
#else
    return ShmemVariableCache->oldestClogXid;
#endif
}

// A small number that no other running backend has.
inline int backend_number() {
#if PG_VERSION_NUM >= 170000
    return MyProcNumber;
#else
    return MyBackendId;
#endif
}

// Virtual generated columns, which are stored nowhere, are there since 18.
inline bool is_virtual(Form_pg_attribute column) {
#if PG_VERSION_NUM >= 180000
    return column->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL;
#else
    (void)column;
    return false;
#endif
}

// The number of the relation's file, which is another one after a rewrite.
inline Oid storage_of(Relation relation) {
#if PG_VERSION_NUM >= 160000
    return relation->rd_locator.relNumber;
#else
    return relation->rd_node.relNode;
#endif
}

inline void enable_trigger_always(Relation table, const char *trigger, LOCKMODE lock) {
#if PG_VERSION_NUM >= 160000
    EnableDisableTrigger(table, trigger, InvalidOid, TRIGGER_FIRES_ALWAYS, false, false, lock);
#else
    EnableDisableTrigger(table, trigger, TRIGGER_FIRES_ALWAYS, false, lock);
#endif
}

inline bool owns_relation(Oid relation, Oid role) {
#if PG_VERSION_NUM >= 160000
    return object_ownercheck(RelationRelationId, relation, role);
#else
    return pg_class_ownercheck(relation, role);
#endif
}

// Since 16 a subscriber's worker may apply a transaction while it goes on, with its savepoints.
inline bool is_parallel_apply() {
#if PG_VERSION_NUM >= 160000
    return IsLogicalParallelApplyWorker();
#else
    return false;
#endif
}

// transaction_timeout, which ALTER DATABASE may set, is there since 17.
inline void set_no_transaction_timeout() {
#if PG_VERSION_NUM >= 170000
    SetConfigOption("transaction_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
#endif
}

inline IndexScanDesc begin_index_scan(Relation table, Relation index, Snapshot snapshot, int key_count) {
#if PG_VERSION_NUM >= 180000
    return index_beginscan(table, index, snapshot, nullptr, key_count, 0);
#else
    return index_beginscan(table, index, snapshot, key_count, 0);
#endif
}

// Whoever else changed the row since is an error: the caller has locked it.
inline void update_heap(Relation table, ItemPointer replaced, HeapTuple row) {
#if PG_VERSION_NUM >= 160000
    TU_UpdateIndexes indexes;
    simple_heap_update(table, replaced, row, &indexes);
#else
    simple_heap_update(table, replaced, row);
#endif
}

}  // namespace ledger::compat
