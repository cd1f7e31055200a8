#include "worker/worker.hpp"

#include "engine/fold.hpp"
#include "engine/hold.hpp"
#include "engine/settings.hpp"
#include "engine/shared.hpp"
#include "engine/storage.hpp"
#include "pg/postgres.hpp"
#include "pg/table.hpp"
#include "pg/work.hpp"
#include "request/purge.hpp"
#include "tcc/advance.hpp"

extern "C" {
#include "postmaster/postmaster.h"
#include "tcop/tcopprot.h"
}

extern "C" PGDLLEXPORT void ledger_worker_main(Datum database);

namespace ledger {

namespace {

// A worker with nothing to do for this long goes; short enough for DROP DATABASE,
// which waits five seconds for other sessions.
constexpr int kLingerMs = 2000;

// What is due but in others' hands (locked, or not committed) is looked at again
// after this time, and what failed likewise.
constexpr int kRetryMs = 5000;

// Accounts folded in one pass, holds expired in one transaction; what is left
// waits for the next.
constexpr int kAccountsAtOnce = 1000;
constexpr int kHoldsAtOnce = 1000;

bool at_threshold(const Slot &slot) {
    return slot.tail >= settings.fold_threshold && slot.tail % settings.fold_threshold == 0;
}

TimestampTz after_ms(TimestampTz time, int milliseconds) {
    return time + milliseconds * INT64CONST(1000);
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

// The earliest time in an index of deadlines.
TimestampTz earliest(Oid table_id, Oid index, AttrNumber column) {
    return with_table(table_id, AccessShareLock, [&](Relation table) {
        SnapshotData dirty;
        InitDirtySnapshot(dirty);
        TimestampTz time = DT_NOEND;
        scan_index(table, index, &dirty, nullptr, 0, [&](HeapTuple tuple) {
            bool is_null;
            time = DatumGetTimestampTz(heap_getattr(tuple, column, RelationGetDescr(table), &is_null));
            return false;
        });
        return time;
    });
}

// One pass. Each account in a transaction of its own, so that nobody waits for
// the whole pass. True if there may be more.
bool fold_long_tails() {
    static LongTails found;
    begin();
    found.count = 0;
    if (Database *database = ready_database())
        find_long_tails(*database, txid_of(oldest_running_xid()), found);
    commit();
    for (int i = 0; i < found.count; ++i) {
        CHECK_FOR_INTERRUPTS();
        begin();
        fold_account(found.accounts[i]);
        commit();
    }
    return found.count == kAccountsAtOnce;
}

void expire_holds() {
    std::int64_t expired;
    do {
        CHECK_FOR_INTERRUPTS();
        begin();
        Database *database = ready_database();
        expired = database ? expire_overdue(*database, kHoldsAtOnce) : 0;
        commit();
    } while (expired == kHoldsAtOnce);
}

// When the next thing is due, whoever's uncommitted row says so: a row inserted
// later calls for itself (call_worker_at).
TimestampTz next_deadline(Database &database) {
    begin();
    TimestampTz next = DT_NOEND;
    if (OidIsValid(get_extension_oid("ledger", true))) {
        const Storage &s = storage();
        next = Max(earliest(s.request, s.request_by_expiry, RequestColumn::expires_at),
                   read_time(database.purge_due_at));
        if (ready_database()) {
            next = Min(next, earliest(s.hold, s.hold_by_due, HoldColumn::due_at));
            next = Min(next, earliest(s.tcc, s.tcc_by_due, TccColumn::due_at));
        }
    }
    commit();
    return next;
}

// Makes this process the worker of its database; null if there is one already, or
// no ledger.
Database *register_self() {
    forget_calls(MyDatabaseId);
    begin();
    const bool is_installed = OidIsValid(get_extension_oid("ledger", true));
    Database *database = is_installed ? &current_database() : nullptr;
    commit();
    std::uint32_t none = 0;
    const auto pid = static_cast<std::uint32_t>(MyProcPid);
    return database && pg_atomic_compare_exchange_u32(&database->worker_pid, &none, pid) ? database : nullptr;
}

// A worker that fails is started again.
void unregister_self(int code, Datum database) {
    auto *entry = reinterpret_cast<Database *>(DatumGetPointer(database));
    if (code == 0)
        write_time(entry->worker_asked_at, 0);
    else
        call_worker_at(*entry, DT_NOBEGIN);
    pg_atomic_write_u32(&entry->worker_pid, 0);
    wake_launcher();
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

void pass(Database &database) {
    // Before anything is looked at: what calls from now on is not lost.
    write_time(database.worker_due_at, DT_NOEND);
    pgstat_report_activity(STATE_RUNNING, "folding long tails");
    const bool more = fold_long_tails();
    pgstat_report_activity(STATE_RUNNING, "expiring holds");
    expire_holds();
    pgstat_report_activity(STATE_RUNNING, "advancing TCC transactions");
    advance_tcc();
    pgstat_report_activity(STATE_RUNNING, "purging what has expired");
    purge_if_due(database);
    const TimestampTz now = GetCurrentTimestamp();
    const TimestampTz next = next_deadline(database);
    call_worker_at(database, more ? now : next <= now ? after_ms(now, kRetryMs) : next);
}

void work(Database &database) {
    TimestampTz last_pass = GetCurrentTimestamp();
    pass(database);
    for (;;) {
        rest();
        if (!settings.worker) return;
        const TimestampTz now = GetCurrentTimestamp();
        const TimestampTz due = read_time(database.worker_due_at);
        if (due <= now) {
            pass(database);
            last_pass = now;
        } else if (due > after_ms(now, kLingerMs) && now > after_ms(last_pass, kLingerMs)) {
            return;
        }
    }
}

}  // namespace

void call_worker_at(Database &database, TimestampTz when) {
    std::uint64_t due = pg_atomic_read_u64(&database.worker_due_at);
    while (when < static_cast<TimestampTz>(due))
        if (pg_atomic_compare_exchange_u64(&database.worker_due_at, &due, static_cast<std::uint64_t>(when))) {
            if (pg_atomic_read_u32(&database.worker_pid) == 0) wake_launcher();
            return;
        }
}

void fold_when_long(Database &database, const Slot &source, const Slot &destination) {
    // Read without the slots' mutex: missing a crossing costs one more threshold.
    if (at_threshold(source) || at_threshold(destination)) call_worker_at(database, DT_NOBEGIN);
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
    SetConfigOption("application_name", MyBgworkerEntry->bgw_name, PGC_USERSET, PGC_S_OVERRIDE);
    before_shmem_exit(unregister_self, PointerGetDatum(database));
    work(*database);
}
