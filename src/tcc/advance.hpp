// What time does to TCC transactions: cancels those whose timeout has passed, goes
// on with those that are decided, forgets those that ended long ago.
#pragma once

#include "engine/database.hpp"

namespace ledger {

// Sees to transactions that are due, at most max, in the caller's transaction; those
// that others are at are left to them. Returns how many have ended.
std::int64_t advance_due(Database &database, std::int64_t max);

// The worker's share: each in a transaction of its own. An error is noted with the
// transaction it came from, which is tried again later.
void advance_tcc();

// Forgets at most max ended transactions whose time is up. Returns how many.
std::int64_t purge_ended_tcc(std::int64_t max);

}  // namespace ledger
