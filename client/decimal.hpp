// Exact decimal numbers, for sums that check the ledger's from outside.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

// In units of 10^-18, the finest scale an asset may have.
using Decimal = __int128;

constexpr int kDecimalPlaces = 18;
constexpr size_t kWholeDigitsMax = 19;  // with the places, what 128 bits hold

constexpr Decimal power_of_ten(int exponent) {
    Decimal power = 1;
    while (exponent-- > 0) power *= 10;
    return power;
}

// Digits with an optional sign and point; nothing for any other text.
inline std::optional<Decimal> parse_decimal(std::string_view text) {
    const bool negative = text.starts_with('-');
    if (negative || text.starts_with('+')) text.remove_prefix(1);
    const size_t point = std::min(text.find('.'), text.size());
    const std::string_view whole = text.substr(0, point);
    const std::string_view fraction = point < text.size() ? text.substr(point + 1) : std::string_view();
    if (whole.empty() || whole.size() > kWholeDigitsMax || fraction.size() > kDecimalPlaces) return {};

    Decimal value = 0;
    for (const std::string_view digits : {whole, fraction}) {
        for (const char c : digits) {
            if (c < '0' || c > '9') return {};
            value = value * 10 + (c - '0');
        }
    }
    value *= power_of_ten(kDecimalPlaces - static_cast<int>(fraction.size()));
    return negative ? -value : value;
}

inline std::string format_decimal(Decimal value) {
    const bool negative = value < 0;
    std::string digits;
    for (Decimal rest = negative ? -value : value; rest > 0; rest /= 10) {
        digits.insert(digits.begin(), static_cast<char>('0' + static_cast<int>(rest % 10)));
    }
    if (digits.size() <= kDecimalPlaces) digits.insert(0, kDecimalPlaces + 1 - digits.size(), '0');
    digits.insert(digits.size() - kDecimalPlaces, ".");
    digits.erase(digits.find_last_not_of('0') + 1);
    if (digits.back() == '.') digits.pop_back();
    return negative ? '-' + digits : digits;
}
