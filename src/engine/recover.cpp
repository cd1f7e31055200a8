#include "engine/recover.hpp"

#include "engine/chain.hpp"
#include "engine/database.hpp"

namespace ledger {

namespace {

void note_committed(Lane &lane, int scope, const Link &link) {
    Head &head = lane.heads[scope];
    if (link.place.seq > head.seq) head = {link.place.seq, link.hash};
}

void note_prepared(Lane &lane, int scope, const Link &link, std::int64_t base) {
    PreparedLinks &prepared = lane.prepared;
    if (prepared.txid != link.txid) {
        prepared = {};
        prepared.txid = link.txid;
        prepared.xid = static_cast<TransactionId>(static_cast<std::int64_t>(link.txid) - base);
        pg_atomic_write_u64(&lane.first, static_cast<std::uint64_t>(tick_above(link.place.id) - tick_at(2)));
        pg_atomic_write_u32(&lane.state, static_cast<std::uint32_t>(LaneState::prepared));
    }
    prepared.last_id[scope] = link.place.id;
    prepared.heads[scope] = {link.place.seq, link.hash};
    const Tick first = tick_above(link.place.id) - tick_at(2);
    if (first < static_cast<Tick>(pg_atomic_read_u64(&lane.first)))
        pg_atomic_write_u64(&lane.first, static_cast<std::uint64_t>(first));
}

// A dirty snapshot shows records of transactions in progress too, and tells so. Where
// nobody writes those are of prepared ones, of which a lane has one at most. It may be
// committed while we read: all its records count as prepared if the first one did, and
// who takes the lane over looks what became of them.
void recover_scope(Database &database, Scope scope, std::int64_t base) {
    const int i = static_cast<int>(scope);
    std::int64_t &next_id = database.recovery.next_id[i];
    SnapshotData dirty;
    InitDirtySnapshot(dirty);
    scan_records(scope, next_id, &dirty, [&](HeapTuple tuple, TupleDesc shape) {
        const Link link = link_of(scope, tuple, shape);
        Lane &lane = database.lanes[static_cast<int>(lane_of(link.place.id))];
        const bool known = TransactionIdIsValid(lane.prepared.xid) && lane.prepared.txid == link.txid;
        SpinLockAcquire(&lane.mutex);
        if (TransactionIdIsValid(dirty.xmin) || known)
            note_prepared(lane, i, link, base);
        else
            note_committed(lane, i, link);
        SpinLockRelease(&lane.mutex);
        next_id = link.place.id + 1;
        return true;
    });
}

// From the last seal: where to read on, and the heads so far.
void begin_recovery(Database &database) {
    Seal seal;
    const bool has_seal =
        with_latest_snapshot([&](Snapshot snapshot) { return find_last_seal(snapshot, seal); });
    for (Lane &lane : database.lanes) {
        Assert(!is_owned(lane));
        forget_links(lane);
    }
    if (has_seal)
        each_head(seal.heads, [&](const LaneHead &of) {
            database.lanes[static_cast<int>(of.lane)].heads[static_cast<int>(of.scope)] = of.head;
        });
    const std::int64_t first = has_seal ? scan_from(seal.row) : kFirstId;
    database.recovery = {true, {first, first}};
    database.bounds_of_seal = -1;
}

}  // namespace

void recover_lanes(Database &database, std::int64_t base) {
    if (!database.recovery.begun) begin_recovery(database);
    for (const Scope scope : {Scope::transfer, Scope::audit}) recover_scope(database, scope, base);
}

}  // namespace ledger
