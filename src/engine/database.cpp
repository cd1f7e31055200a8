#include "engine/database.hpp"

#include "engine/settings.hpp"
#include "engine/shared.hpp"
#include "engine/storage.hpp"
#include "engine/rebase.hpp"
#include "engine/recover.hpp"
#include "pg/bytes.hpp"
#include "pg/error.hpp"
#include "pg/table.hpp"
#include "worker/worker.hpp"

extern "C" {
#include "catalog/objectaccess.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "utils/syscache.h"
}

namespace ledger {

namespace {

struct DatabaseTable {
    pg_atomic_uint64 possessions;  // the last number given to one
    Database databases[FLEXIBLE_ARRAY_MEMBER];
};

DatabaseTable *table = nullptr;
Database *databases = nullptr;
Database *mine = nullptr;  // the entry last found for this backend's database

// A possession taken by this transaction and not yet committed: until then the shared
// entry is not ready, and only this transaction may write. Newest first; memory is
// TopTransactionContext's.
struct OwnPossession {
    SubTransactionId subtransaction;
    Database *entry;
    LedgerTables tables;
    Possession possession;
    std::int64_t base;
    OwnPossession *earlier;
};
OwnPossession *own_possessions = nullptr;

object_access_hook_type earlier_access_hook = nullptr;

LedgerTables tables_of(const Storage &s) {
    return {s.extension, s.account, s.balance, s.transfer, s.installation};
}

// Everything known of accounts under the number before is forgotten by this.
void begin_possession(Database &entry) {
    pg_atomic_write_u64(&entry.possession, pg_atomic_add_fetch_u64(&table->possessions, 1));
}

// A possession of this transaction's own has ended; by now the entry may be another's.
void end_possession(const OwnPossession &own) {
    std::uint64_t number = static_cast<std::uint64_t>(own.possession);
    const std::uint64_t next = pg_atomic_add_fetch_u64(&table->possessions, 1);
    if (pg_atomic_compare_exchange_u64(&own.entry->possession, &number, next)) own.entry->recovery = {};
}

OwnPossession *own_possession() {
    for (OwnPossession *own = own_possessions; own; own = own->earlier)
        if (own->entry == mine && own->tables == mine->tables) return own;
    return nullptr;
}

Database *find_entry(Oid database, const LedgerTables &tables) {
    Assert(LWLockHeldByMe(databases_lock()));
    for (int i = 0; i < settings.databases; ++i)
        if (databases[i].database == database && databases[i].tables == tables) return &databases[i];
    return nullptr;
}

bool any_lane_owned(Database &entry) {
    return std::any_of(std::begin(entry.lanes), std::end(entry.lanes), is_owned);
}

// Lays out a free entry, of which no transaction owns a lane.
void reset_entry(Database &entry, Oid database, const LedgerTables &tables) {
    entry.database = database;
    entry.tables = tables;
    pg_atomic_write_u32(&entry.ready, 0);
    begin_possession(entry);
    entry.base = 0;
    for (pg_atomic_uint64 *value :
         {&entry.folds, &entry.worker_not_before, &entry.purged_at, &entry.sealed_at, &entry.swept_at})
        pg_atomic_write_u64(value, 0);
    write_time(entry.worker_due_at, DT_NOEND);
    pg_atomic_write_u32(&entry.worker_pid, 0);
    pg_atomic_write_u32(&entry.unsealed, 0);
    pg_atomic_write_u32(&entry.unfolded, 0);
    entry.sweep_after = AccountId{0};
    entry.sweep_horizon = Txid{0};
    entry.recovery = {};
    entry.bounds_of_seal = -1;
    for (Verification &verification : entry.verifications) pg_atomic_write_u32(&verification.pid, 0);
    reset_fold_queue(entry.fold_queue);
    for (Lane &lane : entry.lanes) reset_lane(lane);
}

bool is_writable(Database &entry) {
    return pg_atomic_read_u32(&entry.ready) != 0 || own_possession() != nullptr;
}

bool is_in_use(Database &entry) {
    return pg_atomic_read_u32(&entry.worker_pid) != 0 || any_lane_owned(entry);
}

// Ends the possession, and frees the entry. The number goes up before lanes are looked at:
// a transaction that claims one at the same time sees that, or is seen (lane.cpp, claim_lane).
void give_up(Database &entry) {
    Assert(LWLockHeldByMeInMode(databases_lock(), LW_EXCLUSIVE));
    pg_atomic_write_u32(&entry.ready, 0);
    begin_possession(entry);
    entry.recovery = {};
    pg_memory_barrier();
    if (!is_in_use(entry)) entry.database = InvalidOid;
}

bool is_own_row(HeapTuple tuple) {
    return TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data));
}

bool is_own_extension(Oid extension) {
    ScanKeyData key;
    ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(extension));
    return with_table(ExtensionRelationId, AccessShareLock, [&](Relation relation) {
        SysScanDesc scan = systable_beginscan(relation, ExtensionOidIndexId, true, nullptr, 1, &key);
        HeapTuple tuple = systable_getnext(scan);
        const bool own = !tuple || is_own_row(tuple);
        systable_endscan(scan);
        return own;
    });
}

bool is_own_table(Oid table) {
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
    const bool own = !HeapTupleIsValid(tuple) || is_own_row(tuple);
    if (HeapTupleIsValid(tuple)) ReleaseSysCache(tuple);
    return own;
}

// False if this transaction made the extension, or made or renamed a table: until it commits, the
// ledger before may come back.
bool are_committed(const LedgerTables &tables) {
    return !is_own_extension(tables.extension) && !is_own_table(tables.account) &&
           !is_own_table(tables.balance) && !is_own_table(tables.transfer);
}

Database *find_or_lay_out(const LedgerTables &tables) {
    LWLockAcquire(databases_lock(), LW_EXCLUSIVE);
    Database *entry = find_entry(MyDatabaseId, tables);
    if (!entry) {
        for (int i = 0; i < settings.databases && !entry; ++i)
            if (!OidIsValid(databases[i].database)) entry = &databases[i];
        if (entry) reset_entry(*entry, MyDatabaseId, tables);
    }
    LWLockRelease(databases_lock());
    return entry;
}

Database &entry_of_this_database() {
    if (Database *entry = find_or_lay_out(tables_of(storage()))) return *entry;
    free_dead_entries();
    if (Database *entry = find_or_lay_out(tables_of(storage()))) return *entry;
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

// Reads the lanes from the tables, or goes on with that. Nobody else is writing. Needs the
// lock of the installation.
void recover(Database &entry, std::int64_t base) {
    const Tick first = tick_above_all();
    recover_lanes(entry, base);
    for (Lane &lane : entry.lanes) raise_lane(lane, first);
    entry.recovery = {};
}

// The tables are ours: lets everybody write.
void publish(Database &entry, std::int64_t base) {
    recover(entry, base);
    LWLockAcquire(databases_lock(), LW_EXCLUSIVE);
    begin_possession(entry);
    entry.base = base;
    pg_atomic_write_u32(&entry.unsealed, 1);  // for all we know
    pg_atomic_write_u32(&entry.unfolded, 1);
    write_time(entry.swept_at, 0);  // the first sweep is due at once
    entry.sweep_horizon =
        Txid{static_cast<std::int64_t>(U64FromFullTransactionId(oldest_running_xid())) + base};
    pg_write_barrier();
    pg_atomic_write_u32(&entry.ready, 1);
    LWLockRelease(databases_lock());
    call_worker_at(entry, DT_NOBEGIN);  // the tables may have brought deadlines along
}

// Notes a possession as this transaction's own.
void note_own(Database &entry, std::int64_t base) {
    auto *own =
        static_cast<OwnPossession *>(MemoryContextAlloc(TopTransactionContext, sizeof(OwnPossession)));
    begin_possession(entry);
    entry.recovery = {};
    const Possession possession{pg_atomic_read_u64(&entry.possession)};
    *own = {GetCurrentSubTransactionId(), &entry, entry.tables, possession, base, own_possessions};
    own_possessions = own;
}

void open_locked(Database &entry) {
    std::int64_t base;
    switch (read_installation(base)) {
        case Owner::us:
            publish(entry, base);
            unlock_installation(entry.tables.installation);
            return;
        case Owner::this_transaction:
            elog(ERROR, "a possession of this transaction is not noted");
        case Owner::other:
            base = rebase_installation();
            break;
    }
    note_own(entry, base);
    recover(entry, base);
}

// Under the lock of the installation, which is kept where the tables become ours in this
// transaction. While it is waited for another session may open the entry, or replace the tables.
void open_for_writing(Database &entry) {
    const LedgerTables tables = entry.tables;
    lock_installation(tables.installation);
    if (pg_atomic_read_u32(&entry.ready) || tables_of(storage()) != tables || entry.tables != tables)
        return unlock_installation(tables.installation);
    open_locked(entry);
}

void forget_entries(Oid database, Oid extension) {
    LWLockAcquire(databases_lock(), LW_EXCLUSIVE);
    for (int i = 0; i < settings.databases; ++i)
        if (databases[i].database == database &&
            (!OidIsValid(extension) || databases[i].tables.extension == extension))
            give_up(databases[i]);
    LWLockRelease(databases_lock());
}

// A database may be made under the Oid of one that was dropped, with other tables. Nobody
// can be connected to either of them now.
void on_object_access(ObjectAccessType access, Oid class_id, Oid object, int part, void *argument) {
    if (earlier_access_hook) earlier_access_hook(access, class_id, object, part, argument);
    if (access != OAT_POST_CREATE || !preloaded()) return;
    if (class_id == DatabaseRelationId) forget_entries(object, InvalidOid);
    if (class_id == ExtensionRelationId) forget_entries(MyDatabaseId, object);
}

}  // namespace

Size databases_shmem_size() {
    return offsetof(DatabaseTable, databases) +
           mul_size(static_cast<Size>(settings.databases), sizeof(Database)) + alignof(Database);
}

void databases_shmem_init() {
    bool found;
    void *memory = ShmemInitStruct("ledger databases", databases_shmem_size(), &found);
    table = reinterpret_cast<DatabaseTable *>(TYPEALIGN(alignof(Database), memory));
    databases = table->databases;
    if (found) return;
    pg_atomic_init_u64(&table->possessions, 0);
    for (int i = 0; i < settings.databases; ++i) {
        Database &entry = databases[i];
        pg_atomic_init_u32(&entry.ready, 0);
        pg_atomic_init_u32(&entry.worker_pid, 0);
        pg_atomic_init_u32(&entry.slots, 0);  // slots outlive what the entry is laid out for
        for (pg_atomic_uint64 *value :
             {&entry.possession, &entry.folds, &entry.worker_due_at, &entry.worker_not_before,
              &entry.purged_at, &entry.sealed_at, &entry.swept_at})
            pg_atomic_init_u64(value, 0);
        pg_atomic_init_u32(&entry.unsealed, 0);
        pg_atomic_init_u32(&entry.unfolded, 0);
        for (Verification &verification : entry.verifications) {
            pg_atomic_init_u32(&verification.pid, 0);
            for (pg_atomic_uint64 *value : {&verification.done, &verification.total, &verification.began})
                pg_atomic_init_u64(value, 0);
        }
        init_fold_queue(entry.fold_queue);
        for (Lane &lane : entry.lanes) init_lane(lane);
        reset_entry(entry, InvalidOid, {});
    }
}

void begin_writing(const char *function) {
    PreventCommandIfReadOnly(function);
    PreventCommandDuringRecovery(function);
    PreventCommandIfParallelMode(function);
    require_preload();
    require_utf8();
}

Database &current_database() {
    require_preload();
    const LedgerTables tables = tables_of(storage());
    if (!mine || mine->database != MyDatabaseId || mine->tables != tables) mine = &entry_of_this_database();
    return *mine;
}

// The lock keeps the tables from being dropped or replaced until the (sub)transaction ends;
// while it was waited for, they may have been.
Database &writable_database() {
    for (;;) {
        Database &entry = current_database();
        const Oid transfer = entry.tables.transfer;
        if (!is_writable(entry)) open_for_writing(entry);
        LockRelationOid(transfer, RowExclusiveLock);
        if (&current_database() == &entry && is_writable(entry)) {
            pg_read_barrier();  // what was written before ready is seen from here on
            return entry;
        }
    }
}

Possession possession_in_force() {
    return Possession{pg_atomic_read_u64(&mine->possession)};
}

bool is_own_possession(Possession possession) {
    for (const OwnPossession *own = own_possessions; own; own = own->earlier)
        if (own->possession == possession) return true;
    return false;
}

std::int64_t base_in_force() {
    const OwnPossession *own = own_possession();
    return own ? own->base : mine->base;
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

void free_dead_entries() {
    // Whoever drops them has locked them first.
    LedgerTables tables;
    do {
        tables = tables_of(storage());
        LockRelationOid(tables.transfer, AccessShareLock);
    } while (tables_of(storage()) != tables);
    const bool is_committed = are_committed(tables);
    for (int i = 0; i < settings.databases; ++i) {
        const Oid database = databases[i].database;
        const LedgerTables before = databases[i].tables;
        const bool is_dead =
            database == MyDatabaseId
                ? before != tables && is_committed
                : OidIsValid(database) && !SearchSysCacheExists1(DATABASEOID, ObjectIdGetDatum(database));
        if (!is_dead) continue;
        LWLockAcquire(databases_lock(), LW_EXCLUSIVE);
        if (databases[i].database == database && databases[i].tables == before && !is_in_use(databases[i]))
            give_up(databases[i]);
        LWLockRelease(databases_lock());
    }
}

void call_all_databases() {
    LWLockAcquire(databases_lock(), LW_SHARED);
    for (int i = 0; i < settings.databases; ++i) {
        if (!OidIsValid(databases[i].database)) continue;
        write_time(databases[i].worker_not_before, 0);
        write_time(databases[i].worker_due_at, DT_NOBEGIN);
    }
    LWLockRelease(databases_lock());
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
    const LedgerTables tables = tables_of(storage());
    LWLockAcquire(databases_lock(), LW_SHARED);
    Database *entry = find_entry(MyDatabaseId, tables);
    LWLockRelease(databases_lock());
    return entry;
}

int database_number(const Database &database) {
    return static_cast<int>(&database - databases);
}

Database &database_numbered(int number) {
    return databases[number];
}

// The databases lock is not needed: an answer of a moment ago will do.
bool has_neighbors() {
    for (int i = 0; i < settings.databases; ++i)
        if (OidIsValid(databases[i].database) && databases[i].database != MyDatabaseId) return true;
    return false;
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
    return read_installation(base) != Owner::other;
}

void register_creation_hook() {
    earlier_access_hook = object_access_hook;
    object_access_hook = on_object_access;
}

// The callbacks neither fail nor allocate.

void possession_subtransaction_ended(bool committed, SubTransactionId child, SubTransactionId parent) {
    for (OwnPossession *own = own_possessions; own; own = own->earlier)
        if (committed && own->subtransaction == child) own->subtransaction = parent;
    // Inner subtransactions end first, so those of the child are the newest.
    while (own_possessions && own_possessions->subtransaction == child) {
        end_possession(*own_possessions);
        own_possessions = own_possessions->earlier;
    }
}

// Committed or not, whoever writes next reads the tables for himself.
void possession_transaction_ended(bool committed) {
    for (OwnPossession *own = own_possessions; own; own = own->earlier) {
        end_possession(*own);
        // The tables may have brought deadlines along.
        if (committed) call_worker_at(*own->entry, DT_NOBEGIN);
    }
    own_possessions = nullptr;
}

}  // namespace ledger
