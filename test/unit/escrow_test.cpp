// core/escrow: the bounds enclose every outcome, and no outcome passes a limit.
#include "core/escrow.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

using namespace ledger;

namespace {

TEST(Escrow, AnOutflowIsTakenAtOnceAndGivenBackOnAbort) {
    Bounds bounds = {100, 100};
    Share share = {};
    EXPECT_EQ(lower(bounds, share, 0, 70), Grant::ok);
    EXPECT_EQ(bounds.low, 30);
    EXPECT_EQ(bounds.high, 100);
    revert(bounds, share, {});
    EXPECT_EQ(bounds.low, 100);
    EXPECT_EQ(bounds.high, 100);
}

TEST(Escrow, AnInflowCountsForOthersOnlyOnceCommitted) {
    Bounds bounds = {0, 0};
    Share mine = {};
    Share other = {};
    EXPECT_EQ(raise(bounds, mine, kCeilingNone, 50), Grant::ok);
    EXPECT_EQ(lower(bounds, other, 0, 50), Grant::in_flight);
    EXPECT_EQ(lower(bounds, other, 0, 51), Grant::refused);
    settle(bounds, mine);
    EXPECT_EQ(lower(bounds, other, 0, 50), Grant::ok);
}

TEST(Escrow, OwnInflowMayBeSpent) {
    Bounds bounds = {0, 0};
    Share share = {};
    EXPECT_EQ(raise(bounds, share, kCeilingNone, 50), Grant::ok);
    EXPECT_EQ(lower(bounds, share, 0, 50), Grant::ok);
    EXPECT_EQ(lower(bounds, share, 0, 1), Grant::refused);
    settle(bounds, share);
    EXPECT_EQ(bounds.low, 0);
    EXPECT_EQ(bounds.high, 0);
}

TEST(Escrow, ASavepointRolledBackKeepsTheDeepestPointTaken) {
    Bounds bounds = {100, 100};
    Share share = {};
    EXPECT_EQ(lower(bounds, share, 0, 60), Grant::ok);
    const Share savepoint = share;
    EXPECT_EQ(raise(bounds, share, kCeilingNone, 60), Grant::ok);
    EXPECT_EQ(bounds.low, 40);  // the credit may yet be rolled back alone
    revert(bounds, share, savepoint);
    EXPECT_EQ(share.net, -60);
    settle(bounds, share);
    EXPECT_EQ(bounds.low, 40);
    EXPECT_EQ(bounds.high, 40);
}

TEST(Escrow, TheCeilingCountsInflowsInFlight) {
    Bounds bounds = {0, 0};
    Share mine = {};
    Share other = {};
    EXPECT_EQ(raise(bounds, mine, 100, 60), Grant::ok);
    EXPECT_EQ(raise(bounds, other, 100, 41), Grant::in_flight);
    EXPECT_EQ(raise(bounds, other, 100, 101), Grant::refused);
    EXPECT_EQ(raise(bounds, other, 100, 40), Grant::ok);
}

TEST(Escrow, ExtremesDoNotOverflow) {
    Bounds bounds = {0, 0};
    Share share = {};
    EXPECT_EQ(lower(bounds, share, kFloorNone, kBalanceMax), Grant::ok);
    EXPECT_EQ(lower(bounds, share, kFloorNone, 1), Grant::beyond_range);
    EXPECT_EQ(raise(bounds, share, kCeilingNone, kBalanceMax), Grant::ok);
    EXPECT_EQ(raise(bounds, share, kCeilingNone, kBalanceMax), Grant::ok);
    EXPECT_EQ(raise(bounds, share, kCeilingNone, 1), Grant::beyond_range);
    settle(bounds, share);
    EXPECT_EQ(bounds.low, kBalanceMax);
    EXPECT_EQ(bounds.high, kBalanceMax);
    Share second = {};
    EXPECT_EQ(lower(bounds, second, kFloorNone, kBalanceMax), Grant::ok);
    EXPECT_EQ(lower(bounds, second, kFloorNone, kBalanceMax), Grant::out_of_range);
}

TEST(Escrow, TheEndOfTheRangeIsNoLimit) {
    Bounds bounds = {-kBalanceMax, -kBalanceMax};
    Share share = {};
    EXPECT_EQ(lower(bounds, share, kFloorNone, 1), Grant::beyond_range);
    EXPECT_EQ(lower(bounds, share, kFloorNone + 1, 1), Grant::refused);
    bounds = {-kBalanceMax, -kBalanceMax + 1};
    EXPECT_EQ(lower(bounds, share, kFloorNone, 1), Grant::in_flight);
    bounds = {kBalanceMax, kBalanceMax};
    EXPECT_EQ(raise(bounds, share, kCeilingNone, 1), Grant::beyond_range);
    EXPECT_EQ(raise(bounds, share, kCeilingNone - 1, 1), Grant::refused);
}

// A transaction of the model: its changes in order, and the lengths at its savepoints.
struct Transaction {
    Share share;
    std::vector<Minor> changes;
    struct Savepoint {
        std::size_t length;
        Share share;
    };
    std::vector<Savepoint> savepoints;

    Minor net() const {
        Minor sum = 0;
        for (const Minor change : changes) sum += change;
        return sum;
    }
    // The lowest and the highest it can leave behind, if it may roll back to any point.
    std::pair<Minor, Minor> extremes() const {
        Minor sum = 0, low = 0, high = 0;
        for (const Minor change : changes) {
            sum += change;
            low = std::min(low, sum);
            high = std::max(high, sum);
        }
        return {low, high};
    }
};

// Random transactions with savepoints, interleaved, against that model.
TEST(Escrow, BoundsAreTheExtremesOfEveryOutcome) {
    std::mt19937 random(7);
    const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
    constexpr Minor kFloor = -50, kCeiling = 400;
    for (int round = 0; round < 300; ++round) {
        Bounds bounds = {100, 100};
        Minor committed = 100;
        std::vector<Transaction> open(4);
        for (int step = 0; step < 200; ++step) {
            Transaction &tx = open[static_cast<std::size_t>(below(4))];
            const Minor amount = 1 + below(60);
            switch (below(8)) {
                case 0:
                case 1:
                case 2:
                    if (lower(bounds, tx.share, kFloor, amount) == Grant::ok) tx.changes.push_back(-amount);
                    break;
                case 3:
                case 4:
                    if (raise(bounds, tx.share, kCeiling, amount) == Grant::ok) tx.changes.push_back(amount);
                    break;
                case 5:
                    tx.savepoints.push_back({tx.changes.size(), tx.share});
                    break;
                case 6:
                    if (!tx.savepoints.empty()) {
                        revert(bounds, tx.share, tx.savepoints.back().share);
                        tx.changes.resize(tx.savepoints.back().length);
                        tx.savepoints.pop_back();
                    }
                    break;
                case 7:
                    if (below(2)) {
                        committed += tx.net();
                        settle(bounds, tx.share);
                    } else {
                        revert(bounds, tx.share, {});
                    }
                    tx = {};
                    break;
            }
            Minor low = committed, high = committed;
            for (const Transaction &each : open) {
                low += each.extremes().first;
                high += each.extremes().second;
            }
            ASSERT_EQ(bounds.low, low) << "round " << round << " step " << step;
            ASSERT_EQ(bounds.high, high) << "round " << round << " step " << step;
            ASSERT_GE(low, kFloor);
            ASSERT_LE(high, kCeiling);
        }
    }
}

}  // namespace
