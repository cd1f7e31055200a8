// The ledger's part of shared memory: how it is asked for, its locks, and
// whether it is there at all.
#pragma once

#include "pg/postgres.hpp"

namespace ledger {

inline constexpr int kSlotPartitions = 128;

// The locks of the tranche "ledger".
LWLock *databases_lock();               // the array of databases (database.hpp)
LWLock *effects_lock();                 // free effects of prepared transactions (prepared.hpp)
LWLock *chain_lock(int partition);      // the effects of one part of the slots
LWLock *partition_lock(int partition);  // one part of the slots' hash table (slot.hpp)

// Called by _PG_init while shared_preload_libraries are loaded.
void request_shared_memory();

// False where ledger is not in shared_preload_libraries.
bool preloaded();

// Raises LG901 if not preloaded.
void require_preload();

}  // namespace ledger
