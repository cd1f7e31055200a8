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

// Runs work in a transaction of its own. An error ends that alone: it goes to the
// server's log, and its message is returned in context; null if there was none.
template <typename Work>
const char *try_in_transaction(MemoryContext context, Work work) {
    const char *volatile error = nullptr;
    begin();
    PG_TRY();
    {
        work();
        commit();
    }
    PG_CATCH();
    {
        MemoryContextSwitchTo(context);
        error = CopyErrorData()->message;
        EmitErrorReport();
        FlushErrorState();
        AbortCurrentTransaction();
    }
    PG_END_TRY();
    return error;
}

}  // namespace ledger
