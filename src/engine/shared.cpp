#include "engine/shared.hpp"

#include "engine/database.hpp"
#include "engine/prepared.hpp"
#include "engine/slot.hpp"
#include "pg/error.hpp"
#include "worker/worker.hpp"

namespace ledger {

namespace {

enum {
    kDatabasesLock,
    kEffectsLock,
    kFirstPartition,
    kFirstChain = kFirstPartition + kSlotPartitions,
    kLocks = kFirstChain + kSlotPartitions
};

LWLockPadded *locks = nullptr;
shmem_request_hook_type earlier_request_hook = nullptr;
shmem_startup_hook_type earlier_startup_hook = nullptr;

void on_request() {
    if (earlier_request_hook) earlier_request_hook();
    RequestAddinShmemSpace(slots_shmem_size());
    RequestAddinShmemSpace(effects_shmem_size());
    RequestAddinShmemSpace(databases_shmem_size());
    RequestAddinShmemSpace(launcher_shmem_size());
    RequestNamedLWLockTranche("ledger", kLocks);
}

// Runs in the postmaster, again after every crash, so all state begins empty:
// what the tables say is loaded at first use.
void on_startup() {
    if (earlier_startup_hook) earlier_startup_hook();
    LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
    locks = GetNamedLWLockTranche("ledger");
    slots_shmem_init();
    effects_shmem_init();
    databases_shmem_init();
    launcher_shmem_init();
    LWLockRelease(AddinShmemInitLock);
}

}  // namespace

LWLock *databases_lock() {
    return &locks[kDatabasesLock].lock;
}

LWLock *effects_lock() {
    return &locks[kEffectsLock].lock;
}

LWLock *chain_lock(int partition) {
    return &locks[kFirstChain + partition].lock;
}

LWLock *partition_lock(int partition) {
    return &locks[kFirstPartition + partition].lock;
}

void request_shared_memory() {
    earlier_request_hook = shmem_request_hook;
    shmem_request_hook = on_request;
    earlier_startup_hook = shmem_startup_hook;
    shmem_startup_hook = on_startup;
}

bool preloaded() {
    return locks != nullptr;
}

void require_preload() {
    if (!preloaded())
        raise(Status::not_preloaded, "ledger is not loaded at server start",
              "Its guard of balances lives in shared memory, which is laid out when the server starts.",
              "Add ledger to shared_preload_libraries and restart the server.");
}

}  // namespace ledger
