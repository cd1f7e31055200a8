#include "tcc/advance.hpp"

#include "pg/work.hpp"
#include "tcc/decision.hpp"

namespace ledger {

namespace {

constexpr int kAtOnce = 256;

// Does what is due of the transaction, unless others are at it. True if that has ended it.
bool advance(Database &database, text *xid) {
    Tcc tcc;
    if (!try_lock_tcc(xid, tcc) || has_ended(tcc) || tcc.row.due_at > GetCurrentTimestamp()) return false;
    switch (tcc.row.state) {
        case TccState::trying:
            cancel(database, tcc, TccState::timed_out);
            break;
        case TccState::canceling:
            cancel(database, tcc, TccState::canceled);
            break;
        default:
            confirm(database, tcc);
    }
    return has_ended(tcc);
}

// In a transaction of its own, whose error, if there is one, is the answer.
const char *error_of_advance(text *xid, MemoryContext context) {
    const char *volatile error = nullptr;
    begin();
    PG_TRY();
    {
        advance(writable_database(), xid);
        commit();
    }
    PG_CATCH();
    {
        MemoryContextSwitchTo(context);
        ErrorData *data = CopyErrorData();
        if (data->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN) PG_RE_THROW();
        EmitErrorReport();
        FlushErrorState();
        AbortCurrentTransaction();
        error = data->message;
    }
    PG_END_TRY();
    return error;
}

void note_error(text *xid, const char *error) {
    begin();
    Tcc tcc;
    if (try_lock_tcc(xid, tcc) && !has_ended(tcc)) note_failure(tcc, error);
    commit();
}

// The xids due, in a transaction of its own.
int find_due_now(text **xids, MemoryContext context) {
    begin();
    const int count = ready_database() ? find_due(false, GetCurrentTimestamp(), xids, kAtOnce) : 0;
    for (int i = 0; i < count; ++i) {
        MemoryContext caller = MemoryContextSwitchTo(context);
        xids[i] = DatumGetTextPCopy(PointerGetDatum(xids[i]));
        MemoryContextSwitchTo(caller);
    }
    commit();
    return count;
}

}  // namespace

std::int64_t advance_due(Database &database, std::int64_t max) {
    text *xids[kAtOnce];
    std::int64_t ended = 0;
    int count, done;
    do {
        count = find_due(false, GetCurrentTimestamp(), xids,
                         static_cast<int>(Min(max - ended, std::int64_t{kAtOnce})));
        done = 0;
        for (int i = 0; i < count; ++i) {
            CHECK_FOR_INTERRUPTS();
            done += advance(database, xids[i]);
        }
        ended += done;
    } while (done > 0 && count == kAtOnce && ended < max);
    return ended;
}

void advance_tcc() {
    static text *xids[kAtOnce];
    MemoryContext context = AllocSetContextCreate(TopMemoryContext, "ledger TCC", ALLOCSET_DEFAULT_SIZES);
    const int count = find_due_now(xids, context);
    for (int i = 0; i < count; ++i) {
        CHECK_FOR_INTERRUPTS();
        if (const char *error = error_of_advance(xids[i], context)) note_error(xids[i], error);
    }
    MemoryContextDelete(context);
}

std::int64_t purge_ended_tcc(std::int64_t max) {
    text *xids[kAtOnce];
    std::int64_t purged = 0;
    int count, done;
    do {
        CHECK_FOR_INTERRUPTS();
        const TimestampTz now = GetCurrentTimestamp();
        count = find_due(true, now, xids, static_cast<int>(Min(max - purged, std::int64_t{kAtOnce})));
        done = 0;
        for (int i = 0; i < count; ++i) {
            Tcc tcc;
            if (!try_lock_tcc(xids[i], tcc) || !has_ended(tcc) || tcc.row.due_at > now) continue;
            delete_tcc(tcc);
            ++done;
        }
        purged += done;
    } while (done > 0 && count == kAtOnce && purged < max);
    return purged;
}

}  // namespace ledger
