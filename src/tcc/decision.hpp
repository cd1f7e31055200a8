// What may become of a TCC transaction, and making it so. The first confirm or
// cancel of the whole or of any branch decides for all of them, for good.
#pragma once

#include "tcc/table.hpp"

namespace ledger {

// Time is up and nothing is decided: then it can only be canceled, whether or not
// it has been.
inline bool is_overdue(const Tcc &tcc, TimestampTz now) {
    return tcc.row.state == TccState::trying && tcc.row.expires_at <= now;
}

// Raise what forbids to go on: LG202 or LG205 where it is canceled or its time is
// up, LG203 where it is confirmed.
void refuse_canceled(const Tcc &tcc);
void refuse_confirmed(const Tcc &tcc);

// Posts the holds of all branches, in this transaction, and ends it as confirmed. Where
// an account is frozen nothing is posted: the decision stands (confirming), and the
// worker tries again. Waits for others at its holds, or without wait does nothing.
void confirm(Database &database, Tcc &tcc, bool wait);

// Voids what is open of all branches, and ends it as canceled or timed out. Waits likewise.
void cancel(Database &database, Tcc &tcc, TccState state, bool wait);

// The same for one branch, by its hold.
void confirm_branch(Database &database, Tcc &tcc, TransferId branch);
void cancel_branch(Database &database, Tcc &tcc, TransferId branch);

// For messages.
const char *shown_xid(const Tcc &tcc);
const char *state_name(TccState state);

}  // namespace ledger
