// The escrow method (P. O'Neil, "The Escrow Transactional Method", TODS 1986).
//
// A quantity's Bounds enclose it over every outcome of the transactions in
// flight: low if all that may lower it commit and all that may raise it abort,
// high the other way round. It is lowered only if low stays above the limit,
// raised only if high stays under it, so no interleaving of commits and aborts
// can pass a limit.
//
// Each transaction keeps its Share of the bounds. With net its uncommitted
// change so far, low_taken is the deepest point net ever had below zero (a
// savepoint may roll back to that point), high_taken the highest above. Always:
// low_taken >= max(0, -net) and high_taken >= max(0, net).
//
// An account has two such quantities (core/kind.hpp): spendable over its floor,
// projected under its ceiling. Without holds they are the same, its balance.
#pragma once

#include "core/kind.hpp"
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

// The share of a transaction that can only be committed or aborted as a whole.
constexpr Share share_of(Minor net) {
    return {net, net < 0 ? -net : 0, net > 0 ? net : 0};
}

enum class Grant {
    ok,
    refused,       // over the limit whatever the others in flight do
    in_flight,     // over the limit only if some transaction in flight ends the wrong way
    beyond_range,  // no limit is set, but the balance would pass the end of its range
    out_of_range,  // one transaction moved more than a Minor can hold
};

// The quantity as the share's owner sees it if the others in flight end the worst
// or the best way for it.
Wide lowest(const Bounds &bounds, const Share &share);
Wide highest(const Bounds &bounds, const Share &share);

// Takes amount (> 0) from the bounds into the share, or changes nothing.
Grant lower(Bounds &bounds, Share &share, Minor floor, Minor amount);
Grant raise(Bounds &bounds, Share &share, Minor ceiling, Minor amount);

// Gives back what the share took since it was as in before, an earlier state of
// itself: a savepoint rolled back, or with a zero before the whole transaction.
void revert(Bounds &bounds, Share &share, const Share &before);

// The transaction has committed: the bounds take over its net.
void settle(Bounds &bounds, Share &share);

// The same for an account.
struct AccountBounds {
    Bounds spendable;
    Bounds projected;
};

struct AccountShare {
    Share spendable;
    Share projected;
};

// What the share's owner can still take out, or put in; negative when past the
// limit already (a limit made stricter).
Wide available(const AccountBounds &bounds, const AccountShare &share, const Limits &limits);
Wide headroom(const AccountBounds &bounds, const AccountShare &share, const Limits &limits);

// Takes a change of an account, or changes nothing.
Grant take(AccountBounds &bounds, AccountShare &share, const Limits &limits, const Change &change);

void revert(AccountBounds &bounds, AccountShare &share, const AccountShare &before);
void settle(AccountBounds &bounds, AccountShare &share);

}  // namespace ledger
