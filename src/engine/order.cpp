#include "engine/order.hpp"

#include "engine/size.hpp"
#include "pg/error.hpp"
#include "pg/numeric.hpp"

namespace ledger {

text *text_argument(FunctionCallInfo fcinfo, int number, const char *name) {
    if (PG_ARGISNULL(number)) raise_refusal(null_argument(name));
    return PG_GETARG_TEXT_PP(number);
}

Numeric numeric_argument(FunctionCallInfo fcinfo, int number, const char *name) {
    if (PG_ARGISNULL(number)) raise_refusal(null_argument(name));
    return PG_GETARG_NUMERIC(number);
}

std::int64_t bigint_argument(FunctionCallInfo fcinfo, int number, const char *name) {
    if (PG_ARGISNULL(number)) raise_refusal(null_argument(name));
    return PG_GETARG_INT64(number);
}

std::int32_t max_argument(FunctionCallInfo fcinfo, int number) {
    if (PG_ARGISNULL(number)) raise_refusal(null_argument("max"));
    const std::int32_t max = PG_GETARG_INT32(number);
    if (max < 1)
        raise(Status::invalid_parameter_value, psprintf("max is %d", max), nullptr,
              "Give how many to do at most, 1 or more.");
    return max;
}

Jsonb *metadata_argument(FunctionCallInfo fcinfo, int number) {
    return number < PG_NARGS() ? sized_argument(fcinfo, number, Sized::metadata) : nullptr;
}

Elements array_argument(FunctionCallInfo fcinfo, int number, const char *name, Oid type) {
    if (PG_ARGISNULL(number)) raise_refusal(null_argument(name));
    std::int16_t length;
    bool by_value;
    char align;
    get_typlenbyvalalign(type, &length, &by_value, &align);
    Elements elements;
    deconstruct_array(PG_GETARG_ARRAYTYPE_P(number), type, length, by_value, align, &elements.values,
                      &elements.nulls, &elements.count);
    return elements;
}

bool make_order(Code source, Code destination, Numeric amount, Order &order, Refusal &refusal) {
    order = {};
    order.kind = Kind::posted;
    if (!find_account(source, order.source)) {
        refusal = unknown_account(source);
        return false;
    }
    if (!find_account(destination, order.destination)) {
        refusal = unknown_account(destination);
        return false;
    }
    const AmountError error = minor_from_numeric(amount, order.source.scale, order.amount);
    if (error != AmountError::none) {
        refusal = bad_amount(error, amount, order.source.scale);
        return false;
    }
    if (order.amount <= 0) {
        refusal = not_positive(DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(amount))));
        return false;
    }
    return true;
}

}  // namespace ledger
