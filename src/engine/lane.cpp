#include "engine/lane.hpp"

#include "engine/chain.hpp"
#include "engine/database.hpp"
#include "engine/settings.hpp"
#include "pg/error.hpp"
#include "pg/time.hpp"
#include "worker/worker.hpp"

namespace ledger {

namespace {

// What this transaction has put on its lane.
struct Links {
    Head heads[kScopes];
    std::int64_t last_id[kScopes];
};

// As it was before a subtransaction first linked a record.
struct SavedLinks {
    int level;
    Links links;
    SavedLinks *outer;
};

// Memory is TopTransactionContext's.
struct {
    Database *database;
    Lane *lane;
    LaneNumber number;
    Links links;
    SavedLinks *saved;  // innermost first
    SavedLinks *spare;
    TransactionId preparing;
} mine = {};

template <typename Work>
void with_lane(Lane &lane, Work work) {
    SpinLockAcquire(&lane.mutex);
    work();
    SpinLockRelease(&lane.mutex);
}

bool move_state(Lane &lane, LaneState from, LaneState to) {
    auto expected = static_cast<std::uint32_t>(from);
    return pg_atomic_read_u32(&lane.state) == expected &&
           pg_atomic_compare_exchange_u32(&lane.state, &expected, static_cast<std::uint32_t>(to));
}

void release(Lane &lane, LaneState state = LaneState::idle) {
    pg_memory_barrier();
    pg_atomic_write_u32(&lane.state, static_cast<std::uint32_t>(state));
}

// True if the record is there. Without an MVCC snapshot, so that it makes no
// SERIALIZABLE transaction fail.
bool is_committed(Scope scope, std::int64_t id) {
    const ScopeTable of = table_of(scope);
    return with_table(of.table, AccessShareLock, [&](Relation table) {
        ScanKeyData key;
        key_bigint(key, 1, BTEqualStrategyNumber, id);
        bool found = false;
        scan_index(table, of.by_id, SnapshotSelf, &key, 1, [&](HeapTuple) { return !(found = true); });
        return found;
    });
}

// Nobody tells when a prepared transaction ends: who comes by its lane looks. Its
// records say what became of it, even when vacuum has removed that from pg_xact.
// True if it has ended, and the caller now owns the lane.
bool take_over_prepared(Lane &lane) {
    PreparedLinks links = {};
    with_lane(lane, [&] { links = lane.prepared; });
    if (TransactionIdIsInProgress(links.xid)) return false;
    const int scope = links.last_id[0] ? 0 : 1;
    const bool committed = is_committed(static_cast<Scope>(scope), links.last_id[scope]);
    if (!move_state(lane, LaneState::prepared, LaneState::owned)) return false;
    if (lane.prepared.xid != links.xid) {  // the lane of another by now
        release(lane, LaneState::prepared);
        return false;
    }
    with_lane(lane, [&] {
        for (int i = 0; i < kScopes; ++i)
            if (committed && links.last_id[i]) lane.heads[i] = links.heads[i];
    });
    return true;
}

bool try_claim(Lane &lane) {
    if (move_state(lane, LaneState::idle, LaneState::owned)) return true;
    return pg_atomic_read_u32(&lane.state) == static_cast<std::uint32_t>(LaneState::prepared) &&
           take_over_prepared(lane);
}

// Each backend prefers a lane of its own: as many lanes are in use as there are
// writers, and a seal names no more.
void claim_lane(Database &database) {
    static int preferred = compat::backend_number() % kLanes;
    for (int i = 0; i < kLanes; ++i) {
        const int candidate = (preferred + i) % kLanes;
        Lane &lane = database.lanes[candidate];
        if (!try_claim(lane)) continue;
        pg_atomic_write_u64(&lane.first, static_cast<std::uint64_t>(lane.last));
        preferred = candidate;
        mine.database = &database;
        mine.lane = &lane;
        mine.number = LaneNumber{candidate};
        for (int scope = 0; scope < kScopes; ++scope) mine.links.heads[scope] = lane.heads[scope];
        return;
    }
    raise(Status::out_of_slots, "every lane is in use",
          psprintf("%d transactions are writing to this ledger.", kLanes),
          "Try again, with fewer writers at a time.");
}

std::int64_t id_at(Database &database, TimestampTz now) {
    if (!mine.lane) claim_lane(database);
    if (mine.database != &database)
        ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                errmsg("this transaction has written to a ledger that it has dropped since"),
                errhint("Commit before you write to the new one."));
    mine.lane->last = next_tick(mine.lane->last, milliseconds_of(now));
    if (mine.lane->last >= kTickEnd)
        ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("there are no ids left"),
                errdetail("An id in the tables is of the year 2094, and ids only grow."),
                errhint("Run SELECT * FROM ledger.verify(): no ledger has made such an id."));
    return make_id(mine.lane->last, settings.node, mine.number);
}

void save_links() {
    const int nesting = GetCurrentTransactionNestLevel();
    if (nesting == 1 || (mine.saved && mine.saved->level == nesting)) return;
    SavedLinks *saved = mine.spare;
    if (saved)
        mine.spare = saved->outer;
    else
        saved = static_cast<SavedLinks *>(MemoryContextAlloc(TopTransactionContext, sizeof(SavedLinks)));
    *saved = {nesting, mine.links, mine.saved};
    mine.saved = saved;
}

bool has_links() {
    return mine.links.last_id[0] != 0 || mine.links.last_id[1] != 0;
}

}  // namespace

void init_lane(Lane &lane) {
    SpinLockInit(&lane.mutex);
    pg_atomic_init_u32(&lane.state, 0);
    pg_atomic_init_u64(&lane.first, 0);
}

void reset_lane(Lane &lane) {
    pg_atomic_write_u32(&lane.state, static_cast<std::uint32_t>(LaneState::idle));
    pg_atomic_write_u64(&lane.first, 0);
    lane.last = 0;
    lane.transfers = 0;
    for (Head &head : lane.heads) head = {};
    lane.prepared = {};
}

Place next_place(Database &database, Scope scope, TimestampTz now) {
    const std::int64_t id = id_at(database, now);
    return {id, mine.number, mine.links.heads[static_cast<int>(scope)].seq + 1};
}

const Hash &hash_before(Scope scope) {
    return mine.links.heads[static_cast<int>(scope)].hash;
}

void take_place(Scope scope, const Place &place, const Hash &hash) {
    save_links();
    const int i = static_cast<int>(scope);
    mine.links.heads[i] = {place.seq, hash};
    mine.links.last_id[i] = place.id;
}

std::int64_t next_id(Database &database) {
    return id_at(database, GetCurrentTimestamp());
}

void count_transfer() {
    ++mine.lane->transfers;
}

Head head_of(Lane &lane, Scope scope) {
    Head head = {};
    with_lane(lane, [&] { head = lane.heads[static_cast<int>(scope)]; });
    return head;
}

bool idle_head(Lane &lane, Scope scope, Head &head) {
    if (pg_atomic_read_u32(&lane.state) != static_cast<std::uint32_t>(LaneState::idle)) return false;
    pg_read_barrier();
    head = head_of(lane, scope);
    return true;
}

// The order matters: a lane that is owned now has its bound in place before its first
// id, and one that is idle gets its own before it can be claimed again. Idle lanes go on
// from where the farthest is, which a large batch may have taken ahead of the clock: so
// what is made later does not mix with what is sealed now.
std::int64_t raise_idle_lanes(Database &database) {
    Tick farthest = tick_at(milliseconds_of(GetCurrentTimestamp()));
    for (Lane &lane : database.lanes)
        if (try_claim(lane)) {
            farthest = Max(farthest, lane.last);
            release(lane);
        } else {
            farthest = Max(farthest, static_cast<Tick>(pg_atomic_read_u64(&lane.first)));
        }
    Tick bound = farthest;
    for (Lane &lane : database.lanes)
        if (try_claim(lane)) {
            lane.last = Max(lane.last, farthest);
            release(lane);
        } else {
            bound = Min(bound, static_cast<Tick>(pg_atomic_read_u64(&lane.first)));
        }
    return first_id(bound);
}

bool has_prepared_lanes(Database &database) {
    for (Lane &lane : database.lanes)
        if (pg_atomic_read_u32(&lane.state) == static_cast<std::uint32_t>(LaneState::prepared)) return true;
    return false;
}

void lane_before_prepare() {
    mine.preparing = GetTopTransactionIdIfAny();
}

// The callbacks below neither fail nor allocate.

void lane_prepared() {
    if (mine.lane && has_links()) {
        with_lane(*mine.lane, [&] {
            mine.lane->prepared.xid = mine.preparing;
            for (int i = 0; i < kScopes; ++i) {
                mine.lane->prepared.last_id[i] = mine.links.last_id[i];
                mine.lane->prepared.heads[i] = mine.links.heads[i];
            }
        });
        release(*mine.lane, LaneState::prepared);
        note_unsealed(*mine.database);
        mine.lane = nullptr;
    }
    lane_transaction_ended(false);
}

void lane_transaction_ended(bool committed) {
    if (mine.lane) {
        if (committed && has_links()) {
            with_lane(*mine.lane, [&] {
                for (int i = 0; i < kScopes; ++i) mine.lane->heads[i] = mine.links.heads[i];
            });
            note_unsealed(*mine.database);
        }
        release(*mine.lane);
    }
    mine = {};
}

void lane_subtransaction_ended(bool committed, int nesting) {
    SavedLinks *saved = mine.saved;
    if (!saved || saved->level < nesting) return;
    const bool parent_has_none = !saved->outer || saved->outer->level < nesting - 1;
    if (committed && nesting > 2 && parent_has_none) {
        saved->level = nesting - 1;  // what it was before the parent, too
        return;
    }
    if (!committed) mine.links = saved->links;
    mine.saved = saved->outer;
    saved->outer = mine.spare;
    mine.spare = saved;
}

}  // namespace ledger
