#include "core/escrow.hpp"

namespace ledger {

namespace {

// The balance as the owner sees it if the others in flight end the worst or the best way.
Wide pessimistic(const Bounds &bounds, const Share &share) {
    return Wide{bounds.low} + share.low_taken + share.net;
}

Wide optimistic(const Bounds &bounds, const Share &share) {
    return Wide{bounds.high} - share.high_taken + share.net;
}

bool representable(Wide value) {
    return value >= -kBalanceMax && value <= kBalanceMax;
}

}  // namespace

Wide available(const Bounds &bounds, const Share &share, Minor floor) {
    return pessimistic(bounds, share) - floor;
}

Wide headroom(const Bounds &bounds, const Share &share, Minor ceiling) {
    return Wide{ceiling} - optimistic(bounds, share);
}

Grant debit(Bounds &bounds, Share &share, Minor floor, Minor amount) {
    if (pessimistic(bounds, share) - amount < floor)
        return optimistic(bounds, share) - amount < floor ? Grant::refused : Grant::in_flight;
    const Wide net = Wide{share.net} - amount;
    if (!representable(net)) return Grant::out_of_range;
    share.net = static_cast<Minor>(net);
    if (-share.net > share.low_taken) {
        bounds.low -= -share.net - share.low_taken;
        share.low_taken = -share.net;
    }
    return Grant::ok;
}

Grant credit(Bounds &bounds, Share &share, Minor ceiling, Minor amount) {
    if (optimistic(bounds, share) + amount > ceiling)
        return pessimistic(bounds, share) + amount > ceiling ? Grant::refused : Grant::in_flight;
    const Wide net = Wide{share.net} + amount;
    if (!representable(net)) return Grant::out_of_range;
    share.net = static_cast<Minor>(net);
    if (share.net > share.high_taken) {
        bounds.high += share.net - share.high_taken;
        share.high_taken = share.net;
    }
    return Grant::ok;
}

void revert(Bounds &bounds, Share &share, const Share &before) {
    bounds.low += share.low_taken - before.low_taken;
    bounds.high -= share.high_taken - before.high_taken;
    share = before;
}

void settle(Bounds &bounds, Share &share) {
    bounds = {static_cast<Minor>(pessimistic(bounds, share)), static_cast<Minor>(optimistic(bounds, share))};
    share = {};
}

}  // namespace ledger
