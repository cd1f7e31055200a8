// The one way through: every movement of value, whatever its words (transfer,
// batch, sweep, reversal, cart), is an Order that takes this path:
//
//   names to accounts  ->  take from the escrow, link to the chain  ->  append rows
//
// Orders are taken one by one; what could not be taken leaves nothing behind.
#pragma once

#include "engine/database.hpp"
#include "engine/directory.hpp"
#include "engine/refusal.hpp"

namespace ledger {

// One movement, as the engine wants it.
struct Order {
    Account source;
    Account destination;
    Minor amount;
    Kind kind;
    std::int64_t ref;
    Jsonb *metadata;  // or null
    // Given by take():
    TransferId id;
    LaneNumber lane;
    std::int64_t seq;
    Txid txid;
    TimestampTz created_at;
    Hash hash;
};

// Checks that function may write here and now, and gets the database ready.
Database &begin_posting(const char *function);

// Takes the order's amount from the escrow of both accounts and links it to its
// lane's chain, so it must be appended, or the (sub)transaction aborted. True, or false with the refusal;
// codes are for the refusal alone. Before it is refused for want of balance, or of room under a ceiling, the
// account gets what ended prepared transactions and overdue holds have left (hold.hpp, relieve).
bool take(Database &database, Order &order, Code source, Code destination, Refusal &refusal);

// The most that the order's accounts would let through now, at most maximum.
Minor amount_up_to(Database &database, const Order &order, Minor maximum);

// Appends the rows of orders that were taken.
void append(Order *orders, int count);

// What the account can give now, as this transaction sees it.
Wide spendable(const Account &account);

}  // namespace ledger
