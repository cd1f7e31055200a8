// SQL: stock (sql/stock.sql). A SKU is an account; deducting is a transfer from
// it to <sku>:sold, reserving a hold there, restoring the way back, adding a
// transfer from stock:supply.
#include "stock/stock.hpp"

#include "engine/hold.hpp"
#include "engine/size.hpp"
#include "pg/time.hpp"
#include "request/call.hpp"

namespace ledger {

namespace {

constexpr Code kSupply = "stock:supply";
constexpr Code kSoldSuffix = ":sold";

// An account of stock by its code; raises LG002 in the words of stock. ordinal:
// of the line in a cart, else 0.
Account stock_account(Code code, Code sku, int ordinal = 0) {
    Account account;
    if (!find_account(code, account) || !account.is_stock) raise_refusal(unknown_stock(sku), ordinal);
    return account;
}

Account sold_account(Code sku, int ordinal = 0) {
    char code[kCodeBytesMax + kSoldSuffix.size()];
    if (sku.size() > kCodeBytesMax) raise_refusal(unknown_stock(sku), ordinal);
    memcpy(code, sku.data(), sku.size());
    memcpy(code + sku.size(), kSoldSuffix.data(), kSoldSuffix.size());
    return stock_account({code, sku.size() + kSoldSuffix.size()}, sku, ordinal);
}

Order stock_order(Kind kind, const Account &source, const Account &destination, std::int64_t quantity,
                  int ordinal = 0) {
    if (quantity <= 0) raise_refusal(bad_quantity(quantity), ordinal);
    Order order = {};
    order.source = source;
    order.destination = destination;
    order.amount = quantity;
    order.kind = kind;
    return order;
}

std::int64_t left_of(const Account &sku) {
    return static_cast<std::int64_t>(spendable(sku));
}

Call call_from(FunctionCallInfo fcinfo, const char *function) {
    return call_under(key_argument(fcinfo, 2), function, [&](JsonObject &arguments) {
        put_text(arguments, "sku", fcinfo->args[0]);
        put_bigint(arguments, "quantity", fcinfo->args[1]);
        if (PG_NARGS() > 3) put_metadata(arguments, fcinfo, 3);
    });
}

// Null where it is short and that may be; raises otherwise.
Datum deduct(FunctionCallInfo fcinfo, const char *function, bool may_be_short) {
    Database &database = begin_posting(function);
    const Call call = call_from(fcinfo, function);
    if (const Recalled made = recall(call); made.answer) return result_of(fcinfo, made.answer);
    const Code sku = code_of(text_argument(fcinfo, 0, "sku"));
    Order order = deduction(Kind::posted, sku, bigint_argument(fcinfo, 1, "quantity"));
    order.metadata = metadata_argument(fcinfo, 3);
    Refusal refusal;
    const bool taken = take(database, order, sku, sku, refusal);
    if (!taken && !(may_be_short && is_short_of(refusal, order.source))) raise_refusal(refusal);
    return conclude(fcinfo, call, order, taken, taken ? left_of(order.source) : 0);
}

// A movement into stock from the account that from(sku) finds; what is available after.
template <typename From>
Datum bring(FunctionCallInfo fcinfo, const char *function, From from) {
    Database &database = begin_posting(function);
    const Call call = call_from(fcinfo, function);
    if (const Recalled made = recall(call); made.answer) return result_of(fcinfo, made.answer);
    const Code sku = code_of(text_argument(fcinfo, 0, "sku"));
    const std::int64_t quantity = bigint_argument(fcinfo, 1, "quantity");
    Order order = stock_order(Kind::posted, from(sku), stock_account(sku, sku), quantity);
    Refusal refusal;
    if (!take(database, order, sku, sku, refusal)) {
        if (refusal.status == Status::insufficient_balance) {
            refusal.message = psprintf("%lld pieces of \"%s\" cannot be restored",
                                       static_cast<long long>(quantity), shown(sku));
            refusal.detail =
                psprintf("Sold and not restored yet: %s.", with_asset(refusal.available, order.source));
            refusal.hint = "To bring in goods that were never sold, use ledger.add_stock().";
        }
        raise_refusal(refusal);
    }
    return conclude(fcinfo, call, order, true, left_of(order.destination));
}

// A cart: (skus, quantities, ...).
struct Cart {
    Elements skus, quantities;
};

Cart cart_of(FunctionCallInfo fcinfo) {
    const Cart cart = {array_argument(fcinfo, 0, "skus", TEXTOID),
                       array_argument(fcinfo, 1, "quantities", INT8OID)};
    if (cart.skus.count != cart.quantities.count)
        ereport(ERROR, errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
                errmsg("the arrays of a cart differ in length"),
                errdetail("There are %d SKUs and %d quantities.", cart.skus.count, cart.quantities.count),
                errhint("Give every SKU one quantity."));
    return cart;
}

void put_cart(JsonObject &arguments, const Cart &cart) {
    put_texts(arguments, "skus", cart.skus.values, cart.skus.nulls, cart.skus.count);
    put_bigints(arguments, "quantities", cart.quantities.values, cart.quantities.nulls,
                cart.quantities.count);
}

// Takes every line, or raises for the first that cannot be had.
Order *take_cart(Database &database, const Cart &cart, Kind kind) {
    const int count = cart.skus.count;
    auto *orders = static_cast<Order *>(palloc(Max(count, 1) * sizeof(Order)));
    for (int i = 0; i < count; ++i) {
        CHECK_FOR_INTERRUPTS();
        if (cart.skus.nulls[i] || cart.quantities.nulls[i])
            raise_refusal(null_argument(cart.skus.nulls[i] ? "sku" : "quantity"), i + 1);
        const Code sku = code_of(DatumGetTextPP(cart.skus.values[i]));
        orders[i] = deduction(kind, sku, DatumGetInt64(cart.quantities.values[i]), i + 1);
        Refusal refusal;
        if (!take(database, orders[i], sku, sku, refusal)) raise_refusal(refusal, i + 1);
    }
    return orders;
}

// What is left of each line, as the answer.
Jsonb *sell_cart(Database &database, const Cart &cart) {
    const int count = cart.skus.count;
    Order *orders = take_cart(database, cart, Kind::posted);
    append(orders, count);
    auto *left = static_cast<Datum *>(palloc(Max(count, 1) * sizeof(Datum)));
    for (int i = 0; i < count; ++i) left[i] = Int64GetDatum(left_of(orders[i].source));
    return json_bigints(left, count);
}

// Each line's hold and what is left of it, in turn, as the answer.
Jsonb *reserve_cart(Database &database, const Cart &cart, TimestampTz due_at) {
    const int count = cart.skus.count;
    Order *orders = take_cart(database, cart, Kind::pending);
    auto *answer = static_cast<Datum *>(palloc(Max(count, 1) * 2 * sizeof(Datum)));
    for (int i = 0; i < count; ++i) append_hold(orders[i], due_at);
    for (int i = 0; i < count; ++i) {
        answer[2 * i] = Int64GetDatum(static_cast<std::int64_t>(orders[i].id));
        answer[2 * i + 1] = Int64GetDatum(left_of(orders[i].source));
    }
    return json_bigints(answer, 2 * count);
}

}  // namespace

Order deduction(Kind kind, Code sku, std::int64_t quantity, int ordinal) {
    return stock_order(kind, stock_account(sku, sku, ordinal), sold_account(sku, ordinal), quantity, ordinal);
}

}  // namespace ledger

using namespace ledger;

LEDGER_FUNCTION(ledger_deduct_stock) {
    return deduct(fcinfo, "ledger.deduct_stock()", false);
}

LEDGER_FUNCTION(ledger_try_deduct_stock) {
    return deduct(fcinfo, "ledger.try_deduct_stock()", true);
}

LEDGER_FUNCTION(ledger_add_stock) {
    return bring(fcinfo, "ledger.add_stock()", [](Code sku) { return stock_account(kSupply, sku); });
}

LEDGER_FUNCTION(ledger_restore_stock) {
    return bring(fcinfo, "ledger.restore_stock()", [](Code sku) { return sold_account(sku); });
}

LEDGER_FUNCTION(ledger_deduct_stocks) {
    const char *function = "ledger.deduct_stocks()";
    Database &database = begin_posting(function);
    const Cart cart = cart_of(fcinfo);
    const Call call = call_under(key_argument(fcinfo, 2), function,
                                 [&](JsonObject &arguments) { put_cart(arguments, cart); });
    Jsonb *answer = recall(call).answer;
    if (!answer) {
        answer = sell_cart(database, cart);
        remember(call, answer);
    }
    InitMaterializedSRF(fcinfo, 0);
    auto *result = reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
    for (int i = 0; i < cart.skus.count; ++i) {
        Datum values[] = {cart.skus.values[i], Int64GetDatum(bigint_in(answer, i))};
        bool nulls[] = {false, false};
        tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    }
    return Datum{0};
}

// (sku, quantity, ttl, key)
LEDGER_FUNCTION(ledger_reserve_stock) {
    const char *function = "ledger.reserve_stock()";
    Database &database = begin_posting(function);
    const Call call = call_under(key_argument(fcinfo, 3), function, [&](JsonObject &arguments) {
        put_text(arguments, "sku", fcinfo->args[0]);
        put_bigint(arguments, "quantity", fcinfo->args[1]);
        put_interval(arguments, "ttl", fcinfo->args[2]);
    });
    if (const Recalled made = recall(call); made.answer) return result_of(fcinfo, made.answer);
    const Code sku = code_of(text_argument(fcinfo, 0, "sku"));
    const TimestampTz due_at = deadline_argument(fcinfo, 2, "ttl");
    Order order = deduction(Kind::pending, sku, bigint_argument(fcinfo, 1, "quantity"));
    Refusal refusal;
    if (!take(database, order, sku, sku, refusal)) raise_refusal(refusal);
    append_hold(order, due_at);
    return conclude(call, order.id);
}

// (skus, quantities, ttl, key)
LEDGER_FUNCTION(ledger_reserve_stocks) {
    const char *function = "ledger.reserve_stocks()";
    Database &database = begin_posting(function);
    const Cart cart = cart_of(fcinfo);
    const Call call = call_under(key_argument(fcinfo, 3), function, [&](JsonObject &arguments) {
        put_cart(arguments, cart);
        put_interval(arguments, "ttl", fcinfo->args[2]);
    });
    Jsonb *answer = recall(call).answer;
    if (!answer) {
        answer = reserve_cart(database, cart, deadline_argument(fcinfo, 2, "ttl"));
        remember(call, answer);
    }
    InitMaterializedSRF(fcinfo, 0);
    auto *result = reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
    for (int i = 0; i < cart.skus.count; ++i) {
        Datum values[] = {cart.skus.values[i], Int64GetDatum(bigint_in(answer, 2 * i)),
                          Int64GetDatum(bigint_in(answer, 2 * i + 1))};
        bool nulls[] = {false, false, false};
        tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    }
    return Datum{0};
}
