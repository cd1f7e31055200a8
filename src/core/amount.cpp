#include "core/amount.hpp"

namespace ledger {

namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// Appends one digit to a magnitude; false past kBalanceMax.
bool push_digit(Minor &magnitude, int digit) {
    return !__builtin_mul_overflow(magnitude, Minor{10}, &magnitude) &&
           !__builtin_add_overflow(magnitude, Minor{digit}, &magnitude);
}

}  // namespace

AmountError parse_amount(std::string_view text, int scale, Minor &result) {
    if (text == "NaN" || text == "Infinity" || text == "-Infinity") return AmountError::not_finite;
    const bool negative = !text.empty() && text.front() == '-';
    if (negative) text.remove_prefix(1);
    if (text.empty()) return AmountError::malformed;

    Minor magnitude = 0;
    int decimals = -1;  // digits seen after the point; -1 before it
    bool overflow = false;
    for (const char c : text) {
        if (c == '.' && decimals < 0) {
            decimals = 0;
        } else if (!is_digit(c)) {
            return AmountError::malformed;
        } else if (decimals >= scale) {
            if (c != '0') return AmountError::too_many_decimals;
        } else {
            overflow |= !push_digit(magnitude, c - '0');
            if (decimals >= 0) ++decimals;
        }
        if (overflow) magnitude = 0;  // go on reading only to name a more basic mistake
    }
    for (int missing = scale - (decimals < 0 ? 0 : decimals); missing > 0 && !overflow; --missing)
        overflow = !push_digit(magnitude, 0);
    if (overflow) return AmountError::out_of_range;
    result = negative ? -magnitude : magnitude;
    return AmountError::none;
}

const char *format_amount(Minor value, int scale, char (&text)[kAmountTextMax]) {
    std::size_t at = kAmountTextMax - 1;
    text[at] = '\0';
    std::uint64_t rest = value < 0 ? -static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
    for (int digits = 0; rest > 0 || digits <= scale; ++digits) {
        if (digits == scale && scale > 0) text[--at] = '.';
        text[--at] = static_cast<char>('0' + rest % 10);
        rest /= 10;
    }
    if (value < 0) text[--at] = '-';
    return text + at;
}

}  // namespace ledger
