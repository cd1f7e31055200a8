// SQL: hold, post_hold, void_hold, expire_holds (sql/hold.sql), and the same for
// stock: reserve_stock, confirm_reservation, release_reservation (sql/stock.sql).
#include "engine/hold.hpp"
#include "engine/size.hpp"
#include "pg/error.hpp"
#include "pg/numeric.hpp"
#include "pg/time.hpp"
#include "request/call.hpp"

namespace ledger {

namespace {

// (source, destination, amount, ttl, key, metadata)
constexpr int kTtl = 3;
constexpr int kKey = 4;
constexpr int kMetadata = 5;

// How messages call a hold, and what they tell to do about it.
struct Words {
    const char *noun;
    const char *look_up;
    const char *take_back;
};
constexpr Words kHoldWords = {
    "hold", "Look it up in the view ledger.holds.",
    "It is resolved for good; to move the amount back, use ledger.reverse_transfer()."};
constexpr Words kReservationWords = {
    "reservation", "Use the id that ledger.reserve_stock() returned.",
    "It is resolved for good; to take goods back, use ledger.restore_stock()."};

[[noreturn]] void raise_unknown(TransferId id, const Words &words) {
    raise(Status::unknown_hold, psprintf("%s %lld does not exist", words.noun, static_cast<long long>(id)),
          nullptr, words.look_up);
}

[[noreturn]] void raise_resolved(const Hold &hold, const Words &words) {
    const auto id = static_cast<long long>(hold.row.transfer);
    const Account account = account_by_id(hold.row.debit_account);
    const char *posted = with_asset(hold.row.posted, account);
    const char *amount = with_asset(hold.row.amount, account);
    switch (hold.row.state) {
        case HoldState::posted:
            raise(Status::hold_already_posted, psprintf("%s %lld has already been posted", words.noun, id),
                  psprintf("Posted: %s of %s.", posted, amount), words.take_back);
        case HoldState::voided:
            raise(Status::hold_already_voided, psprintf("%s %lld has already been voided", words.noun, id),
                  psprintf("Posted before: %s of %s.", posted, amount),
                  "It is resolved for good; to set the amount aside again, make a new one.");
        default:
            raise(Status::hold_expired, psprintf("%s %lld has expired", words.noun, id),
                  psprintf("Posted before: %s of %s.", posted, amount),
                  "To set the amount aside again, make a new one, with a longer ttl.");
    }
}

// The hold of the caller's argument, locked and open, or an error that says what it is instead.
Hold open_hold(FunctionCallInfo fcinfo, const Words &words) {
    const TransferId id{bigint_argument(fcinfo, 0, words.noun)};
    Hold hold;
    if (!lock_hold(id, true, hold)) raise_unknown(id, words);
    const bool is_reservation = &words == &kReservationWords;
    if (is_reservation && !account_by_id(hold.row.debit_account).is_stock) raise_unknown(id, words);
    if (hold.row.is_branch)
        raise(Status::hold_in_tcc,
              psprintf("hold %lld belongs to a TCC transaction", static_cast<long long>(id)),
              "Its branches are resolved together.", "Use ledger.tcc_confirm() or ledger.tcc_cancel().");
    if (hold.row.state != HoldState::open || is_overdue(hold.row, GetCurrentTimestamp()))
        raise_resolved(hold, words);
    return hold;
}

// The amount to post: NULL is all that remains.
Minor amount_argument(FunctionCallInfo fcinfo, int number, const Hold &hold) {
    const Minor left = remaining(hold.row);
    if (PG_ARGISNULL(number)) return left;
    const Account account = account_by_id(hold.row.debit_account);
    const Numeric amount = PG_GETARG_NUMERIC(number);
    Minor minor;
    const AmountError error = minor_from_numeric(amount, account.scale, minor);
    if (error != AmountError::none) raise_refusal(bad_amount(error, amount, account.scale));
    if (minor <= 0)
        raise(Status::invalid_amount, psprintf("amount %s is not positive", with_asset(minor, account)),
              nullptr, "To give back all that remains, use ledger.void_hold().");
    if (minor > left)
        raise(Status::hold_amount_exceeded,
              psprintf("hold %lld does not cover %s", static_cast<long long>(hold.row.transfer),
                       with_asset(minor, account)),
              psprintf("Held: %s, of which %s is left.", with_asset(hold.row.amount, account),
                       with_asset(left, account)),
              "Post at most what is left, and make a transfer of its own for more.");
    return minor;
}

// Resolves, and ends the call with the first transfer's id.
Datum resolve(Database &database, const Call &call, Hold &hold, Minor post, HoldState next) {
    Order orders[kResolutionMax];
    append(orders, resolve_hold(database, hold, post, next, orders));
    return conclude(call, orders[0].id);
}

// All of a hold, (id, key): posted or given back.
Datum resolve_all(FunctionCallInfo fcinfo, const char *function, const Words &words, HoldState next) {
    Database &database = begin_posting(function);
    const Call call = call_under(key_argument(fcinfo, 1), function, [&](JsonObject &arguments) {
        put_bigint(arguments, words.noun, fcinfo->args[0]);
    });
    if (const Recalled made = recall(call); made.answer) return result_of(fcinfo, made.answer);
    Hold hold = open_hold(fcinfo, words);
    return resolve(database, call, hold, next == HoldState::posted ? remaining(hold.row) : 0, next);
}

}  // namespace

}  // namespace ledger

using namespace ledger;

LEDGER_FUNCTION(ledger_hold) {
    const char *function = "ledger.hold()";
    Database &database = begin_posting(function);
    const Call call = call_under(key_argument(fcinfo, kKey), function, [&](JsonObject &arguments) {
        put_text(arguments, "source", fcinfo->args[0]);
        put_text(arguments, "destination", fcinfo->args[1]);
        put_numeric(arguments, "amount", fcinfo->args[2]);
        put_interval(arguments, "ttl", fcinfo->args[kTtl]);
        put_metadata(arguments, fcinfo, kMetadata);
    });
    if (const Recalled made = recall(call); made.answer) return result_of(fcinfo, made.answer);
    const Code source = code_of(text_argument(fcinfo, 0, "source"));
    const Code destination = code_of(text_argument(fcinfo, 1, "destination"));
    const TimestampTz due_at = deadline_argument(fcinfo, kTtl, "ttl");
    Order order;
    Refusal refusal;
    if (!make_order(source, destination, numeric_argument(fcinfo, 2, "amount"), order, refusal))
        raise_refusal(refusal);
    order.kind = Kind::pending;
    order.metadata = metadata_argument(fcinfo, kMetadata);
    if (!take(database, order, source, destination, refusal)) raise_refusal(refusal);
    append_hold(order, due_at);
    return conclude(call, order.id);
}

LEDGER_FUNCTION(ledger_post_hold) {
    const char *function = "ledger.post_hold()";
    Database &database = begin_posting(function);
    if (PG_ARGISNULL(3)) raise_refusal(null_argument("final"));
    const bool is_final = PG_GETARG_BOOL(3);
    const Call call = call_under(key_argument(fcinfo, 2), function, [&](JsonObject &arguments) {
        put_bigint(arguments, "hold", fcinfo->args[0]);
        put_numeric(arguments, "amount", fcinfo->args[1]);
        put_string(arguments, "final", is_final ? "true" : "false");
    });
    if (const Recalled made = recall(call); made.answer) return result_of(fcinfo, made.answer);
    Hold hold = open_hold(fcinfo, kHoldWords);
    const Minor amount = amount_argument(fcinfo, 1, hold);
    return resolve(database, call, hold, amount, is_final ? HoldState::posted : HoldState::open);
}

LEDGER_FUNCTION(ledger_void_hold) {
    return resolve_all(fcinfo, "ledger.void_hold()", kHoldWords, HoldState::voided);
}

LEDGER_FUNCTION(ledger_confirm_reservation) {
    return resolve_all(fcinfo, "ledger.confirm_reservation()", kReservationWords, HoldState::posted);
}

LEDGER_FUNCTION(ledger_release_reservation) {
    return resolve_all(fcinfo, "ledger.release_reservation()", kReservationWords, HoldState::voided);
}

LEDGER_FUNCTION(ledger_expire_holds) {
    Database &database = begin_posting("ledger.expire_holds()");
    PG_RETURN_INT32(static_cast<std::int32_t>(expire_overdue(database, max_argument(fcinfo, 0))));
}
