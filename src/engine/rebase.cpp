#include "engine/rebase.hpp"

#include "engine/database.hpp"
#include "engine/fold.hpp"
#include "engine/storage.hpp"
#include "pg/table.hpp"

namespace ledger {

namespace {

template <typename Visit>
void scan_all(Oid relation_id, Visit visit) {
    with_latest_snapshot([&](Snapshot snapshot) {
        with_table(relation_id, AccessShareLock, [&](Relation relation) {
            TableScanDesc scan = table_beginscan(relation, snapshot, 0, nullptr);
            while (HeapTuple tuple = heap_getnext(scan, ForwardScanDirection)) {
                CHECK_FOR_INTERRUPTS();
                visit(tuple);
            }
            table_endscan(scan);
        });
    });
}

bool is_ours(const InstallationRow &row) {
    return row.system_identifier == static_cast<std::int64_t>(GetSystemIdentifier()) &&
           row.database == MyDatabaseId && row.extension == storage().extension;
}

std::int64_t newest_txid() {
    std::int64_t newest = 0;
    scan_all(storage().transfer, [&](HeapTuple tuple) {
        newest = Max(newest, static_cast<std::int64_t>(row_of<TransferRow>(tuple)->txid));
    });
    return newest;
}

void fold_everything(Txid horizon) {
    MemoryContext scratch =
        AllocSetContextCreate(CurrentMemoryContext, "ledger rebase", ALLOCSET_DEFAULT_SIZES);
    scan_all(storage().account, [&](HeapTuple tuple) {
        const AccountId account = row_of<AccountRow>(tuple)->id;
        MemoryContext caller = MemoryContextSwitchTo(scratch);
        fold_into(account, Txid{INT64_MAX}, horizon);
        MemoryContextSwitchTo(caller);
        MemoryContextReset(scratch);
    });
    MemoryContextDelete(scratch);
}

void write_installation(std::int64_t base) {
    with_table(storage().installation, RowExclusiveLock, [&](Relation relation) {
        scan_all(storage().installation,
                 [&](HeapTuple tuple) { simple_heap_delete(relation, &tuple->t_self); });
        Datum values[InstallationColumn::count] = {
            Int64GetDatum(static_cast<std::int64_t>(GetSystemIdentifier())),
            ObjectIdGetDatum(MyDatabaseId),
            ObjectIdGetDatum(storage().extension),
            Int64GetDatum(base),
        };
        bool nulls[InstallationColumn::count] = {};
        HeapTuple row = heap_form_tuple(RelationGetDescr(relation), values, nulls);
        CatalogTupleInsert(relation, row);
    });
    CommandCounterIncrement();
}

}  // namespace

bool read_installation(std::int64_t &base) {
    bool ours = false;
    scan_all(storage().installation, [&](HeapTuple tuple) {
        const InstallationRow &row = *row_of<InstallationRow>(tuple);
        if (!is_ours(row)) return;
        ours = true;
        base = row.base;
    });
    return ours;
}

bool lock_installation(std::int64_t &base) {
    const Oid relation = storage().installation;
    LockRelationOid(relation, ShareRowExclusiveLock);
    if (!read_installation(base)) return false;
    UnlockRelationOid(relation, ShareRowExclusiveLock);
    return true;
}

std::int64_t rebase_installation() {
    // A COPY into the tables, as pg_restore makes, ends before we look.
    LockRelationOid(storage().transfer, ShareRowExclusiveLock);
    LockRelationOid(storage().balance, ShareRowExclusiveLock);
    LockRelationOid(storage().audit, ShareRowExclusiveLock);
    LockRelationOid(storage().seal, ShareRowExclusiveLock);
    const auto running = static_cast<std::int64_t>(U64FromFullTransactionId(oldest_running_xid()));
    const std::int64_t base = Max(std::int64_t{0}, newest_txid() + 1 - running);
    fold_everything(Txid{base + running});
    write_installation(base);
    return base;
}

}  // namespace ledger
