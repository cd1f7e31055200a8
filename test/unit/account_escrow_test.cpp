// core/escrow for an account: what is held is not spent, what is held for it fits
// under the ceiling, and whatever was granted can be posted or voided.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "core/escrow.hpp"

using namespace ledger;

namespace {

constexpr Limits kLimits = {-50, 400, AccountState::open};

TEST(Kind, WeightsSayWhatBecomesOfTheTwoQuantities) {
    const auto is = [](Kind kind, Side side, Wide spendable, Wide projected) {
        const Change change = change_of(kind, side, 7);
        return change.spendable == spendable && change.projected == projected;
    };
    EXPECT_TRUE(is(Kind::posted, Side::debit, -7, -7));
    EXPECT_TRUE(is(Kind::posted, Side::credit, 7, 7));
    EXPECT_TRUE(is(Kind::reversal, Side::debit, -7, -7));
    EXPECT_TRUE(is(Kind::reversal, Side::credit, 7, 7));
    EXPECT_TRUE(is(Kind::pending, Side::debit, -7, 0));
    EXPECT_TRUE(is(Kind::pending, Side::credit, 0, 7));
    EXPECT_TRUE(is(Kind::post, Side::debit, 0, -7));
    EXPECT_TRUE(is(Kind::post, Side::credit, 7, 0));
    EXPECT_TRUE(is(Kind::void_, Side::debit, 7, 0));
    EXPECT_TRUE(is(Kind::void_, Side::credit, 0, -7));
}

TEST(AccountEscrow, AHoldIsTakenAtOnceAndCannotBeSpentTwice) {
    AccountBounds bounds = {{100, 100}, {100, 100}};
    AccountShare mine = {}, other = {};
    EXPECT_EQ(take(bounds, mine, kLimits, change_of(Kind::pending, Side::debit, 150)), Grant::ok);
    EXPECT_EQ(take(bounds, other, kLimits, change_of(Kind::posted, Side::debit, 1)), Grant::in_flight);
    settle(bounds, mine);
    EXPECT_EQ(take(bounds, other, kLimits, change_of(Kind::posted, Side::debit, 1)), Grant::refused);
    EXPECT_EQ(bounds.projected.high, 100);
}

TEST(AccountEscrow, WhatIsHeldForItCountsTowardsTheCeilingOnly) {
    AccountBounds bounds = {{0, 0}, {0, 0}};
    AccountShare share = {};
    EXPECT_EQ(take(bounds, share, kLimits, change_of(Kind::pending, Side::credit, 400)), Grant::ok);
    EXPECT_EQ(take(bounds, share, kLimits, change_of(Kind::posted, Side::credit, 1)), Grant::refused);
    EXPECT_EQ(available(bounds, share, kLimits), 50);  // nothing but the floor's room
    EXPECT_EQ(take(bounds, share, kLimits, change_of(Kind::post, Side::credit, 400)), Grant::ok);
    EXPECT_EQ(available(bounds, share, kLimits), 450);
}

TEST(AccountEscrow, AVoidIsSpendableOnceCommitted) {
    AccountBounds bounds = {{-50, -50}, {50, 50}};  // 50 there, 100 of it held
    AccountShare mine = {}, other = {};
    EXPECT_EQ(take(bounds, mine, kLimits, change_of(Kind::void_, Side::debit, 100)), Grant::ok);
    EXPECT_EQ(take(bounds, other, kLimits, change_of(Kind::posted, Side::debit, 1)), Grant::in_flight);
    EXPECT_EQ(take(bounds, mine, kLimits, change_of(Kind::posted, Side::debit, 100)), Grant::ok);
    settle(bounds, mine);
    EXPECT_EQ(bounds.spendable.low, -50);
    EXPECT_EQ(bounds.projected.high, -50);
}

TEST(AccountEscrow, ARefusalChangesNothing) {
    const AccountBounds before = {{0, 0}, {395, 395}};
    AccountBounds bounds = before;
    AccountShare share = {};
    EXPECT_EQ(take(bounds, share, kLimits, change_of(Kind::posted, Side::credit, 6)), Grant::refused);
    EXPECT_EQ(bounds.spendable.low, before.spendable.low);
    EXPECT_EQ(bounds.spendable.high, before.spendable.high);
    EXPECT_EQ(bounds.projected.high, before.projected.high);
    EXPECT_EQ(share.spendable.net, 0);
}

// Random transfers, holds, posts and voids of both directions in interleaved
// transactions, against plain sums: no limit is passed, and a hold that was granted
// is always posted or voided.
TEST(AccountEscrow, WhatIsGrantedCanBeResolved) {
    std::mt19937 random(11);
    const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
    struct Held {
        Side side;
        Minor amount;
    };
    struct Transaction {
        AccountShare share = {};
        Minor posted = 0, held = 0, incoming = 0;
        std::vector<Held> made, resolved;
    };
    for (int round = 0; round < 300; ++round) {
        AccountBounds bounds = {{100, 100}, {100, 100}};
        Minor posted = 100, held = 0, incoming = 0;
        std::vector<Held> open;
        std::vector<Transaction> running(3);
        for (int step = 0; step < 200; ++step) {
            Transaction &tx = running[below(3)];
            const Side side = below(2) ? Side::debit : Side::credit;
            const Minor sign = side == Side::debit ? -1 : 1;
            const Minor amount = 1 + static_cast<Minor>(below(60));
            Minor &pending = side == Side::debit ? tx.held : tx.incoming;
            switch (below(6)) {
                case 0:
                    if (take(bounds, tx.share, kLimits, change_of(Kind::posted, side, amount)) == Grant::ok)
                        tx.posted += sign * amount;
                    break;
                case 1:
                    if (take(bounds, tx.share, kLimits, change_of(Kind::pending, side, amount)) ==
                        Grant::ok) {
                        pending += amount;
                        tx.made.push_back({side, amount});
                    }
                    break;
                case 2:
                case 3:
                    if (!open.empty()) {  // one of the committed holds: locked by taking it off
                        const Held hold = open.back();
                        open.pop_back();
                        const Kind kind = below(2) ? Kind::post : Kind::void_;
                        ASSERT_EQ(take(bounds, tx.share, kLimits, change_of(kind, hold.side, hold.amount)),
                                  Grant::ok);
                        (hold.side == Side::debit ? tx.held : tx.incoming) -= hold.amount;
                        if (kind == Kind::post)
                            tx.posted += hold.side == Side::debit ? -hold.amount : hold.amount;
                        tx.resolved.push_back(hold);
                    }
                    break;
                default:
                    if (below(2)) {
                        settle(bounds, tx.share);
                        posted += tx.posted, held += tx.held, incoming += tx.incoming;
                        open.insert(open.end(), tx.made.begin(), tx.made.end());
                    } else {
                        revert(bounds, tx.share, {});
                        open.insert(open.end(), tx.resolved.begin(), tx.resolved.end());
                    }
                    tx = {};
            }
            ASSERT_GE(posted - held, kLimits.floor) << "round " << round << " step " << step;
            ASSERT_LE(posted + incoming, kLimits.ceiling) << "round " << round << " step " << step;
            ASSERT_LE(bounds.spendable.low, posted - held);
            ASSERT_GE(bounds.spendable.high, posted - held);
            ASSERT_LE(bounds.projected.low, posted + incoming);
            ASSERT_GE(bounds.projected.high, posted + incoming);
            ASSERT_LE(bounds.spendable.high, bounds.projected.high);
        }
        for (Transaction &tx : running) revert(bounds, tx.share, {});
        ASSERT_EQ(bounds.spendable.low, posted - held);
        ASSERT_EQ(bounds.projected.high, posted + incoming);
    }
}

}  // namespace
