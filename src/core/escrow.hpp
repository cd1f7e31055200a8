// The escrow method (P. O'Neil, "The Escrow Transactional Method", TODS 1986).
//
// An account's Bounds enclose its balance over every outcome of the
// transactions in flight: low if all that may lower it commit and all that may
// raise it abort, high the other way round. A debit is granted only if low
// stays above the floor, a credit only if high stays under the ceiling, so no
// interleaving of commits and aborts can pass a limit.
//
// Each transaction keeps its Share of the bounds of an account. With net its
// uncommitted change so far, low_taken is the deepest point net ever had below
// zero (a savepoint may roll back to that point), high_taken the highest above.
// Always: low_taken >= max(0, -net) and high_taken >= max(0, net).
#pragma once

#include "core/types.hpp"

namespace ledger {

struct Bounds {
    Minor low;
    Minor high;
};

struct Share {
    Minor net;
    Minor low_taken;
    Minor high_taken;
};

enum class Grant {
    ok,
    refused,       // over the limit whatever the others in flight do
    in_flight,     // over the limit only if some transaction in flight ends the wrong way
    out_of_range,  // one transaction moved more than a Minor can hold
};

// What the share's owner can still take out above floor, or put in under
// ceiling; negative when past the limit already (a limit made stricter).
Wide available(const Bounds &bounds, const Share &share, Minor floor);
Wide headroom(const Bounds &bounds, const Share &share, Minor ceiling);

// Takes amount (> 0) from the bounds into the share, or changes nothing.
Grant debit(Bounds &bounds, Share &share, Minor floor, Minor amount);
Grant credit(Bounds &bounds, Share &share, Minor ceiling, Minor amount);

// Gives back what the share took since it was as in before, an earlier state of
// itself: a savepoint rolled back, or with a zero before the whole transaction.
void revert(Bounds &bounds, Share &share, const Share &before);

// The transaction has committed: the bounds take over its net.
void settle(Bounds &bounds, Share &share);

}  // namespace ledger
