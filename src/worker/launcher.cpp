// The launcher: one process a server. After a start it has every database looked
// at once, for deadlines from before; then it sleeps until the next one.
#include "worker/worker.hpp"

#include "engine/settings.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "catalog/pg_database.h"
}

extern "C" PGDLLEXPORT void ledger_launcher_main(Datum unused);

namespace ledger {

namespace {

// A worker that failed, or could not be started, is started again after this time.
constexpr TimestampTz kRetry = 10 * USECS_PER_SEC;
constexpr int kRestartSeconds = 5;

// How long until a process is asked for again where none was to be had, or until a
// database that lets nobody in is looked at again; and how often the log hears of it.
constexpr TimestampTz kNoProcess = USECS_PER_SEC;
constexpr TimestampTz kNoEntry = 10 * USECS_PER_SEC;
constexpr int kComplainMs = 600 * 1000;

// It sleeps no longer than this, for a clock that is set tells nobody; and it takes a clock
// that shows a time this much before the last one for one that was set back.
constexpr TimestampTz kSleepMax = 60 * USECS_PER_SEC;
constexpr TimestampTz kClockStep = USECS_PER_SEC;

constexpr int kWorkersMax = 1024;  // the most that ledger.max_workers allows

struct LauncherState {
    pg_atomic_uint64 latch;    // the launcher's, as a pointer; 0 while there is none
    pg_atomic_uint32 waiting;  // databases that are due, and get no worker for now
};

LauncherState *launcher = nullptr;

// The workers that were started and may still be there.
struct Workers {
    BackgroundWorkerHandle *handles[kWorkersMax];
    int count;
};
Workers workers = {};

// How many are there now.
int count_workers() {
    int left = 0;
    for (int i = 0; i < workers.count; ++i) {
        pid_t pid;
        if (GetBackgroundWorkerPid(workers.handles[i], &pid) == BGWH_STOPPED)
            pfree(workers.handles[i]);
        else
            workers.handles[left++] = workers.handles[i];
    }
    return workers.count = left;
}

struct Named {
    Oid database;
    bool connectable;
    char name[NAMEDATALEN];
};

// The databases of the server, in a memory context of the caller's.
struct List {
    Named *databases;
    int count;
};

List list_databases(MemoryContext context) {
    List list = {};
    StartTransactionCommand();
    PushActiveSnapshot(GetTransactionSnapshot());
    Relation relation = table_open(DatabaseRelationId, AccessShareLock);
    TableScanDesc scan = table_beginscan(relation, GetActiveSnapshot(), 0, nullptr);
    int room = 0;
    while (HeapTuple tuple = heap_getnext(scan, ForwardScanDirection)) {
        const auto *row = reinterpret_cast<Form_pg_database>(GETSTRUCT(tuple));
        if (list.count == room) {
            room = room ? 2 * room : 16;
            const Size size = static_cast<Size>(room) * sizeof(Named);
            list.databases = static_cast<Named *>(list.databases ? repalloc(list.databases, size)
                                                                 : MemoryContextAlloc(context, size));
        }
        Named &next = list.databases[list.count++];
        next.database = row->oid;
        next.connectable = row->datallowconn;
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
    MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);  // for the handle
    const bool started = RegisterDynamicBackgroundWorker(&worker, &workers.handles[workers.count]);
    MemoryContextSwitchTo(caller);
    workers.count += started;
    return started;
}

void complain() {
    static TimestampTz last = 0;
    const TimestampTz now = GetCurrentTimestamp();
    if (!TimestampDifferenceExceeds(last, now, kComplainMs)) return;
    last = now;
    ereport(LOG, errcode(ERRCODE_INSUFFICIENT_RESOURCES),
            errmsg("no background worker slot is free for the ledger"), errdetail("It is tried again."),
            errhint("Raise max_worker_processes."));
}

// The database that has waited longest for its worker, if one has; how many have; next is
// when the next one will.
struct Turn {
    int index;  // -1: none
    Oid database;
    int waiting;
    TimestampTz next;
};

Turn whose_turn(TimestampTz now) {
    Turn turn = {-1, InvalidOid, 0, DT_NOEND};
    TimestampTz longest = DT_NOEND;
    for (int i = 0; i < settings.databases; ++i) {
        DatabaseCall call;
        if (!read_call(i, call) || call.due_at == DT_NOEND) continue;
        const TimestampTz due = Max(call.due_at, call.not_before);
        turn.waiting += due <= now;
        if (due > now) {
            turn.next = Min(turn.next, due);
        } else if (due < longest || turn.index < 0) {
            longest = due;
            turn.index = i;
            turn.database = call.database;
        }
    }
    return turn;
}

const Named *find_named(const List &all, Oid database) {
    for (int i = 0; i < all.count; ++i)
        if (all.databases[i].database == database) return &all.databases[i];
    return nullptr;
}

// False where no process is to be had. A database that is not in the list may be younger than that.
bool start_turn(const Turn &turn, List &all, MemoryContext context, TimestampTz now) {
    const Named *found = find_named(all, turn.database);
    if (!found) {
        all = list_databases(context);
        found = find_named(all, turn.database);
    }
    if (!found) {
        forget_calls(turn.database);
    } else if (!found->connectable) {
        put_off(turn.index, now + kNoEntry);
    } else {
        if (!start_worker(*found)) return false;
        put_off(turn.index, now + kRetry);
    }
    return true;
}

bool has_room() {
    return count_workers() < settings.max_workers;
}

// Starts the workers that are due, as many as may be. Returns when the next one will be; a
// worker that ends wakes the launcher.
TimestampTz start_due(MemoryContext context) {
    const TimestampTz now = GetCurrentTimestamp();
    if (!settings.worker) return DT_NOEND;
    List all = {};
    bool started = true;
    Turn turn = whose_turn(now);
    for (; turn.index >= 0 && started && has_room(); turn = whose_turn(now)) {
        started = start_turn(turn, all, context, now);
    }
    pg_atomic_write_u32(&launcher->waiting, static_cast<std::uint32_t>(turn.waiting));
    MemoryContextReset(context);
    if (started) return turn.next;
    complain();
    return now + kNoProcess;
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
        call_all_databases();  // an interval may be shorter now
    }
}

// What is due or put off is so by the clock: where that goes back, everything is looked at.
void watch_clock() {
    static TimestampTz last = 0;
    const TimestampTz now = GetCurrentTimestamp();
    if (now < last - kClockStep) call_all_databases();
    last = now;
}

// A server that has just started knows of no deadline: it has every database looked at.
struct Tour {
    List databases;
    int next;
};

// Goes on with the tour. Returns when it will.
TimestampTz go_on(Tour &tour) {
    while (settings.worker && tour.next < tour.databases.count) {
        if (!has_room()) {
            pg_atomic_fetch_add_u32(&launcher->waiting, 1);
            return DT_NOEND;  // until a worker ends
        }
        const Named &database = tour.databases.databases[tour.next];
        if (database.connectable && !start_worker(database)) {
            complain();
            return GetCurrentTimestamp() + kNoProcess;
        }
        ++tour.next;
    }
    return DT_NOEND;
}

[[noreturn]] void launch() {
    MemoryContext context =
        AllocSetContextCreate(TopMemoryContext, "ledger launcher", ALLOCSET_DEFAULT_SIZES);
    Tour tour = {list_databases(TopMemoryContext), 0};
    for (;;) {
        watch_clock();
        const TimestampTz next = start_due(context);
        const TimestampTz at = Min(next, go_on(tour));
        sleep_until(Min(at, GetCurrentTimestamp() + kSleepMax));
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
    if (found) return;
    pg_atomic_init_u64(&launcher->latch, 0);
    pg_atomic_init_u32(&launcher->waiting, 0);
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

int waiting_databases() {
    return static_cast<int>(pg_atomic_read_u32(&launcher->waiting));
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
