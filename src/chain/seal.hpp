// Seals: what the chains had come to at a moment, signed off by a hash that
// contains the one of the seal before.
#pragma once

#include "engine/database.hpp"

namespace ledger {

// Seals what has committed and is in no seal yet, and returns the number of the last
// seal, or 0 if there is none because there is nothing to seal. One at a time: waits
// for another to end, or without wait returns -1. The commit is flushed to disk, and
// the transaction cannot be prepared.
std::int64_t make_seal(Database &database, bool wait);

// When the worker is next to seal; DT_NOEND: there is nothing to seal.
TimestampTz next_seal(Database &database, TimestampTz now);

// For the worker: seals if that is due, in a transaction of its own.
void seal_if_due(Database &database, MemoryContext context);

}  // namespace ledger
