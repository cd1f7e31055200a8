// Accounts with long tails, for the worker to fold. Whoever finds a tail long puts the
// account into the queue of its database: at a transfer that makes it a multiple of
// ledger.fold_threshold, and at the load of a slot.
#pragma once

#include "core/types.hpp"
#include "engine/slot.hpp"
#include "pg/postgres.hpp"

namespace ledger {

struct Database;

struct FoldQueue {
    static constexpr int kRoom = 1024;
    slock_t mutex;  // protects what follows
    int count;
    AccountId accounts[kRoom];
};

void init_fold_queue(FoldQueue &queue);
void reset_fold_queue(FoldQueue &queue);

// Puts the account into the queue; false where that is full.
bool queue_account(Database &database, AccountId account);

// Has the worker fold the account. Where the queue is full the account is left to the next
// crossing or to the sweep (worker/sweep.cpp). Neither fails nor allocates.
void call_fold(Database &database, AccountId account);

// Takes accounts out of the queue, at most max, and returns how many.
int take_queued_accounts(Database &database, AccountId *accounts, int max);

// For the two sides of a transfer just made: queues those whose tail has just reached a
// multiple of the threshold.
void fold_when_long(Database &database, const Slot &source, const Slot &destination);

}  // namespace ledger
