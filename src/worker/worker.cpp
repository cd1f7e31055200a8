#include "worker/worker.hpp"

#include "chain/seal.hpp"
#include "engine/fold.hpp"
#include "engine/hold.hpp"
#include "engine/prepared.hpp"
#include "engine/settings.hpp"
#include "engine/shared.hpp"
#include "engine/storage.hpp"
#include "pg/postgres.hpp"
#include "pg/table.hpp"
#include "pg/work.hpp"
#include "request/purge.hpp"
#include "tcc/advance.hpp"
#include "worker/sweep.hpp"

extern "C" {
#include "tcop/tcopprot.h"
}

extern "C" PGDLLEXPORT void ledger_worker_main(Datum database);

namespace ledger {

namespace {

// A worker with nothing to do for kLingerMs goes, and so does any after kStayMs, for
// kAwayMs: DROP DATABASE waits five seconds for other sessions, and looks for them ten
// times a second.
constexpr int kLingerMs = 2000;
constexpr int kStayMs = 2500;
constexpr int kAwayMs = 300;

// What is due but in others' hands (locked, or not committed) is looked at again
// after this time, and what failed likewise.
constexpr int kRetryMs = 5000;

// A tail that a long transaction keeps long is looked at again after this time.
constexpr int kRefoldMs = 1000;

// How often prepared transactions are looked at: long before vacuum removes their outcomes.
constexpr int kPreparedMs = 60 * 1000;

// Accounts folded in one pass, holds expired in one transaction; what is left
// waits for the next.
constexpr int kAccountsAtOnce = 1000;
constexpr int kHoldsAtOnce = 1000;

TimestampTz after_ms(TimestampTz time, int milliseconds) {
    return time + milliseconds * INT64CONST(1000);
}

// The earliest of the times that when(tuple, deadline) makes of the deadlines past a time in an
// index; none of them may be before its deadline.
template <typename When>
TimestampTz earliest(Oid table_id, Oid index, AttrNumber column, When when, TimestampTz past = DT_NOBEGIN) {
    return with_table(table_id, AccessShareLock, [&](Relation table) {
        SnapshotData dirty;
        InitDirtySnapshot(dirty);
        TimestampTz time = DT_NOEND;
        ScanKeyData key;
        key_past(key, column, past);
        scan_index(table, index, &dirty, &key, 1, [&](HeapTuple tuple) {
            bool is_null;
            const Datum value = heap_getattr(tuple, column, RelationGetDescr(table), &is_null);
            const TimestampTz deadline = DatumGetTimestampTz(value);
            if (deadline >= time) return false;
            time = Min(time, when(tuple, deadline));
            return true;
        });
        return time;
    });
}

// When the next thing is due, whoever's uncommitted row says so: a row inserted later
// calls for itself (call_worker_at). What was due when the last pass began and still is
// there is in others' hands: it is looked at again after a while.
TimestampTz next_deadline(TimestampTz pass_began, TimestampTz purge_due) {
    if (!OidIsValid(get_extension_oid("ledger", true))) return DT_NOEND;
    const Storage &s = storage();
    const auto as_it_is = [](HeapTuple, TimestampTz deadline) { return deadline; };
    const TimestampTz request = earliest(s.request, s.request_by_expiry, RequestColumn::expires_at, as_it_is);
    if (!installation_is_current()) return Max(request, purge_due);
    const auto again = [&](TimestampTz deadline) {
        return deadline > pass_began ? deadline : after_ms(pass_began, kRetryMs);
    };
    const auto hold_after = [&](TimestampTz time) {
        return earliest(s.hold, s.hold_by_due, HoldColumn::due_at, as_it_is, time);
    };
    TimestampTz hold = hold_after(DT_NOBEGIN);
    if (hold <= pass_began) hold = Min(again(hold), hold_after(pass_began));
    const TimestampTz tcc =
        earliest(s.tcc, s.tcc_by_due, TccColumn::due_at, [&](HeapTuple tuple, TimestampTz deadline) {
            const bool has_ended = row_of<TccRow>(tuple)->ended_at != DT_NOEND;
            return has_ended ? Max(deadline, purge_due) : again(deadline);
        });
    return Min(Max(request, purge_due), Min(hold, tcc));
}

// Each account in a transaction of its own, so that nobody waits for all of them,
// and one that cannot be folded is no obstacle for the others. One whose tail stays long,
// because of a long transaction or another folder, is queued again. True if there is one.
bool fold_long_tails(Database &database, MemoryContext context) {
    AccountId accounts[kAccountsAtOnce];
    int count = take_queued_accounts(database, accounts, kAccountsAtOnce);
    bool left_some = count == kAccountsAtOnce;
    std::sort(accounts, accounts + count);
    count = static_cast<int>(std::unique(accounts, accounts + count) - accounts);
    for (int i = 0; i < count; ++i) {
        CHECK_FOR_INTERRUPTS();
        std::int64_t left = 0;  // where it cannot be folded, too
        const char *error = try_in_transaction(context, [&] {
            if (ready_database() == &database) left = try_fold_account(accounts[i]);
        });
        // A full queue calls for nobody: what left_some said before still holds.
        if (!error && left >= settings.fold_threshold) left_some |= queue_account(database, accounts[i]);
    }
    return left_some;
}

// One that cannot be expired shall be no obstacle for the others.
void expire_one_by_one(MemoryContext context) {
    MemoryContext caller = MemoryContextSwitchTo(context);
    auto *ids = static_cast<TransferId *>(palloc(kHoldsAtOnce * sizeof(TransferId)));
    MemoryContextSwitchTo(caller);
    begin();
    const int count = ready_database() ? find_overdue(ids, kHoldsAtOnce) : 0;
    commit();
    for (int i = 0; i < count; ++i) {
        CHECK_FOR_INTERRUPTS();
        try_in_transaction(context, [&] {
            if (Database *database = ready_database()) expire_hold(*database, ids[i]);
        });
    }
}

// True if there are more, and another database was waiting.
bool expire_holds(MemoryContext context) {
    std::int64_t expired;
    do {
        CHECK_FOR_INTERRUPTS();
        expired = 0;
        const char *error = try_in_transaction(context, [&] {
            if (Database *database = ready_database()) expired = expire_overdue(*database, kHoldsAtOnce);
        });
        if (!error) continue;
        expired = 0;
        expire_one_by_one(context);
    } while (expired == kHoldsAtOnce && waiting_databases() == 0);
    return expired == kHoldsAtOnce;
}

// The entry of this database. A ledger that has none is not in use since the start: its
// lanes are recovered, before the first writer comes, and its tails looked at. One that was
// never written to takes an entry up only if it has something due.
Database *entry_if_needed() {
    if (!OidIsValid(get_extension_oid("ledger", true))) return nullptr;
    if (Database *known = known_database()) return known;
    if (Database *ready = ready_database()) return ready;
    return next_deadline(DT_NOBEGIN, DT_NOBEGIN) == DT_NOEND ? nullptr : &current_database();
}

// A worker that fails is started again after the launcher's pause; one that leaves,
// when the next thing is due, but not at once: who waits to drop the database shall
// have time.
void unregister_self(int code, Datum database) {
    auto *entry = reinterpret_cast<Database *>(DatumGetPointer(database));
    if (code == 0)
        write_time(entry->worker_not_before, after_ms(GetCurrentTimestamp(), kAwayMs));
    else
        call_worker_at(*entry, DT_NOBEGIN);
    pg_atomic_write_u32(&entry->worker_pid, 0);
    wake_launcher();
}

// Makes this process the worker of its database until it ends; null if it needs none, or has one.
// In one transaction, which keeps the tables from being replaced, so that the entry stays theirs.
Database *register_self() {
    begin();
    const bool is_installed = OidIsValid(get_extension_oid("ledger", true));
    if (is_installed) free_dead_entries();
    Database *database = entry_if_needed();
    std::uint32_t none = 0;
    const auto pid = static_cast<std::uint32_t>(MyProcPid);
    const bool is_first = database && pg_atomic_compare_exchange_u32(&database->worker_pid, &none, pid);
    if (is_first) before_shmem_exit(unregister_self, PointerGetDatum(database));
    commit();
    if (database || !is_installed)
        forget_calls(MyDatabaseId, database);  // those of extensions that have gone
    return is_first ? database : nullptr;
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

// Prepared transactions that have ended, and of which nobody has been short since. True if there
// are others.
bool resolve_prepared_ones(Database &database, MemoryContext context) {
    int left = 0;
    if (effects_in_use() == 0) return false;
    try_in_transaction(context, [&] {
        if (ready_database() == &database) left = resolve_ended(possession_in_force());
    });
    return left > 0;
}

// When the worker is next to do what is done every so often.
TimestampTz next_upkeep(Database &database) {
    const TimestampTz now = GetCurrentTimestamp();
    const TimestampTz sweep = next_sweep(database, now);
    return Min(next_seal(database, now), sweep == now ? after_ms(now, settings.fold_interval_ms) : sweep);
}

// Deadlines first: nothing that keeps balances cheap to read may keep them waiting.
void pass(Database &database, MemoryContext context) {
    const TimestampTz began = GetCurrentTimestamp();
    // Before anything is looked at: what calls from now on is not lost.
    write_time(database.worker_due_at, DT_NOEND);
    pgstat_report_activity(STATE_RUNNING, "expiring holds");
    const bool left_some = expire_holds(context);
    pgstat_report_activity(STATE_RUNNING, "advancing TCC transactions");
    advance_tcc();
    pgstat_report_activity(STATE_RUNNING, "purging what has expired");
    purge_if_due(database);
    pgstat_report_activity(STATE_RUNNING, "sealing");
    seal_if_due(database, context);
    pgstat_report_activity(STATE_RUNNING, "folding long tails");
    TimestampTz again = left_some ? began : DT_NOEND;
    if (fold_long_tails(database, context)) again = Min(again, after_ms(began, kRefoldMs));
    pgstat_report_activity(STATE_RUNNING, "folding tails of idle accounts");
    sweep_if_due(database, context);
    if (resolve_prepared_ones(database, context)) again = Min(again, after_ms(began, kPreparedMs));
    begin();
    const TimestampTz next = next_deadline(began, next_purge(database, began));
    commit();
    call_worker_at(database, Min(Min(next, again), next_upkeep(database)));
}

// Passes while something is due, but not for ever: a database whose worker never
// leaves could not be dropped, or be a template.
void work(Database &database) {
    MemoryContext context = AllocSetContextCreate(TopMemoryContext, "ledger worker", ALLOCSET_DEFAULT_SIZES);
    const TimestampTz arrived = GetCurrentTimestamp();
    TimestampTz last_pass = arrived;
    pass(database, context);
    while (waiting_databases() == 0) {
        MemoryContextReset(context);
        rest();
        if (!settings.worker) return;
        const TimestampTz now = GetCurrentTimestamp();
        const TimestampTz due = read_time(database.worker_due_at);
        // A clock that was set back must not keep the worker.
        if (now > after_ms(arrived, kStayMs) || now < arrived) return;
        if (due <= now) {
            pass(database, context);
            last_pass = now;
        } else if (due > after_ms(now, kLingerMs) && now > after_ms(last_pass, kLingerMs)) {
            return;
        }
    }
}

// What ALTER DATABASE or ALTER SYSTEM say for sessions must not stop the worker.
void choose_settings() {
    const auto set = [](const char *name, const char *value) {
        SetConfigOption(name, value, PGC_SUSET, PGC_S_OVERRIDE);
    };
    // What a crash takes back is done again: no need to wait for the disk.
    set("synchronous_commit", "off");
    set("default_transaction_isolation", "read committed");
    set("default_transaction_read_only", "off");
    set("lock_timeout", "0");
    compat::set_no_transaction_timeout();
    set("application_name", MyBgworkerEntry->bgw_name);
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

// The time is that of the commit, so that no clock is read.
void note_records(Database &database) {
    const TimestampTz now = GetCurrentTransactionStopTimestamp();
    if (pg_atomic_read_u32(&database.unsealed) == 0) pg_atomic_write_u32(&database.unsealed, 1);
    if (settings.seal_interval_s > 0)
        call_worker_at(database, due_after(read_time(database.sealed_at), settings.seal_interval_s, now));
    if (pg_atomic_read_u32(&database.unfolded) != 0) return;
    pg_atomic_write_u32(&database.unfolded, 1);
    call_worker_at(database, due_after(read_time(database.swept_at), settings.sweep_interval_s, now));
}

}  // namespace ledger

void ledger_worker_main(Datum database_oid) {
    using namespace ledger;
    pqsignal(SIGTERM, die);
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    BackgroundWorkerUnblockSignals();
    BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(database_oid), InvalidOid, 0);
    choose_settings();
    Database *database = register_self();
    if (database) work(*database);
}
