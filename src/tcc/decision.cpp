#include "tcc/decision.hpp"

#include "engine/transaction.hpp"
#include "pg/error.hpp"

namespace ledger {

namespace {

// False if others are at it and wait is false.
bool lock_branch(TransferId id, bool wait, Hold &hold) {
    if (lock_hold(id, wait, hold)) return true;
    if (!wait && find_hold(id, hold)) return false;
    ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
            errmsg("hold %lld of a TCC transaction does not exist", static_cast<long long>(id)),
            errhint("Run SELECT * FROM ledger.check_invariants()."));
}

// The locked holds of all branches; null if others are at one and wait is false.
Hold *lock_branches(const Branches &branches, bool wait) {
    auto *holds = static_cast<Hold *>(
        MemoryContextAllocHuge(CurrentMemoryContext, Max(branches.count, 1) * sizeof(Hold)));
    for (int i = 0; i < branches.count; ++i) {
        CHECK_FOR_INTERRUPTS();
        if (!lock_branch(branches.holds[i], wait, holds[i])) return nullptr;
    }
    return holds;
}

[[noreturn]] void raise_timed_out(const Tcc &tcc) {
    raise(Status::tcc_timed_out, psprintf("TCC transaction \"%s\" has timed out", shown_xid(tcc)),
          "Its branches are or will be canceled.",
          "Begin another one, under another xid, with a longer timeout.");
}

// The first account of the hold that is not open, if there is one.
const char *blocked_by(const Hold &hold) {
    for (const AccountId id : {hold.row.debit_account, hold.row.credit_account})
        if (limits_in_force(use_account(id)).state != AccountState::open) return account_code(id);
    return nullptr;
}

// Resolves the open ones among the holds, each wholly.
void resolve_all(Database &database, Hold *holds, int count, HoldState next) {
    auto *orders =
        static_cast<Order *>(MemoryContextAllocHuge(CurrentMemoryContext, Max(count, 1) * sizeof(Order)));
    int made = 0;
    for (int i = 0; i < count; ++i) {
        CHECK_FOR_INTERRUPTS();
        if (holds[i].row.state != HoldState::open) continue;
        const Minor post = next == HoldState::posted ? remaining(holds[i].row) : 0;
        made += resolve_hold(database, holds[i], post, next, orders + made);
    }
    append(orders, made);
}

// An expired branch cannot be confirmed: time was up before this was decided.
void refuse_expired(const Tcc &tcc, const Hold *holds, int count) {
    for (int i = 0; i < count; ++i)
        if (holds[i].row.state == HoldState::expired) raise_timed_out(tcc);
}

// The decision to confirm, with all branches locked: from now on none runs out any more.
void decide_to_confirm(Tcc &tcc, Hold *holds, int count) {
    if (tcc.row.state == TccState::confirming) return;
    refuse_expired(tcc, holds, count);
    for (int i = 0; i < count; ++i)
        if (holds[i].row.state == HoldState::open && holds[i].row.due_at != DT_NOEND)
            set_due(holds[i], DT_NOEND);
    tcc.row.state = TccState::confirming;
}

bool any_open(const Branches &branches) {
    for (int i = 0; i < branches.count; ++i)
        if (Hold hold; find_hold(branches.holds[i], hold) && hold.row.state == HoldState::open) return true;
    return false;
}

}  // namespace

void refuse_canceled(const Tcc &tcc) {
    if (tcc.row.state == TccState::timed_out || is_overdue(tcc, GetCurrentTimestamp())) raise_timed_out(tcc);
    if (is_canceled(tcc))
        raise(Status::tcc_already_canceled,
              psprintf("TCC transaction \"%s\" has been canceled", shown_xid(tcc)), nullptr,
              "It is decided for good; for another attempt use another xid.");
}

void refuse_confirmed(const Tcc &tcc) {
    if (is_confirmed(tcc))
        raise(Status::tcc_already_confirmed,
              psprintf("TCC transaction \"%s\" has been confirmed", shown_xid(tcc)), nullptr,
              "It is decided for good; to move an amount back, use ledger.reverse_transfer().");
}

void confirm(Database &database, Tcc &tcc, bool wait) {
    const Branches branches = branches_of(tcc);
    Hold *holds = lock_branches(branches, wait);
    if (!holds) return;
    refuse_expired(tcc, holds, branches.count);
    for (int i = 0; i < branches.count; ++i)
        if (const char *blocked = holds[i].row.state == HoldState::open ? blocked_by(holds[i]) : nullptr) {
            decide_to_confirm(tcc, holds, branches.count);
            return note_failure(tcc, psprintf("account \"%s\" is frozen", shown(blocked)));
        }
    resolve_all(database, holds, branches.count, HoldState::posted);
    end_tcc(tcc, TccState::confirmed);
}

void cancel(Database &database, Tcc &tcc, TccState state, bool wait) {
    const Branches branches = branches_of(tcc);
    Hold *holds = lock_branches(branches, wait);
    if (!holds) return;
    resolve_all(database, holds, branches.count,
                state == TccState::timed_out ? HoldState::expired : HoldState::voided);
    end_tcc(tcc, state);
}

void confirm_branch(Database &database, Tcc &tcc, TransferId branch) {
    const Branches branches = branches_of(tcc);
    const bool decides = tcc.row.state == TccState::trying;
    if (decides) decide_to_confirm(tcc, lock_branches(branches, true), branches.count);
    Hold hold;
    lock_branch(branch, true, hold);
    resolve_all(database, &hold, 1, HoldState::posted);
    if (has_ended(tcc)) return;
    if (!any_open(branches))
        end_tcc(tcc, TccState::confirmed);
    else if (decides)
        write_tcc(tcc);
}

void cancel_branch(Database &database, Tcc &tcc, TransferId branch) {
    if (branch != TransferId{0}) {
        Hold hold;
        lock_branch(branch, true, hold);
        resolve_all(database, &hold, 1, HoldState::voided);
    }
    if (has_ended(tcc)) return;
    if (!any_open(branches_of(tcc))) return end_tcc(tcc, TccState::canceled);
    if (tcc.row.state == TccState::canceling) return;
    tcc.row.state = TccState::canceling;
    write_tcc(tcc);
}

const char *shown_xid(const Tcc &tcc) {
    return shown(code_of(tcc.xid));
}

const char *state_name(TccState state) {
    switch (state) {
        case TccState::trying:
            return "trying";
        case TccState::confirming:
            return "confirming";
        case TccState::confirmed:
            return "confirmed";
        case TccState::canceling:
            return "canceling";
        default:
            return "canceled";
    }
}

}  // namespace ledger
