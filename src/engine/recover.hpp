// What the tables say of the lanes: after a start, a crash, a promotion, a restore
// their heads come back from the last seal and the records after it.
#pragma once

#include "engine/lane.hpp"

namespace ledger {

struct RecoveredLane {
    Head heads[kScopes];
    PreparedLinks prepared;  // xid invalid: none
    Txid prepared_txid;
    std::int64_t first_id;  // of the prepared transaction's records
};

// All kLanes of them, in the current memory context. Nobody may be writing. Reads
// what came since the last seal. base: txid = xid + base.
RecoveredLane *recover_lanes(std::int64_t base);

// Sets a lane that nobody uses; its ids go on at first.
void restore_lane(Lane &lane, const RecoveredLane &recovered, Tick first);

}  // namespace ledger
