#include "tcc/advance.hpp"

#include "pg/work.hpp"
#include "tcc/decision.hpp"

namespace ledger {

namespace {

// Looked up at a time.
constexpr std::int64_t kAtOnce = 10000;

// Does what is due of the transaction, unless others are at it or its holds. True if
// that has ended it.
bool advance(Database &database, text *xid) {
    Tcc tcc;
    if (!try_lock_tcc(xid, tcc) || has_ended(tcc) || tcc.row.due_at > GetCurrentTimestamp()) return false;
    switch (tcc.row.state) {
        case TccState::trying:
            cancel(database, tcc, TccState::timed_out, false);
            break;
        case TccState::canceling:
            cancel(database, tcc, TccState::canceled, false);
            break;
        default:
            confirm(database, tcc, false);
    }
    return has_ended(tcc);
}

void note_error(text *xid, const char *error) {
    Tcc tcc;
    if (try_lock_tcc(xid, tcc) && !has_ended(tcc)) note_failure(tcc, error);
}

// The xids due, looked up in a transaction of its own, in context.
DueList find_due_now(MemoryContext context) {
    begin();
    MemoryContext caller = MemoryContextSwitchTo(context);
    const DueList due =
        ready_database() ? find_due(false, GetCurrentTimestamp(), kAtOnce) : DueList{nullptr, 0};
    MemoryContextSwitchTo(caller);
    commit();
    return due;
}

// The same for each, in context; returns how many have ended.
std::int64_t advance_each(const DueList &due, MemoryContext context) {
    std::int64_t ended = 0;
    for (std::int64_t i = 0; i < due.count; ++i) {
        CHECK_FOR_INTERRUPTS();
        const char *error = try_in_transaction(context, [&] {
            if (Database *database = ready_database()) ended += advance(*database, due.xids[i]);
        });
        if (error) try_in_transaction(context, [&] { note_error(due.xids[i], error); });
    }
    return ended;
}

bool forget(text *xid, TimestampTz now) {
    Tcc tcc;
    if (!try_lock_tcc(xid, tcc) || !has_ended(tcc) || tcc.row.due_at > now) return false;
    delete_tcc(tcc);
    return true;
}

}  // namespace

std::int64_t advance_due(Database &database, std::int64_t max) {
    std::int64_t ended = 0;
    const DueList due = find_due(false, GetCurrentTimestamp(), INT64_MAX);
    for (std::int64_t i = 0; i < due.count && ended < max; ++i) {
        CHECK_FOR_INTERRUPTS();
        ended += advance(database, due.xids[i]);
    }
    return ended;
}

void advance_tcc() {
    MemoryContext context = AllocSetContextCreate(TopMemoryContext, "ledger TCC", ALLOCSET_DEFAULT_SIZES);
    std::int64_t ended;
    bool more;
    do {
        const DueList due = find_due_now(context);
        ended = advance_each(due, context);
        more = due.count == kAtOnce;
        MemoryContextReset(context);
    } while (more && ended > 0);
    MemoryContextDelete(context);
}

std::int64_t purge_ended_tcc(std::int64_t max) {
    std::int64_t purged = 0;
    const TimestampTz now = GetCurrentTimestamp();
    const DueList due = find_due(true, now, max);
    for (std::int64_t i = 0; i < due.count; ++i) {
        CHECK_FOR_INTERRUPTS();
        purged += forget(due.xids[i], now);
    }
    return purged;
}

}  // namespace ledger
