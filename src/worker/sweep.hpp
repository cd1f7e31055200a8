// The sweep: goes through all accounts, a part at a time, and folds what no threshold makes
// anybody fold: tails of accounts that are no longer in use, and long ones from before the
// server's start. An account that is in use is left to its threshold.
#pragma once

#include "engine/database.hpp"

namespace ledger {

// When the next part is due: at once in the middle of a sweep; ledger.sweep_interval after the
// last one ended, if transfers were made since it began; else DT_NOEND.
TimestampTz next_sweep(Database &database, TimestampTz now);

// Does the next part if that is due, in transactions of its own.
void sweep_if_due(Database &database, MemoryContext context);

}  // namespace ledger
