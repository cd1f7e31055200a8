// This transaction's business with the engine: the accounts it uses, its share
// of their bounds, savepoint by savepoint, and what happens to all of it at
// commit, abort and prepare.
#pragma once

#include "core/escrow.hpp"
#include "engine/database.hpp"
#include "engine/slot.hpp"

namespace ledger {

// An account's state before a subtransaction first touched it.
struct SavedUse;

// An account this transaction uses. Its pin on the slot lives until the transaction ends,
// or the subtransaction in which the use began is rolled back.
struct AccountUse {
    AccountId id;
    Possession possession;
    std::int64_t base;  // of the possession's txids
    Slot *slot;         // null: not in use any more
    AccountShare share;
    bool resolved_hold;   // by this transaction: a rollback brings its deadline back
    bool limits_changed;  // by this transaction: wanted holds for it, committed for a rollback
    Limits wanted;
    Limits committed;
    SavedUse *saved;
    AccountUse *next;
};

// The account's use, begun if need be: pins and perhaps loads the slot. To be
// called in each subtransaction before the account's share or limits change.
AccountUse &use_account(AccountId account);

// What the account can still give to this transaction, or take.
Wide can_give(AccountUse &use);
Wide can_take(AccountUse &use);

// Takes the change that a transfer makes on its side. A state other than open
// refuses all but a void, which moves nothing.
struct Taken {
    Grant grant;
    AccountState state;
    Wide left;  // what the account can give (debit side) or take (credit side) afterwards
    Wide most;  // the same, if the transactions in flight end well
};
Taken take_side(AccountUse &use, Kind kind, Side side, Minor amount);

// Undoes the one change taken since the share was as in before, in this subtransaction.
void put_back(AccountUse &use, const AccountShare &before);

// True if some of what the account has is set aside by holds, or is held for it, and time may
// be up for one of them.
bool may_have_overdue(AccountUse &use, TimestampTz now);

// A hold of the account is open, and the row that says so was written.
void note_due(AccountUse &use, TimestampTz due);

// A hold of the account was resolved: this transaction does not see it any more, but it may be rolled back.
void note_resolved(AccountUse &use);

// A look for overdue holds of the account: from begin_look to end_look, which says when the
// next hold found is due. Holds made meanwhile are noted, and where another look was begun
// since, that one decides.
std::uint32_t begin_look(AccountUse &use);
void end_look(AccountUse &use, std::uint32_t look, TimestampTz next_due);

// Gives the account what prepared transactions that have ended since have left. True if there were any.
bool resolve_prepared(AccountUse &use);

// Changes the account's limits: stricter ones hold for everybody at once, looser
// ones from commit. Refused if the balance is past them. The caller holds a lock
// that keeps other changes of this account out to the end of the (sub)transaction.
enum class LimitChange { ok, below_floor, above_ceiling, not_empty, in_flight };
Limits limits_in_force(AccountUse &use);
LimitChange change_limits(AccountUse &use, const Limits &wanted);

// What stands in the way of those limits, on each side: too little that can be spent, too
// much that there may be. 0 or less: nothing.
struct Excess {
    Wide debit, debit_at_best;
    Wide credit, credit_at_best;
};
Excess excess_over(AccountUse &use, const Limits &wanted);

// This transaction does what only one at a time may do until it ends: it cannot be
// prepared. did: "folded"; function: "ledger.fold()". Both are constants.
void note_upkeep(const char *did, const char *function);

void register_transaction_callbacks();

}  // namespace ledger
