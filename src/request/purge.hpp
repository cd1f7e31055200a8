// Forgetting requests whose time is up: by the worker, and by ledger.purge_requests().
#pragma once

#include "engine/database.hpp"

namespace ledger {

// Asks for the worker if the last purge in this database is ledger.purge_interval
// ago. To be called whenever a request is registered.
void purge_when_due();

// The worker's share: when it is time, purges what has expired, in transactions of
// a thousand each. Returns whether there was anything.
bool purge_if_due(Database &database);

}  // namespace ledger
