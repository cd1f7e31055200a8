// Reading an account's state from the tables.
#pragma once

#include "engine/slot.hpp"

namespace ledger {

// What a load reads is locked before any other session can wait for the loader: tables,
// to the end of the transaction, and indexes, until unlock_after_load.
struct LoadLocks {
    Oid indexes[4];
};
LoadLocks lock_for_load();
void unlock_after_load(const LoadLocks &locks);

// Fills a slot that nobody else can find yet with what the tables say of its account.
// Needs the locks. Transactions in progress can then only be prepared ones from before
// the last start; their effects are registered with the slot. A long tail is called for
// to be folded as soon as it is known to be long, so that a load that is cancelled is
// shorter the next time.
void load_account(Slot *slot);

}  // namespace ledger
