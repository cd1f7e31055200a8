#include "engine/slot.hpp"

#include "engine/database.hpp"
#include "engine/load.hpp"
#include "engine/prepared.hpp"
#include "engine/settings.hpp"
#include "engine/shared.hpp"
#include "engine/storage.hpp"
#include "pg/error.hpp"
#include "pg/lock.hpp"

extern "C" {
#include "common/hashfn.h"
#include "port/pg_bitutils.h"
}

namespace ledger {

namespace {

enum SlotState : std::uint32_t {
    kFree,     // in no bucket, nobody's
    kClaimed,  // in no bucket, one backend's: it loads the account
    kReady,
};

struct SlotTable {
    pg_atomic_uint32 clock;   // where the search for a victim goes on
    pg_atomic_uint32 in_use;  // slots not free
    pg_atomic_uint64 evictions;
    pg_atomic_uint64 loads;
};

SlotTable *table = nullptr;
std::int32_t *buckets = nullptr;  // heads of chains, -1: empty
Slot *slots = nullptr;
std::uint16_t *owners = nullptr;  // by slot, unless it is free: the number of the database's entry

constexpr int kAnyDatabase = -1;

// The slot this backend is loading: given up if the (sub)transaction aborts.
Slot *loading = nullptr;

// The database whose slots count one that this backend is searching for, likewise.
Database *counted = nullptr;

std::uint32_t bucket_count() {
    return pg_nextpower2_32(Max(settings.slots, kSlotPartitions));
}

std::uint32_t hash_key(const SlotKey &key) {
    static_assert(sizeof(SlotKey) == 16, "no padding to be hashed");
    return hash_bytes(reinterpret_cast<const unsigned char *>(&key), sizeof key);
}

std::int32_t &bucket_of(std::uint32_t hash) {
    return buckets[hash & (bucket_count() - 1)];
}

LWLock *lock_of(std::uint32_t hash) {
    return partition_lock(static_cast<int>(hash % kSlotPartitions));  // a bucket is wholly in one partition
}

Slot *find(const SlotKey &key, std::uint32_t hash) {
    Assert(LWLockHeldByMe(lock_of(hash)));
    for (std::int32_t i = bucket_of(hash); i >= 0; i = slots[i].next)
        if (slots[i].key == key) return &slots[i];
    return nullptr;
}

void link(Slot *slot, std::uint32_t hash) {
    Assert(LWLockHeldByMeInMode(lock_of(hash), LW_EXCLUSIVE) && !find(slot->key, hash));
    slot->next = bucket_of(hash);
    bucket_of(hash) = slot_index(slot);
}

void unlink(Slot *slot, std::uint32_t hash) {
    Assert(LWLockHeldByMeInMode(lock_of(hash), LW_EXCLUSIVE));
    std::int32_t *at = &bucket_of(hash);
    while (*at != slot_index(slot)) at = &slots[*at].next;
    *at = slot->next;
}

// The slots that one database may hold while others use a ledger, too.
int share_of_one() {
    const std::int64_t slots_of_hundred = std::int64_t{settings.slots} * settings.database_share;
    return Max(1, static_cast<int>(slots_of_hundred / 100));
}

int slots_of(Database &database) {
    return static_cast<int>(pg_atomic_read_u32(&database.slots));
}

bool has_its_share(Database &database) {
    return slots_of(database) >= share_of_one() && has_neighbors();
}

void count_out(Database &database) {
    [[maybe_unused]] const std::uint32_t left = pg_atomic_sub_fetch_u32(&database.slots, 1);
    Assert(left != PG_UINT32_MAX);
}

void stop_counting() {
    if (counted) count_out(*counted);
    counted = nullptr;
}

// Counts one more slot for the database; false if it has its share already.
bool start_counting(Database &database) {
    const auto held = static_cast<int>(pg_atomic_add_fetch_u32(&database.slots, 1));
    counted = &database;
    if (held <= share_of_one() || !has_neighbors()) return true;
    stop_counting();
    return false;
}

Database &owner_of(const Slot *slot) {
    return database_numbered(owners[slot_index(slot)]);
}

void release(Slot *slot) {
    Assert(pg_atomic_read_u32(&slot->state) == kClaimed && slot->effects < 0);
    count_out(owner_of(slot));
    pg_atomic_write_u32(&slot->state, kFree);
    pg_atomic_sub_fetch_u32(&table->in_use, 1);
}

// Takes a loaded slot that nobody uses out of its bucket, for the caller. owner: the number of
// the database that it has to be of, or kAnyDatabase.
bool evict(Slot *slot, int owner) {
    const SlotKey key = slot->key;  // may be torn; then it is not found below
    const std::uint32_t hash = hash_key(key);
    LWLockAcquire(lock_of(hash), LW_EXCLUSIVE);
    const bool idle = pg_atomic_read_u32(&slot->state) == kReady && slot->key == key &&
                      find(key, hash) == slot && pg_atomic_read_u32(&slot->users) == 0 &&
                      (owner == kAnyDatabase || owners[slot_index(slot)] == owner);
    if (idle) {
        Assert(slot->effects < 0);
        unlink(slot, hash);
        pg_atomic_write_u32(&slot->state, kClaimed);
    }
    LWLockRelease(lock_of(hash));
    if (idle) pg_atomic_add_fetch_u64(&table->evictions, 1);
    return idle;
}

// Frees unused slots of the databases that hold more than their share: one that was alone has
// perhaps filled all of them.
void trim_to_share() {
    constexpr int kStepsBetweenInterrupts = 1024;
    for (std::int32_t i = 0; i < settings.slots; ++i) {
        if (i % kStepsBetweenInterrupts == 0) CHECK_FOR_INTERRUPTS();
        Slot *slot = &slots[i];
        if (pg_atomic_read_u32(&slot->state) != kReady || pg_atomic_read_u32(&slot->users) > 0) continue;
        const int owner = owners[i];
        if (slots_of(database_numbered(owner)) > share_of_one() && evict(slot, owner)) release(slot);
    }
}

// The next unused slot that was not used since the clock last came by; or a free one, unless
// it has to be one of an owner. Null if every slot is in use.
Slot *find_claimable(int owner) {
    constexpr std::uint32_t kStepsBetweenInterrupts = 1024;
    const std::uint32_t count = static_cast<std::uint32_t>(settings.slots);
    for (std::uint32_t step = 0; step < 3 * count; ++step) {
        if (step % kStepsBetweenInterrupts == 0) CHECK_FOR_INTERRUPTS();
        Slot *slot = &slots[pg_atomic_fetch_add_u32(&table->clock, 1) % count];
        std::uint32_t state = pg_atomic_read_u32(&slot->state);
        if (state == kFree) {
            if (owner != kAnyDatabase) continue;
            if (!pg_atomic_compare_exchange_u32(&slot->state, &state, kClaimed)) continue;
            pg_atomic_add_fetch_u32(&table->in_use, 1);
            return slot;
        }
        if (state != kReady) continue;
        if (pg_atomic_read_u32(&slot->users) > 0) continue;
        if (owner != kAnyDatabase && owners[slot_index(slot)] != owner) continue;
        if (pg_atomic_exchange_u32(&slot->recent, 0) != 0) continue;
        if (!evict(slot, owner)) continue;
        if (owner == kAnyDatabase) count_out(owner_of(slot));
        return slot;
    }
    return nullptr;
}

// A slot for the database, one of its own where it has its share. Null if all of those are in
// use. It is counted before it is searched for, so that sessions cannot pass the share together.
// The first slot of a database comes with room for more.
Slot *claim(Database &database) {
    const int number = database_number(database);
    const bool may_have_more = start_counting(database);
    if (slots_of(database) == 1 && has_neighbors()) trim_to_share();
    Slot *slot = find_claimable(may_have_more ? kAnyDatabase : number);
    if (!slot) {
        stop_counting();
        return nullptr;
    }
    owners[slot_index(slot)] = static_cast<std::uint16_t>(number);
    counted = nullptr;
    return slot;
}

[[noreturn]] void raise_full(Database &database) {
    if (has_its_share(database))
        raise(Status::out_of_slots, "every slot that this database may hold is in use",
              psprintf("Its share, %d of the server's %d slots, is held by transactions that are open or "
                       "prepared.",
                       share_of_one(), settings.slots),
              "Use fewer accounts in one transaction, or raise ledger.database_share or ledger.slots.");
    raise(Status::out_of_slots, "every slot for an account in shared memory is in use",
          psprintf("All %d slots are held by transactions that are open or prepared.", settings.slots),
          "Use fewer accounts in one transaction, or raise ledger.slots and restart the server.");
}

Slot *claim_or_raise(Possession possession) {
    Database &database = current_database();
    Slot *slot = claim(database);
    if (!slot) {
        resolve_ended(possession);
        slot = claim(database);
    }
    if (!slot) raise_full(database);
    return slot;
}

// The slot if it is there, with one more user; else null.
Slot *pin_ready(const SlotKey &key, std::uint32_t hash) {
    LWLockAcquire(lock_of(hash), LW_SHARED);
    Slot *slot = find(key, hash);
    if (slot) pg_atomic_add_fetch_u32(&slot->users, 1);
    LWLockRelease(lock_of(hash));
    return slot;
}

// Reads the account into a slot of this backend's own, and lets the others find it.
Slot *load(const SlotKey &key, std::uint32_t hash) {
    Slot *slot = claim_or_raise(key.possession);
    loading = slot;
    slot->key = key;
    slot->effects = -1;
    pg_atomic_write_u32(&slot->users, 1);
    load_account(slot);
    // Never a version that an earlier load of this account may have reached.
    slot->version = static_cast<std::int64_t>(pg_atomic_add_fetch_u64(&table->loads, 1)) << 32;
    LWLockAcquire(lock_of(hash), LW_EXCLUSIVE);
    link(slot, hash);
    pg_atomic_write_u32(&slot->state, kReady);
    loading = nullptr;
    LWLockRelease(lock_of(hash));
    return slot;
}

// One session at a time loads an account. It waits for no other lock meanwhile: those of
// the tables and indexes it has already (load.hpp).
Slot *load_alone(const SlotKey &key, std::uint32_t hash) {
    const LoadLocks locks = lock_for_load();
    const LOCKTAG tag = hash_tag(
        storage().balance, hash_bytes_extended(reinterpret_cast<const unsigned char *>(&key), sizeof key, 0));
    LockAcquire(&tag, ExclusiveLock, false, false);
    Slot *slot = pin_ready(key, hash);  // another session may have been first
    if (!slot) slot = load(key, hash);
    LockRelease(&tag, ExclusiveLock, false);
    unlock_after_load(locks);
    return slot;
}

}  // namespace

Size slots_shmem_size() {
    Size size = MAXALIGN(sizeof(SlotTable));
    size = add_size(size, mul_size(bucket_count(), sizeof(std::int32_t)));
    size = add_size(size, alignof(Slot));
    return add_size(size, mul_size(static_cast<Size>(settings.slots), sizeof(Slot) + sizeof(std::uint16_t)));
}

void slots_shmem_init() {
    bool found;
    char *memory = static_cast<char *>(ShmemInitStruct("ledger slots", slots_shmem_size(), &found));
    table = reinterpret_cast<SlotTable *>(memory);
    buckets = reinterpret_cast<std::int32_t *>(memory + MAXALIGN(sizeof(SlotTable)));
    slots = reinterpret_cast<Slot *>(TYPEALIGN(alignof(Slot), buckets + bucket_count()));
    owners = reinterpret_cast<std::uint16_t *>(slots + settings.slots);
    if (found) return;
    pg_atomic_init_u32(&table->clock, 0);
    pg_atomic_init_u32(&table->in_use, 0);
    pg_atomic_init_u64(&table->evictions, 0);
    pg_atomic_init_u64(&table->loads, 0);
    for (std::uint32_t i = 0; i < bucket_count(); ++i) buckets[i] = -1;
    MemSet(slots, 0, static_cast<Size>(settings.slots) * sizeof(Slot));
    for (int i = 0; i < settings.slots; ++i) {
        pg_atomic_init_u32(&slots[i].state, kFree);
        pg_atomic_init_u32(&slots[i].recent, 0);
        pg_atomic_init_u32(&slots[i].users, 0);
        SpinLockInit(&slots[i].mutex);
        slots[i].effects = -1;
    }
}

Slot *pin_slot(const SlotKey &key) {
    const std::uint32_t hash = hash_key(key);
    Slot *slot = pin_ready(key, hash);
    if (!slot) return load_alone(key, hash);
    if (pg_atomic_read_u32(&slot->recent) == 0) pg_atomic_write_u32(&slot->recent, 1);
    return slot;
}

void unpin_slot(Slot *slot) {
    [[maybe_unused]] const std::uint32_t left = pg_atomic_sub_fetch_u32(&slot->users, 1);
    Assert(left != PG_UINT32_MAX);
}

void abandon_slot_load() {
    stop_counting();
    if (!loading) return;
    drop_effects(loading);
    release(loading);
    loading = nullptr;
}

std::int64_t note_folded(const SlotKey &key, std::int64_t transfers) {
    const std::uint32_t hash = hash_key(key);
    std::int64_t left = 0;
    LWLockAcquire(lock_of(hash), LW_SHARED);
    if (Slot *slot = find(key, hash))
        left = with_slot(slot, [&] {
            slot->tail -= static_cast<std::uint32_t>(Min(transfers, static_cast<std::int64_t>(slot->tail)));
            return static_cast<std::int64_t>(slot->tail);
        });
    LWLockRelease(lock_of(hash));
    return left;
}

std::int32_t slot_index(const Slot *slot) {
    return static_cast<std::int32_t>(slot - slots);
}

Slot *slot_at(std::int32_t index) {
    return &slots[index];
}

int slots_in_use() {
    return static_cast<int>(pg_atomic_read_u32(&table->in_use));
}

std::uint64_t slot_evictions() {
    return pg_atomic_read_u64(&table->evictions);
}

std::uint64_t slot_loads() {
    return pg_atomic_read_u64(&table->loads);
}

bool view_slot(std::int32_t index, Possession possession, SlotView &view) {
    Slot *slot = &slots[index];
    if (pg_atomic_read_u32(&slot->state) != kReady || slot->key.possession != possession) return false;
    if (slot->effects >= 0) resolve_effects(slot);
    const SlotKey key = slot->key;
    LWLock *lock = lock_of(hash_key(key));
    LWLockAcquire(lock, LW_SHARED);
    const bool ours =
        pg_atomic_read_u32(&slot->state) == kReady && slot->key == key && key.possession == possession;
    if (ours)
        with_slot(slot, [&] {
            view = {key.account, slot->bounds,  static_cast<int>(pg_atomic_read_u32(&slot->users)),
                    slot->tail,  slot->version, slot->effects >= 0};
        });
    LWLockRelease(lock);
    return ours;
}

}  // namespace ledger
