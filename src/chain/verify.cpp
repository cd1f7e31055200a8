#include "chain/verify.hpp"

#include "chain/progress.hpp"
#include "chain/row.hpp"
#include "core/merkle.hpp"
#include "engine/database.hpp"
#include "pg/bytes.hpp"

namespace ledger {

namespace {

constexpr int kProgressEvery = 4096;

constexpr const char *kScopeNames[kScopes] = {"transfers", "audit"};

// Numbers of a lane that were not there when their turn came.
struct Gap {
    std::int64_t from;
    std::int64_t to;
    Gap *next;
};

// The walk along one lane's chain, from the head of one seal to that of the next, or to the end.
struct Walk {
    Head before;
    Head at;      // the last record met
    Head target;  // seq 0: the lane has no record up to here
    Hash hash_at_target;
    Gap *gaps;
};

// A stretch of the chains in one scope.
struct Stretch {
    Scope scope;
    const SealRow *before;  // the seal that it begins after; null: the beginning
    const SealRow *seal;    // that it ends with; null: none
    bool is_last;           // seal is the last one
    std::int64_t findings;
    std::int64_t done;
    Tree tree;
    Walk lanes[kLanes];
    Report report;
    void *context;
    MemoryContext scratch;  // for one record
    MemoryContext kept;     // for the stretch
};

void find_problem(Stretch &stretch, int lane, std::int64_t seq, std::int64_t id, const char *problem) {
    ++stretch.findings;
    const Finding finding = {kScopeNames[static_cast<int>(stretch.scope)], lane, seq, id, problem};
    stretch.report(stretch.context, finding);
}

long long shown(std::int64_t number) {
    return static_cast<long long>(number);
}

void note_gap(Stretch &stretch, Walk &lane, std::int64_t from, std::int64_t to) {
    auto *gap = static_cast<Gap *>(MemoryContextAlloc(stretch.kept, sizeof(Gap)));
    *gap = {from, to, lane.gaps};
    lane.gaps = gap;
}

// True if the number was missing; it is not any more.
bool fill_gap(Stretch &stretch, Walk &lane, std::int64_t seq) {
    for (Gap **at = &lane.gaps; *at; at = &(*at)->next) {
        Gap *gap = *at;
        if (seq < gap->from || seq > gap->to) continue;
        const std::int64_t after = gap->to;
        gap->to = seq - 1;
        if (gap->to < gap->from) *at = gap->next;
        if (seq < after) note_gap(stretch, lane, seq + 1, after);
        return true;
    }
    return false;
}

// A record whose number is not the next one.
void take_out_of_turn(Stretch &stretch, int number, Walk &lane, const Link &link) {
    const Place &place = link.place;
    if (place.seq > lane.at.seq) {  // what its hash should be nobody knows now
        note_gap(stretch, lane, lane.at.seq + 1, place.seq - 1);
        lane.at = {place.seq, link.hash};
    } else if (fill_gap(stretch, lane, place.seq)) {
        find_problem(stretch, number, place.seq, place.id, "reordered: it stands after a later one");
    } else {
        find_problem(stretch, number, place.seq, place.id, "inserted: its number is taken by another record");
    }
}

void check_in_turn(Stretch &stretch, int number, Walk &lane, const Link &link, HeapTuple tuple,
                   TupleDesc shape) {
    MemoryContext caller = MemoryContextSwitchTo(stretch.scratch);
    const Hash hash = hash_of_row(stretch.scope, tuple, shape, lane.at.hash);
    MemoryContextSwitchTo(caller);
    MemoryContextReset(stretch.scratch);
    if (!link.is_whole || hash != link.hash)
        find_problem(stretch, number, link.place.seq, link.place.id,
                     "altered: its hash is not that of what it says after the record before it");
    lane.at = {link.place.seq, link.hash};
}

// Whether the record belongs to the stretch, by its number. One that does not must be
// old or new enough to be another's; so each is in one stretch, or found here.
bool belongs(Stretch &stretch, int number, const Walk &lane, const Place &place) {
    if (place.seq <= lane.before.seq) {
        if (!stretch.before || place.id > stretch.before->until_id)
            find_problem(stretch, number, place.seq, place.id,
                         "inserted: an earlier seal covers its number, but not its id");
        return false;
    }
    if (stretch.seal && place.seq > lane.target.seq) {
        if (place.id < stretch.seal->from_id)
            find_problem(stretch, number, place.seq, place.id,
                         "inserted: its id is older than that of any record left to later seals");
        return false;
    }
    return true;
}

// False if the stretch cannot go on to this record or any after it.
bool take(Stretch &stretch, HeapTuple tuple, TupleDesc shape) {
    const Link link = link_of(stretch.scope, tuple, shape);
    if (stretch.seal && link.place.id > stretch.seal->until_id) return false;
    const int number = static_cast<int>(lane_of(link.place.id));
    Walk &lane = stretch.lanes[number];
    if (!belongs(stretch, number, lane, link.place)) return true;
    if (link.place.seq == lane.at.seq + 1)
        check_in_turn(stretch, number, lane, link, tuple, shape);
    else
        take_out_of_turn(stretch, number, lane, link);
    if (link.place.seq == lane.target.seq) lane.hash_at_target = link.hash;
    if (stretch.seal) stretch.tree.add(link.hash);
    if (++stretch.done % kProgressEvery == 0) add_progress(kProgressEvery);
    return true;
}

void read(Stretch &stretch) {
    const std::int64_t first = stretch.before ? scan_from(*stretch.before) : kFirstId;
    scan_many_records(stretch.scope, first, GetActiveSnapshot(),
                      [&](HeapTuple tuple, TupleDesc shape) { return take(stretch, tuple, shape); });
    add_progress(stretch.done % kProgressEvery);
}

bool is_whole(const Walk &lane) {
    return !lane.gaps && lane.at.seq >= lane.target.seq &&
           (lane.target.seq < lane.before.seq || lane.hash_at_target == lane.target.hash);
}

void check_end(Stretch &stretch, int number, const Walk &lane) {
    if (is_whole(lane)) return;
    for (const Gap *gap = lane.gaps; gap; gap = gap->next)
        find_problem(stretch, number, gap->from, 0,
                     gap->from == gap->to ? "missing: it is not there"
                                          : psprintf("missing: records %lld to %lld are not there",
                                                     shown(gap->from), shown(gap->to)));
    const char *witness =
        stretch.seal ? psprintf("seal %lld", shown(stretch.seal->number)) : "the running server";
    const bool is_end = !stretch.seal || stretch.is_last;
    if (lane.at.seq < lane.target.seq)
        find_problem(
            stretch, number, lane.at.seq + 1, 0,
            psprintf("%s: the lane ends at %lld, but %s knows it up to %lld",
                     is_end ? "truncated" : "missing", shown(lane.at.seq), witness, shown(lane.target.seq)));
    else if (lane.target.seq >= lane.before.seq && lane.hash_at_target != lane.target.hash)
        find_problem(stretch, number, lane.target.seq, 0,
                     psprintf("rewritten: the lane has another hash here than %s knows", witness));
}

void check_tree(Stretch &stretch) {
    const int i = static_cast<int>(stretch.scope);
    const std::int64_t covered = i == 0 ? stretch.seal->transfers : stretch.seal->audits;
    if (stretch.tree.size() != covered)
        find_problem(stretch, -1, stretch.seal->number, 0,
                     psprintf("rewritten: seal %lld covers %lld records, and there are %lld",
                              shown(stretch.seal->number), shown(covered), shown(stretch.tree.size())));
}

// The chains are read by the index of ids. Rows that it does not have would count in
// balances, which are read by other indexes; so they are counted in the table itself.
void find_unindexed(Stretch &stretch) {
    auto *counts = static_cast<std::int64_t *>(palloc0(kLanes * sizeof(std::int64_t)));
    with_table(table_of(stretch.scope).table, AccessShareLock, [&](Relation table) {
        scan_table(table, GetActiveSnapshot(), [&](HeapTuple tuple) {
            ++counts[static_cast<int>(lane_of(*row_of<std::int64_t>(tuple)))];
        });
    });
    for (int number = 0; number < kLanes; ++number) {
        const std::int64_t chained = stretch.lanes[number].at.seq;
        if (counts[number] > chained)
            find_problem(stretch, number, chained, 0,
                         psprintf("inserted: the lane has %lld rows, its chain %lld", shown(counts[number]),
                                  shown(chained)));
    }
}

// A lane that is idle now has not written past its head.
void find_forged(Stretch &stretch) {
    Database *database = known_database();
    for (int number = 0; database && number < kLanes; ++number) {
        const Walk &walk = stretch.lanes[number];
        Head head;
        if (idle_head(database->lanes[number], stretch.scope, head) && walk.at.seq > head.seq)
            find_problem(stretch, number, head.seq + 1, 0,
                         psprintf("inserted: the running server has written the lane up to %lld, not %lld",
                                  shown(head.seq), shown(walk.at.seq)));
    }
}

// One after the other in the same place: there may be very many short ones.
Stretch *blank_stretch() {
    static void *place = nullptr;
    if (!place) place = MemoryContextAlloc(TopMemoryContext, sizeof(Stretch));
    return static_cast<Stretch *>(memset(place, 0, sizeof(Stretch)));
}

Stretch *make_stretch(Scope scope, const Seal *before, Report report, void *context) {
    Stretch *stretch = blank_stretch();
    stretch->scope = scope;
    stretch->before = before ? &before->row : nullptr;
    stretch->report = report;
    stretch->context = context;
    stretch->kept = CurrentMemoryContext;
    stretch->scratch = AllocSetContextCreate(CurrentMemoryContext, "ledger record", ALLOCSET_DEFAULT_SIZES);
    if (before)
        each_head(before->heads, [&](const LaneHead &of) {
            if (of.scope == scope) stretch->lanes[static_cast<int>(of.lane)].before = of.head;
        });
    for (Walk &lane : stretch->lanes) {
        lane.at = lane.target = lane.before;
        lane.hash_at_target = lane.before.hash;
    }
    return stretch;
}

void set_targets(Stretch &stretch, std::string_view heads) {
    each_head(heads, [&](const LaneHead &of) {
        if (of.scope == stretch.scope) stretch.lanes[static_cast<int>(of.lane)].target = of.head;
    });
}

void check_lanes(Stretch &stretch) {
    for (int number = 0; number < kLanes; ++number) check_end(stretch, number, stretch.lanes[number]);
}

void report_seal(std::int64_t number, const char *problem, Report report, void *context) {
    const Finding finding = {"seals", -1, number, 0, problem};
    report(context, finding);
}

// False if the seals do not link up.
bool check_seal(const Seal &seal, const Seal *before, Report report, void *context) {
    const char *problem = nullptr;
    if (hash_of(seal) != seal.hash)
        problem = "altered: its hash is not that of what it says";
    else if (seal.previous != (before ? before->hash : Hash{}))
        problem = "rewritten: it does not follow on the seal before";
    if (problem) report_seal(seal.row.number, problem, report, context);
    return !problem;
}

void verify_scope(Scope scope, const Seal &seal, const Seal *before, bool is_last, Report report,
                  void *context) {
    Stretch &stretch = *make_stretch(scope, before, report, context);
    stretch.seal = &seal.row;
    stretch.is_last = is_last;
    set_targets(stretch, seal.heads);
    read(stretch);
    check_lanes(stretch);
    if (stretch.findings == 0) check_tree(stretch);
    if (stretch.findings == 0 && stretch.tree.root() != seal.roots[static_cast<int>(scope)])
        find_problem(stretch, -1, seal.row.number, 0,
                     psprintf("rewritten: the records are not those of the tree of seal %lld",
                              shown(seal.row.number)));
}

// Runs work(Scope) for those wanted, in a memory context that is gone afterwards.
template <typename Work>
void each_scope(const Scopes &scopes, Work work) {
    MemoryContext stretch =
        AllocSetContextCreate(CurrentMemoryContext, "ledger stretch", ALLOCSET_DEFAULT_SIZES);
    MemoryContext caller = MemoryContextSwitchTo(stretch);
    for (const Scope scope : {Scope::transfer, Scope::audit})
        if (scopes[static_cast<int>(scope)]) work(scope);
    MemoryContextSwitchTo(caller);
    MemoryContextDelete(stretch);
}

}  // namespace

void verify_seal(std::int64_t number, const Scopes &scopes, Report report, void *context) {
    Snapshot snapshot = GetActiveSnapshot();
    Seal seal, before, after;
    if (!find_seal(snapshot, number, seal)) return;
    const bool has_before = find_seal(snapshot, number - 1, before);
    if (!has_before && number > 1) {
        report_seal(number - 1, "missing: it is not there", report, context);
        return;
    }
    check_seal(seal, has_before ? &before : nullptr, report, context);
    const bool is_last = !find_seal(snapshot, number + 1, after);
    each_scope(scopes, [&](Scope scope) {
        verify_scope(scope, seal, has_before ? &before : nullptr, is_last, report, context);
    });
}

void verify_tail(std::int64_t number, const Scopes &scopes, const std::string_view *live, Report report,
                 void *context) {
    Seal before;
    const bool has_before = find_seal(GetActiveSnapshot(), number, before);
    each_scope(scopes, [&](Scope scope) {
        Stretch &stretch = *make_stretch(scope, has_before ? &before : nullptr, report, context);
        if (live) set_targets(stretch, *live);
        read(stretch);
        check_lanes(stretch);
        find_unindexed(stretch);
        if (live) find_forged(stretch);
    });
}

}  // namespace ledger
