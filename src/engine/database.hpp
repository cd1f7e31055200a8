// A database with a ledger in use: whose it is, its lanes and its counters, in
// shared memory. Found in no table, so it is made at the first write after a
// start, when the installation is checked and the lanes are recovered.
#pragma once

#include "core/types.hpp"
#include "engine/fold_queue.hpp"
#include "engine/lane.hpp"
#include "pg/postgres.hpp"

namespace ledger {

// A verification that runs. pid 0: none; the leader's where several processes share it.
struct Verification {
    pg_atomic_uint32 pid;
    pg_atomic_uint64 done;  // records
    pg_atomic_uint64 total;
    pg_atomic_uint64 began;  // TimestampTz
};
inline constexpr int kVerifications = 8;

// How far the recovery of the lanes has come: one that is cancelled goes on from there.
// Under the lock of the installation (rebase.hpp).
struct Recovery {
    bool begun;
    std::int64_t next_id[kScopes];  // records below are taken in
};

// The tables that an entry belongs to. Others under the same names are another ledger.
struct LedgerTables {
    Oid extension;
    Oid account, balance, transfer, installation;

    bool operator==(const LedgerTables &) const = default;
};

// Aligned like a lane, and what writers read at every call stands apart from what changes.
struct alignas(64) Database {
    // Which it is; changed under the databases lock.
    Oid database;  // InvalidOid: this entry is free
    LedgerTables tables;
    pg_atomic_uint32 ready;       // base and possession are those of the committed installation
    pg_atomic_uint64 possession;  // in force: once ready, or for the transaction that takes possession
    std::int64_t base;            // txid = xid + base

    // What the worker does, and when.
    alignas(64) pg_atomic_uint64 worker_due_at;  // when one is next to run, TimestampTz
    pg_atomic_uint32 unsealed;                   // records were committed that may be in no seal
    pg_atomic_uint32 unfolded;                   // transfers were, since the last sweep began
    alignas(64) pg_atomic_uint32 worker_pid;     // 0: none runs
    pg_atomic_uint64 worker_not_before;          // it is not started before, TimestampTz
    pg_atomic_uint64 purged_at;                  // when the last purge began, TimestampTz
    pg_atomic_uint64 sealed_at;                  // when the last seal was tried, TimestampTz
    pg_atomic_uint64 swept_at;                   // when the last sweep ended, TimestampTz
    pg_atomic_uint32 slots;                      // claimed under this entry, also for an earlier ledger
    pg_atomic_uint64 folds;
    AccountId sweep_after;  // the worker's own: the last account of the sweep so far
    Txid sweep_horizon;     // and the horizon at the beginning of the last one

    Recovery recovery;
    std::int64_t bounds_of_seal;  // Lane::unsealed_from is as of that seal; under the sealer's lock
    Verification verifications[kVerifications];
    FoldQueue fold_queue;
    Lane lanes[kLanes];
};

Size databases_shmem_size();
void databases_shmem_init();

// Refuses function in a read-only transaction, in recovery, in a parallel worker,
// and with LG901 without the library preloaded.
void begin_writing(const char *function);

// The current database's entry, made if need be and perhaps not ready; never
// waits. Raises LG901, or LG902 with more databases than ledger.databases.
Database &current_database();

// The current database's entry, ready to be written to. At the first write after a start
// the lanes are recovered, by one session while others wait for it. At the first write
// after an installation, a restore or a copy it notes where the ledger lives, in the
// caller's transaction; others wait for that transaction. They wait for a lock of
// PostgreSQL's. Until the (sub)transaction ends the tables can then not be dropped. Raises
// LG901, or LG902 with more databases than ledger.databases.
Database &writable_database();

// The possession that writable_database() has found or made.
Possession possession_in_force();

// True if this transaction has taken that possession itself: until it has committed, nobody else
// writes, and afterwards another possession follows.
bool is_own_possession(Possession possession);

// The offset of this possession's txids.
std::int64_t base_in_force();

inline TimestampTz read_time(pg_atomic_uint64 &time) {
    return static_cast<TimestampTz>(pg_atomic_read_u64(&time));
}
inline void write_time(pg_atomic_uint64 &time, TimestampTz value) {
    pg_atomic_write_u64(&time, static_cast<std::uint64_t>(value));
}

// When something is next due that was done at last, every so many seconds. A time in the
// future was read from a wrong clock: then at once.
inline TimestampTz due_after(TimestampTz last, int seconds, TimestampTz now) {
    return last > now ? now : last + seconds * USECS_PER_SEC;
}

// For the launcher: an entry whose worker does not run, when it is called for, and
// from when on it may be started. False if the entry is free or its worker runs.
struct DatabaseCall {
    Oid database;
    TimestampTz due_at;
    TimestampTz not_before;
};
bool read_call(int index, DatabaseCall &call);
void put_off(int index, TimestampTz until);

// The clock was set back: what was put off or due at times that it showed is so no more.
void call_all_databases();

// Frees the entries of ledgers that are not in this database any more. Locks the present one's
// tables, so that it is the present one.
void free_dead_entries();

// Nothing is due in that database any more, but for what its present entry says.
void forget_calls(Oid database, const Database *present = nullptr);

// For the worker: writable_database(), if the extension is there and its tables belong
// to this installation; else null. Where they were restored or copied and not written to
// yet, they are nobody's business.
Database *ready_database();

// The entry if there is one, else null; never waits.
Database *known_database();

// The place of an entry, and the entry at a place.
int database_number(const Database &database);
Database &database_numbered(int number);

// True if other databases have a ledger in use, too; a dropped one counts until its entry is freed.
bool has_neighbors();

// Between the tables' transaction numbers and xids, in the current database.
Txid txid_of(FullTransactionId xid);
TransactionId xid_of(Txid txid);

// The horizon: below it every transaction, in any database, has ended. A
// snapshot taken afterwards sees what all of them did.
FullTransactionId oldest_running_xid();

// True if the tables belong to this installation, that is, once it has been written to.
bool installation_is_current();

// Forgets what shared memory knows of a database, or of an extension in it, that is made
// under an Oid of before.
void register_creation_hook();

// For the transaction callbacks: what became of possessions taken in a subtransaction.
void possession_subtransaction_ended(bool committed, SubTransactionId child, SubTransactionId parent);
void possession_transaction_ended(bool committed);

}  // namespace ledger
