#include "worker/worker.hpp"

#include "engine/fold.hpp"
#include "engine/settings.hpp"
#include "engine/shared.hpp"
#include "engine/storage.hpp"
#include "pg/postgres.hpp"
#include "request/purge.hpp"

extern "C" {
#include "postmaster/postmaster.h"
#include "tcop/tcopprot.h"
}

extern "C" PGDLLEXPORT void ledger_worker_main(Datum database);

namespace ledger {

namespace {

// Passes without work after which the worker goes; short enough for DROP
// DATABASE, which waits five seconds for other sessions.
constexpr std::int64_t kIdleMsMax = 2500;

// A worker that was asked for this long ago and is not there has failed to start.
constexpr int kStartMsMax = 10000;

// Accounts folded in one pass; what is left waits for the next.
constexpr int kAccountsAtOnce = 1000;

bool at_threshold(const Slot &slot) {
    return slot.tail >= settings.fold_threshold && slot.tail % settings.fold_threshold == 0;
}

// One of the backends that find a long tail wins the right to ask.
bool may_ask(Database &database) {
    if (pg_atomic_read_u32(&database.worker_pid) != 0) return false;
    std::uint64_t asked = pg_atomic_read_u64(&database.worker_started_at);
    const TimestampTz now = GetCurrentTimestamp();
    if (!TimestampDifferenceExceeds(static_cast<TimestampTz>(asked), now, kStartMsMax)) return false;
    return pg_atomic_compare_exchange_u64(&database.worker_started_at, &asked,
                                          static_cast<std::uint64_t>(now));
}

struct LongTails {
    AccountId accounts[kAccountsAtOnce];
    int count;
};

// Accounts with a long tail whose horizon can move on.
void find_long_tails(const Database &database, Txid horizon, LongTails &found) {
    found.count = 0;
    for (std::int32_t i = 0; i < settings.slots && found.count < kAccountsAtOnce; ++i) {
        SlotView view;
        if (view_slot(i, database.database, database.extension, view) &&
            view.tail >= settings.fold_threshold && view.fold_horizon < horizon)
            found.accounts[found.count++] = view.account;
    }
}

void begin() {
    SetCurrentStatementStartTimestamp();
    StartTransactionCommand();
    PushActiveSnapshot(GetTransactionSnapshot());
}

void commit() {
    PopActiveSnapshot();
    CommitTransactionCommand();
}

// The entry of this worker's database; null if the extension has gone.
Database *present_database() {
    return OidIsValid(get_extension_oid("ledger", true)) ? known_database() : nullptr;
}

// The same; null, too, if the ledger has not been written to.
Database *ready_database() {
    Database *database = present_database();
    return database && pg_atomic_read_u32(&database->ready) ? &writable_database() : nullptr;
}

// One pass; returns whether anything was folded. Each account in a transaction
// of its own, so that nobody waits for the whole pass.
bool fold_long_tails() {
    static LongTails found;
    begin();
    found.count = 0;
    if (Database *database = ready_database())
        find_long_tails(*database, txid_of(oldest_running_xid()), found);
    commit();
    std::int64_t folded = 0;
    for (int i = 0; i < found.count; ++i) {
        CHECK_FOR_INTERRUPTS();
        begin();
        folded += fold_account(found.accounts[i]);
        commit();
    }
    return folded > 0;
}

// Makes this process the worker of its database; null if there is one already.
Database *register_self() {
    begin();
    Database *database = present_database();
    commit();
    std::uint32_t none = 0;
    const auto pid = static_cast<std::uint32_t>(MyProcPid);
    return database && pg_atomic_compare_exchange_u32(&database->worker_pid, &none, pid) ? database : nullptr;
}

void unregister_self(int, Datum database) {
    auto *entry = reinterpret_cast<Database *>(DatumGetPointer(database));
    pg_atomic_write_u64(&entry->worker_started_at, 0);
    pg_atomic_write_u32(&entry->worker_pid, 0);
}

void rest() {
    pgstat_report_activity(STATE_IDLE, nullptr);
    const int events = WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
                                 settings.fold_interval_ms, PG_WAIT_EXTENSION);
    if (events & WL_LATCH_SET) ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
    if (ConfigReloadPending) {
        ConfigReloadPending = false;
        ProcessConfigFile(PGC_SIGHUP);
    }
}

void work(Database &database) {
    TimestampTz last_work = GetCurrentTimestamp();
    while (!TimestampDifferenceExceeds(last_work, GetCurrentTimestamp(), kIdleMsMax)) {
        pgstat_report_activity(STATE_RUNNING, "folding long tails");
        bool worked = fold_long_tails();
        pgstat_report_activity(STATE_RUNNING, "purging expired requests");
        worked = purge_if_due(database) || worked;
        if (worked) last_work = GetCurrentTimestamp();
        rest();
    }
}

}  // namespace

void start_worker(Database &database) {
    if (IsBinaryUpgrade || !may_ask(database)) return;
    BackgroundWorker worker = {};
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
    worker.bgw_restart_time = BGW_NEVER_RESTART;  // the next long tail asks again
    worker.bgw_main_arg = ObjectIdGetDatum(MyDatabaseId);
    strlcpy(worker.bgw_library_name, "ledger", BGW_MAXLEN);
    strlcpy(worker.bgw_function_name, "ledger_worker_main", BGW_MAXLEN);
    strlcpy(worker.bgw_type, "ledger worker", BGW_MAXLEN);
    snprintf(worker.bgw_name, BGW_MAXLEN, "ledger worker for database %u", MyDatabaseId);
    if (!RegisterDynamicBackgroundWorker(&worker, nullptr))
        ereport(LOG, errcode(ERRCODE_INSUFFICIENT_RESOURCES),
                errmsg("no background worker slot is free for the ledger"),
                errhint("Raise max_worker_processes, or call ledger.fold() and ledger.purge_requests() "
                        "from time to time."));
}

void fold_when_long(Database &database, const Slot &source, const Slot &destination) {
    // Read without the slots' mutex: missing a crossing costs one more threshold.
    if (at_threshold(source) || at_threshold(destination)) start_worker(database);
}

}  // namespace ledger

void ledger_worker_main(Datum database_oid) {
    using namespace ledger;
    pqsignal(SIGTERM, die);
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    BackgroundWorkerUnblockSignals();
    BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(database_oid), InvalidOid, 0);
    // A fold that a crash takes back is made again: no need to wait for the disk.
    SetConfigOption("synchronous_commit", "off", PGC_USERSET, PGC_S_OVERRIDE);
    Database *database = register_self();
    if (!database) return;
    before_shmem_exit(unregister_self, PointerGetDatum(database));
    work(*database);
}
