// TCC transactions and their branches as rows (ledger_data.tcc, tcc_branch). The
// row of a transaction is its fence: whoever tries, confirms or cancels anything of
// it holds the row's lock, to the end of the own transaction.
#pragma once

#include "engine/hold.hpp"
#include "pg/postgres.hpp"

namespace ledger {

struct Tcc {
    TccRow row;
    text *xid;
    const char *last_error;  // of this attempt, or null
    HeapTuple tuple;         // as it is in the table
};

inline bool is_confirmed(const Tcc &tcc) {
    return tcc.row.state == TccState::confirmed || tcc.row.state == TccState::confirming;
}
inline bool is_canceled(const Tcc &tcc) {
    return tcc.row.state == TccState::canceled || tcc.row.state == TccState::canceling;
}
inline bool has_ended(const Tcc &tcc) {
    return tcc.row.ended_at != DT_NOEND;
}

// The transaction, locked; waits for others at it. False if there is none: then
// nobody else can begin it until this transaction does, with one of the two below,
// or ends.
bool lock_tcc(text *xid, Tcc &tcc);

// The transaction, locked, if it is there and nobody else is at it.
bool try_lock_tcc(text *xid, Tcc &tcc);

// After lock_tcc() found none: it is tried from now on; or it is canceled before it
// was begun, so that a begin that comes later is refused.
void begin_tcc(text *xid, TimestampTz expires_at, Jsonb *metadata);
void cancel_unknown_tcc(text *xid);

// What it was begun with, or null.
Jsonb *metadata_of(const Tcc &tcc);

// Writes the state of a locked transaction, and its last error.
void write_tcc(Tcc &tcc);

// Into state, which ends it: it is forgotten ledger.key_ttl from now.
void end_tcc(Tcc &tcc, TccState state);

// An attempt to bring it to its end has failed: the next is made some time later.
void note_failure(Tcc &tcc, const char *error);

// The xids of transactions due now, ended or not, at most max, in the current
// memory context.
struct DueList {
    text **xids;
    std::int64_t count;
};
DueList find_due(bool ended, TimestampTz now, std::int64_t max);

// Forgets an ended transaction that is locked.
void delete_tcc(const Tcc &tcc);

// The hold of a branch of a locked transaction; 0 if there is no such branch.
TransferId find_branch(const Tcc &tcc, text *branch);
void insert_branch(const Tcc &tcc, text *branch, TransferId hold);

// The holds of all branches of a locked transaction.
struct Branches {
    TransferId *holds;
    int count;
};
Branches branches_of(const Tcc &tcc);

}  // namespace ledger
