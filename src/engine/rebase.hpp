// Taking possession of the tables: whose they are, and making them ours.
#pragma once

#include "pg/postgres.hpp"

namespace ledger {

// True if the tables were last written by this installation in this database of
// this cluster; then base is its offset of txids.
bool read_installation(std::int64_t &base);

// The same, once no other transaction is taking possession. The lock is kept
// to the end of the transaction if the answer is false.
bool lock_installation(std::int64_t &base);

// After lock_installation said no: folds every account completely, for the
// transaction numbers in the tables mean nothing here, and writes down where
// the ledger lives. Returns the base from which new txids are above all old ones.
std::int64_t rebase_installation();

}  // namespace ledger
