// Reading an account's state from the tables.
#pragma once

#include "engine/slot.hpp"

namespace ledger {

// Fills a slot that nobody uses yet with what the tables say of its account.
// Transactions in progress can then only be prepared ones from before the last
// start; their effects are registered with the slot.
void load_account(Slot *slot);

}  // namespace ledger
