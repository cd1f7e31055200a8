#include "pg/numeric.hpp"

namespace ledger {

Numeric numeric_from_wide(Wide value) {
    constexpr std::int64_t kSplit = 1'000'000'000'000'000'000;  // 10^18
    const Numeric low = int64_to_numeric(static_cast<std::int64_t>(value % kSplit));
    if (value / kSplit == 0) return low;
    const Datum high = NumericGetDatum(int64_to_numeric(static_cast<std::int64_t>(value / kSplit)));
    const Datum scaled = DirectFunctionCall2(numeric_mul, high, NumericGetDatum(int64_to_numeric(kSplit)));
    return numeric_sum(DatumGetNumeric(scaled), low);
}

Numeric numeric_from_minor(Minor value, int scale) {
    return int64_div_fast_to_numeric(value, scale);
}

Numeric numeric_from_wide(Wide value, int scale) {
    if (value >= INT64_MIN && value <= INT64_MAX) return numeric_from_minor(static_cast<Minor>(value), scale);
    const Datum unit = NumericGetDatum(numeric_from_minor(1, scale));
    return DatumGetNumeric(DirectFunctionCall2(numeric_mul, NumericGetDatum(numeric_from_wide(value)), unit));
}

Wide wide_from_numeric(Numeric value) {
    const char *digits = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value)));
    const bool negative = *digits == '-';
    Wide magnitude = 0;
    for (digits += negative; *digits >= '0' && *digits <= '9'; ++digits)
        magnitude = magnitude * 10 + (*digits - '0');
    return negative ? -magnitude : magnitude;
}

Numeric numeric_sum(Numeric left, Numeric right) {
    return DatumGetNumeric(DirectFunctionCall2(numeric_add, NumericGetDatum(left), NumericGetDatum(right)));
}

AmountError minor_from_numeric(Numeric value, int scale, Minor &result) {
    char *text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value)));
    const AmountError error = parse_amount(text, scale, result);
    pfree(text);
    return error;
}

}  // namespace ledger
