#include "engine/prepared.hpp"

#include "engine/database.hpp"
#include "engine/position.hpp"
#include "engine/settings.hpp"
#include "engine/shared.hpp"
#include "pg/error.hpp"

extern "C" {
#include "access/twophase.h"
}

namespace ledger {

namespace {

struct Effect {
    TransactionId xid;
    std::int32_t next;  // in the slot's chain or the free list; -1 ends it
    Txid txid;          // the same transaction as the tables name it
    Minor spendable;    // its net changes: it can only be committed or aborted as a whole
    Minor projected;
    std::int32_t slot;  // index; -1: free, or reserved
};

AccountShare share_in(const Effect &effect) {
    return {share_of(effect.spendable), share_of(effect.projected)};
}

// The free list is under the effects lock, the chain of a slot under the slot's chain lock,
// inside which the effects lock may be taken.
struct EffectTable {
    std::int32_t free;  // head of the free list
    std::int32_t in_use;
    std::int32_t touched;  // effects from here on were never in use
    Effect effects[FLEXIBLE_ARRAY_MEMBER];
};

EffectTable *table = nullptr;

// This backend's reserve: a chain taken off the free list.
std::int32_t reserve = -1;

std::int32_t capacity() {
    return max_prepared_xacts > 0 ? settings.slots : 0;
}

[[noreturn]] void raise_full() {
    raise(Status::out_of_slots, "no room is left for the effects of prepared transactions",
          psprintf("There is room for %d accounts of prepared transactions.", capacity()),
          "Finish the prepared transactions (pg_prepared_xacts), or raise ledger.slots and restart the "
          "server.");
}

LWLock *chain_of(const Slot *slot) {
    return chain_lock(slot_index(slot) % kSlotPartitions);
}

// These need the lock of the list exclusively.
std::int32_t pop(std::int32_t &head) {
    const std::int32_t index = head;
    head = table->effects[index].next;
    return index;
}

void push(std::int32_t &head, std::int32_t index) {
    table->effects[index].next = head;
    head = index;
}

void free_effect(std::int32_t index) {
    LWLockAcquire(effects_lock(), LW_EXCLUSIVE);
    table->effects[index].slot = -1;
    push(table->free, index);
    --table->in_use;
    LWLockRelease(effects_lock());
}

// -1 if there is none.
std::int32_t take_free_effect() {
    LWLockAcquire(effects_lock(), LW_EXCLUSIVE);
    const std::int32_t index = table->free >= 0 ? pop(table->free) : -1;
    table->in_use += index >= 0;
    table->touched = Max(table->touched, index + 1);
    LWLockRelease(effects_lock());
    return index;
}

void attach(Slot *slot, std::int32_t index, TransactionId xid, Txid txid, const AccountShare &share) {
    Assert(LWLockHeldByMeInMode(chain_of(slot), LW_EXCLUSIVE));
    Effect &effect = table->effects[index];
    effect.xid = xid;
    effect.txid = txid;
    effect.spendable = share.spendable.net;
    effect.projected = share.projected.net;
    effect.slot = slot_index(slot);
    push(slot->effects, index);
}

enum class Outcome { in_progress, committed, aborted, forgotten };

// Asked in this order: a transaction out of progress has its outcome on record,
// unless vacuum has removed that since. One look at all processes answers for all xids.
Outcome outcome_of(TransactionId xid, Snapshot running) {
    if (XidInMVCCSnapshot(xid, running)) return Outcome::in_progress;
    LWLockAcquire(XactTruncationLock, LW_SHARED);
    Outcome outcome = Outcome::forgotten;
    if (!TransactionIdPrecedes(xid, compat::oldest_recorded_xid()))
        outcome = TransactionIdDidCommit(xid) ? Outcome::committed : Outcome::aborted;
    LWLockRelease(XactTruncationLock);
    return outcome;
}

// Takes the effect that at leads to out of the slot's chain and lets the bounds
// have its outcome. Needs the chain lock exclusively.
void apply(Slot *slot, std::int32_t *at, bool committed) {
    Assert(LWLockHeldByMeInMode(chain_of(slot), LW_EXCLUSIVE));
    const std::int32_t index = *at;
    Effect &effect = table->effects[index];
    AccountShare share = share_in(effect);
    with_slot(slot, [&] {
        if (committed)
            settle(slot->bounds, share);
        else
            revert(slot->bounds, share, AccountShare{});
        ++slot->version;
    });
    *at = effect.next;
    free_effect(index);
    unpin_slot(slot);
}

bool find_forgotten(const Slot *slot, Txid &txid) {
    bool found = false;
    Snapshot running = GetLatestSnapshot();
    LWLockAcquire(chain_of(slot), LW_SHARED);
    for (std::int32_t i = slot->effects; i >= 0 && !found; i = table->effects[i].next) {
        found = outcome_of(table->effects[i].xid, running) == Outcome::forgotten;
        txid = table->effects[i].txid;
    }
    LWLockRelease(chain_of(slot));
    return found;
}

// True if the transaction's transfers of the account are there.
bool has_transfers(AccountId account, Txid txid) {
    bool found = false;
    const auto look = [&](const TransferRow &row) {
        found = found || row.txid == txid;
        return row.txid < txid;
    };
    with_latest_snapshot([&](Snapshot snapshot) {
        with_table(storage().transfer, AccessShareLock, [&](Relation transfer) {
            for (const Side side : {Side::debit, Side::credit})
                scan_tail_side(transfer, side, snapshot, account, txid, look);
        });
    });
    return found;
}

bool try_reserve(int count) {
    LWLockAcquire(effects_lock(), LW_EXCLUSIVE);
    const bool enough = count <= capacity() - table->in_use;
    for (int i = 0; enough && i < count; ++i) {
        const std::int32_t index = pop(table->free);
        table->touched = Max(table->touched, index + 1);
        push(reserve, index);
    }
    if (enough) table->in_use += count;
    LWLockRelease(effects_lock());
    return enough;
}

// Effects keep a slot where it is. False if it has none any more, or belongs to another possession.
bool pin_with_effects(Slot *slot, Possession possession) {
    LWLockAcquire(chain_of(slot), LW_EXCLUSIVE);
    const bool is_ours = slot->effects >= 0 && slot->key.possession == possession;
    if (is_ours) pg_atomic_add_fetch_u32(&slot->users, 1);
    LWLockRelease(chain_of(slot));
    return is_ours;
}

}  // namespace

Size effects_shmem_size() {
    return add_size(offsetof(EffectTable, effects), mul_size(static_cast<Size>(capacity()), sizeof(Effect)));
}

void effects_shmem_init() {
    bool found;
    table = static_cast<EffectTable *>(ShmemInitStruct("ledger effects", effects_shmem_size(), &found));
    if (found) return;
    table->free = -1;
    table->in_use = 0;
    table->touched = 0;
    for (std::int32_t i = capacity(); i-- > 0;) {
        table->effects[i].slot = -1;
        push(table->free, i);
    }
}

int effects_in_use() {
    LWLockAcquire(effects_lock(), LW_SHARED);
    const int count = table->in_use;
    LWLockRelease(effects_lock());
    return count;
}

void reserve_effects(int count) {
    if (max_prepared_xacts == 0) return;  // PostgreSQL refuses it next, and says how to change that
    if (try_reserve(count)) return;
    resolve_ended(possession_in_force());
    if (!try_reserve(count)) raise_full();
}

void hand_over(Slot *slot, TransactionId xid, Txid txid, const AccountShare &share) {
    Assert(reserve >= 0);
    LWLockAcquire(chain_of(slot), LW_EXCLUSIVE);
    attach(slot, pop(reserve), xid, txid, share);
    LWLockRelease(chain_of(slot));
}

void release_reserved_effects() {
    while (reserve >= 0) free_effect(pop(reserve));
}

void add_effect(Slot *slot, Txid txid, const AccountShare &share) {
    const std::int32_t index = take_free_effect();
    if (index < 0) raise_full();
    LWLockAcquire(chain_of(slot), LW_EXCLUSIVE);
    attach(slot, index, xid_of(txid), txid, share);
    pg_atomic_add_fetch_u32(&slot->users, 1);
    LWLockRelease(chain_of(slot));
}

bool resolve_effects(Slot *slot) {
    bool resolved = false;
    Snapshot running = GetLatestSnapshot();
    LWLockAcquire(chain_of(slot), LW_EXCLUSIVE);
    for (std::int32_t *at = &slot->effects; *at >= 0;) {
        Effect &effect = table->effects[*at];
        const Outcome outcome = outcome_of(effect.xid, running);
        const bool has_ended = outcome == Outcome::committed || outcome == Outcome::aborted;
        resolved = resolved || has_ended;
        if (has_ended)
            apply(slot, at, outcome == Outcome::committed);
        else
            at = &effect.next;
    }
    LWLockRelease(chain_of(slot));
    return resolved;
}

bool resolve_all_effects(Slot *slot) {
    bool resolved = resolve_effects(slot);
    for (Txid forgotten; find_forgotten(slot, forgotten);) {
        const bool committed = has_transfers(slot->key.account, forgotten);
        LWLockAcquire(chain_of(slot), LW_EXCLUSIVE);
        for (std::int32_t *at = &slot->effects; *at >= 0; at = &table->effects[*at].next)
            if (table->effects[*at].txid == forgotten) {
                apply(slot, at, committed);
                resolved = true;
                break;
            }
        LWLockRelease(chain_of(slot));
    }
    return resolved;
}

int resolve_ended(Possession possession) {
    constexpr int kStepsBetweenInterrupts = 1024;
    Snapshot running = GetLatestSnapshot();
    int left = 0;
    for (std::int32_t i = 0; i < table->touched; ++i) {
        if (i % kStepsBetweenInterrupts == 0) CHECK_FOR_INTERRUPTS();
        const std::int32_t index = table->effects[i].slot;
        if (index < 0) continue;
        Slot *slot = slot_at(index);
        const bool is_ours = slot->key.possession == possession;
        if (XidInMVCCSnapshot(table->effects[i].xid, running)) {
            left += is_ours;
            continue;
        }
        if (!is_ours) {
            resolve_effects(slot);
        } else if (pin_with_effects(slot, possession)) {
            resolve_all_effects(slot);
            unpin_slot(slot);
        }
        running = GetLatestSnapshot();
    }
    return left;
}

void drop_effects(Slot *slot) {
    LWLockAcquire(chain_of(slot), LW_EXCLUSIVE);
    while (slot->effects >= 0) free_effect(pop(slot->effects));
    LWLockRelease(chain_of(slot));
}

}  // namespace ledger
