// Settings that the text of values follows, at fixed values while values are written: what is
// logged must not depend on the session of the writer.
#pragma once

#include "pg/postgres.hpp"

namespace ledger {

// Runs work with those settings at fixed values that the output of most types follows. They are
// variables of PostgreSQL, so this costs nothing.
template <typename Work>
void with_fixed_settings(Work work) {
    const int date_style = DateStyle, interval_style = IntervalStyle, float_digits = extra_float_digits,
              bytea_style = bytea_output;
    const bool quote_all = quote_all_identifiers;
    pg_tz *zone = session_timezone;
    PG_TRY();
    {
        DateStyle = USE_ISO_DATES;
        IntervalStyle = INTSTYLE_ISO_8601;
        extra_float_digits = 1;
        bytea_output = BYTEA_OUTPUT_HEX;
        quote_all_identifiers = false;
        session_timezone = pg_tzset("GMT");
        work();
    }
    PG_FINALLY();
    {
        DateStyle = date_style;
        IntervalStyle = interval_style;
        extra_float_digits = float_digits;
        bytea_output = bytea_style;
        quote_all_identifiers = quote_all;
        session_timezone = zone;
    }
    PG_END_TRY();
}

// Runs work, which returns a text, so that it quotes names as little as can be: a session shall not
// choose under which name it is logged.
template <typename Work>
const char *without_quoting_all(Work work) {
    const bool quote_all = quote_all_identifiers;
    const char *text = nullptr;
    PG_TRY();
    {
        quote_all_identifiers = false;
        text = work();
    }
    PG_FINALLY();
    { quote_all_identifiers = quote_all; }
    PG_END_TRY();
    return text;
}

// The nesting level of settings for AtEOXact_GUC, which gives back what was set.
int fix_names_and_locales();

// Runs work with search_path and the locale of money, numbers and times fixed too: for names of
// objects, money, and types of extensions. Each setting that the session has at another value costs
// time. After an error, the end of the subtransaction gives the settings back.
template <typename Work>
void with_fixed_names_and_locales(Work work) {
    const int level = fix_names_and_locales();
    work();
    AtEOXact_GUC(false, level);
}

}  // namespace ledger
