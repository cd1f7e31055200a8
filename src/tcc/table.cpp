#include "tcc/table.hpp"

#include "engine/settings.hpp"
#include "pg/lock.hpp"
#include "pg/table.hpp"
#include "request/purge.hpp"
#include "worker/worker.hpp"

namespace ledger {

namespace {

void lock_xid(const text *xid) {
    lock_hash(storage().tcc, hash_text(xid, 0));
}

void unlock_xid(const text *xid) {
    unlock_hash(storage().tcc, hash_text(xid, 0));
}

text *xid_in(HeapTuple tuple, Relation table) {
    bool is_null;
    return DatumGetTextPCopy(heap_getattr(tuple, TccColumn::xid, RelationGetDescr(table), &is_null));
}

// What a look at an xid's row finds while nobody else may write it. The look has no
// MVCC snapshot, lest SERIALIZABLE transactions fail over other xids beside it.
struct Found {
    HeapTuple tuple;         // a version that was there before, or this transaction's own; or null
    TransactionId inserter;  // another transaction that has begun the xid and not ended; or invalid
};

Found look_up(Relation table, text *xid) {
    ScanKeyData key;
    key_text(key, TccColumn::xid, xid);
    SnapshotData dirty;
    InitDirtySnapshot(dirty);
    Found found = {nullptr, InvalidTransactionId};
    scan_index(table, storage().tcc_by_xid, &dirty, &key, 1, [&](HeapTuple tuple) {
        if (TransactionIdIsValid(dirty.xmin))
            found.inserter = dirty.xmin;
        else
            found.tuple = heap_copytuple(tuple);
        return found.tuple == nullptr;
    });
    return found;
}

// The newest version of that row, locked, into tcc; false if it has been deleted, or
// others are at it and wait is false.
bool lock_version(Relation table, HeapTuple version, text *xid, bool wait, Tcc &tcc) {
    return with_latest_snapshot([&](Snapshot) {
        HeapTuple tuple = lock_row(table, version->t_self, wait);
        if (tuple) tcc = {copy_of_row<TccRow>(tuple), xid, nullptr, tuple};
        return tuple != nullptr;
    });
}

void insert_tcc(text *xid, const TccRow &row, Jsonb *metadata) {
    with_table(storage().tcc, RowExclusiveLock, [&](Relation table) {
        Datum values[TccColumn::count] = {
            TimestampTzGetDatum(row.due_at),
            TimestampTzGetDatum(row.expires_at),
            TimestampTzGetDatum(row.begun_at),
            TimestampTzGetDatum(row.ended_at),
            Int32GetDatum(row.attempts),
            Int16GetDatum(static_cast<std::int16_t>(row.state)),
            PointerGetDatum(xid),
            PointerGetDatum(metadata),
        };
        bool nulls[TccColumn::count] = {};
        nulls[TccColumn::metadata - 1] = metadata == nullptr;
        nulls[TccColumn::last_error - 1] = true;
        CatalogTupleInsert(table, heap_form_tuple(RelationGetDescr(table), values, nulls));
    });
    CommandCounterIncrement();
    unlock_xid(xid);
}

TimestampTz forgotten_at(TimestampTz ended_at) {
    return ended_at + settings.key_ttl_s * USECS_PER_SEC;
}

void key_branch(ScanKeyData *keys, const Tcc &tcc, text *branch) {
    key_text(keys[0], TccBranchColumn::xid, tcc.xid);
    if (branch) key_text(keys[1], TccBranchColumn::branch, branch);
}

}  // namespace

bool lock_tcc(text *xid, Tcc &tcc) {
    return with_table(storage().tcc, RowExclusiveLock, [&](Relation table) {
        for (;;) {
            lock_xid(xid);
            const Found found = look_up(table, xid);
            if (!found.tuple && !TransactionIdIsValid(found.inserter)) return false;
            unlock_xid(xid);
            if (found.tuple && lock_version(table, found.tuple, xid, true, tcc)) return true;
            if (!found.tuple) XactLockTableWait(found.inserter, nullptr, nullptr, XLTW_None);
        }
    });
}

bool try_lock_tcc(text *xid, Tcc &tcc) {
    return with_table(storage().tcc, RowExclusiveLock, [&](Relation table) {
        lock_xid(xid);
        const Found found = look_up(table, xid);
        unlock_xid(xid);
        return found.tuple && lock_version(table, found.tuple, xid, false, tcc);
    });
}

void begin_tcc(text *xid, TimestampTz expires_at, Jsonb *metadata) {
    insert_tcc(xid, {expires_at, expires_at, GetCurrentTimestamp(), DT_NOEND, 0, TccState::trying}, metadata);
    call_worker_at(current_database(), expires_at);
}

void cancel_unknown_tcc(text *xid) {
    const TimestampTz now = GetCurrentTimestamp();
    insert_tcc(xid, {forgotten_at(now), DT_NOEND, now, now, 0, TccState::canceled}, nullptr);
    purge_when_due(forgotten_at(now));
}

Jsonb *metadata_of(const Tcc &tcc) {
    return with_table(storage().tcc, AccessShareLock, [&](Relation table) {
        bool is_null;
        const Datum value = heap_getattr(tcc.tuple, TccColumn::metadata, RelationGetDescr(table), &is_null);
        return is_null ? nullptr : DatumGetJsonbPCopy(value);
    });
}

void write_tcc(Tcc &tcc) {
    with_table(storage().tcc, RowExclusiveLock, [&](Relation table) {
        Datum values[TccColumn::count] = {};
        bool nulls[TccColumn::count] = {};
        bool replaces[TccColumn::count] = {};
        const auto replace = [&](AttrNumber column, Datum value) {
            values[column - 1] = value;
            replaces[column - 1] = true;
        };
        replace(TccColumn::due_at, TimestampTzGetDatum(tcc.row.due_at));
        replace(TccColumn::ended_at, TimestampTzGetDatum(tcc.row.ended_at));
        replace(TccColumn::attempts, Int32GetDatum(tcc.row.attempts));
        replace(TccColumn::state, Int16GetDatum(static_cast<std::int16_t>(tcc.row.state)));
        nulls[TccColumn::last_error - 1] = tcc.last_error == nullptr;
        replace(TccColumn::last_error, tcc.last_error ? CStringGetTextDatum(tcc.last_error) : Datum{0});
        HeapTuple fresh = heap_modify_tuple(tcc.tuple, RelationGetDescr(table), values, nulls, replaces);
        // A look of others must not meet the row while it is replaced.
        lock_xid(tcc.xid);
        CatalogTupleUpdate(table, &tcc.tuple->t_self, fresh);
        unlock_xid(tcc.xid);
        tcc.tuple = fresh;
    });
    CommandCounterIncrement();
}

void end_tcc(Tcc &tcc, TccState state) {
    const TimestampTz now = GetCurrentTimestamp();
    tcc.row.state = state;
    tcc.row.ended_at = now;
    tcc.row.due_at = forgotten_at(now);
    write_tcc(tcc);
    purge_when_due(tcc.row.due_at);
}

void note_failure(Tcc &tcc, const char *error) {
    constexpr int kDoublingsMax = 8;  // pauses of 1 s, 2 s, 4 s ... up to 256 s
    tcc.row.due_at = GetCurrentTimestamp() + (USECS_PER_SEC << Min(tcc.row.attempts, kDoublingsMax));
    ++tcc.row.attempts;
    tcc.last_error = error;
    write_tcc(tcc);
    call_worker_at(current_database(), tcc.row.due_at);
}

DueList find_due(bool ended, TimestampTz now, std::int64_t max) {
    return with_latest_snapshot([&](Snapshot snapshot) {
        return with_table(storage().tcc, AccessShareLock, [&](Relation table) {
            std::int64_t room = 64;
            DueList due = {static_cast<text **>(palloc(room * sizeof(text *))), 0};
            ScanKeyData key;
            key_until(key, TccColumn::due_at, now);
            scan_index(table, storage().tcc_by_due, snapshot, &key, 1, [&](HeapTuple tuple) {
                if ((row_of<TccRow>(tuple)->ended_at != DT_NOEND) != ended) return true;
                if (due.count == room)
                    due.xids = static_cast<text **>(repalloc_huge(due.xids, (room *= 2) * sizeof(text *)));
                due.xids[due.count++] = xid_in(tuple, table);
                return due.count < max;
            });
            return due;
        });
    });
}

void delete_tcc(const Tcc &tcc) {
    with_latest_snapshot([&](Snapshot snapshot) {
        with_table(storage().tcc_branch, RowExclusiveLock, [&](Relation table) {
            ScanKeyData key;
            key_branch(&key, tcc, nullptr);
            scan_index(table, storage().tcc_branch_by_name, snapshot, &key, 1, [&](HeapTuple tuple) {
                CatalogTupleDelete(table, &tuple->t_self);
                return true;
            });
        });
        with_table(storage().tcc, RowExclusiveLock,
                   [&](Relation table) { CatalogTupleDelete(table, &tcc.tuple->t_self); });
    });
    CommandCounterIncrement();
}

// Rows of branches are never replaced, and the lock of their transaction keeps others
// from adding any: SnapshotSelf shows them all, and leaves no trace for SSI.
TransferId find_branch(const Tcc &tcc, text *branch) {
    return with_table(storage().tcc_branch, AccessShareLock, [&](Relation table) {
        ScanKeyData keys[2];
        key_branch(keys, tcc, branch);
        HeapTuple tuple = find_row(table, storage().tcc_branch_by_name, SnapshotSelf, keys, 2);
        return tuple ? row_of<TccBranchRow>(tuple)->hold : TransferId{0};
    });
}

void insert_branch(const Tcc &tcc, text *branch, TransferId hold) {
    with_table(storage().tcc_branch, RowExclusiveLock, [&](Relation table) {
        Datum values[TccBranchColumn::count] = {
            Int64GetDatum(static_cast<std::int64_t>(hold)),
            TimestampTzGetDatum(GetCurrentTimestamp()),
            PointerGetDatum(tcc.xid),
            PointerGetDatum(branch),
        };
        bool nulls[TccBranchColumn::count] = {};
        CatalogTupleInsert(table, heap_form_tuple(RelationGetDescr(table), values, nulls));
    });
    CommandCounterIncrement();
}

Branches branches_of(const Tcc &tcc) {
    return with_table(storage().tcc_branch, AccessShareLock, [&](Relation table) {
        int room = 8;
        Branches found = {static_cast<TransferId *>(palloc(room * sizeof(TransferId))), 0};
        ScanKeyData key;
        key_branch(&key, tcc, nullptr);
        scan_index(table, storage().tcc_branch_by_name, SnapshotSelf, &key, 1, [&](HeapTuple tuple) {
            if (found.count == room)
                found.holds =
                    static_cast<TransferId *>(repalloc_huge(found.holds, (room *= 2) * sizeof(TransferId)));
            found.holds[found.count++] = row_of<TccBranchRow>(tuple)->hold;
            return true;
        });
        return found;
    });
}

}  // namespace ledger
