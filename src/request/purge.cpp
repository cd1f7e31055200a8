// SQL: purge_requests (sql/request.sql), and the worker's share.
#include "request/purge.hpp"

#include "engine/settings.hpp"
#include "pg/error.hpp"
#include "request/registry.hpp"
#include "worker/worker.hpp"

namespace ledger {

namespace {

constexpr std::int64_t kPurgedAtOnce = 1000;

bool is_due(Database &database, TimestampTz now) {
    return now >= static_cast<TimestampTz>(pg_atomic_read_u64(&database.purge_due_at));
}

}  // namespace

void purge_when_due() {
    Database &database = current_database();
    if (is_due(database, GetCurrentTimestamp())) start_worker(database);
}

bool purge_if_due(Database &database) {
    const TimestampTz now = GetCurrentTimestamp();
    if (!is_due(database, now)) return false;
    pg_atomic_write_u64(&database.purge_due_at, next_purge(now));
    std::int64_t purged;
    bool any = false;
    do {
        CHECK_FOR_INTERRUPTS();
        StartTransactionCommand();
        purged = OidIsValid(get_extension_oid("ledger", true)) ? purge_expired(kPurgedAtOnce) : 0;
        CommitTransactionCommand();
        any = any || purged > 0;
    } while (purged == kPurgedAtOnce);
    return any;
}

}  // namespace ledger

using namespace ledger;

LEDGER_FUNCTION(ledger_purge_requests) {
    begin_writing("ledger.purge_requests()");
    if (PG_ARGISNULL(0)) raise_refusal(null_argument("max"));
    const std::int32_t max = PG_GETARG_INT32(0);
    if (max < 1)
        raise(Status::invalid_parameter_value, psprintf("max is %d", max), nullptr,
              "Give the number of requests to purge at most, 1 or more.");
    PG_RETURN_INT32(static_cast<std::int32_t>(purge_expired(max)));
}
