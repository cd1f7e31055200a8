// Holds: amounts set aside by transfers of kind pending, and resolved once: posted,
// voided or expired. The escrow takes the amount at the hold and gives it back at
// a void, so no account row is ever locked; the hold's own row is what decides
// between two that would resolve it.
#pragma once

#include "engine/post.hpp"
#include "engine/storage.hpp"
#include "engine/transaction.hpp"

namespace ledger {

struct Hold {
    HoldRow row;
    ItemPointerData tid;
};

// What is still set aside.
inline Minor remaining(const HoldRow &row) {
    return row.state == HoldState::open ? row.amount - row.posted : 0;
}

// An open hold whose time is up can only be expired, whether or not it has been.
inline bool is_overdue(const HoldRow &row, TimestampTz now) {
    return row.state == HoldState::open && row.due_at <= now;
}

// Writes the rows of a pending order that was taken, with its hold, and lets the
// worker know when it is due (DT_NOEND: never).
void append_hold(Order &order, TimestampTz due_at, bool is_branch = false);

// The hold as it is now; false if there is none. lock_hold keeps others from
// resolving it until the transaction ends; it waits for them, or without wait
// returns false if there is one.
bool find_hold(TransferId id, Hold &hold);
bool lock_hold(TransferId id, bool wait, Hold &hold);

// Posts an amount (0 to what remains) of a locked open hold and lets it be in
// state next: what remains then is given back, unless that is open. Puts the
// transfers, for the caller to append, into orders, and returns how many there are.
// Raises LG004 for a post where an account is not open, and LG006 where this
// transaction has moved too much already.
constexpr int kResolutionMax = 2;
int resolve_hold(Database &database, Hold &hold, Minor post, HoldState next, Order *orders);

// Gives a hold no time to run out any more, or another one.
void set_due(Hold &hold, TimestampTz due_at);

// Expires overdue holds, at most max; those that others are resolving are left to
// them, and what this transaction cannot move in addition to what it has is left to
// another. Returns how many.
std::int64_t expire_overdue(Database &database, std::int64_t max);

// Overdue holds that a caller in need looks at, and expires, at most. The rest is the worker's.
constexpr int kExpiredByCaller = 100;

// The overdue holds of an account on one side, oldest first, without those that others are
// resolving.
struct Overdue {
    TransferId ids[kExpiredByCaller];
    int count;
    Wide amount;  // of these
    bool more;    // there are others
};

// The one rule for everything that is refused because of holds: a hold whose time is up counts
// for nobody. What the account would have back: of what was set aside of it (debit), or of
// what was held for it (credit). Nothing is changed.
void find_overdue(AccountUse &use, Side side, Overdue &found);

// Expires the oldest of them, as many as amount needs. False if others have been faster.
bool expire_enough(Database &database, const Overdue &overdue, Wide amount);

// How far overdue holds help an account that lacks an amount for certain, and another (less) if
// the transactions in flight end well.
enum class Relief {
    enough,
    later,  // with those in flight, or with holds that only the worker expires, which was called
    none,
};
Relief relief_of(Database &database, const Overdue &overdue, Wide certain, Wide at_best);

// The same one by one: puts the ids of overdue holds, at most max, into ids and returns
// how many; and expires one. False if others are at it, or have been.
int find_overdue(TransferId *ids, int max);
bool expire_hold(Database &database, TransferId id);

}  // namespace ledger
