// Amounts: what core/amount reads it writes, and reads again as the same; and where
// client/decimal.hpp, written apart from it, reads a text too, they agree.
#include "bytes.hpp"
#include "core/amount.hpp"
#include "decimal.hpp"

using namespace ledger;

namespace {

std::string format(Minor value, int scale) {
    char text[kAmountTextMax];
    return format_amount(value, scale, text);
}

void read_again(Minor value, int scale) {
    Minor again = 0;
    REQUIRE(parse_amount(format(value, scale), scale, again) == AmountError::none);
    REQUIRE(again == value);
    REQUIRE(parse_decimal(format(value, scale)) == Decimal{value} * power_of_ten(kDecimalPlaces - scale));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    FuzzedDataProvider input(data, size);
    const int scale = input.ConsumeIntegralInRange(0, kScaleMax);
    const auto value = input.ConsumeIntegral<Minor>();
    if (value >= -kBalanceMax) read_again(value, scale);

    const std::string text = input.ConsumeRemainingBytesAsString();
    Minor amount = 0;
    const AmountError error = parse_amount(text, scale, amount);
    const auto decimal = parse_decimal(text);
    if (error == AmountError::none) {
        read_again(amount, scale);
        if (decimal) REQUIRE(*decimal == Decimal{amount} * power_of_ten(kDecimalPlaces - scale));
    } else if (decimal && text.front() != '+') {
        const Decimal unit = power_of_ten(kDecimalPlaces - scale);
        const Decimal magnitude = *decimal < 0 ? -*decimal : *decimal;
        REQUIRE(error == AmountError::too_many_decimals ? magnitude % unit != 0
                                                        : magnitude / unit > kBalanceMax);
    }
    return 0;
}
