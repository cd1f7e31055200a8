// Time-ordered ids without a sequence: 41 bits of milliseconds since
// 2025-01-01 UTC, 6 bits node, 10 bits lane, 6 bits counter. A lane belongs to
// one transaction at a time, so two ids never meet; a counter that overflows
// borrows the next millisecond.
#pragma once

#include <cstdint>

namespace ledger {

inline constexpr int kCounterBits = 6;
inline constexpr int kLaneBits = 10;
inline constexpr int kNodeBits = 6;
inline constexpr int kLanes = 1 << kLaneBits;
inline constexpr int kNodes = 1 << kNodeBits;

enum class LaneNumber : int {};

// A lane's clock: milliseconds and counter in one number, so that +1 carries.
using Tick = std::int64_t;

constexpr Tick tick_at(std::int64_t milliseconds) {
    return milliseconds << kCounterBits;
}

// Ids of this tick and later ones do not fit into a bigint.
inline constexpr Tick kTickEnd = tick_at(std::int64_t{1} << 41);

// The first tick whose ids are above id, whatever their lane and node.
constexpr Tick tick_above(std::int64_t id) {
    return tick_at((id >> (kNodeBits + kLaneBits + kCounterBits)) + 1);
}

// Every id of this tick or a later one, whatever its lane and node, is at least this.
constexpr std::int64_t first_id(Tick tick) {
    return (tick >> kCounterBits) << (kNodeBits + kLaneBits + kCounterBits);
}

constexpr LaneNumber lane_of(std::int64_t id) {
    return LaneNumber{static_cast<int>(id >> kCounterBits) & (kLanes - 1)};
}

// The tick after last, not behind the clock: when the clock steps back, ids go on.
constexpr Tick next_tick(Tick last, std::int64_t now_milliseconds) {
    const Tick now = tick_at(now_milliseconds);
    return last >= now ? last + 1 : now;
}

constexpr std::int64_t make_id(Tick tick, int node, LaneNumber lane) {
    const std::int64_t milliseconds = tick >> kCounterBits;
    const std::int64_t counter = tick & ((1 << kCounterBits) - 1);
    return (((milliseconds << kNodeBits | node) << kLaneBits | static_cast<int>(lane)) << kCounterBits) |
           counter;
}

}  // namespace ledger
