// The records of one scope, read once in the order of their ids, against their
// lanes' chains, the seals' heads and the seals' trees.
//
// A lane is followed from record to record by the hashes that are stored, so that
// what is wrong in one place is told once. Its rows should come numbered 1, 2, 3
// and so on. A row with another number is asked for the place that its hash
// proves; where it proves none, a higher number opens a gap, which later rows may
// fill, and a lower one fills a gap or was there already.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "findings.hpp"
#include "ledger_seals.hpp"
#include "gaps.hpp"
#include "records.hpp"
#include "seal_trees.hpp"

class Chain {
  public:
    Chain(const record::Scope &scope, size_t number, const LedgerSeals &seals, Findings &findings)
        : scope_(scope),
          number_(number),
          seals_(seals),
          findings_(findings),
          trees_(number, seals, findings) {}

    void take(std::string &line) {
        copy::split(line, fields_);
        read_row(scope_, fields_, row_);
        complained_ = false;
        ++count_;
        check_order();
        Lane &lane = lanes_[static_cast<size_t>(record::lane_of(row_.id))];
        if (row_.lane == record::lane_of(row_.id)) {
            place(lane);
        } else {
            complain(kAltered, "its id is one of lane " + std::to_string(record::lane_of(row_.id)));
            if (row_.seq == lane.next) follow(lane);
        }
    }

    // At the end: what has not come.
    void finish() {
        for (size_t number = 0; number < lanes_.size(); ++number) {
            const Lane &lane = lanes_[number];
            const auto lane_number = static_cast<int64_t>(number);
            for (const auto &[from, to] : lane.gaps)
                report(kMissing, lane_number, from, to,
                       "expected after seq " + std::to_string(from - 1) + ", there is seq " +
                           std::to_string(to + 1) + ", which cannot be checked without it");
            const auto &sealed = seals_.marks(number_, lane_number);
            if (sealed.empty() || sealed.back().seq < lane.next) continue;
            report(kTruncated, lane_number, lane.next, sealed.back().seq,
                   "seal " + std::to_string(seals_[sealed.back().seal].seal.number) +
                       " covers the lane up to seq " + std::to_string(sealed.back().seq) +
                       ", its records end at " + std::to_string(lane.next - 1));
        }
    }

    int64_t count() const { return count_; }

    // The row last taken, while its line is there.
    const std::vector<copy::Field> &fields() const { return fields_; }

  private:
    // A row whose number was ahead of its lane, while the row after it may still
    // tell that the number was false.
    struct Jump {
        int64_t from;  // the number expected
        int64_t seq;
        int64_t id;
        Hash before;                 // the hash it should have followed on
        std::optional<size_t> told;  // the finding about it, if there is one
    };

    struct Lane {
        int64_t next = 1;
        Hash hash{};                   // of the last row, as stored
        std::optional<Hash> computed;  // the last row's, where it is not the one stored
        std::optional<Jump> jump;
        Gaps gaps;
        std::set<int64_t> vacated;  // places whose rows bear another number
        bool rewritten = false;     // the last seal's head was not there
    };

    void check_order() {
        if (count_ > 1 && row_.id == last_id_) complain(kInserted, "the row before it has the same id");
        if (count_ > 1 && row_.id < last_id_)
            complain(kReordered, "the row before it has the id " + std::to_string(last_id_));
        last_id_ = row_.id;
    }

    void place(Lane &lane) {
        if (lane.jump && row_.seq < lane.next) {
            if (row_.id > lane.jump->id) reconsider(lane);
            lane.jump.reset();
        }
        if (row_.seq == lane.next) {
            follow(lane);
        } else if (row_.hash_after(lane.hash, lane.next) == row_.hash) {
            follow_renumbered(lane);
        } else if (row_.seq < 1 || row_.seq > record::kSeqMax) {
            complain(kAltered, "its seq is no number that a record has");
        } else if (row_.seq > lane.next) {
            jump(lane);
        } else if (lane.gaps.fill(row_.seq)) {
            complain(kReordered, "it comes after seq " + std::to_string(lane.next - 1));
            cover(lane, row_.seq);
        } else {
            complain(kInserted, "the lane has this seq already");
        }
    }

    // A row in its place.
    void follow(Lane &lane) {
        const Hash computed = row_.hash_after(lane.hash);
        const bool fits =
            computed == row_.hash || (lane.computed && row_.hash_after(*lane.computed) == row_.hash);
        if (!fits)
            complain(kAltered, "its bytes and the hash before give the hash " + to_hex(computed) +
                                   ", it says " + to_hex(row_.hash));
        advance(lane, row_.seq, fits ? std::nullopt : std::optional(computed));
    }

    // A row whose hash proves that its place is the next.
    void follow_renumbered(Lane &lane) {
        const std::string proven = "its hash is that of seq " + std::to_string(lane.next);
        const bool vacant = lane.vacated.erase(row_.seq) == 1 || lane.gaps.fill(row_.seq);
        complain(vacant ? kReordered : kAltered, proven);
        lane.vacated.insert(lane.next);
        advance(lane, lane.next);
    }

    // A row ahead of its lane: the hash before it is not known, its own is taken.
    void jump(Lane &lane) {
        Jump jump{lane.next, row_.seq, row_.id, lane.hash, {}};
        lane.gaps.open(lane.next, row_.seq - 1);
        advance(lane, row_.seq);
        if (complained_) jump.told = findings_.size() - 1;
        lane.jump = jump;
    }

    // Was the number that the lane has jumped to false? If this row follows on the
    // one before the jump, the row between them is none of the lane's; if it follows
    // on the one that jumped, that is where that one's place was.
    void reconsider(Lane &lane) {
        const Jump jump = *lane.jump;
        const bool around = row_.seq == jump.from && row_.hash_after(jump.before) == row_.hash;
        const bool after = row_.seq == jump.from + 1 && row_.hash_after(lane.hash) == row_.hash;
        if (!around && !after) return;
        const std::string from = std::to_string(jump.from);
        const Finding finding{around ? kInserted : kAltered,
                              {.scope = scope_.name, .lane = row_.lane, .seq = jump.seq, .id = jump.id},
                              around ? "the lane goes on without it at seq " + from
                                     : "the record after it shows it to be seq " + from};
        if (jump.told) {
            findings_[*jump.told] = finding;
        } else {
            findings_.push_back(finding);
        }
        if (around) lane.hash = jump.before;
        lane.gaps.close(jump.from);
        lane.next = row_.seq;
        const auto mark = mark_of(jump.seq);
        if (mark != marks().end()) trees_.spoil(mark->seal);
    }

    void advance(Lane &lane, int64_t seq, const std::optional<Hash> &computed = std::nullopt) {
        lane.hash = row_.hash;
        lane.next = seq + 1;
        lane.computed = computed;
        lane.jump.reset();
        cover(lane, seq);
    }

    // The seals' marks in the row's lane.
    const std::vector<LedgerSeals::Mark> &marks() const {
        return seals_.marks(number_, record::lane_of(row_.id));
    }

    // The mark of the seal that covers a place, or the end.
    std::vector<LedgerSeals::Mark>::const_iterator mark_of(int64_t seq) const {
        return std::lower_bound(
            marks().begin(), marks().end(), seq,
            [](const LedgerSeals::Mark &mark, int64_t value) { return mark.seq < value; });
    }

    // Holds the row against the seal that covers its place. What is rewritten may be
    // numbered anew, and so come under other seals than its ids say.
    void cover(Lane &lane, int64_t seq) {
        const auto mark = mark_of(seq);
        const bool sealed = mark != marks().end();
        if (sealed && mark->seq == seq) check_head(lane, *mark);
        if (!lane.rewritten) sealed ? check_id(mark->seal) : check_unsealed_id();
        if (!sealed) return;
        if (complained_ || lane.rewritten) trees_.spoil(mark->seal);
        trees_.add(mark->seal, row_.hash);
    }

    void check_id(size_t index) {
        const LedgerSeals::Entry &entry = seals_[index];
        if (!entry.comparable) return;
        const std::string number = std::to_string(entry.seal.number);
        if (row_.id > entry.seal.until_id)
            complain(kInserted, "seal " + number + ", which covers its seq, has ids up to " +
                                    std::to_string(entry.seal.until_id));
        if (index > 0 && row_.id < seals_[index - 1].seal.from_id)
            complain(kInserted, "seal " + number + ", which covers its seq, has ids from " +
                                    std::to_string(seals_[index - 1].seal.from_id));
    }

    void check_unsealed_id() {
        if (seals_.empty() || !seals_[seals_.size() - 1].sound || row_.id >= seals_.last().from_id) return;
        complain(kInserted,
                 "it is not sealed, though all ids below " + std::to_string(seals_.last().from_id) + " are");
    }

    // A lane is told to be rewritten once, at the first seal that shows it.
    void check_head(Lane &lane, const LedgerSeals::Mark &mark) {
        const bool fits = row_.hash == mark.hash || lane.computed == mark.hash;
        if (!fits && !lane.rewritten)
            complain(kRewritten, "seal " + std::to_string(seals_[mark.seal].seal.number) +
                                     " says its hash is " + to_hex(mark.hash) + ", it says " +
                                     to_hex(row_.hash));
        lane.rewritten = !fits;
    }

    void report(const char *problem, int64_t lane, int64_t from, int64_t to, std::string detail) {
        findings_.push_back(
            {problem, {.scope = scope_.name, .lane = lane, .seq = from, .to = to}, std::move(detail)});
    }

    // Only the first complaint about a row: what else is wrong with it follows from that.
    void complain(const char *problem, std::string detail) {
        if (complained_) return;
        complained_ = true;
        findings_.push_back({problem,
                             {.scope = scope_.name, .lane = row_.lane, .seq = row_.seq, .id = row_.id},
                             std::move(detail)});
    }

    const record::Scope &scope_;
    size_t number_;
    const LedgerSeals &seals_;
    Findings &findings_;
    SealTrees trees_;
    std::array<Lane, 1024> lanes_;
    std::vector<copy::Field> fields_;
    record::Row row_;
    int64_t count_ = 0;
    int64_t last_id_ = 0;
    bool complained_ = false;
};
