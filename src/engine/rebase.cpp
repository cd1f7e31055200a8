#include "engine/rebase.hpp"

#include "engine/database.hpp"
#include "engine/storage.hpp"
#include "pg/table.hpp"

namespace ledger {

namespace {

template <typename Visit>
void scan_all(Oid relation_id, Visit visit) {
    with_latest_snapshot([&](Snapshot snapshot) {
        with_table(relation_id, AccessShareLock,
                   [&](Relation relation) { scan_table(relation, snapshot, visit); });
    });
}

bool is_ours(const InstallationRow &row) {
    return row.system_identifier == static_cast<std::int64_t>(GetSystemIdentifier()) &&
           row.database == MyDatabaseId && row.extension == storage().extension;
}

// The highest number of a transaction that the tables know: of a transfer, or a horizon.
std::int64_t newest_txid() {
    std::int64_t newest = 0;
    scan_all(storage().transfer, [&](HeapTuple tuple) {
        newest = Max(newest, static_cast<std::int64_t>(row_of<TransferRow>(tuple)->txid));
    });
    scan_all(storage().balance, [&](HeapTuple tuple) {
        newest = Max(newest, static_cast<std::int64_t>(row_of<BalanceRow>(tuple)->folded_xid));
    });
    return newest;
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

// Somebody has added a row with the guards off. Under a base too low new transfers come before the
// horizons of balances, and count in none.
[[noreturn]] void refuse_rows(int rows) {
    ereport(
        ERROR, errcode(ERRCODE_DATA_CORRUPTED),
        errmsg("table \"ledger_data.installation\" has %d rows of this installation", rows),
        errdetail("The ledger writes one row. Which of them is that row cannot be told."),
        errhint("Compare xmin and base of the rows with a backup, and delete the row that was added, with "
                "session_replication_role = replica."));
}

}  // namespace

Owner read_installation(std::int64_t &base) {
    Owner owner = Owner::other;
    int rows = 0;
    scan_all(storage().installation, [&](HeapTuple tuple) {
        const InstallationRow &row = *row_of<InstallationRow>(tuple);
        if (!is_ours(row)) return;
        ++rows;
        const bool is_own = TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data));
        owner = is_own ? Owner::this_transaction : Owner::us;
        base = row.base;
    });
    if (rows > 1) refuse_rows(rows);
    return owner;
}

void lock_installation(Oid installation) {
    LockRelationOid(installation, ShareRowExclusiveLock);
}

void unlock_installation(Oid installation) {
    UnlockRelationOid(installation, ShareRowExclusiveLock);
}

std::int64_t rebase_installation() {
    // A COPY into the tables, as pg_restore makes, ends before we look. In the order of a
    // restore, by name: one that runs in a single transaction never waits for this one while
    // this one waits for it.
    for (const Oid table : {storage().audit, storage().balance, storage().seal, storage().transfer})
        LockRelationOid(table, ShareRowExclusiveLock);
    const auto running = static_cast<std::int64_t>(U64FromFullTransactionId(oldest_running_xid()));
    const std::int64_t base = Max(std::int64_t{0}, newest_txid() + 1 - running);
    write_installation(base);
    return base;
}

}  // namespace ledger
