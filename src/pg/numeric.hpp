// Exact numbers between PostgreSQL's numeric and ours.
#pragma once

#include "core/amount.hpp"
#include "core/types.hpp"
#include "pg/postgres.hpp"

namespace ledger {

// In the current memory context.
Numeric numeric_from_wide(Wide value);
Numeric numeric_from_minor(Minor value, int scale);

// In natural units, like a Minor.
Numeric numeric_from_wide(Wide value, int scale);

// An integer of at most 37 digits.
Wide wide_from_numeric(Numeric value);

Numeric numeric_sum(Numeric left, Numeric right);

AmountError minor_from_numeric(Numeric value, int scale, Minor &result);

}  // namespace ledger
