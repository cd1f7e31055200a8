// The launcher: one process a server. After a start it has every database looked
// at once, for deadlines from before; then it sleeps until the next one.
#include "worker/worker.hpp"

#include "engine/settings.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "catalog/pg_database.h"
#include "storage/pmsignal.h"
#include "tcop/tcopprot.h"
}

extern "C" PGDLLEXPORT void ledger_launcher_main(Datum unused);

namespace ledger {

namespace {

// A worker that failed, or could not be started, is started again after this time.
constexpr int kRetryMs = 10000;
constexpr int kRestartSeconds = 5;

struct LauncherState {
    pg_atomic_uint64 latch;  // the launcher's, as a pointer; 0 while there is none
};

LauncherState *launcher = nullptr;

struct Named {
    Oid database;
    char name[NAMEDATALEN];
};

// The databases one can connect to, in a memory context of the caller's.
struct List {
    Named *databases;
    int count;
};

List connectable_databases(MemoryContext context) {
    List list = {};
    StartTransactionCommand();
    PushActiveSnapshot(GetTransactionSnapshot());
    Relation relation = table_open(DatabaseRelationId, AccessShareLock);
    TableScanDesc scan = table_beginscan(relation, GetActiveSnapshot(), 0, nullptr);
    int room = 0;
    while (HeapTuple tuple = heap_getnext(scan, ForwardScanDirection)) {
        const auto *row = reinterpret_cast<Form_pg_database>(GETSTRUCT(tuple));
        if (!row->datallowconn) continue;
        if (list.count == room) {
            room = room ? 2 * room : 16;
            const Size size = static_cast<Size>(room) * sizeof(Named);
            list.databases = static_cast<Named *>(list.databases ? repalloc(list.databases, size)
                                                                 : MemoryContextAlloc(context, size));
        }
        Named &next = list.databases[list.count++];
        next.database = row->oid;
        strlcpy(next.name, NameStr(row->datname), NAMEDATALEN);
    }
    table_endscan(scan);
    table_close(relation, AccessShareLock);
    PopActiveSnapshot();
    CommitTransactionCommand();
    return list;
}

// False where no process is to be had now.
bool start_worker(const Named &database) {
    BackgroundWorker worker = {};
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
    worker.bgw_restart_time = BGW_NEVER_RESTART;  // the launcher does
    worker.bgw_main_arg = ObjectIdGetDatum(database.database);
    worker.bgw_notify_pid = MyProcPid;
    strlcpy(worker.bgw_library_name, "ledger", BGW_MAXLEN);
    strlcpy(worker.bgw_function_name, "ledger_worker_main", BGW_MAXLEN);
    strlcpy(worker.bgw_type, "ledger worker", BGW_MAXLEN);
    snprintf(worker.bgw_name, BGW_MAXLEN, "ledger worker for %s", database.name);
    return RegisterDynamicBackgroundWorker(&worker, nullptr);
}

// Where no process is to be had, once until one was.
void complain(bool started) {
    static bool complained = false;
    if (!started && !complained)
        ereport(LOG, errcode(ERRCODE_INSUFFICIENT_RESOURCES),
                errmsg("no background worker slot is free for the ledger"),
                errdetail("It is tried again every %d seconds.", kRetryMs / 1000),
                errhint("Raise max_worker_processes."));
    complained = !started;
}

// Starts the workers that are due. Returns when the next one will be.
TimestampTz start_due(const List *known) {
    const TimestampTz now = GetCurrentTimestamp();
    TimestampTz next = DT_NOEND;
    if (!settings.worker) return next;
    for (int i = 0; i < settings.databases; ++i) {
        DatabaseCall call;
        if (!read_call(i, call)) continue;
        const TimestampTz due = Max(call.due_at, call.not_before);
        if (due > now) {
            next = Min(next, due);
            continue;
        }
        const Named *found = nullptr;
        for (int k = 0; known && k < known->count; ++k)
            if (known->databases[k].database == call.database) found = &known->databases[k];
        if (!known) return now;  // the caller looks them up
        if (!found) {
            forget_calls(call.database);
            continue;
        }
        put_off(i, now + kRetryMs * INT64CONST(1000));
        complain(start_worker(*found));
        next = Min(next, now + kRetryMs * INT64CONST(1000));
    }
    return next;
}

void sleep_until(TimestampTz when) {
    long milliseconds = -1;
    if (when != DT_NOEND)
        milliseconds = Min(TimestampDifferenceMilliseconds(GetCurrentTimestamp(), when), INT_MAX);
    const int wake = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (milliseconds >= 0 ? WL_TIMEOUT : 0);
    const int events = WaitLatch(MyLatch, wake, milliseconds, PG_WAIT_EXTENSION);
    if (events & WL_LATCH_SET) ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
    if (ShutdownRequestPending) proc_exit(1);  // started again, unless the server stops
    if (ConfigReloadPending) {
        ConfigReloadPending = false;
        ProcessConfigFile(PGC_SIGHUP);
    }
}

// Waits until background work is wanted and a process is to be had.
void start_surely(const Named &database) {
    while (!settings.worker || !start_worker(database)) {
        if (settings.worker) complain(false);
        sleep_until(settings.worker ? GetCurrentTimestamp() + USECS_PER_SEC : DT_NOEND);
    }
}

// Has every database looked at: a server that has just started knows of no deadline.
void explore(MemoryContext context) {
    const List all = connectable_databases(context);
    for (int i = 0; i < all.count; ++i) start_surely(all.databases[i]);
    MemoryContextReset(context);
}

[[noreturn]] void launch() {
    MemoryContext context =
        AllocSetContextCreate(TopMemoryContext, "ledger launcher", ALLOCSET_DEFAULT_SIZES);
    explore(context);
    for (;;) {
        TimestampTz next = start_due(nullptr);
        if (next <= GetCurrentTimestamp()) {
            const List all = connectable_databases(context);
            next = start_due(&all);
            MemoryContextReset(context);
        }
        sleep_until(next);
    }
}

void unregister_launcher(int, Datum) {
    pg_atomic_write_u64(&launcher->latch, 0);
}

}  // namespace

Size launcher_shmem_size() {
    return sizeof(LauncherState);
}

void launcher_shmem_init() {
    bool found;
    launcher =
        static_cast<LauncherState *>(ShmemInitStruct("ledger launcher", sizeof(LauncherState), &found));
    if (!found) pg_atomic_init_u64(&launcher->latch, 0);
}

void register_launcher() {
    if (IsBinaryUpgrade) return;
    BackgroundWorker worker = {};
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
    worker.bgw_restart_time = kRestartSeconds;
    strlcpy(worker.bgw_library_name, "ledger", BGW_MAXLEN);
    strlcpy(worker.bgw_function_name, "ledger_launcher_main", BGW_MAXLEN);
    strlcpy(worker.bgw_type, "ledger launcher", BGW_MAXLEN);
    strlcpy(worker.bgw_name, "ledger launcher", BGW_MAXLEN);
    RegisterBackgroundWorker(&worker);
}

// The latch is one of shared memory: to set it after its process has gone does no harm.
void wake_launcher() {
    auto *latch = reinterpret_cast<Latch *>(pg_atomic_read_u64(&launcher->latch));
    if (latch) SetLatch(latch);
}

}  // namespace ledger

void ledger_launcher_main(Datum) {
    using namespace ledger;
    pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    BackgroundWorkerUnblockSignals();
    BackgroundWorkerInitializeConnectionByOid(InvalidOid, InvalidOid, 0);
    pg_atomic_write_u64(&launcher->latch, reinterpret_cast<std::uint64_t>(MyLatch));
    before_shmem_exit(unregister_launcher, Datum{0});
    launch();
}
