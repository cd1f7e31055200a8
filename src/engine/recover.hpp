// What the tables say of the lanes: after a start, a crash, a promotion, a restore
// their heads come back from the last seal and the records after it.
#pragma once

#include "core/ids.hpp"
#include "pg/postgres.hpp"

namespace ledger {

struct Database;
struct Lane;

// Lets all lanes have the heads that the tables give them. Nobody may be writing, and the
// caller has the lock of the installation. Reads the records since the last seal; what it
// has read stays, so that after a cancel the next one goes on there. base: txid = xid + base.
void recover_lanes(Database &database, std::int64_t base);

}  // namespace ledger
