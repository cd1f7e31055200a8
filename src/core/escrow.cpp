#include "core/escrow.hpp"

namespace ledger {

namespace {

bool representable(Wide value) {
    return value >= -kBalanceMax && value <= kBalanceMax;
}

// Lowers or raises by what changes; a limit is for one direction only.
Grant change(Bounds &bounds, Share &share, Minor floor, Minor ceiling, Wide amount) {
    if (amount == 0) return Grant::ok;
    if (!representable(amount)) return Grant::out_of_range;
    return amount < 0 ? lower(bounds, share, floor, static_cast<Minor>(-amount))
                      : raise(bounds, share, ceiling, static_cast<Minor>(amount));
}

}  // namespace

Wide lowest(const Bounds &bounds, const Share &share) {
    return Wide{bounds.low} + share.low_taken + share.net;
}

Wide highest(const Bounds &bounds, const Share &share) {
    return Wide{bounds.high} - share.high_taken + share.net;
}

Grant lower(Bounds &bounds, Share &share, Minor floor, Minor amount) {
    if (lowest(bounds, share) - amount < floor) {
        if (highest(bounds, share) - amount >= floor) return Grant::in_flight;
        return floor == kFloorNone ? Grant::beyond_range : Grant::refused;
    }
    const Wide net = Wide{share.net} - amount;
    if (!representable(net)) return Grant::out_of_range;
    share.net = static_cast<Minor>(net);
    if (-share.net > share.low_taken) {
        bounds.low -= -share.net - share.low_taken;
        share.low_taken = -share.net;
    }
    return Grant::ok;
}

Grant raise(Bounds &bounds, Share &share, Minor ceiling, Minor amount) {
    if (highest(bounds, share) + amount > ceiling) {
        if (lowest(bounds, share) + amount <= ceiling) return Grant::in_flight;
        return ceiling == kCeilingNone ? Grant::beyond_range : Grant::refused;
    }
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
    bounds = {static_cast<Minor>(lowest(bounds, share)), static_cast<Minor>(highest(bounds, share))};
    share = {};
}

Wide available(const AccountBounds &bounds, const AccountShare &share, const Limits &limits) {
    return lowest(bounds.spendable, share.spendable) - limits.floor;
}

Wide headroom(const AccountBounds &bounds, const AccountShare &share, const Limits &limits) {
    return limits.ceiling - highest(bounds.projected, share.projected);
}

// The floor is for what lowers spendable, the ceiling for what raises projected;
// the range of a balance is the limit of the rest.
Grant take(AccountBounds &bounds, AccountShare &share, const Limits &limits, const Change &wanted) {
    const Share before = share.spendable;
    Grant grant = change(bounds.spendable, share.spendable, limits.floor, kCeilingNone, wanted.spendable);
    if (grant != Grant::ok) return grant;
    grant = change(bounds.projected, share.projected, kFloorNone, limits.ceiling, wanted.projected);
    if (grant != Grant::ok) revert(bounds.spendable, share.spendable, before);
    return grant;
}

void revert(AccountBounds &bounds, AccountShare &share, const AccountShare &before) {
    revert(bounds.spendable, share.spendable, before.spendable);
    revert(bounds.projected, share.projected, before.projected);
}

void settle(AccountBounds &bounds, AccountShare &share) {
    settle(bounds.spendable, share.spendable);
    settle(bounds.projected, share.projected);
}

}  // namespace ledger
