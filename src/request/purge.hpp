// Forgetting requests whose time is up: by the worker, and by ledger.purge_requests().
#pragma once

namespace ledger {

// Asks for the worker if the last purge in this database is ledger.purge_interval
// ago. To be called whenever a request is registered.
void purge_when_due();

// One pass of the worker: purges what has expired, in transactions of a thousand
// each. Returns whether there was anything.
bool purge_pass();

}  // namespace ledger
