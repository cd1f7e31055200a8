// Background work: folding long tails, expiring holds, timing out TCC transactions,
// purging what has expired. A worker is there while a database has something due
// and gone again when it has not, so that an idle database has none and DROP
// DATABASE is not in its way; the launcher (launcher.cpp), one a server, sleeps
// until the next deadline of any database and starts its worker then.
#pragma once

#include "engine/database.hpp"

namespace ledger {

// Has the database's worker running from when on (DT_NOBEGIN: at once, DT_NOEND:
// never), or soon after. To be called after the row that has this deadline was
// inserted. Does not wait, and costs one comparison if it is due by then anyway.
void call_worker_at(Database &database, TimestampTz when);

// Records were committed that no seal has yet, and no sweep has seen: has the worker see to
// them when it is time. For commit callbacks: neither fails nor allocates.
void note_records(Database &database);

// The launcher.
Size launcher_shmem_size();
void launcher_shmem_init();
void register_launcher();
void wake_launcher();

// How many databases wait for a worker because ledger.max_workers are at work.
int waiting_databases();

}  // namespace ledger
