#include "engine/fold.hpp"

#include "engine/database.hpp"
#include "engine/position.hpp"
#include "engine/settings.hpp"
#include "engine/slot.hpp"
#include "engine/storage.hpp"
#include "engine/transaction.hpp"
#include "pg/numeric.hpp"
#include "pg/table.hpp"

namespace ledger {

namespace {

Datum plus(Numeric folded, Wide more) {
    return NumericGetDatum(numeric_sum(folded, numeric_from_wide(more)));
}

void write_folded(AccountId account, const Folded &before, const Totals &more, Txid horizon) {
    with_table(storage().balance, RowExclusiveLock, [&](Relation relation) {
        Datum values[BalanceColumn::count] = {
            Int64GetDatum(static_cast<std::int64_t>(account)),
            Int64GetDatum(static_cast<std::int64_t>(horizon)),
            plus(before.debits.posted, more.debits.posted),
            plus(before.credits.posted, more.credits.posted),
            plus(before.debits.pending, more.debits.pending),
            plus(before.credits.pending, more.credits.pending),
        };
        bool nulls[BalanceColumn::count] = {};
        HeapTuple row = heap_form_tuple(RelationGetDescr(relation), values, nulls);
        ItemPointerData tid = before.tid;
        if (ItemPointerIsValid(&tid))
            CatalogTupleUpdate(relation, &tid, row);
        else
            CatalogTupleInsert(relation, row);
    });
    CommandCounterIncrement();
}

// One folder at a time in a database.
LOCKTAG folders_tag() {
    LOCKTAG tag;
    SET_LOCKTAG_OBJECT(tag, MyDatabaseId, storage().balance, InvalidOid, 0);
    return tag;
}

// Folds the account's visible transfers with txid below the horizon. Returns their number.
// The caller keeps other folders out.
std::int64_t fold_up_to(AccountId account, Txid horizon) {
    return with_latest_snapshot([&](Snapshot snapshot) {
        const Folded folded = read_folded(snapshot, account);
        const Totals more = sum_transfers(snapshot, account, folded.horizon, horizon);
        if (more.transfers > 0) write_folded(account, folded, more, horizon);
        return more.transfers;
    });
}

struct FoldResult {
    std::int64_t folded;
    std::int64_t left;
};

Database &begin_folding() {
    if (IsolationUsesXactSnapshot())
        ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                errmsg("a ledger is folded in READ COMMITTED only"),
                errdetail("The transaction's own older snapshot would see the new totals."),
                errhint("Call ledger.fold() in a transaction of its own."));
    note_upkeep("folded", "ledger.fold()");
    return writable_database();
}

// With the lock of folders.
FoldResult fold_locked(Database &database, AccountId account) {
    // The horizon first, the snapshot after: so the snapshot sees all below the horizon.
    const Txid horizon = txid_of(oldest_running_xid());
    const std::int64_t folded = fold_up_to(account, horizon);
    if (folded > 0) pg_atomic_add_fetch_u64(&database.folds, 1);
    return {folded, note_folded({possession_in_force(), account}, folded)};
}

}  // namespace

std::int64_t fold_account(AccountId account) {
    Database &database = begin_folding();
    const LOCKTAG folders = folders_tag();
    LockAcquire(&folders, ShareUpdateExclusiveLock, false, false);
    return fold_locked(database, account).folded;
}

std::int64_t try_fold_account(AccountId account) {
    Database &database = begin_folding();
    const LOCKTAG folders = folders_tag();
    if (LockAcquire(&folders, ShareUpdateExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
        return settings.fold_threshold;
    return fold_locked(database, account).left;
}

}  // namespace ledger
