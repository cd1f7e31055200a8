// core/ids: unique, growing, and above what was there before.
#include "core/ids.hpp"

#include <gtest/gtest.h>

#include <set>

using namespace ledger;

namespace {

TEST(Ids, GrowWithinALaneEvenWhenTheClockStandsOrStepsBack) {
    Tick last = 0;
    std::int64_t before = -1;
    for (int i = 0; i < 1000; ++i) {
        last = next_tick(last, i < 500 ? 1'000'000 : 900'000);
        const std::int64_t id = make_id(last, 3, LaneNumber{7});
        ASSERT_GT(id, before);
        before = id;
    }
}

TEST(Ids, OfTwoLanesOrNodesNeverMeet) {
    std::set<std::int64_t> seen;
    for (const int node : {0, 1, kNodes - 1})
        for (const int lane : {0, 1, kLanes - 1}) {
            Tick last = 0;
            for (int i = 0; i < 300; ++i)
                ASSERT_TRUE(seen.insert(make_id(last = next_tick(last, 5), node, LaneNumber{lane})).second);
        }
}

TEST(Ids, TheTickAboveAnIdIsAboveItInEveryLane) {
    const std::int64_t highest = make_id(tick_at(123'456) + 63, kNodes - 1, LaneNumber{kLanes - 1});
    EXPECT_GT(make_id(tick_above(highest), 0, LaneNumber{0}), highest);
    EXPECT_GT(make_id(next_tick(tick_above(highest), 0), 0, LaneNumber{0}), highest);
}

TEST(Ids, ArePositiveUntil2094) {
    const std::int64_t last_millisecond = (std::int64_t{1} << 41) - 1;
    EXPECT_GT(make_id(tick_at(last_millisecond) + 63, kNodes - 1, LaneNumber{kLanes - 1}), 0);
}

}  // namespace
