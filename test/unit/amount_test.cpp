// core/amount: decimal text to minor units and back, exactly.
#include "core/amount.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>

using namespace ledger;

namespace {

struct Case {
    const char *text;
    int scale;
    AmountError error;
    Minor minor;
};

class Parse : public testing::TestWithParam<Case> {};

TEST_P(Parse, GivesExactMinorUnitsOrTheError) {
    const Case &c = GetParam();
    Minor minor = 42;
    EXPECT_EQ(parse_amount(c.text, c.scale, minor), c.error) << c.text;
    if (c.error == AmountError::none) {
        EXPECT_EQ(minor, c.minor) << c.text;
    }
}

INSTANTIATE_TEST_SUITE_P(
    Amounts, Parse,
    testing::Values(Case{"0", 2, AmountError::none, 0}, Case{"12.34", 2, AmountError::none, 1234},
                    Case{"12.3", 2, AmountError::none, 1230}, Case{"12", 2, AmountError::none, 1200},
                    Case{"-0.01", 2, AmountError::none, -1}, Case{"12.3400", 2, AmountError::none, 1234},
                    Case{"12.345", 2, AmountError::too_many_decimals, 0},
                    Case{"0.000", 0, AmountError::none, 0}, Case{"0.5", 0, AmountError::too_many_decimals, 0},
                    Case{"NaN", 2, AmountError::not_finite, 0},
                    Case{"Infinity", 2, AmountError::not_finite, 0},
                    Case{"-Infinity", 2, AmountError::not_finite, 0}, Case{"", 2, AmountError::malformed, 0},
                    Case{"-", 2, AmountError::malformed, 0}, Case{"1e5", 2, AmountError::malformed, 0},
                    Case{"1.2.3", 2, AmountError::malformed, 0}, Case{" 1", 2, AmountError::malformed, 0},
                    Case{"9223372036854775807", 0, AmountError::none, INT64_MAX},
                    Case{"-9223372036854775807", 0, AmountError::none, -INT64_MAX},
                    Case{"9223372036854775808", 0, AmountError::out_of_range, 0},
                    Case{"92233720368547758.07", 2, AmountError::none, INT64_MAX},
                    Case{"92233720368547758.08", 2, AmountError::out_of_range, 0},
                    Case{"9.223372036854775807", 18, AmountError::none, INT64_MAX},
                    Case{"9.223372036854775808", 18, AmountError::out_of_range, 0},
                    Case{"10", 18, AmountError::out_of_range, 0},
                    Case{"99999999999999999999999999999999", 0, AmountError::out_of_range, 0},
                    Case{"99999999999999999999999999999999.5", 0, AmountError::too_many_decimals, 0}));

std::string formatted(Minor value, int scale) {
    char text[kAmountTextMax];
    return format_amount(value, scale, text);
}

TEST(Format, WritesAllDecimals) {
    EXPECT_EQ(formatted(0, 0), "0");
    EXPECT_EQ(formatted(0, 2), "0.00");
    EXPECT_EQ(formatted(5, 2), "0.05");
    EXPECT_EQ(formatted(-1234, 2), "-12.34");
    EXPECT_EQ(formatted(1234, 0), "1234");
    EXPECT_EQ(formatted(INT64_MAX, 18), "9.223372036854775807");
    EXPECT_EQ(formatted(-INT64_MAX, 0), "-9223372036854775807");
    EXPECT_EQ(formatted(1, 18), "0.000000000000000001");
}

TEST(Format, IsTheInverseOfParse) {
    std::mt19937_64 random(20250101);
    for (int i = 0; i < 200'000; ++i) {
        const Minor value = static_cast<Minor>(random() >> (random() % 63)) * (random() % 2 ? 1 : -1);
        const int scale = static_cast<int>(random() % (kScaleMax + 1));
        Minor back = 0;
        if (value == INT64_MIN) continue;
        ASSERT_EQ(parse_amount(formatted(value, scale), scale, back), AmountError::none);
        ASSERT_EQ(back, value) << "scale " << scale;
    }
}

}  // namespace
