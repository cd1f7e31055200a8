// Folding: adding the old part of an account's transfers to its row in
// ledger_data.balance, so that a reader has only the tail to add up.
#pragma once

#include "core/types.hpp"
#include "pg/postgres.hpp"

namespace ledger {

// Folds the account up to the oldest running transaction. Waits for another
// folder in this database, and keeps others waiting to the end of the
// transaction. Balances are the same before and after, in every snapshot.
std::int64_t fold_account(AccountId account);

// The same, without waiting. Returns the transfers that are left in the tail, as far as the
// account's slot knows; a whole threshold if there is another folder.
std::int64_t try_fold_account(AccountId account);

}  // namespace ledger
