// Slots: the accounts in use, in shared memory. A slot holds the bounds of an
// account's balance over every outcome of the transactions in flight
// (core/escrow.hpp) and the limits they are checked against.
//
// src/engine/README describes the protocol: locks, life of a slot, commit, abort,
// prepare, crash.
#pragma once

#include "core/escrow.hpp"
#include "core/types.hpp"
#include "pg/postgres.hpp"

namespace ledger {

// An account in one possession of the tables: a slot of an earlier possession is never
// found again.
struct SlotKey {
    Possession possession;
    AccountId account;

    bool operator==(const SlotKey &) const = default;
};

// Two cache lines, so that neighbors share none.
struct alignas(128) Slot {
    // Protected by the lock of the key's partition; state is also read without it as a hint.
    SlotKey key;
    std::int32_t next;        // chain of the bucket, -1 at its end
    pg_atomic_uint32 state;   // SlotState
    pg_atomic_uint32 recent;  // used since the eviction clock last came by

    // Transactions using the slot, prepared ones included. Raised under the
    // partition's lock, lowered without; evicted only at zero.
    pg_atomic_uint32 users;

    std::int32_t
        effects;  // chain of prepared transactions' effects (prepared.hpp), under their lock; -1: none

    slock_t mutex;        // protects what follows
    std::uint32_t tail;   // transfers past the folded horizon, roughly
    std::uint32_t looks;  // looks for overdue holds that were begun; wraps
    AccountBounds bounds;
    Limits limits;          // the stricter of what is committed and what a transaction in flight wants
    std::int64_t version;   // counts uses, for check_invariants
    TimestampTz due;        // no open hold of the account is due before (hold.hpp)
    TimestampTz due_noted;  // the same of holds made since the last look began
};
static_assert(sizeof(Slot) == 128);

Size slots_shmem_size();
void slots_shmem_init();

// The slot of an account, loaded if need be, with one more user. Waits for another
// session that is loading it, as for any lock: lock_timeout and the deadlock detector
// apply. Raises LG902 when every slot is in use, or every one of the database's share.
Slot *pin_slot(const SlotKey &key);
void unpin_slot(Slot *slot);

// Gives up the load this backend was in the middle of, if any: for abort callbacks.
void abandon_slot_load();

// The account has so many transfers less in its tail. Returns how many are left, 0 where
// the account has no slot.
std::int64_t note_folded(const SlotKey &key, std::int64_t transfers);

std::int32_t slot_index(const Slot *slot);
Slot *slot_at(std::int32_t index);
int slots_in_use();
std::uint64_t slot_evictions();
std::uint64_t slot_loads();

// What there is to see of a loaded slot without pinning it.
struct SlotView {
    AccountId account;
    AccountBounds bounds;
    int users;
    std::int64_t tail;
    std::int64_t version;
    bool prepared;  // some of the users are prepared transactions
};

// True if the slot of that index is loaded and belongs to the possession.
// Resolves its effects of prepared transactions first.
bool view_slot(std::int32_t index, Possession possession, SlotView &view);

// Runs work with the slot's mutex held. Nothing in it may ereport or take long.
template <typename Work>
inline auto with_slot(Slot *slot, Work work) {
    SpinLockAcquire(&slot->mutex);
    if constexpr (std::is_void_v<decltype(work())>) {
        work();
        SpinLockRelease(&slot->mutex);
    } else {
        const auto result = work();
        SpinLockRelease(&slot->mutex);
        return result;
    }
}

}  // namespace ledger
