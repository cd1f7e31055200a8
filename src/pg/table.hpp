// The one door to the ledger's tables: index scans and inserts by the access
// methods, without the executor, as PostgreSQL's own catalog code does. No
// triggers, privileges or row security are involved; a function's EXECUTE
// privilege is the gate.
#pragma once

#include "pg/postgres.hpp"

namespace ledger {

// A condition "column <strategy> value" on an index column of type bigint.
inline void key_bigint(ScanKeyData &key, AttrNumber column, StrategyNumber strategy, std::int64_t value) {
    const RegProcedure function = strategy == BTEqualStrategyNumber ? F_INT8EQ : F_INT8GE;
    ScanKeyInit(&key, column, strategy, function, Int64GetDatum(value));
}

// A condition "column <= value" on an index column of type timestamptz.
inline void key_until(ScanKeyData &key, AttrNumber column, TimestampTz value) {
    ScanKeyInit(&key, column, BTLessEqualStrategyNumber, F_TIMESTAMPTZ_LE, TimestampTzGetDatum(value));
}

// A condition "column > value" on it.
inline void key_past(ScanKeyData &key, AttrNumber column, TimestampTz value) {
    ScanKeyInit(&key, column, BTGreaterStrategyNumber, F_TIMESTAMPTZ_GT, TimestampTzGetDatum(value));
}

// A condition "column = value" on an index column of type smallint.
inline void key_smallint(ScanKeyData &key, AttrNumber column, std::int16_t value) {
    ScanKeyInit(&key, column, BTEqualStrategyNumber, F_INT2EQ, Int16GetDatum(value));
}

// A condition "column = value" on an index column of type text COLLATE "C".
inline void key_text(ScanKeyData &key, AttrNumber column, text *value) {
    ScanKeyInit(&key, column, BTEqualStrategyNumber, F_TEXTEQ, PointerGetDatum(value));
}

// Opens a relation for the length of a call of work(Relation), keeping the lock
// to the end of the transaction. On ERROR the resource owner closes it.
template <typename Work>
auto with_table(Oid relation_id, LOCKMODE lock, Work work) {
    Relation relation = table_open(relation_id, lock);
    if constexpr (std::is_void_v<decltype(work(relation))>) {
        work(relation);
        table_close(relation, NoLock);
    } else {
        const auto result = work(relation);
        static_assert(std::is_trivially_destructible_v<decltype(result)>);
        table_close(relation, NoLock);
        return result;
    }
}

// Calls visit(HeapTuple) for each row the keys match in the index, until it
// returns false. The tuple is valid during that call.
template <typename Visit>
void scan_index_in(ScanDirection direction, Relation table, Oid index_id, Snapshot snapshot,
                   ScanKeyData *keys, int key_count, Visit visit) {
    Relation index = index_open(index_id, AccessShareLock);
    SysScanDesc scan = systable_beginscan_ordered(table, index, snapshot, key_count, keys);
    while (HeapTuple tuple = systable_getnext_ordered(scan, direction)) {
        CHECK_FOR_INTERRUPTS();
        if (!visit(tuple)) break;
    }
    systable_endscan_ordered(scan);
    index_close(index, AccessShareLock);
}

template <typename Visit>
void scan_index(Relation table, Oid index_id, Snapshot snapshot, ScanKeyData *keys, int key_count,
                Visit visit) {
    scan_index_in(ForwardScanDirection, table, index_id, snapshot, keys, key_count, visit);
}

// Calls visit(HeapTuple) for each row of the table that the snapshot sees, without any index.
template <typename Visit>
void scan_table(Relation table, Snapshot snapshot, Visit visit) {
    TableScanDesc scan = table_beginscan(table, snapshot, 0, nullptr);
    while (HeapTuple tuple = heap_getnext(scan, ForwardScanDirection)) {
        CHECK_FOR_INTERRUPTS();
        visit(tuple);
    }
    table_endscan(scan);
}

// The first matching row as a copy in the current memory context, or null.
inline HeapTuple find_row(Relation table, Oid index_id, Snapshot snapshot, ScanKeyData *keys, int key_count) {
    HeapTuple found = nullptr;
    scan_index(table, index_id, snapshot, keys, key_count, [&](HeapTuple tuple) {
        found = heap_copytuple(tuple);
        return false;
    });
    return found;
}

// The row with the greatest key, likewise.
inline HeapTuple find_last_row(Relation table, Oid index_id, Snapshot snapshot) {
    Relation index = index_open(index_id, AccessShareLock);
    SysScanDesc scan = systable_beginscan_ordered(table, index, snapshot, 0, nullptr);
    HeapTuple tuple = systable_getnext_ordered(scan, BackwardScanDirection);
    HeapTuple found = tuple ? heap_copytuple(tuple) : nullptr;
    systable_endscan_ordered(scan);
    index_close(index, AccessShareLock);
    return found;
}

// Calls visit(ItemPointerData) for each entry of the index that the key matches, in its
// order, until it returns false. Whether the snapshot sees the row is not looked at.
template <typename Visit>
void scan_tids(Relation table, Oid index_id, Snapshot snapshot, ScanKeyData &key, Visit visit) {
    Relation index = index_open(index_id, AccessShareLock);
    IndexScanDesc scan = compat::begin_index_scan(table, index, snapshot, 1);
    index_rescan(scan, &key, 1, nullptr, 0);
    while (ItemPointer tid = index_getnext_tid(scan, ForwardScanDirection)) {
        CHECK_FOR_INTERRUPTS();
        if (!visit(*tid)) break;
    }
    index_endscan(scan);
    index_close(index, AccessShareLock);
}

// Calls visit(HeapTuple) for each row the key matches in the index, in an MVCC snapshot, until
// it returns false. wanted(std::int64_t) is asked first, of the index's first column, a bigint:
// rows that it does not want are not fetched.
template <typename Wanted, typename Visit>
void scan_index_where(Relation table, Oid index_id, Snapshot snapshot, ScanKeyData &key, Wanted wanted,
                      Visit visit) {
    Relation index = index_open(index_id, AccessShareLock);
    IndexScanDesc scan = compat::begin_index_scan(table, index, snapshot, 1);
    scan->xs_want_itup = true;
    index_rescan(scan, &key, 1, nullptr, 0);
    TupleTableSlot *slot = table_slot_create(table, nullptr);
    while (index_getnext_tid(scan, ForwardScanDirection)) {
        CHECK_FOR_INTERRUPTS();
        bool is_null;
        if (!wanted(DatumGetInt64(index_getattr(scan->xs_itup, 1, scan->xs_itupdesc, &is_null)))) continue;
        if (!index_fetch_heap(scan, slot)) continue;
        if (!visit(ExecFetchSlotHeapTuple(slot, false, nullptr))) break;
    }
    ExecDropSingleTupleTableSlot(slot);
    index_endscan(scan);
    index_close(index, AccessShareLock);
}

// Makes the index entries of rows that were just inserted; those of partial indexes only if
// the caller says that the rows meet their conditions. CatalogIndexInsert would make a slot
// for each row, and knows no partial indexes.
inline void insert_index_entries(Relation table, CatalogIndexState indexes, TupleTableSlot **rows, int count,
                                 bool in_partial_indexes) {
    for (int i = 0; i < indexes->ri_NumIndices; ++i) {
        Relation index = indexes->ri_IndexRelationDescs[i];
        IndexInfo *info = indexes->ri_IndexRelationInfo[i];
        if (!info->ii_ReadyForInserts || (info->ii_Predicate && !in_partial_indexes)) continue;
        const IndexUniqueCheck unique = index->rd_index->indisunique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO;
        for (int row = 0; row < count; ++row) {
            Datum values[INDEX_MAX_KEYS];
            bool nulls[INDEX_MAX_KEYS];
            FormIndexDatum(info, rows[row], nullptr, values, nulls);
            index_insert(index, values, nulls, &rows[row]->tts_tid, table, unique, false, info);
        }
    }
}

template <typename Form>
void append_in_batches(Relation table, CatalogIndexState indexes, int count, Form form) {
    constexpr int kRowsAtOnce = 256;  // to the heap; their index entries follow one by one
    TupleDesc shape = CreateTupleDescCopy(RelationGetDescr(table));  // the slots then need not pin it
    TupleTableSlot *rows[kRowsAtOnce];
    const int room = Min(count, kRowsAtOnce);
    for (int i = 0; i < room; ++i) rows[i] = MakeSingleTupleTableSlot(shape, &TTSOpsHeapTuple);
    MemoryContext scratch =
        AllocSetContextCreate(CurrentMemoryContext, "ledger append", ALLOCSET_DEFAULT_SIZES);
    for (int done = 0; done < count; done += kRowsAtOnce) {
        CHECK_FOR_INTERRUPTS();
        const int batch = Min(count - done, kRowsAtOnce);
        MemoryContext caller = MemoryContextSwitchTo(scratch);
        for (int i = 0; i < batch; ++i) ExecStoreHeapTuple(form(shape, done + i), rows[i], true);
        table_multi_insert(table, rows, batch, GetCurrentCommandId(true), 0, nullptr);
        insert_index_entries(table, indexes, rows, batch, true);
        MemoryContextSwitchTo(caller);
        for (int i = 0; i < batch; ++i) ExecClearTuple(rows[i]);
        MemoryContextReset(scratch);
    }
    for (int i = 0; i < room; ++i) ExecDropSingleTupleTableSlot(rows[i]);
    MemoryContextDelete(scratch);
}

// Appends count rows, in their order, each as form(TupleDesc, i) makes it.
template <typename Form>
void append_rows(Oid table_id, int count, Form form) {
    with_table(table_id, RowExclusiveLock, [&](Relation table) {
        CatalogIndexState indexes = CatalogOpenIndexes(table);
        if (count == 1)
            CatalogTupleInsertWithInfo(table, form(RelationGetDescr(table), 0), indexes);
        else
            append_in_batches(table, indexes, count, form);
        CatalogCloseIndexes(indexes);
    });
}

// Inserts a row, or a new version of the row at replaced. Its t_self is where it is then.
inline void write_row(Relation table, ItemPointer replaced, HeapTuple row, bool in_partial_indexes) {
    if (replaced)
        compat::update_heap(table, replaced, row);
    else
        simple_heap_insert(table, row);
    if (HeapTupleIsHeapOnly(row)) return;  // the entries of the version before lead to it
    CatalogIndexState indexes = CatalogOpenIndexes(table);
    TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(table), &TTSOpsHeapTuple);
    ExecStoreHeapTuple(row, slot, false);
    insert_index_entries(table, indexes, &slot, 1, in_partial_indexes);
    ExecDropSingleTupleTableSlot(slot);
    CatalogCloseIndexes(indexes);
}

// A row whose columns lead with the fixed-width struct Row.
template <typename Row>
const Row *row_of(HeapTuple tuple) {
    static_assert(std::is_trivially_copyable_v<Row>);
    return reinterpret_cast<const Row *>(GETSTRUCT(tuple));
}

// A copy of it. A row ends with its last column, the struct perhaps with padding after it.
template <typename Row>
Row copy_of_row(HeapTuple tuple) {
    Row row = {};
    memcpy(&row, row_of<Row>(tuple), Min(sizeof row, tuple->t_len - tuple->t_data->t_hoff));
    return row;
}

// Locks the row at tid, whose newest version is returned as a copy in the current
// memory context, against other changes until the transaction ends. Null if it has
// been deleted; or, without wait, if another transaction has it.
inline HeapTuple lock_row(Relation table, ItemPointerData tid, bool wait) {
    TupleTableSlot *slot = table_slot_create(table, nullptr);
    TM_FailureData failure;
    const TM_Result result = table_tuple_lock(
        table, &tid, GetActiveSnapshot(), slot, GetCurrentCommandId(false), LockTupleNoKeyExclusive,
        wait ? LockWaitBlock : LockWaitSkip, TUPLE_LOCK_FLAG_FIND_LAST_VERSION, &failure);
    HeapTuple locked = result == TM_Ok ? ExecCopySlotHeapTuple(slot) : nullptr;
    if (locked) locked->t_self = slot->tts_tid;
    ExecDropSingleTupleTableSlot(slot);
    return locked;
}

// Runs work with a fresh snapshot active: what has committed by now and this
// transaction's own work, whatever the isolation level.
template <typename Work>
auto with_latest_snapshot(Work work) {
    PushActiveSnapshot(GetLatestSnapshot());
    if constexpr (std::is_void_v<decltype(work(GetActiveSnapshot()))>) {
        work(GetActiveSnapshot());
        PopActiveSnapshot();
    } else {
        const auto result = work(GetActiveSnapshot());
        static_assert(std::is_trivially_destructible_v<decltype(result)>);
        PopActiveSnapshot();
        return result;
    }
}

}  // namespace ledger
