// The worker: one background worker a database, which folds long tails and purges
// expired requests. Started when there may be something to do and gone again when
// there is nothing, so that an idle database has none and DROP DATABASE is not in
// its way.
#pragma once

#include "engine/database.hpp"
#include "engine/slot.hpp"

namespace ledger {

// Starts the worker if the tail of one of the slots just reached a multiple of
// the threshold and none is running.
void fold_when_long(Database &database, const Slot &source, const Slot &destination);

// Starts the worker if none is running.
void start_worker(Database &database);

}  // namespace ledger
