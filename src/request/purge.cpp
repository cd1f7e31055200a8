// SQL: purge_requests (sql/request.sql), and the worker's share.
#include "request/purge.hpp"

#include "engine/settings.hpp"
#include "engine/order.hpp"
#include "pg/work.hpp"
#include "request/registry.hpp"
#include "tcc/advance.hpp"
#include "worker/worker.hpp"

namespace ledger {

namespace {

constexpr std::int64_t kPurgedAtOnce = 1000;

// Requests first, ended TCC transactions with what is left of max.
std::int64_t purge(std::int64_t max) {
    const std::int64_t requests = purge_expired(max);
    return requests + (requests < max ? purge_ended_tcc(max - requests) : 0);
}

}  // namespace

void purge_when_due(TimestampTz expires_at) {
    Database &database = current_database();
    call_worker_at(database, Max(expires_at, next_purge(database, GetCurrentTimestamp())));
}

TimestampTz next_purge(Database &database, TimestampTz now) {
    return due_after(read_time(database.purged_at), settings.purge_interval_s, now);
}

void purge_if_due(Database &database) {
    const TimestampTz now = GetCurrentTimestamp();
    if (now < next_purge(database, now)) return;
    write_time(database.purged_at, now);
    std::int64_t purged;
    do {
        CHECK_FOR_INTERRUPTS();
        purged = 0;
        try_in_transaction(CurrentMemoryContext, [&] {
            if (OidIsValid(get_extension_oid("ledger", true))) purged = purge(kPurgedAtOnce);
        });
    } while (purged == kPurgedAtOnce);
}

}  // namespace ledger

using namespace ledger;

LEDGER_FUNCTION(ledger_purge_requests) {
    begin_writing("ledger.purge_requests()");
    PG_RETURN_INT32(static_cast<std::int32_t>(purge(max_argument(fcinfo, 0))));
}
