// Lanes: chains of records beside each other. A transaction that writes owns one
// until it ends; its records get their ids, their numbers and their hashes from
// it, and the lane's heads move on when it commits. So an abort leaves no gap, and
// nobody waits for anybody.
#pragma once

#include "core/ids.hpp"
#include "core/record.hpp"
#include "pg/postgres.hpp"

namespace ledger {

struct Database;

enum class LaneState : std::uint32_t { idle = 0, owned = 1, prepared = 2 };

// What a prepared transaction left in its lane.
struct PreparedLinks {
    TransactionId xid;
    Txid txid;                      // the same; where it was read from the tables
    std::int64_t last_id[kScopes];  // of its last record in the scope; 0 if it has none
    Head heads[kScopes];            // if it commits
};

struct alignas(64) Lane {
    pg_atomic_uint32 state;
    pg_atomic_uint64 first;     // the owner's ids, or the prepared transaction's, are of later ticks
    pg_atomic_uint64 refusals;  // counted by backends that prefer this lane
    // The owner's alone:
    Tick last;
    std::int64_t transfers;  // made, whether or not they committed
    // The sealer's alone (Database::bounds_of_seal):
    std::int64_t unsealed_from;  // every record of the lane that no seal covers has at least this id
    // Under the mutex:
    slock_t mutex;
    Head heads[kScopes];  // of what has committed
    PreparedLinks prepared;
};

void init_lane(Lane &lane);
void reset_lane(Lane &lane);

// Makes a lane idle, without heads and without a prepared transaction. Nobody may be writing.
void forget_links(Lane &lane);

// Ids go on at tick at least.
void raise_lane(Lane &lane, Tick tick);

bool is_owned(Lane &lane);

// Counts a refusal.
void count_refusal(Database &database);

// The place of this transaction's next record, made at now. Claims a lane at the
// first call; LG902 if none is free.
Place next_place(Database &database, Scope scope, TimestampTz now);

// The hash before that place, and the record's own, which makes the place taken.
const Hash &hash_before(Scope scope);
void take_place(Scope scope, const Place &place, const Hash &hash);

// Chains the record to the ones before: gives it its place, and returns its hash.
template <typename Record>
Hash link(Database &database, Record &record, TimestampTz now) {
    record.place = next_place(database, Record::kScope, now);
    const Hash hash = hash_of(hash_before(Record::kScope), record);
    take_place(Record::kScope, record.place, hash);
    return hash;
}

// An id that no record has: for accounts and the like.
std::int64_t next_id(Database &database);

// Counts a transfer made.
void count_transfer();

Head head_of(Lane &lane, Scope scope);

// The same for a lane that nobody owns: no record past it has committed, but for what
// is claimed after this look. False if somebody does.
bool idle_head(Lane &lane, Scope scope, Head &head);

// Lets idle lanes go on from where the farthest is, and lanes of prepared transactions
// that have ended become idle. bounds: for each lane, every record that is not committed
// yet, or not made, has a greater or equal id. Returns the least of them.
std::int64_t raise_idle_lanes(Database &database, std::int64_t *bounds);

// True if a transaction has the lane now. A prepared one that has ended has not,
// though nobody may have noticed.
bool in_use(Lane &lane);

// True if a prepared transaction may still have records to come.
bool has_prepared_lanes(Database &database);

// For the transaction callbacks.
void lane_before_prepare();
void lane_prepared();
void lane_transaction_ended(bool committed);
void lane_subtransaction_ended(bool committed, int nesting);

}  // namespace ledger
