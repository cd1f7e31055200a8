// Forgetting what has expired, requests and ended TCC transactions: by the worker,
// and by ledger.purge_requests().
#pragma once

#include "engine/database.hpp"

namespace ledger {

// Has the worker come when something registered now expires, but not more often
// than every ledger.purge_interval.
void purge_when_due(TimestampTz expires_at);

// When the worker is next to purge.
TimestampTz next_purge(Database &database, TimestampTz now);

// The worker's share, in transactions of a thousand each, if the last is
// ledger.purge_interval ago.
void purge_if_due(Database &database);

}  // namespace ledger
