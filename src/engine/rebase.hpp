// Taking possession of the tables: whose they are, and making them ours.
#pragma once

#include "core/types.hpp"
#include "pg/postgres.hpp"

namespace ledger {

// Whose the tables are: of no installation here; of this one, in this database of this
// cluster; or of this one if this transaction commits, which took possession itself.
enum class Owner { other, us, this_transaction };

// base: the offset of this installation's txids, unless the owner is another. Raises XX001 where
// there is more than one row of this installation.
Owner read_installation(std::int64_t &base);

// Keeps other sessions from recovering the lanes and from taking possession, to the end of
// the transaction or until unlock_installation. The table is given, for while the lock is
// waited for another may take its name.
void lock_installation(Oid installation);
void unlock_installation(Oid installation);

// Where the tables are of another installation: writes down that they are ours. Needs the
// lock, to the end of the transaction. Returns the base from which new txids are above all
// that the tables have brought along; so tails and horizons mean what they meant before.
std::int64_t rebase_installation();

}  // namespace ledger
