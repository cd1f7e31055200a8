// SQL: fold_account, slots, stat (sql/operations.sql).
#include "engine/database.hpp"
#include "engine/fold.hpp"
#include "engine/order.hpp"
#include "engine/prepared.hpp"
#include "engine/settings.hpp"
#include "engine/shared.hpp"
#include "engine/slot.hpp"
#include "pg/result.hpp"
#include "engine/storage.hpp"

namespace ledger {

namespace {

// The engine's state of this database's lanes.
struct LaneTotals {
    std::int64_t transfers;
    std::uint64_t refusals;
    int in_use;
};

LaneTotals sum_lanes(Database &database) {
    LaneTotals totals = {};
    for (Lane &lane : database.lanes) {
        totals.transfers += lane.transfers;
        totals.refusals += pg_atomic_read_u64(&lane.refusals);
        totals.in_use += in_use(lane);
    }
    return totals;
}

Possession possession_of(Database &database) {
    return Possession{pg_atomic_read_u64(&database.possession)};
}

std::int64_t longest_tail(Database &database) {
    std::int64_t longest = 0;
    for (std::int32_t i = 0; i < settings.slots; ++i)
        if (SlotView view; view_slot(i, possession_of(database), view)) longest = Max(longest, view.tail);
    return longest;
}

}  // namespace

}  // namespace ledger

using namespace ledger;

LEDGER_FUNCTION(ledger_fold_account) {
    begin_posting("ledger.fold()");
    const AccountId account{bigint_argument(fcinfo, 0, "account")};
    PG_RETURN_INT64(fold_account(account));
}

LEDGER_FUNCTION(ledger_slots) {
    InitMaterializedSRF(fcinfo, 0);
    auto *result = reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
    Database *database = known_database();
    for (std::int32_t i = 0; database && i < settings.slots; ++i) {
        SlotView view;
        if (!view_slot(i, possession_of(*database), view)) continue;
        Datum values[] = {Int64GetDatum(static_cast<std::int64_t>(view.account)),
                          Int64GetDatum(view.bounds.spendable.low),
                          Int64GetDatum(view.bounds.spendable.high),
                          Int64GetDatum(view.bounds.projected.low),
                          Int64GetDatum(view.bounds.projected.high),
                          Int32GetDatum(view.users),
                          BoolGetDatum(view.prepared),
                          Int64GetDatum(view.tail),
                          Int64GetDatum(view.version)};
        bool nulls[lengthof(values)] = {};
        tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    }
    return Datum{0};
}

LEDGER_FUNCTION(ledger_stat) {
    constexpr int kColumns = 12;
    Datum values[kColumns] = {};
    bool nulls[kColumns];
    memset(nulls, true, sizeof nulls);
    int column = 0;
    const auto put = [&](Datum value, bool is_null = false) {
        values[column] = value;
        nulls[column++] = is_null;
    };
    if (preloaded()) {
        Database *database = known_database();
        const LaneTotals lanes = database ? sum_lanes(*database) : LaneTotals{};
        const std::uint32_t worker = database ? pg_atomic_read_u32(&database->worker_pid) : 0;
        put(Int64GetDatum(lanes.transfers));
        put(UInt64GetDatum(lanes.refusals));
        put(UInt64GetDatum(slot_loads()));
        put(UInt64GetDatum(slot_evictions()));
        put(UInt64GetDatum(database ? pg_atomic_read_u64(&database->folds) : 0));
        put(Int64GetDatum(database ? longest_tail(*database) : 0));
        put(Int32GetDatum(lanes.in_use));
        put(Int32GetDatum(slots_in_use()));
        put(Int32GetDatum(settings.slots));
        put(Int32GetDatum(effects_in_use()));
        put(UInt32GetDatum(worker), worker == 0);
        const TimestampTz due = database ? read_time(database->worker_due_at) : DT_NOEND;
        put(TimestampTzGetDatum(due), due == DT_NOEND || due == DT_NOBEGIN);
    }
    return row_result(fcinfo, values, nulls);
}
