#include "chain/seal.hpp"

#include "chain/row.hpp"
#include "core/merkle.hpp"
#include "engine/settings.hpp"
#include "engine/transaction.hpp"
#include "pg/bytes.hpp"
#include "pg/lock.hpp"
#include "pg/work.hpp"

namespace ledger {

namespace {

// What could not be sealed is tried again after this time.
constexpr TimestampTz kRetry = 5 * USECS_PER_SEC;

// A seal in the making: heads and numbers go on from the seal before.
struct Making {
    SealRow row;
    Hash previous;
    Tree trees[kScopes];
    Head heads[kScopes][kLanes];
};

void go_on_from(const Seal &last, Making &making) {
    making.row.number = last.row.number;
    making.row.until_id = last.row.until_id;
    making.previous = last.hash;
    each_head(last.heads, [&](const LaneHead &of) {
        making.heads[static_cast<int>(of.scope)][static_cast<int>(of.lane)] = of.head;
    });
}

// Takes in what has committed. Whether it is right is not asked here: verify() names
// what is not.
void cover(Scope scope, std::int64_t first, Snapshot snapshot, Making &making) {
    const int i = static_cast<int>(scope);
    scan_records(scope, first, snapshot, [&](HeapTuple tuple, TupleDesc shape) {
        // Its own transaction may have linked records whose rows it has not written yet.
        if (TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data))) return true;
        const Link link = link_of(scope, tuple, shape);
        Head &head = making.heads[i][static_cast<int>(lane_of(link.place.id))];
        if (link.place.seq <= head.seq) return true;
        head = {link.place.seq, link.hash};
        making.trees[i].add(link.hash);
        making.row.until_id = Max(making.row.until_id, link.place.id);
        return true;
    });
}

std::string_view bytes_of(const Making &making) {
    auto *bytes = static_cast<std::uint8_t *>(palloc(kScopes * kLanes * kHeadBytes));
    std::size_t size = 0;
    for (const Scope scope : {Scope::transfer, Scope::audit})
        for (int lane = 0; lane < kLanes; ++lane) {
            const Head &head = making.heads[static_cast<int>(scope)][lane];
            if (head.seq == 0) continue;
            put_head(bytes + size, {scope, LaneNumber{lane}, head});
            size += kHeadBytes;
        }
    return {reinterpret_cast<const char *>(bytes), size};
}

void insert_seal(Making &making) {
    const SealRow &row = making.row;
    Seal seal = {
        row, {making.trees[0].root(), making.trees[1].root()}, making.previous, {}, bytes_of(making)};
    seal.hash = hash_of(seal);
    HashDatum datums[4];
    Datum values[SealColumn::count] = {
        Int64GetDatum(row.number),
        TimestampTzGetDatum(row.sealed_at),
        Int64GetDatum(row.transfers),
        Int64GetDatum(row.audits),
        Int64GetDatum(row.from_id),
        Int64GetDatum(row.until_id),
        datums[0].set(seal.roots[0]),
        datums[1].set(seal.roots[1]),
        datums[2].set(seal.previous),
        datums[3].set(seal.hash),
        PointerGetDatum(cstring_to_text_with_len(seal.heads.data(), static_cast<int>(seal.heads.size()))),
    };
    bool nulls[SealColumn::count] = {};
    with_table(storage().seal, RowExclusiveLock, [&](Relation table) {
        CatalogTupleInsert(table, heap_form_tuple(RelationGetDescr(table), values, nulls));
    });
    CommandCounterIncrement();
}

std::int64_t seal_the_rest(Database &database) {
    auto *making = static_cast<Making *>(palloc0(sizeof(Making)));
    // The bound first, the snapshot after: what the snapshot does not see is past the bound.
    making->row.from_id = raise_idle_lanes(database);
    with_latest_snapshot([&](Snapshot snapshot) {
        Seal last;
        std::int64_t first = kFirstId;
        if (find_last_seal(snapshot, last)) {
            go_on_from(last, *making);
            first = scan_from(last.row);
        }
        for (const Scope scope : {Scope::transfer, Scope::audit}) cover(scope, first, snapshot, *making);
    });
    making->row.transfers = making->trees[0].size();
    making->row.audits = making->trees[1].size();
    if (making->row.transfers + making->row.audits == 0) return making->row.number;
    ++making->row.number;
    making->row.sealed_at = GetCurrentTimestamp();
    insert_seal(*making);
    return making->row.number;
}

}  // namespace

std::int64_t make_seal(Database &database, bool wait) {
    if (IsolationUsesXactSnapshot())
        ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                errmsg("a ledger is sealed in READ COMMITTED only"),
                errdetail("The transaction's own older snapshot would not see all that the seal covers."),
                errhint("Call ledger.seal() in a transaction of its own."));
    note_upkeep("sealed", "ledger.seal()");
    if (wait)
        lock_hash(storage().seal, 0);
    else if (!try_lock_hash(storage().seal, 0))
        return -1;
    // A digest must never outlive its seal.
    ForceSyncCommit();
    MemoryContext scratch =
        AllocSetContextCreate(CurrentMemoryContext, "ledger seal", ALLOCSET_DEFAULT_SIZES);
    MemoryContext caller = MemoryContextSwitchTo(scratch);
    const std::int64_t number = seal_the_rest(database);
    MemoryContextSwitchTo(caller);
    MemoryContextDelete(scratch);
    write_time(database.seal_due_at, GetCurrentTimestamp() + settings.seal_interval_s * USECS_PER_SEC);
    return number;
}

void seal_if_due(Database &database, MemoryContext context) {
    if (settings.seal_interval_s == 0 || pg_atomic_read_u32(&database.unsealed) == 0) return;
    const TimestampTz now = GetCurrentTimestamp();
    if (read_time(database.seal_due_at) > now) return;
    bool done = false;
    try_in_transaction(context, [&] {
        if (!ready_database()) return;
        // Before anything is read: what commits from now on is not forgotten.
        pg_atomic_write_u32(&database.unsealed, 0);
        done = make_seal(database, false) >= 0;
    });
    // When a prepared transaction ends, nobody says so.
    if (done && has_prepared_lanes(database)) pg_atomic_write_u32(&database.unsealed, 1);
    if (done) return;
    write_time(database.seal_due_at, now + kRetry);
    pg_atomic_write_u32(&database.unsealed, 1);
}

}  // namespace ledger
