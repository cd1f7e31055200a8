#include "pg/time.hpp"

#include "pg/error.hpp"

namespace ledger {

namespace {

constexpr std::int64_t kYearsMax = 100;

bool is_too_long(const Interval &span) {
    constexpr std::int64_t kDaysMax = kYearsMax * 366;
    return span.month > kYearsMax * MONTHS_PER_YEAR || span.day > kDaysMax ||
           span.time > kDaysMax * USECS_PER_DAY;
}

bool is_too_negative(const Interval &span) {
    Interval opposite = {span.time == PG_INT64_MIN ? PG_INT64_MAX : -span.time,
                         span.day == PG_INT32_MIN ? PG_INT32_MAX : -span.day,
                         span.month == PG_INT32_MIN ? PG_INT32_MAX : -span.month};
    return is_too_long(opposite);
}

TimestampTz sum_of(TimestampTz time, Interval *span) {
    return DatumGetTimestampTz(
        DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(time), IntervalPGetDatum(span)));
}

const char *shown(Interval *span) {
    return DatumGetCString(DirectFunctionCall1(interval_out, IntervalPGetDatum(span)));
}

}  // namespace

Interval *interval_argument(FunctionCallInfo fcinfo, int number, const char *what) {
    if (PG_ARGISNULL(number))
        raise(Status::null_value_not_allowed, psprintf("%s is null", what), nullptr,
              "Give every argument a value.");
    return PG_GETARG_INTERVAL_P(number);
}

TimestampTz time_after(TimestampTz now, Interval *span, const char *what) {
    TimestampTz then = now;
    if (!is_too_long(*span) && !is_too_negative(*span)) then = sum_of(now, span);
    if (then <= now)
        raise(Status::invalid_parameter_value, psprintf("a %s of %s is out of range", what, shown(span)),
              nullptr, "Give a positive interval of at most 100 years, such as '5 minutes'.");
    return then;
}

TimestampTz time_within_a_year(TimestampTz now, Interval *span, const char *what) {
    const bool is_long = is_too_long(*span) && !is_too_negative(*span);
    const TimestampTz then = is_long ? DT_NOEND : time_after(now, span, what);
    Interval year = {0, 0, MONTHS_PER_YEAR};
    if (is_long || then > sum_of(now, &year))
        raise(Status::value_too_large, psprintf("a %s of %s is too long", what, shown(span)), nullptr,
              "Give a positive interval of at most 1 year, such as '5 minutes'.");
    return then;
}

TimestampTz deadline_argument(FunctionCallInfo fcinfo, int number, const char *what) {
    if (PG_ARGISNULL(number)) return DT_NOEND;
    return time_after(GetCurrentTimestamp(), PG_GETARG_INTERVAL_P(number), what);
}

}  // namespace ledger
