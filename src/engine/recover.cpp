#include "engine/recover.hpp"

#include "engine/chain.hpp"

namespace ledger {

namespace {

void note_committed(RecoveredLane &lane, int scope, const Link &link) {
    Head &head = lane.heads[scope];
    if (link.place.seq > head.seq) head = {link.place.seq, link.hash};
}

void note_prepared(RecoveredLane &lane, int scope, const Link &link, std::int64_t base) {
    PreparedLinks &prepared = lane.prepared;
    prepared.xid = static_cast<TransactionId>(static_cast<std::int64_t>(link.txid) - base);
    prepared.last_id[scope] = link.place.id;
    prepared.heads[scope] = {link.place.seq, link.hash};
    lane.prepared_txid = link.txid;
    lane.first_id = lane.first_id ? Min(lane.first_id, link.place.id) : link.place.id;
}

// A dirty snapshot shows records of transactions in progress too, and tells so. Where
// nobody writes those are of prepared ones, of which a lane has one at most. It may be
// committed while we read: all its records count as prepared if the first one did, and
// who takes the lane over looks what became of them.
void recover_scope(Scope scope, std::int64_t first, std::int64_t base, RecoveredLane *lanes) {
    const int i = static_cast<int>(scope);
    SnapshotData dirty;
    InitDirtySnapshot(dirty);
    scan_records(scope, first, &dirty, [&](HeapTuple tuple, TupleDesc shape) {
        const Link link = link_of(scope, tuple, shape);
        RecoveredLane &lane = lanes[static_cast<int>(lane_of(link.place.id))];
        const bool known = TransactionIdIsValid(lane.prepared.xid) && lane.prepared_txid == link.txid;
        if (TransactionIdIsValid(dirty.xmin) || known)
            note_prepared(lane, i, link, base);
        else
            note_committed(lane, i, link);
        return true;
    });
}

}  // namespace

RecoveredLane *recover_lanes(std::int64_t base) {
    auto *lanes = static_cast<RecoveredLane *>(palloc0(kLanes * sizeof(RecoveredLane)));
    std::int64_t first = kFirstId;
    Seal seal;
    if (with_latest_snapshot([&](Snapshot snapshot) { return find_last_seal(snapshot, seal); })) {
        first = scan_from(seal.row);
        each_head(seal.heads, [&](const LaneHead &of) {
            lanes[static_cast<int>(of.lane)].heads[static_cast<int>(of.scope)] = of.head;
        });
    }
    for (const Scope scope : {Scope::transfer, Scope::audit}) recover_scope(scope, first, base, lanes);
    return lanes;
}

void restore_lane(Lane &lane, const RecoveredLane &recovered, Tick first) {
    SpinLockAcquire(&lane.mutex);
    lane.last = Max(lane.last, first);
    for (int scope = 0; scope < kScopes; ++scope) lane.heads[scope] = recovered.heads[scope];
    if (TransactionIdIsValid(recovered.prepared.xid)) {
        lane.prepared = recovered.prepared;
        pg_atomic_write_u64(&lane.first,
                            static_cast<std::uint64_t>(tick_above(recovered.first_id) - tick_at(2)));
        pg_atomic_write_u32(&lane.state, static_cast<std::uint32_t>(LaneState::prepared));
    }
    SpinLockRelease(&lane.mutex);
}

}  // namespace ledger
