// Effects of prepared transactions. A transaction that was prepared is finished
// by whoever likes, possibly after a restart, and no callback tells us. So its
// share of each account's bounds is kept with the account's slot, which stays
// pessimistic (and pinned) until somebody who is short of what the account has
// finds that the transaction has ended. Who is not short pays nothing for them.
#pragma once

#include "core/escrow.hpp"
#include "engine/slot.hpp"

namespace ledger {

Size effects_shmem_size();
void effects_shmem_init();
int effects_in_use();

// Before PREPARE: sets count effects aside for this backend, or raises LG902.
void reserve_effects(int count);

// At PREPARE, which cannot fail: hands a share and the caller's use of the slot
// over to the transaction, from what was reserved.
void hand_over(Slot *slot, TransactionId xid, Txid txid, const AccountShare &share);

// Returns what was reserved and not handed over.
void release_reserved_effects();

// At a slot's load: the effect of a transaction found in progress, or LG902.
void add_effect(Slot *slot, Txid txid, const AccountShare &share);

// Applies the effects of those transactions that have ended since and whose
// outcome is still on record. True if there were any. Takes a snapshot.
bool resolve_effects(Slot *slot);

// The same, also for those that ended so long ago that vacuum has removed the
// record (pg_xact): then the tables tell whether the transaction's transfers are
// there. For a slot of this database that the caller has pinned; scans.
bool resolve_all_effects(Slot *slot);

// Applies the effects of all prepared transactions that have ended: of a possession in this
// database wholly, in others as far as the outcome is on record. Returns how many effects of the
// possession are left. For who needs room, and for the worker, so that nothing is left for ever.
int resolve_ended(Possession possession);

// Forgets all effects of a slot whose load failed.
void drop_effects(Slot *slot);

}  // namespace ledger
