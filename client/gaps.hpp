// The numbers of a lane that rows have passed over, which later rows may yet have.
#pragma once

#include <cstdint>
#include <map>

class Gaps {
  public:
    void open(int64_t from, int64_t to) { gaps_[from] = to; }

    // The gap was none.
    void close(int64_t from) { gaps_.erase(from); }

    // Takes a number out of its gap; false if it is in none.
    bool fill(int64_t seq) {
        auto gap = gaps_.upper_bound(seq);
        if (gap == gaps_.begin() || (--gap)->second < seq) return false;
        const auto [from, to] = *gap;
        gaps_.erase(gap);
        if (from < seq) open(from, seq - 1);
        if (seq < to) open(seq + 1, to);
        return true;
    }

    auto begin() const { return gaps_.begin(); }
    auto end() const { return gaps_.end(); }

  private:
    std::map<int64_t, int64_t> gaps_;  // from, to
};
