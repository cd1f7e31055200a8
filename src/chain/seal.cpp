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

// What could not be sealed is tried again after this time, or the interval if that is shorter.
constexpr int kRetrySeconds = 5;

// A seal in the making: heads and numbers go on from the seal before. In each lane the
// records to cover have ids from first on; kNothing: there are none.
struct Making {
    SealRow row;
    Hash previous;
    Tree trees[kScopes];
    Head heads[kScopes][kLanes];
    std::int64_t bounds[kLanes];  // of the records that this seal leaves to later ones
    std::int64_t first[kLanes];
};
constexpr std::int64_t kNothing = INT64_MAX;

void go_on_from(const Seal &last, Making &making) {
    making.row.number = last.row.number;
    making.row.until_id = last.row.until_id;
    making.previous = last.hash;
    each_head(last.heads, [&](const LaneHead &of) {
        making.heads[static_cast<int>(of.scope)][static_cast<int>(of.lane)] = of.head;
    });
}

// Where to begin reading in each lane, so that a transaction that stays open for long makes no
// seal read again what others before have covered. The last seal left a bound for each lane:
// an uncovered record has at least that id. A lane whose head has not moved since has no
// record to cover; what commits in it later is left to the next seal, and is past the bounds.
void find_firsts(Database &database, const Seal *last, Making &making) {
    const std::int64_t last_first = last ? scan_from(last->row) : kFirstId;
    const bool has_bounds = database.bounds_of_seal == making.row.number;
    for (int lane = 0; lane < kLanes; ++lane) {
        Lane &of = database.lanes[lane];
        const bool has_moved = head_of(of, Scope::transfer).seq > making.heads[0][lane].seq ||
                               head_of(of, Scope::audit).seq > making.heads[1][lane].seq;
        making.first[lane] = !has_bounds ? last_first : has_moved ? of.unsealed_from : kNothing;
    }
}

// Needs the sealer's lock; the seal may yet be rolled back, and then its number is not that
// of the last seal.
void keep_bounds(Database &database, const Making &making) {
    for (int lane = 0; lane < kLanes; ++lane) database.lanes[lane].unsealed_from = making.bounds[lane];
    database.bounds_of_seal = making.row.number;
}

// Takes in what has committed. Whether it is right is not asked here: verify() names
// what is not.
void cover(Scope scope, Snapshot snapshot, Making &making) {
    const int i = static_cast<int>(scope);
    const std::int64_t first = *std::min_element(std::begin(making.first), std::end(making.first));
    if (first == kNothing) return;
    const auto wanted = [&](std::int64_t id) { return id >= making.first[static_cast<int>(lane_of(id))]; };
    scan_wanted_records(scope, first, snapshot, wanted, [&](HeapTuple tuple, TupleDesc shape) {
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
    // The bounds first, the snapshot after: what the snapshot does not see is past the bounds.
    making->row.from_id = raise_idle_lanes(database, making->bounds);
    Seal last;
    const bool has_last =
        with_latest_snapshot([&](Snapshot snapshot) { return find_last_seal(snapshot, last); });
    if (has_last) go_on_from(last, *making);
    find_firsts(database, has_last ? &last : nullptr, *making);
    with_latest_snapshot([&](Snapshot snapshot) {
        for (const Scope scope : {Scope::transfer, Scope::audit}) cover(scope, snapshot, *making);
    });
    making->row.transfers = making->trees[0].size();
    making->row.audits = making->trees[1].size();
    if (making->row.transfers + making->row.audits == 0) return making->row.number;
    ++making->row.number;
    making->row.sealed_at = GetCurrentTimestamp();
    insert_seal(*making);
    keep_bounds(database, *making);
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
    write_time(database.sealed_at, GetCurrentTimestamp());
    return number;
}

TimestampTz next_seal(Database &database, TimestampTz now) {
    if (settings.seal_interval_s == 0 || pg_atomic_read_u32(&database.unsealed) == 0) return DT_NOEND;
    return due_after(read_time(database.sealed_at), settings.seal_interval_s, now);
}

void seal_if_due(Database &database, MemoryContext context) {
    const TimestampTz now = GetCurrentTimestamp();
    if (next_seal(database, now) > now) return;
    bool is_made = false;
    const char *error = try_in_transaction(context, [&] {
        if (ready_database() != &database) return;
        // Before anything is read: what commits from now on is not forgotten.
        pg_atomic_write_u32(&database.unsealed, 0);
        is_made = make_seal(database, false) >= 0;
    });
    const bool done = !error && is_made;
    // When a prepared transaction ends, nobody says so.
    if (done && has_prepared_lanes(database)) pg_atomic_write_u32(&database.unsealed, 1);
    if (done) return;
    // As if the last one had been made so long ago that the next is due after the pause.
    const int early = Max(settings.seal_interval_s - kRetrySeconds, 0);
    write_time(database.sealed_at, now - early * USECS_PER_SEC);
    pg_atomic_write_u32(&database.unsealed, 1);
}

}  // namespace ledger
