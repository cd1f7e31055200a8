// Transactions of background workers.
#pragma once

#include "pg/postgres.hpp"

namespace ledger {

// A transaction with a snapshot, which reading and writing long values needs.
inline void begin() {
    SetCurrentStatementStartTimestamp();
    StartTransactionCommand();
    PushActiveSnapshot(GetTransactionSnapshot());
}

inline void commit() {
    PopActiveSnapshot();
    CommitTransactionCommand();
}

}  // namespace ledger
