// Amounts between decimal text and minor units, exactly: nothing is ever rounded.
#pragma once

#include <cstddef>
#include <string_view>

#include "core/types.hpp"

namespace ledger {

enum class AmountError { none, not_finite, too_many_decimals, out_of_range, malformed };

// Reads plain decimal text as numeric_out writes it ("-12.3400", "NaN",
// "Infinity") at a scale. Zeros beyond the scale are fine, other digits are not.
AmountError parse_amount(std::string_view text, int scale, Minor &result);

// Sign, 19 digits, point, end, and room to spare.
inline constexpr std::size_t kAmountTextMax = 24;

// Writes value at scale into text, always with all decimals; returns where in text it begins.
const char *format_amount(Minor value, int scale, char (&text)[kAmountTextMax]);

}  // namespace ledger
