#include "engine/slot.hpp"

#include "engine/load.hpp"
#include "engine/database.hpp"
#include "engine/prepared.hpp"
#include "engine/settings.hpp"
#include "engine/shared.hpp"
#include "pg/error.hpp"

extern "C" {
#include "common/hashfn.h"
#include "port/pg_bitutils.h"
}

namespace ledger {

namespace {

enum SlotState : std::uint32_t {
    kFree,     // in no bucket, nobody's
    kClaimed,  // in no bucket, one backend's
    kLoading,  // in its bucket; one backend reads the tables, the others wait
    kReady,
};

// A part of the hash table with what waits for loads in it.
struct Partition {
    ConditionVariable loaded;
};

struct SlotTable {
    pg_atomic_uint32 clock;   // where the search for a victim goes on
    pg_atomic_uint32 in_use;  // slots not free
    pg_atomic_uint64 evictions;
    pg_atomic_uint64 loads;
    Partition partitions[kSlotPartitions];
};

SlotTable *table = nullptr;
std::int32_t *buckets = nullptr;  // heads of chains, -1: empty
Slot *slots = nullptr;

// The slot this backend is loading: given up if the (sub)transaction aborts.
Slot *loading = nullptr;

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

int partition_of(std::uint32_t hash) {
    return static_cast<int>(hash % kSlotPartitions);  // a bucket is wholly in one partition
}

// Needs the partition's lock.
Slot *find(const SlotKey &key, std::uint32_t hash) {
    for (std::int32_t i = bucket_of(hash); i >= 0; i = slots[i].next)
        if (slots[i].key == key) return &slots[i];
    return nullptr;
}

// Need the partition's lock exclusively.
void link(Slot *slot, std::uint32_t hash) {
    slot->next = bucket_of(hash);
    bucket_of(hash) = slot_index(slot);
}

void unlink(Slot *slot, std::uint32_t hash) {
    std::int32_t *at = &bucket_of(hash);
    while (*at != slot_index(slot)) at = &slots[*at].next;
    *at = slot->next;
}

void release(Slot *slot) {
    pg_atomic_write_u32(&slot->state, kFree);
    pg_atomic_sub_fetch_u32(&table->in_use, 1);
}

// Takes a loaded slot that nobody uses out of its bucket, for the caller.
bool evict(Slot *slot) {
    const SlotKey key = slot->key;  // may be torn; then it is not found below
    const std::uint32_t hash = hash_key(key);
    LWLock *lock = partition_lock(partition_of(hash));
    LWLockAcquire(lock, LW_EXCLUSIVE);
    const bool idle = pg_atomic_read_u32(&slot->state) == kReady && slot->key == key &&
                      find(key, hash) == slot && pg_atomic_read_u32(&slot->users) == 0;
    if (idle) {
        unlink(slot, hash);
        pg_atomic_write_u32(&slot->state, kClaimed);
    }
    LWLockRelease(lock);
    if (idle) pg_atomic_add_fetch_u64(&table->evictions, 1);
    return idle;
}

// A slot for the caller: a free one, or the next unused one that was not used
// since the clock last came by. Null if every slot is in use.
Slot *claim() {
    const std::uint32_t count = static_cast<std::uint32_t>(settings.slots);
    for (std::uint32_t step = 0; step < 3 * count; ++step) {
        Slot *slot = &slots[pg_atomic_fetch_add_u32(&table->clock, 1) % count];
        std::uint32_t state = pg_atomic_read_u32(&slot->state);
        if (state == kFree) {
            if (!pg_atomic_compare_exchange_u32(&slot->state, &state, kClaimed)) continue;
            pg_atomic_add_fetch_u32(&table->in_use, 1);
            return slot;
        }
        if (state != kReady) continue;
        if (slot->effects >= 0) resolve_effects(slot);
        if (pg_atomic_read_u32(&slot->users) > 0) continue;
        if (pg_atomic_exchange_u32(&slot->recent, 0) != 0) continue;
        if (evict(slot)) return slot;
    }
    return nullptr;
}

// Puts a claimed slot into its bucket as loading, with this backend as its user;
// false if another backend was first.
bool begin_load(Slot *slot, const SlotKey &key, std::uint32_t hash) {
    LWLock *lock = partition_lock(partition_of(hash));
    LWLockAcquire(lock, LW_EXCLUSIVE);
    const bool first = find(key, hash) == nullptr;
    if (first) {
        slot->key = key;
        pg_atomic_write_u32(&slot->users, 1);
        slot->effects = -1;
        slot->fold_horizon = Txid{0};
        pg_atomic_write_u32(&slot->state, kLoading);
        link(slot, hash);
        loading = slot;
    }
    LWLockRelease(lock);
    return first;
}

void load(Slot *slot) {
    load_account(slot);
    // Never a version that an earlier load of this account may have reached.
    const std::int64_t version = static_cast<std::int64_t>(pg_atomic_add_fetch_u64(&table->loads, 1)) << 32;
    with_slot(slot, [&] { slot->version = version; });
    const int partition = partition_of(hash_key(slot->key));
    LWLockAcquire(partition_lock(partition), LW_EXCLUSIVE);
    pg_atomic_write_u32(&slot->state, kReady);
    loading = nullptr;
    LWLockRelease(partition_lock(partition));
    ConditionVariableBroadcast(&table->partitions[partition].loaded);
}

// The slot if it is there and ready, with one more user. Waits while another
// backend loads it; null if it is not there.
Slot *pin_loaded(const SlotKey &key, std::uint32_t hash) {
    const int partition = partition_of(hash);
    bool waiting = false;
    for (;;) {
        LWLockAcquire(partition_lock(partition), LW_SHARED);
        Slot *slot = find(key, hash);
        const bool ready = slot && pg_atomic_read_u32(&slot->state) == kReady;
        if (ready) pg_atomic_add_fetch_u32(&slot->users, 1);
        LWLockRelease(partition_lock(partition));
        if (!slot || ready) {
            if (waiting) ConditionVariableCancelSleep();
            return slot;
        }
        if (waiting) {
            ConditionVariableSleep(&table->partitions[partition].loaded, PG_WAIT_EXTENSION);
        } else {  // look once more after lining up, lest the news be missed
            ConditionVariablePrepareToSleep(&table->partitions[partition].loaded);
            waiting = true;
        }
    }
}

}  // namespace

Size slots_shmem_size() {
    Size size = MAXALIGN(sizeof(SlotTable));
    size = add_size(size, MAXALIGN(mul_size(bucket_count(), sizeof(std::int32_t))));
    return add_size(size, mul_size(static_cast<Size>(settings.slots), sizeof(Slot)));
}

void slots_shmem_init() {
    bool found;
    char *memory = static_cast<char *>(ShmemInitStruct("ledger slots", slots_shmem_size(), &found));
    table = reinterpret_cast<SlotTable *>(memory);
    buckets = reinterpret_cast<std::int32_t *>(memory + MAXALIGN(sizeof(SlotTable)));
    slots = reinterpret_cast<Slot *>(memory + MAXALIGN(sizeof(SlotTable)) +
                                     MAXALIGN(bucket_count() * sizeof(std::int32_t)));
    if (found) return;
    pg_atomic_init_u32(&table->clock, 0);
    pg_atomic_init_u32(&table->in_use, 0);
    pg_atomic_init_u64(&table->evictions, 0);
    pg_atomic_init_u64(&table->loads, 0);
    for (Partition &partition : table->partitions) ConditionVariableInit(&partition.loaded);
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
    for (;;) {
        Slot *slot = pin_loaded(key, hash);
        if (slot) {
            if (pg_atomic_read_u32(&slot->recent) == 0) pg_atomic_write_u32(&slot->recent, 1);
            return slot;
        }
        slot = claim();
        if (!slot)
            raise(
                Status::out_of_slots, "every slot for an account in shared memory is in use",
                psprintf("All %d slots are held by transactions that are open or prepared.", settings.slots),
                "Use fewer accounts in one transaction, or raise ledger.slots and restart the server.");
        if (!begin_load(slot, key, hash)) {
            release(slot);
            continue;
        }
        load(slot);
        return slot;
    }
}

void unpin_slot(Slot *slot) {
    [[maybe_unused]] const std::uint32_t left = pg_atomic_sub_fetch_u32(&slot->users, 1);
    Assert(left != PG_UINT32_MAX);
}

void abandon_slot_load() {
    if (!loading) return;
    Slot *slot = loading;
    const std::uint32_t hash = hash_key(slot->key);
    LWLock *lock = partition_lock(partition_of(hash));
    drop_effects(slot);
    LWLockAcquire(lock, LW_EXCLUSIVE);
    unlink(slot, hash);
    pg_atomic_write_u32(&slot->users, 0);
    release(slot);
    loading = nullptr;
    LWLockRelease(lock);
    ConditionVariableBroadcast(&table->partitions[partition_of(hash)].loaded);
}

void note_folded(const SlotKey &key, std::int64_t transfers, Txid horizon) {
    const std::uint32_t hash = hash_key(key);
    LWLockAcquire(partition_lock(partition_of(hash)), LW_SHARED);
    if (Slot *slot = find(key, hash))
        with_slot(slot, [&] {
            slot->tail -= Min(transfers, slot->tail);
            slot->fold_horizon = horizon;
        });
    LWLockRelease(partition_lock(partition_of(hash)));
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

bool view_slot(std::int32_t index, Oid database, Oid extension, SlotView &view) {
    Slot *slot = &slots[index];
    if (pg_atomic_read_u32(&slot->state) != kReady || slot->key.database != database) return false;
    const SlotKey key = slot->key;
    LWLock *lock = partition_lock(partition_of(hash_key(key)));
    LWLockAcquire(lock, LW_SHARED);
    const bool mine =
        pg_atomic_read_u32(&slot->state) == kReady && slot->key == key && key.extension == extension;
    if (mine && slot->effects >= 0) resolve_effects(slot);
    if (mine)
        with_slot(slot, [&] {
            view = {key.account,       slot->bounds,  static_cast<int>(pg_atomic_read_u32(&slot->users)),
                    slot->tail,        slot->version, slot->effects >= 0,
                    slot->fold_horizon};
        });
    LWLockRelease(lock);
    return mine;
}

}  // namespace ledger
