// Exact numbers between PostgreSQL's numeric and ours.
#pragma once

#include "core/amount.hpp"
#include "core/types.hpp"
#include "pg/postgres.hpp"

namespace ledger {

// In the current memory context.
Numeric numeric_from_wide(Wide value);
Numeric numeric_from_minor(Minor value, int scale);

// minuend - subtrahend, both integers of at most 37 digits.
Wide numeric_difference(Numeric minuend, Numeric subtrahend);

Numeric numeric_sum(Numeric left, Numeric right);

AmountError minor_from_numeric(Numeric value, int scale, Minor &result);

}  // namespace ledger
