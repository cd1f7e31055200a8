#include "chain/progress.hpp"

#include "engine/database.hpp"
#include "pg/postgres.hpp"

namespace ledger {

namespace {

Verification *mine = nullptr;

std::uint32_t leader_pid() {
    const PGPROC *leader = MyProc->lockGroupLeader;
    return static_cast<std::uint32_t>(leader ? leader->pid : MyProcPid);
}

}  // namespace

void begin_progress(std::int64_t total) {
    Database *database = known_database();
    if (mine || !database) return;
    for (Verification &each : database->verifications) {
        std::uint32_t none = 0;
        if (!pg_atomic_compare_exchange_u32(&each.pid, &none, static_cast<std::uint32_t>(MyProcPid)))
            continue;
        pg_atomic_write_u64(&each.done, 0);
        pg_atomic_write_u64(&each.total, static_cast<std::uint64_t>(total));
        write_time(each.began, GetCurrentTimestamp());
        mine = &each;
        return;
    }
}

void end_progress() {
    if (mine) pg_atomic_write_u32(&mine->pid, 0);
    mine = nullptr;
}

void register_progress_callback() {
    // Neither fails nor allocates.
    RegisterXactCallback([](XactEvent, void *) { end_progress(); }, nullptr);
}

void add_progress(std::int64_t records) {
    Database *database = known_database();
    if (!database) return;
    for (Verification &each : database->verifications)
        if (pg_atomic_read_u32(&each.pid) == leader_pid()) pg_atomic_fetch_add_u64(&each.done, records);
}

}  // namespace ledger
