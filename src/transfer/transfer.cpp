// SQL: transfer, try_transfer, transfer_up_to, post_reversal (sql/transfer.sql).
#include "engine/order.hpp"
#include "engine/size.hpp"
#include "pg/result.hpp"
#include "pg/numeric.hpp"
#include "request/call.hpp"

namespace ledger {

namespace {

// (source, destination, amount, key, metadata)
constexpr int kKey = 3;
constexpr int kMetadata = 4;

Call call_from(FunctionCallInfo fcinfo, const char *function, const char *amount_name) {
    return call_under(key_argument(fcinfo, kKey), function, [&](JsonObject &arguments) {
        put_text(arguments, "source", fcinfo->args[0]);
        put_text(arguments, "destination", fcinfo->args[1]);
        put_numeric(arguments, amount_name, fcinfo->args[2]);
        put_metadata(arguments, fcinfo, kMetadata);
    });
}

Order order_from(FunctionCallInfo fcinfo, Code &source, Code &destination, const char *amount_name) {
    source = code_of(text_argument(fcinfo, 0, "source"));
    destination = code_of(text_argument(fcinfo, 1, "destination"));
    Order order;
    Refusal refusal;
    if (!make_order(source, destination, numeric_argument(fcinfo, 2, amount_name), order, refusal))
        raise_refusal(refusal);
    order.metadata = metadata_argument(fcinfo, kMetadata);
    return order;
}

// (transfer_id, amount); no transfer is NULL.
Datum swept(FunctionCallInfo fcinfo, TransferId id, Numeric amount) {
    Datum values[] = {Int64GetDatum(static_cast<std::int64_t>(id)), NumericGetDatum(amount)};
    bool nulls[] = {id == TransferId{0}, false};
    return row_result(fcinfo, values, nulls);
}

// Null where the source cannot cover the amount and may_be_short; raises otherwise.
Datum transfer(FunctionCallInfo fcinfo, const char *function, bool may_be_short) {
    Database &database = begin_posting(function);
    const Call call = call_from(fcinfo, function, "amount");
    if (const Recalled made = recall(call); made.answer) return result_of(fcinfo, made.answer);
    Code source, destination;
    Order order = order_from(fcinfo, source, destination, "amount");
    Refusal refusal;
    const bool taken = take(database, order, source, destination, refusal);
    if (!taken && !(may_be_short && is_short_of(refusal, order.source))) raise_refusal(refusal);
    return conclude(fcinfo, call, order, taken, static_cast<std::int64_t>(order.id));
}

}  // namespace

}  // namespace ledger

using namespace ledger;

LEDGER_FUNCTION(ledger_transfer) {
    return transfer(fcinfo, "ledger.transfer()", false);
}

LEDGER_FUNCTION(ledger_try_transfer) {
    return transfer(fcinfo, "ledger.try_transfer()", true);
}

LEDGER_FUNCTION(ledger_transfer_up_to) {
    const char *function = "ledger.transfer_up_to()";
    Database &database = begin_posting(function);
    const Call call = call_from(fcinfo, function, "maximum");
    if (const Recalled made = recall(call); made.answer)
        return swept(fcinfo, made.transfer, numeric_in(made.answer));
    Code source, destination;
    Order order = order_from(fcinfo, source, destination, "maximum");
    const Minor maximum = order.amount;
    Refusal refusal;
    bool taken = false;
    // Others may take between the look and the grab: then there is less, look again.
    while (!taken && (order.amount = amount_up_to(database, order, maximum)) > 0) {
        CHECK_FOR_INTERRUPTS();
        taken = take(database, order, source, destination, refusal);
        const bool less_now =
            refusal.status == Status::insufficient_balance || refusal.status == Status::ceiling_exceeded ||
            refusal.status == Status::balance_out_of_range || refusal.status == Status::balance_in_flight;
        if (!taken && !less_now) raise_refusal(refusal);
    }
    if (taken) append(&order, 1);
    const Numeric amount = numeric_from_minor(taken ? order.amount : 0, order.source.scale);
    remember(call, json_numeric(amount), order.id);
    return swept(fcinfo, order.id, amount);
}

LEDGER_FUNCTION(ledger_post_reversal) {
    Database &database = begin_posting("ledger.reverse_transfer()");
    Order order = {};
    order.source = account_by_id(AccountId{bigint_argument(fcinfo, 0, "source")});
    order.destination = account_by_id(AccountId{bigint_argument(fcinfo, 1, "destination")});
    order.amount = bigint_argument(fcinfo, 2, "amount");
    if (order.amount <= 0)
        raise_refusal(not_positive(psprintf("%lld", static_cast<long long>(order.amount))));
    order.kind = Kind::reversal;
    order.ref = bigint_argument(fcinfo, 3, "ref");
    order.metadata = metadata_argument(fcinfo, 4);
    Refusal refusal;
    if (!take(database, order, account_code(order.source.id), account_code(order.destination.id), refusal))
        raise_refusal(refusal);
    append(&order, 1);
    PG_RETURN_INT64(static_cast<std::int64_t>(order.id));
}
