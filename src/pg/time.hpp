// Spans of time given by users.
#pragma once

#include "pg/postgres.hpp"

namespace ledger {

// The argument, or an error 22004 that names it.
Interval *interval_argument(FunctionCallInfo fcinfo, int number, const char *what);

// now + span. A span must be positive and at most a hundred years (22023, naming
// it by what): a request would otherwise be born dead, or never die.
TimestampTz time_after(TimestampTz now, Interval *span, const char *what);

// The time that an argument of how long gives from now; DT_NOEND, never, for NULL.
TimestampTz deadline_argument(FunctionCallInfo fcinfo, int number, const char *what);

}  // namespace ledger
