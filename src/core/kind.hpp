// What each kind of transfer does to its two accounts.
#pragma once

#include "core/types.hpp"

namespace ledger {

enum class Side { debit, credit };

// Added to the side's posted total and to its pending one, per unit of amount:
// the debits of the source, the credits of the destination.
struct Weight {
    int posted;
    int pending;
};

constexpr Weight weight_of(Kind kind) {
    switch (kind) {
        case Kind::pending:
            return {0, +1};
        case Kind::post:
            return {+1, -1};
        case Kind::void_:
            return {0, -1};
        case Kind::posted:
        case Kind::reversal:
            break;
    }
    return {+1, 0};
}

// An account's two guarded quantities: spendable (posted less what its holds set
// aside), which the floor is for, and projected (posted plus what is held for
// it), which the ceiling is for. So a hold that was granted can always be posted.
struct Change {
    Wide spendable;
    Wide projected;
};

constexpr Change change_of(Kind kind, Side side, Wide amount) {
    const Weight weight = weight_of(kind);
    if (side == Side::debit) return {-amount * (weight.posted + weight.pending), -amount * weight.posted};
    return {amount * weight.posted, amount * (weight.posted + weight.pending)};
}

}  // namespace ledger
