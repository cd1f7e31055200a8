#include "tcc/decision.hpp"

#include "engine/transaction.hpp"
#include "pg/error.hpp"

namespace ledger {

namespace {

Hold locked_hold(TransferId id) {
    Hold hold;
    if (!lock_hold(id, true, hold))
        ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
                errmsg("hold %lld of a TCC transaction does not exist", static_cast<long long>(id)),
                errhint("Run SELECT * FROM ledger.check_invariants()."));
    return hold;
}

// The locked holds of all branches.
Hold *lock_branches(const Branches &branches) {
    auto *holds = static_cast<Hold *>(
        MemoryContextAllocHuge(CurrentMemoryContext, Max(branches.count, 1) * sizeof(Hold)));
    for (int i = 0; i < branches.count; ++i) {
        CHECK_FOR_INTERRUPTS();
        holds[i] = locked_hold(branches.holds[i]);
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

// The decision to confirm: from now on no hold runs out any more.
void decide_to_confirm(Tcc &tcc, Hold *holds, int count) {
    if (tcc.row.state == TccState::confirming) return;
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

void confirm(Database &database, Tcc &tcc) {
    const Branches branches = branches_of(tcc);
    Hold *holds = lock_branches(branches);
    for (int i = 0; i < branches.count; ++i) {
        // Expired since the transaction was looked at, by a call that was short of balance.
        if (holds[i].row.state == HoldState::expired) raise_timed_out(tcc);
        if (holds[i].row.state != HoldState::open) continue;
        if (const char *blocked = blocked_by(holds[i])) {
            decide_to_confirm(tcc, holds, branches.count);
            return note_failure(tcc, psprintf("account \"%s\" is frozen", shown(blocked)));
        }
    }
    resolve_all(database, holds, branches.count, HoldState::posted);
    end_tcc(tcc, TccState::confirmed);
}

void cancel(Database &database, Tcc &tcc, TccState state) {
    const Branches branches = branches_of(tcc);
    const HoldState next = state == TccState::timed_out ? HoldState::expired : HoldState::voided;
    resolve_all(database, lock_branches(branches), branches.count, next);
    end_tcc(tcc, state);
}

void confirm_branch(Database &database, Tcc &tcc, TransferId branch) {
    Hold hold = locked_hold(branch);
    if (hold.row.state == HoldState::posted) return;
    if (hold.row.state == HoldState::expired) raise_timed_out(tcc);
    Order orders[kResolutionMax];
    append(orders, resolve_hold(database, hold, remaining(hold.row), HoldState::posted, orders));
    const Branches branches = branches_of(tcc);
    if (!any_open(branches)) return end_tcc(tcc, TccState::confirmed);
    if (tcc.row.state == TccState::confirming) return;
    decide_to_confirm(tcc, lock_branches(branches), branches.count);
    write_tcc(tcc);
}

void cancel_branch(Database &database, Tcc &tcc, TransferId branch) {
    if (branch != TransferId{0}) {
        Hold hold = locked_hold(branch);
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
