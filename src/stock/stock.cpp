// SQL: stock (sql/stock.sql). A SKU is an account; deducting is a transfer from
// it to <sku>:sold, restoring the way back, adding a transfer from stock:supply.
#include "engine/order.hpp"

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

Order stock_order(const Account &source, const Account &destination, std::int64_t quantity, int ordinal = 0) {
    if (quantity <= 0) raise_refusal(bad_quantity(quantity), ordinal);
    Order order = {};
    order.source = source;
    order.destination = destination;
    order.amount = quantity;
    order.kind = Kind::posted;
    return order;
}

Order deduction(Code sku, std::int64_t quantity, int ordinal = 0) {
    return stock_order(stock_account(sku, sku, ordinal), sold_account(sku, ordinal), quantity, ordinal);
}

std::int64_t remaining(const Account &sku) {
    return static_cast<std::int64_t>(spendable(sku));
}

// Null where it is short and that may be; raises otherwise.
Datum deduct(FunctionCallInfo fcinfo, const char *function, bool may_be_short) {
    Database &database = begin_posting(function);
    const Code sku = code_of(text_argument(fcinfo, 0, "sku"));
    Order order = deduction(sku, bigint_argument(fcinfo, 1, "quantity"));
    order.metadata = metadata_argument(fcinfo, 2);
    Refusal refusal;
    if (!take(database, order, sku, sku, refusal)) {
        if (may_be_short && is_short_of(refusal, order.source)) PG_RETURN_NULL();
        raise_refusal(refusal);
    }
    append(&order, 1);
    PG_RETURN_INT64(remaining(order.source));
}

// A movement into stock; what is available after.
Datum bring(Database &database, Code sku, const Account &from, std::int64_t quantity) {
    Order order = stock_order(from, stock_account(sku, sku), quantity);
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
    append(&order, 1);
    PG_RETURN_INT64(remaining(order.destination));
}

}  // namespace

}  // namespace ledger

using namespace ledger;

LEDGER_FUNCTION(ledger_deduct_stock) {
    return deduct(fcinfo, "ledger.deduct_stock()", false);
}

LEDGER_FUNCTION(ledger_try_deduct_stock) {
    return deduct(fcinfo, "ledger.try_deduct_stock()", true);
}

LEDGER_FUNCTION(ledger_add_stock) {
    Database &database = begin_posting("ledger.add_stock()");
    const Code sku = code_of(text_argument(fcinfo, 0, "sku"));
    return bring(database, sku, stock_account(kSupply, sku), bigint_argument(fcinfo, 1, "quantity"));
}

LEDGER_FUNCTION(ledger_restore_stock) {
    Database &database = begin_posting("ledger.restore_stock()");
    const Code sku = code_of(text_argument(fcinfo, 0, "sku"));
    return bring(database, sku, sold_account(sku), bigint_argument(fcinfo, 1, "quantity"));
}

LEDGER_FUNCTION(ledger_deduct_stocks) {
    Database &database = begin_posting("ledger.deduct_stocks()");
    const Elements skus = array_argument(fcinfo, 0, "skus", TEXTOID);
    const Elements quantities = array_argument(fcinfo, 1, "quantities", INT8OID);
    if (skus.count != quantities.count)
        ereport(ERROR, errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
                errmsg("the arrays of a cart differ in length"),
                errdetail("There are %d SKUs and %d quantities.", skus.count, quantities.count),
                errhint("Give every SKU one quantity."));
    InitMaterializedSRF(fcinfo, 0);
    auto *result = reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);

    auto *orders = static_cast<Order *>(palloc(Max(skus.count, 1) * sizeof(Order)));
    for (int i = 0; i < skus.count; ++i) {
        CHECK_FOR_INTERRUPTS();
        if (skus.nulls[i] || quantities.nulls[i])
            raise_refusal(null_argument(skus.nulls[i] ? "sku" : "quantity"), i + 1);
        const Code sku = code_of(DatumGetTextPP(skus.values[i]));
        orders[i] = deduction(sku, DatumGetInt64(quantities.values[i]), i + 1);
        Refusal refusal;
        if (!take(database, orders[i], sku, sku, refusal)) raise_refusal(refusal, i + 1);
    }
    append(orders, skus.count);
    for (int i = 0; i < skus.count; ++i) {
        Datum values[] = {skus.values[i], Int64GetDatum(remaining(orders[i].source))};
        bool nulls[] = {false, false};
        tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    }
    return Datum{0};
}
