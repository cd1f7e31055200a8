// The seals of a ledger: whether they are a chain, and what they say of every
// lane and of every tree.
#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <vector>

#include "findings.hpp"
#include "merkle.hpp"
#include "seal.hpp"

class LedgerSeals {
  public:
    // A seal's word on one lane.
    struct Mark {
        int64_t seq;
        Hash hash;
        size_t seal;  // index
    };

    struct Entry {
        Seal seal;
        bool sound;       // a whole link of the chain: what it says counts
        bool comparable;  // so is the one before, so that it tells its own records from older ones
        std::array<int64_t, 2> covers;  // how many records there are between its heads and those before
    };

    explicit LedgerSeals(Findings &findings) : findings_(findings) {}

    void take(std::string &line) {
        copy::split(line, fields_);
        std::string heads;
        const Seal seal = read_seal(fields_, heads);
        if (!entries_.empty() && seal.number <= last().number) {
            complain(kInserted, seal.number, "the seal before it is " + std::to_string(last().number));
            return;
        }
        const bool follows = check_number(seal.number);
        const bool sound = check_hash(seal) && (!follows || check_previous(seal)) && check_heads(heads, seal);
        const bool after_sound = entries_.empty() || entries_.back().sound;
        entries_.push_back({seal, sound, sound && follows && after_sound, {}});
        // What a seal that is not sound says of the lanes would only make sound ones look wrong.
        if (sound) mark_lanes();
        if (entries_.back().comparable) check_counts();
    }

    bool empty() const { return entries_.empty(); }
    size_t size() const { return entries_.size(); }
    const Entry &operator[](size_t index) const { return entries_[index]; }
    const Seal &last() const { return entries_.back().seal; }

    // What the seals say of a lane, by seq.
    const std::vector<Mark> &marks(size_t scope, int64_t lane) const {
        return marks_[scope][static_cast<size_t>(lane)];
    }

    // How many records the seals cover.
    int64_t covered(size_t scope) const {
        int64_t sum = 0;
        for (const Entry &entry : entries_) sum += entry.covers[scope];
        return sum;
    }

    const Seal *find(int64_t number) const {
        const auto found =
            std::lower_bound(entries_.begin(), entries_.end(), number,
                             [](const Entry &entry, int64_t value) { return entry.seal.number < value; });
        return found != entries_.end() && found->seal.number == number ? &found->seal : nullptr;
    }

  private:
    void complain(const char *problem, int64_t number, std::string detail,
                  std::optional<int64_t> to = std::nullopt) {
        findings_.push_back({problem, {.scope = "seal", .seq = number, .to = to}, std::move(detail)});
    }

    bool check_number(int64_t number) {
        const int64_t expected = entries_.empty() ? 1 : last().number + 1;
        if (number == expected) return true;
        complain(kMissing, expected, "the next seal there is has number " + std::to_string(number),
                 number - 1);
        return false;
    }

    bool check_hash(const Seal &seal) {
        if (seal.intact()) return true;
        complain(kRewritten, seal.number,
                 "its record gives the hash " + to_hex(seal.computed) + ", it says " + to_hex(seal.hash));
        return false;
    }

    // Where the seal before is not intact, either of its hashes will do: the
    // finding is already there.
    bool check_previous(const Seal &seal) {
        const Hash before = entries_.empty() ? Hash{} : last().hash;
        if (seal.previous == before || (!entries_.empty() && seal.previous == last().computed)) return true;
        complain(kRewritten, seal.number,
                 "the seal before it has the hash " + to_hex(before) + ", it names " + to_hex(seal.previous));
        return false;
    }

    bool check_heads(const std::string &bytes, const Seal &seal) {
        if (!read_heads(bytes, heads_)) {
            complain(kRewritten, seal.number, "its heads are not written as heads are");
            return false;
        }
        size_t known = 0;
        for (const Head &head : heads_) {
            const std::vector<Mark> &lane = marks(head.scope, head.lane);
            if (lane.empty()) continue;
            ++known;
            if (head.seq > lane.back().seq || (head.seq == lane.back().seq && head.hash == lane.back().hash))
                continue;
            complain(kRewritten, seal.number,
                     "the head of " + std::string(record::kScopes[head.scope].name) + " lane " +
                         std::to_string(head.lane) + " is not one that follows on the seal before");
            return false;
        }
        if (known == lanes_) return true;
        complain(kRewritten, seal.number, "its heads leave out a lane that the seal before has");
        return false;
    }

    // Notes the heads that have moved, and how far.
    void mark_lanes() {
        for (const Head &head : heads_) {
            std::vector<Mark> &lane = marks_[head.scope][static_cast<size_t>(head.lane)];
            const int64_t before = lane.empty() ? 0 : lane.back().seq;
            if (head.seq <= before) continue;
            if (lane.empty()) ++lanes_;
            lane.push_back({head.seq, head.hash, entries_.size() - 1});
            entries_.back().covers[head.scope] += head.seq - before;
        }
    }

    void check_counts() {
        Entry &entry = entries_.back();
        for (size_t scope = 0; scope < entry.covers.size() && entry.comparable; ++scope) {
            const std::string name = record::kScopes[scope].name;
            if (entry.seal.counts[scope] != entry.covers[scope]) {
                complain(kRewritten, entry.seal.number,
                         "it counts " + std::to_string(entry.seal.counts[scope]) + " " + name +
                             " records, its heads " + std::to_string(entry.covers[scope]));
                entry.comparable = false;
            } else if (entry.covers[scope] == 0 && entry.seal.roots[scope] != merkle::Tree().root()) {
                complain(kRewritten, entry.seal.number,
                         "it has no " + name + " records, but not the root of an empty tree");
            }
        }
    }

    Findings &findings_;
    std::vector<Entry> entries_;
    std::array<std::array<std::vector<Mark>, 1024>, 2> marks_;
    size_t lanes_ = 0;  // with marks
    std::vector<copy::Field> fields_;
    std::vector<Head> heads_;
};
