#include "engine/database.hpp"

#include "engine/settings.hpp"
#include "engine/shared.hpp"
#include "engine/storage.hpp"
#include "engine/rebase.hpp"
#include "engine/recover.hpp"
#include "pg/error.hpp"
#include "pg/table.hpp"
#include "worker/worker.hpp"

extern "C" {
#include "utils/syscache.h"
}

namespace ledger {

namespace {

Database *databases = nullptr;
Database *mine = nullptr;  // the entry last found for this backend's database

// A rebase made by this transaction and not yet committed: until then the
// shared entry is not ready, and only this transaction may write.
struct {
    SubTransactionId subtransaction;  // InvalidSubTransactionId: none
    std::int64_t base;
} rebase = {};

// Need the databases lock.
Database *find_entry(Oid database, Oid extension) {
    for (int i = 0; i < settings.databases; ++i)
        if (databases[i].database == database && databases[i].extension == extension) return &databases[i];
    return nullptr;
}

void reset_entry(Database &entry, Oid database, Oid extension) {
    entry.database = database;
    entry.extension = extension;
    pg_atomic_write_u32(&entry.ready, 0);
    entry.base = 0;
    for (pg_atomic_uint64 *counter :
         {&entry.refusals, &entry.folds, &entry.worker_not_before, &entry.purge_due_at, &entry.seal_due_at})
        pg_atomic_write_u64(counter, 0);
    write_time(entry.worker_due_at, DT_NOEND);
    pg_atomic_write_u32(&entry.worker_pid, 0);
    pg_atomic_write_u32(&entry.unsealed, 0);
    for (Verification &verification : entry.verifications) pg_atomic_write_u32(&verification.pid, 0);
    for (Lane &lane : entry.lanes) reset_lane(lane);
}

// Frees the entries of dropped databases and of earlier installations in this
// one: nobody can be using either, but for a worker that is about to go.
void free_abandoned_entries(Oid extension) {
    for (int i = 0; i < settings.databases; ++i) {
        const Oid database = databases[i].database;
        const Oid installed = databases[i].extension;
        const bool abandoned =
            database == MyDatabaseId
                ? installed != extension
                : OidIsValid(database) && !SearchSysCacheExists1(DATABASEOID, ObjectIdGetDatum(database));
        if (!abandoned) continue;
        LWLockAcquire(databases_lock(), LW_EXCLUSIVE);
        if (databases[i].database == database && databases[i].extension == installed &&
            pg_atomic_read_u32(&databases[i].worker_pid) == 0)
            databases[i].database = InvalidOid;
        LWLockRelease(databases_lock());
    }
}

Database &entry_for(Oid extension) {
    for (int attempt = 0; attempt < 2; ++attempt) {
        LWLockAcquire(databases_lock(), LW_EXCLUSIVE);
        Database *entry = find_entry(MyDatabaseId, extension);
        if (!entry) {
            for (int i = 0; i < settings.databases && !entry; ++i)
                if (!OidIsValid(databases[i].database)) entry = &databases[i];
            if (entry) reset_entry(*entry, MyDatabaseId, extension);
        }
        LWLockRelease(databases_lock());
        if (entry) return *entry;
        free_abandoned_entries(extension);
    }
    raise(Status::out_of_slots, "too many databases use a ledger",
          psprintf("Shared memory has room for %d.", settings.databases),
          "Raise ledger.databases and restart the server.");
}

// The highest id in a primary key, whoever wrote it and whether or not it
// committed; 0 if it is empty.
std::int64_t highest_in(Oid table_id, Oid index_id) {
    return with_table(table_id, AccessShareLock, [&](Relation table) {
        Relation index = index_open(index_id, AccessShareLock);
        IndexScanDesc scan = compat::begin_index_scan(table, index, SnapshotAny, 0);
        scan->xs_want_itup = true;
        index_rescan(scan, nullptr, 0, nullptr, 0);
        std::int64_t highest = 0;
        if (index_getnext_tid(scan, BackwardScanDirection)) {
            bool is_null;
            highest = DatumGetInt64(index_getattr(scan->xs_itup, 1, scan->xs_itupdesc, &is_null));
        }
        index_endscan(scan);
        index_close(index, AccessShareLock);
        return highest;
    });
}

Tick tick_above_all() {
    const Storage &s = storage();
    const std::int64_t accounts =
        Max(highest_in(s.account, s.account_by_id), highest_in(s.asset, s.asset_by_id));
    const std::int64_t records =
        Max(highest_in(s.transfer, s.transfer_by_id), highest_in(s.audit, s.audit_by_id));
    return tick_above(Max(accounts, records));
}

// What the tables say of the lanes, and ids above all of theirs. For an entry that is
// not ready: nobody else is writing then. Needs the databases lock.
void set_lanes(Database &entry, const RecoveredLane *recovered, Tick first) {
    for (int i = 0; i < kLanes; ++i) restore_lane(entry.lanes[i], recovered[i], first);
}

void publish(Database &entry, std::int64_t base) {
    const Tick first = tick_above_all();
    RecoveredLane *lanes = recover_lanes(base);
    LWLockAcquire(databases_lock(), LW_EXCLUSIVE);
    if (!pg_atomic_read_u32(&entry.ready)) {
        set_lanes(entry, lanes, first);
        entry.base = base;
        pg_atomic_write_u32(&entry.unsealed, 1);  // for all we know
        pg_write_barrier();
        pg_atomic_write_u32(&entry.ready, 1);
    }
    LWLockRelease(databases_lock());
    pfree(lanes);
    call_worker_at(entry, DT_NOBEGIN);  // the tables may have brought deadlines along
}

// After lock_installation said no: makes the tables ours, in this transaction.
void take_possession(Database &entry) {
    rebase.base = rebase_installation();
    rebase.subtransaction = GetCurrentSubTransactionId();
    const Tick first = tick_above_all();
    RecoveredLane *lanes = recover_lanes(rebase.base);
    LWLockAcquire(databases_lock(), LW_EXCLUSIVE);
    set_lanes(entry, lanes, first);
    LWLockRelease(databases_lock());
    pfree(lanes);
}

std::int64_t base_in_force() {
    if (rebase.subtransaction != InvalidSubTransactionId) return rebase.base;
    return mine->base;
}

}  // namespace

Size databases_shmem_size() {
    return mul_size(static_cast<Size>(settings.databases), sizeof(Database)) + alignof(Lane);
}

void databases_shmem_init() {
    bool found;
    void *memory = ShmemInitStruct("ledger databases", databases_shmem_size(), &found);
    databases = reinterpret_cast<Database *>(TYPEALIGN(alignof(Lane), memory));
    if (found) return;
    for (int i = 0; i < settings.databases; ++i) {
        Database &entry = databases[i];
        pg_atomic_init_u32(&entry.ready, 0);
        pg_atomic_init_u32(&entry.worker_pid, 0);
        for (pg_atomic_uint64 *counter : {&entry.refusals, &entry.folds, &entry.worker_due_at,
                                          &entry.worker_not_before, &entry.purge_due_at, &entry.seal_due_at})
            pg_atomic_init_u64(counter, 0);
        pg_atomic_init_u32(&entry.unsealed, 0);
        for (Verification &verification : entry.verifications) {
            pg_atomic_init_u32(&verification.pid, 0);
            for (pg_atomic_uint64 *value : {&verification.done, &verification.total, &verification.began})
                pg_atomic_init_u64(value, 0);
        }
        for (Lane &lane : entry.lanes) init_lane(lane);
        reset_entry(entry, InvalidOid, InvalidOid);
    }
}

void begin_writing(const char *function) {
    PreventCommandIfReadOnly(function);
    PreventCommandDuringRecovery(function);
    PreventCommandIfParallelMode(function);
    require_preload();
}

Database &current_database() {
    require_preload();
    const Storage &tables = storage();
    if (!mine || mine->database != MyDatabaseId || mine->extension != tables.extension)
        mine = &entry_for(tables.extension);
    return *mine;
}

Database &writable_database() {
    current_database();
    if (pg_atomic_read_u32(&mine->ready) || rebase.subtransaction != InvalidSubTransactionId) return *mine;

    std::int64_t base;
    if (read_installation(base) || lock_installation(base))
        publish(*mine, base);
    else
        take_possession(*mine);
    return *mine;
}

bool read_call(int index, DatabaseCall &call) {
    Database &entry = databases[index];
    LWLockAcquire(databases_lock(), LW_SHARED);
    const bool idle = OidIsValid(entry.database) && pg_atomic_read_u32(&entry.worker_pid) == 0;
    call = {entry.database, read_time(entry.worker_due_at), read_time(entry.worker_not_before)};
    LWLockRelease(databases_lock());
    return idle;
}

void put_off(int index, TimestampTz until) {
    write_time(databases[index].worker_not_before, until);
}

void forget_calls(Oid database, const Database *present) {
    LWLockAcquire(databases_lock(), LW_SHARED);
    for (int i = 0; i < settings.databases; ++i)
        if (databases[i].database == database && &databases[i] != present)
            write_time(databases[i].worker_due_at, DT_NOEND);
    LWLockRelease(databases_lock());
}

Database *ready_database() {
    if (!OidIsValid(get_extension_oid("ledger", true)) || !installation_is_current()) return nullptr;
    return &writable_database();
}

Database *known_database() {
    if (!preloaded()) return nullptr;
    const Oid extension = storage().extension;
    LWLockAcquire(databases_lock(), LW_SHARED);
    Database *entry = find_entry(MyDatabaseId, extension);
    LWLockRelease(databases_lock());
    return entry;
}

Txid txid_of(FullTransactionId xid) {
    return Txid{static_cast<std::int64_t>(U64FromFullTransactionId(xid)) + base_in_force()};
}

TransactionId xid_of(Txid txid) {
    return static_cast<TransactionId>(static_cast<std::int64_t>(txid) - base_in_force());
}

FullTransactionId oldest_running_xid() {
    const TransactionId oldest = GetOldestActiveTransactionId();
    const FullTransactionId next = ReadNextFullTransactionId();
    // oldest is at most 2^31 behind next: in its epoch or the one before.
    const std::uint32_t epoch =
        EpochFromFullTransactionId(next) - (oldest > XidFromFullTransactionId(next) ? 1 : 0);
    return FullTransactionIdFromEpochAndXid(epoch, oldest);
}

bool installation_is_current() {
    std::int64_t base;
    return read_installation(base);
}

void rebase_subtransaction_ended(bool committed, SubTransactionId child, SubTransactionId parent) {
    if (rebase.subtransaction == child) rebase.subtransaction = committed ? parent : InvalidSubTransactionId;
}

void rebase_transaction_ended(bool committed) {
    // The tables may have brought deadlines along.
    if (committed && rebase.subtransaction != InvalidSubTransactionId) call_worker_at(*mine, DT_NOBEGIN);
    rebase.subtransaction = InvalidSubTransactionId;
}

}  // namespace ledger
