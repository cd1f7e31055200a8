// Points in time as the core counts them, and spans of time given by users.
#pragma once

#include "pg/postgres.hpp"

namespace ledger {

// PostgreSQL counts microseconds from 2000-01-01 UTC.
constexpr std::int64_t unix_us(TimestampTz time) {
    return time + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
}

// Milliseconds since 2025-01-01 UTC, 9132 days later: what ids are made of.
constexpr std::int64_t milliseconds_of(TimestampTz time) {
    return (time - TimestampTz{9132} * USECS_PER_DAY) / 1000;
}

// The argument, or an error 22004 that names it.
Interval *interval_argument(FunctionCallInfo fcinfo, int number, const char *what);

// now + span. A span must be positive and at most a hundred years (22023, naming
// it by what): a request would otherwise be born dead, or never die.
TimestampTz time_after(TimestampTz now, Interval *span, const char *what);

// The same with a span of at most a year; LG017 for a longer one.
TimestampTz time_within_a_year(TimestampTz now, Interval *span, const char *what);

// The time that an argument of how long gives from now; DT_NOEND, never, for NULL.
TimestampTz deadline_argument(FunctionCallInfo fcinfo, int number, const char *what);

}  // namespace ledger
