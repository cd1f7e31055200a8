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

// A lane this transaction owns.
struct LaneUse {
    Database *database;
    Possession possession;
    Lane *lane;  // null: none
    LaneNumber number;
    int level;  // nesting level of the subtransaction that claimed it, or of one it was released to
    Links links;
    SavedLinks *saved;  // innermost first
    LaneUse *next;
};

// It owns one, or several where it has dropped the extension and created it again: each
// ledger has its own lanes. Memory is TopTransactionContext's, but for the first.
struct {
    LaneUse first;
    LaneUse *present;  // that the last id was made with
    SavedLinks *spare;
    TransactionId preparing;
} mine = {};

template <typename Visit>
void each_use(Visit visit) {
    for (LaneUse *use = &mine.first; use; use = use->next)
        if (use->lane) visit(*use);
}

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
int &preferred_lane() {
    static int preferred = compat::backend_number() % kLanes;
    return preferred;
}

// The lane is of another ledger if the possession has ended since it was looked up (database.cpp, give_up).
void check_possession(Database &database, Lane &lane, Possession possession) {
    if (pg_atomic_read_u64(&database.possession) == static_cast<std::uint64_t>(possession)) return;
    release(lane);
    ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
            errmsg("the ledger was dropped or replaced while it was written to"), errhint("Try again."));
}

void claim_lane(Database &database, LaneUse &use) {
    const Possession possession = possession_in_force();
    for (int i = 0; i < kLanes; ++i) {
        const int candidate = (preferred_lane() + i) % kLanes;
        Lane &lane = database.lanes[candidate];
        if (!try_claim(lane)) continue;
        check_possession(database, lane, possession);
        pg_atomic_write_u64(&lane.first, static_cast<std::uint64_t>(lane.last));
        preferred_lane() = candidate;
        use.database = &database;
        use.possession = possession;
        use.lane = &lane;
        use.number = LaneNumber{candidate};
        use.level = GetCurrentTransactionNestLevel();
        use.links = {};
        use.saved = nullptr;
        for (int scope = 0; scope < kScopes; ++scope) use.links.heads[scope] = lane.heads[scope];
        return;
    }
    raise(Status::out_of_slots, "every lane is in use",
          psprintf("%d transactions are writing to this ledger.", kLanes),
          "Try again, with fewer writers at a time.");
}

bool is_use_of(const LaneUse &use, const Database &database, Possession possession) {
    return use.lane && use.database == &database && use.possession == possession;
}

// The transaction's use of a lane of the database, or one that has no lane.
LaneUse &find_use(const Database &database, Possession possession) {
    LaneUse *unused = nullptr;
    LaneUse *use = &mine.first;
    for (;; use = use->next) {
        if (is_use_of(*use, database, possession)) return *use;
        if (!use->lane && !unused) unused = use;
        if (!use->next) break;
    }
    if (unused) return *unused;
    use->next = static_cast<LaneUse *>(MemoryContextAllocZero(TopTransactionContext, sizeof(LaneUse)));
    return *use->next;
}

LaneUse &use_of(Database &database) {
    const Possession possession = possession_in_force();
    if (mine.present && is_use_of(*mine.present, database, possession)) return *mine.present;
    LaneUse &use = find_use(database, possession);
    if (!use.lane) claim_lane(database, use);
    mine.present = &use;
    return use;
}

std::int64_t id_at(Database &database, TimestampTz now) {
    LaneUse &use = use_of(database);
    const Tick tick = next_tick(use.lane->last, milliseconds_of(now));
    if (tick >= kTickEnd)  // nothing is kept of the time: the clock may be right the next time
        ereport(
            ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("there are no ids left"),
            errdetail("The clock, or an id in the tables, is of the year 2094 or later, and ids only grow."),
            errhint("Check the server's clock; then run SELECT * FROM ledger.verify(): no ledger has made "
                    "such an id."));
    use.lane->last = tick;
    return make_id(tick, settings.node, use.number);
}

void save_links(LaneUse &use) {
    const int nesting = GetCurrentTransactionNestLevel();
    if (nesting == 1 || (use.saved && use.saved->level == nesting)) return;
    SavedLinks *saved = mine.spare;
    if (saved)
        mine.spare = saved->outer;
    else
        saved = static_cast<SavedLinks *>(MemoryContextAlloc(TopTransactionContext, sizeof(SavedLinks)));
    *saved = {nesting, use.links, use.saved};
    use.saved = saved;
}

bool has_links(const LaneUse &use) {
    return use.links.last_id[0] != 0 || use.links.last_id[1] != 0;
}

}  // namespace

void init_lane(Lane &lane) {
    SpinLockInit(&lane.mutex);
    pg_atomic_init_u32(&lane.state, 0);
    pg_atomic_init_u64(&lane.first, 0);
    pg_atomic_init_u64(&lane.refusals, 0);
}

void reset_lane(Lane &lane) {
    forget_links(lane);
    pg_atomic_write_u64(&lane.first, 0);
    pg_atomic_write_u64(&lane.refusals, 0);
    lane.last = 0;
    lane.transfers = 0;
    lane.unsealed_from = 0;
}

void forget_links(Lane &lane) {
    pg_atomic_write_u32(&lane.state, static_cast<std::uint32_t>(LaneState::idle));
    with_lane(lane, [&] {
        for (Head &head : lane.heads) head = {};
        lane.prepared = {};
    });
}

void raise_lane(Lane &lane, Tick tick) {
    lane.last = Max(lane.last, tick);
}

bool is_owned(Lane &lane) {
    return pg_atomic_read_u32(&lane.state) == static_cast<std::uint32_t>(LaneState::owned);
}

void count_refusal(Database &database) {
    pg_atomic_add_fetch_u64(&database.lanes[preferred_lane()].refusals, 1);
}

Place next_place(Database &database, Scope scope, TimestampTz now) {
    const std::int64_t id = id_at(database, now);
    return {id, mine.present->number, mine.present->links.heads[static_cast<int>(scope)].seq + 1};
}

const Hash &hash_before(Scope scope) {
    return mine.present->links.heads[static_cast<int>(scope)].hash;
}

void take_place(Scope scope, const Place &place, const Hash &hash) {
    LaneUse &use = *mine.present;
    save_links(use);
    const int i = static_cast<int>(scope);
    use.links.heads[i] = {place.seq, hash};
    use.links.last_id[i] = place.id;
}

std::int64_t next_id(Database &database) {
    return id_at(database, GetCurrentTimestamp());
}

void count_transfer() {
    ++mine.present->lane->transfers;
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
// from where the farthest is: so what is made later does not mix with what is sealed now.
// The clock is not asked, for it may be wrong.
std::int64_t raise_idle_lanes(Database &database, std::int64_t *bounds) {
    Tick farthest = 0;
    for (Lane &lane : database.lanes)
        if (try_claim(lane)) {
            farthest = Max(farthest, lane.last);
            release(lane);
        } else {
            farthest = Max(farthest, static_cast<Tick>(pg_atomic_read_u64(&lane.first)));
        }
    std::int64_t least = first_id(farthest);
    for (int i = 0; i < kLanes; ++i) {
        Lane &lane = database.lanes[i];
        if (try_claim(lane)) {
            raise_lane(lane, farthest);
            bounds[i] = first_id(lane.last);
            release(lane);
        } else {
            bounds[i] = first_id(static_cast<Tick>(pg_atomic_read_u64(&lane.first)));
        }
        least = Min(least, bounds[i]);
    }
    return least;
}

bool in_use(Lane &lane) {
    const std::uint32_t state = pg_atomic_read_u32(&lane.state);
    if (state != static_cast<std::uint32_t>(LaneState::prepared)) return is_owned(lane);
    TransactionId xid = InvalidTransactionId;
    with_lane(lane, [&] { xid = lane.prepared.xid; });
    return TransactionIdIsInProgress(xid);
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
    each_use([](LaneUse &use) {
        if (!has_links(use)) return release(*use.lane);
        with_lane(*use.lane, [&] {
            use.lane->prepared.xid = mine.preparing;
            use.lane->prepared.txid = Txid{0};
            for (int i = 0; i < kScopes; ++i) {
                use.lane->prepared.last_id[i] = use.links.last_id[i];
                use.lane->prepared.heads[i] = use.links.heads[i];
            }
        });
        release(*use.lane, LaneState::prepared);
        note_records(*use.database);
    });
    mine = {};
}

void lane_transaction_ended(bool committed) {
    each_use([&](LaneUse &use) {
        if (committed && has_links(use)) {
            with_lane(*use.lane, [&] {
                for (int i = 0; i < kScopes; ++i) use.lane->heads[i] = use.links.heads[i];
            });
            note_records(*use.database);
        }
        release(*use.lane);
    });
    mine = {};
}

// Claimed in the subtransaction that is rolled back, whose locks of the tables are gone
// next: another transaction may drop them and make others.
void give_back_lane(LaneUse &use) {
    release(*use.lane);
    use.lane = nullptr;
    while (SavedLinks *saved = use.saved) {
        use.saved = saved->outer;
        saved->outer = mine.spare;
        mine.spare = saved;
    }
}

void lane_subtransaction_ended(bool committed, int nesting) {
    each_use([&](LaneUse &use) {
        if (!committed && use.level >= nesting) return give_back_lane(use);
        use.level = Min(use.level, nesting - 1);
        SavedLinks *saved = use.saved;
        if (!saved || saved->level < nesting) return;
        const bool parent_has_none = !saved->outer || saved->outer->level < nesting - 1;
        if (committed && nesting > 2 && parent_has_none) {
            saved->level = nesting - 1;  // what it was before the parent, too
            return;
        }
        if (!committed) use.links = saved->links;
        use.saved = saved->outer;
        saved->outer = mine.spare;
        mine.spare = saved;
    });
}

}  // namespace ledger
