// SQL: TCC (sql/tcc.sql).
#include "engine/order.hpp"
#include "engine/size.hpp"
#include "pg/error.hpp"
#include "pg/json.hpp"
#include "pg/time.hpp"
#include "request/registry.hpp"
#include "stock/stock.hpp"
#include "tcc/advance.hpp"
#include "tcc/decision.hpp"

namespace ledger {

namespace {

Datum answer(const char *text) {
    return CStringGetTextDatum(text);
}

[[noreturn]] void raise_unknown(const text *xid) {
    raise(Status::unknown_tcc_transaction,
          psprintf("TCC transaction \"%s\" does not exist", shown(code_of(xid))),
          "It was not begun here, or it ended long ago.", "Begin it with ledger.tcc_begin().");
}

// The transaction of argument 0, locked, or LG201.
Tcc existing_tcc(FunctionCallInfo fcinfo) {
    text *xid = name_argument(fcinfo, 0, "xid");
    Tcc tcc;
    if (!lock_tcc(xid, tcc)) raise_unknown(xid);
    return tcc;
}

bool same_metadata(const Jsonb *one, const Jsonb *other) {
    if (!one || !other) return one == other;
    return compareJsonbContainers(const_cast<JsonbContainer *>(&one->root),
                                  const_cast<JsonbContainer *>(&other->root)) == 0;
}

// A branch that is tried again must have the arguments it first had.
void check_branch(const Tcc &tcc, text *branch, TransferId id, const Order &order) {
    Hold hold;
    find_hold(id, hold);
    const HoldRow &row = hold.row;
    if (row.debit_account == order.source.id && row.credit_account == order.destination.id &&
        row.amount == order.amount)
        return;
    const Account account = account_by_id(row.debit_account);
    raise(Status::tcc_branch_mismatch,
          psprintf("branch \"%s\" of TCC transaction \"%s\" was tried with other arguments",
                   shown(code_of(branch)), shown_xid(tcc)),
          psprintf("It holds %s from \"%s\" for \"%s\".", with_asset(row.amount, account),
                   account_code(row.debit_account), account_code(row.credit_account)),
          "Repeat a branch with the arguments it first had; give another one another name.");
}

// Try: a hold, the order made from the arguments by order_of(source, destination), under the fence.
template <typename OrderOf>
Datum freeze(FunctionCallInfo fcinfo, const char *function, OrderOf order_of) {
    Database &database = begin_posting(function);
    Code source, destination;
    Order order = order_of(source, destination);
    text *branch = name_argument(fcinfo, 1, "branch");
    const Tcc tcc = existing_tcc(fcinfo);
    refuse_canceled(tcc);
    const TransferId tried = find_branch(tcc, branch);
    if (tried != TransferId{0}) {
        check_branch(tcc, branch, tried, order);
        return answer("frozen");
    }
    refuse_confirmed(tcc);
    Refusal refusal;
    if (!take(database, order, source, destination, refusal)) raise_refusal(refusal);
    append_hold(order, tcc.row.expires_at, true);
    insert_branch(tcc, branch, order.id);
    return answer("frozen");
}

// The hold of the branch that argument 1 names, or LG201.
TransferId existing_branch(FunctionCallInfo fcinfo, const Tcc &tcc) {
    text *branch = name_argument(fcinfo, 1, "branch");
    const TransferId hold = find_branch(tcc, branch);
    if (hold == TransferId{0})
        raise(Status::unknown_tcc_transaction,
              psprintf("TCC transaction \"%s\" has no branch \"%s\"", shown_xid(tcc), shown(code_of(branch))),
              "Its Try never came, or failed.", "Cancel the transaction, or try the branch first.");
    return hold;
}

}  // namespace

}  // namespace ledger

using namespace ledger;

LEDGER_FUNCTION(ledger_tcc_begin) {
    begin_posting("ledger.tcc_begin()");
    text *xid = name_argument(fcinfo, 0, "xid");
    const TimestampTz expires_at = deadline_argument(fcinfo, 1, "timeout");
    Jsonb *metadata = metadata_argument(fcinfo, 2);
    if (metadata) check_text_size(metadata, Sized::metadata);
    Tcc tcc;
    if (!lock_tcc(xid, tcc)) {
        begin_tcc(xid, expires_at, metadata);
        return answer("trying");
    }
    refuse_canceled(tcc);
    if (!same_metadata(metadata_of(tcc), metadata))
        raise(Status::tcc_branch_mismatch,
              psprintf("TCC transaction \"%s\" was begun with other metadata", shown_xid(tcc)), nullptr,
              "Give every transaction an xid of its own; repeat one with the metadata it first had.");
    return answer(state_name(tcc.row.state));
}

LEDGER_FUNCTION(ledger_tcc_freeze) {
    return freeze(fcinfo, "ledger.tcc_freeze()", [&](Code &source, Code &destination) {
        source = code_of(text_argument(fcinfo, 2, "source"));
        destination = code_of(text_argument(fcinfo, 3, "destination"));
        Order order;
        Refusal refusal;
        if (!make_order(source, destination, numeric_argument(fcinfo, 4, "amount"), order, refusal))
            raise_refusal(refusal);
        order.kind = Kind::pending;
        return order;
    });
}

LEDGER_FUNCTION(ledger_tcc_freeze_stock) {
    return freeze(fcinfo, "ledger.tcc_freeze_stock()", [&](Code &source, Code &destination) {
        source = destination = code_of(text_argument(fcinfo, 2, "sku"));
        return deduction(Kind::pending, source, bigint_argument(fcinfo, 3, "quantity"));
    });
}

LEDGER_FUNCTION(ledger_tcc_confirm) {
    Database &database = begin_posting("ledger.tcc_confirm()");
    Tcc tcc = existing_tcc(fcinfo);
    refuse_canceled(tcc);
    if (!has_ended(tcc)) confirm(database, tcc, true);
    return answer(state_name(tcc.row.state));
}

LEDGER_FUNCTION(ledger_tcc_cancel) {
    Database &database = begin_posting("ledger.tcc_cancel()");
    text *xid = name_argument(fcinfo, 0, "xid");
    Tcc tcc;
    if (!lock_tcc(xid, tcc)) {
        cancel_unknown_tcc(xid);
        return answer("canceled");
    }
    refuse_confirmed(tcc);
    if (!has_ended(tcc)) cancel(database, tcc, TccState::canceled, true);
    return answer("canceled");
}

LEDGER_FUNCTION(ledger_tcc_confirm_branch) {
    Database &database = begin_posting("ledger.tcc_confirm_branch()");
    Tcc tcc = existing_tcc(fcinfo);
    refuse_canceled(tcc);
    confirm_branch(database, tcc, existing_branch(fcinfo, tcc));
    return answer("confirmed");
}

LEDGER_FUNCTION(ledger_tcc_cancel_branch) {
    Database &database = begin_posting("ledger.tcc_cancel_branch()");
    text *xid = name_argument(fcinfo, 0, "xid");
    text *branch = name_argument(fcinfo, 1, "branch");
    Tcc tcc;
    if (!lock_tcc(xid, tcc)) {
        cancel_unknown_tcc(xid);
        return answer("canceled");
    }
    refuse_confirmed(tcc);
    cancel_branch(database, tcc, find_branch(tcc, branch));
    return answer("canceled");
}

LEDGER_FUNCTION(ledger_tcc_expire) {
    Database &database = begin_posting("ledger.tcc_expire()");
    PG_RETURN_INT32(static_cast<std::int32_t>(advance_due(database, max_argument(fcinfo, 0))));
}
