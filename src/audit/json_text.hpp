// Values as JSON text, as PostgreSQL's to_json would write them, but faster, whatever the
// session's settings are, and without running anybody's cast to json.
#pragma once

#include "audit/fixed_settings.hpp"

namespace ledger {

// How a type is written.
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
    // These need with_fixed_settings:
    vector,     // int2vector and oidvector, arrays that begin at 0
    array,      // all others; they begin at 1, as a rule
    composite,  // as an object
    system,     // a string, by the output function of a type of the system
    other       // so too, but it follows every setting (names, money), or may (types of extensions)
};
inline bool follows_settings(Form form) {
    return form >= Form::vector;
}

// How a value is written. output is for the forms system and other.
struct Style {
    Form form;
    FmgrInfo *output;
};

// That of a type, a domain's being that of its base type. In the current memory context.
Style style_of(Oid type);

// How deep a record nests at most. A restore must be able to parse it.
constexpr int kDepthMax = 1000;

void append_string(StringInfo out, std::string_view text);

// depth is the number of objects and arrays around the value.
void append_value(StringInfo out, const Style &style, Datum value, int depth);
void append_array(StringInfo out, Datum value, int usual_bound, int depth);
void append_composite(StringInfo out, Datum value, int depth);

// True if PostgreSQL's jsonb takes this text, which is valid as json, and it nests no deeper than
// that. Some that jsonb would take are not found to be so.
bool fits_jsonb(std::string_view json, int depth_max);

}  // namespace ledger
