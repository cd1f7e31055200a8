// Values as JSON text, as PostgreSQL's to_json would write them, but faster and
// whatever the session's settings are.
#pragma once

#include "pg/postgres.hpp"

namespace ledger {

// How a type is written. other: by its output function, as a string.
enum class Form : std::uint8_t {
    boolean,
    int2,
    int4,
    int8,
    oid,
    float4,
    float8,
    numeric,
    text,
    name,
    uuid,
    bytea,
    date,
    timestamp,
    timestamptz,
    json,
    jsonb,
    // These follow settings, and may run other people's code:
    array,
    composite,
    other
};
Form form_of(Oid type);
inline bool is_foreign(Form form) {
    return form >= Form::array;
}

void append_string(StringInfo out, std::string_view text);

// output is that of the type; only form other needs it.
void append_value(StringInfo out, Form form, Datum value, FmgrInfo *output);

// True if PostgreSQL's jsonb takes this text, which is valid as json. Some that it
// would take are not found to be so.
bool fits_jsonb(std::string_view json);

// Runs work with the settings that the output of values follows at fixed values.
template <typename Work>
void with_fixed_settings(Work work) {
    const int date_style = DateStyle, interval_style = IntervalStyle, float_digits = extra_float_digits,
              bytea_style = bytea_output;
    pg_tz *zone = session_timezone;
    PG_TRY();
    {
        DateStyle = USE_ISO_DATES;
        IntervalStyle = INTSTYLE_ISO_8601;
        extra_float_digits = 1;
        bytea_output = BYTEA_OUTPUT_HEX;
        session_timezone = pg_tzset("GMT");
        work();
    }
    PG_FINALLY();
    {
        DateStyle = date_style;
        IntervalStyle = interval_style;
        extra_float_digits = float_digits;
        bytea_output = bytea_style;
        session_timezone = zone;
    }
    PG_END_TRY();
}

}  // namespace ledger
