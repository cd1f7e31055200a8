// A database with a ledger in use: whose it is, its lanes and its counters, in
// shared memory. Found in no table, so it is made at the first write after a
// start, when the installation is checked and the newest id is read.
#pragma once

#include "core/types.hpp"
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

struct Database {
    Oid database;  // InvalidOid: this entry is free
    Oid extension;
    pg_atomic_uint32 ready;  // base is that of the committed installation
    std::int64_t base;       // txid = xid + base
    pg_atomic_uint64 refusals;
    pg_atomic_uint64 folds;
    pg_atomic_uint32 worker_pid;         // 0: none runs
    pg_atomic_uint64 worker_due_at;      // when one is next to run, TimestampTz
    pg_atomic_uint64 worker_not_before;  // it is not started before, TimestampTz
    pg_atomic_uint64 purge_due_at;       // purges are not made before, TimestampTz
    pg_atomic_uint64 seal_due_at;        // nor seals, TimestampTz
    pg_atomic_uint32 unsealed;           // records were committed that may be in no seal
    Verification verifications[kVerifications];
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

// The current database's entry, ready to be written to. At the first write
// after an installation, a restore or a copy it folds every account and notes
// where the ledger lives, in the caller's transaction; others wait for that
// transaction. Raises LG901, or LG902 with more databases than ledger.databases.
Database &writable_database();

inline TimestampTz read_time(pg_atomic_uint64 &time) {
    return static_cast<TimestampTz>(pg_atomic_read_u64(&time));
}
inline void write_time(pg_atomic_uint64 &time, TimestampTz value) {
    pg_atomic_write_u64(&time, static_cast<std::uint64_t>(value));
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

// Nothing is due in that database any more, but for what its present entry says.
void forget_calls(Oid database, const Database *present = nullptr);

// For the worker: writable_database(), if the extension is there and its tables belong
// to this installation; else null. Where they were restored or copied and not written to
// yet, they are nobody's business.
Database *ready_database();

// The entry if there is one, else null; never waits.
Database *known_database();

// Between the tables' transaction numbers and xids, in the current database.
Txid txid_of(FullTransactionId xid);
TransactionId xid_of(Txid txid);

// The horizon: below it every transaction, in any database, has ended. A
// snapshot taken afterwards sees what all of them did.
FullTransactionId oldest_running_xid();

// True if the tables belong to this installation, that is, once it has been written to.
bool installation_is_current();

// For the transaction callbacks: what became of a rebase made in a subtransaction.
void rebase_subtransaction_ended(bool committed, SubTransactionId mine, SubTransactionId parent);
void rebase_transaction_ended(bool committed);

}  // namespace ledger
