#include "audit/json_text.hpp"

#include <cmath>

#include "pg/bytes.hpp"

namespace ledger {

namespace {

// Of a number in a json value that is not made a string:
constexpr int kNumberMax = 1000;  // characters
constexpr int kExponentMax = 4;   // digits of the exponent

void append(StringInfo out, std::string_view text) {
    appendBinaryStringInfo(out, text.data(), static_cast<int>(text.size()));
}

// Room for size more characters, that write(char *) fills; it returns how many it wrote.
template <typename Write>
void append_with(StringInfo out, int size, Write write) {
    enlargeStringInfo(out, size);
    out->len += write(out->data + out->len);
    out->data[out->len] = '\0';
}

template <typename Write>
void append_quoted(StringInfo out, int size, Write write) {
    append_with(out, size + 2, [&](char *to) {
        *to = '"';
        const int length = write(to + 1);
        to[1 + length] = '"';
        return length + 2;
    });
}

void append_escaped(StringInfo out, char c) {
    switch (c) {
        case '"':
            return append(out, "\\\"");
        case '\\':
            return append(out, "\\\\");
        case '\b':
            return append(out, "\\b");
        case '\f':
            return append(out, "\\f");
        case '\n':
            return append(out, "\\n");
        case '\r':
            return append(out, "\\r");
        case '\t':
            return append(out, "\\t");
        default:
            return appendStringInfo(out, "\\u%04x", static_cast<unsigned char>(c));
    }
}

// A number of PostgreSQL's, which JSON knows unless it is NaN or infinite.
void append_number(StringInfo out, std::string_view number) {
    const char first = number.front() == '-' ? number[1] : number.front();
    if (first >= '0' && first <= '9') return append(out, number);
    append_string(out, number);
}

template <typename Float>
void append_float(StringInfo out, Float value) {
    if (std::isnan(value)) return append(out, "\"NaN\"");
    if (std::isinf(value)) return append(out, value < 0 ? "\"-Infinity\"" : "\"Infinity\"");
    append_with(out, DOUBLE_SHORTEST_DECIMAL_LEN, [&](char *to) {
        if constexpr (sizeof(Float) == sizeof(float4))
            return float_to_shortest_decimal_bufn(value, to);
        else
            return double_to_shortest_decimal_bufn(value, to);
    });
}

void append_uuid(StringInfo out, const pg_uuid_t &uuid) {
    append_quoted(out, 36, [&](char *to) {
        char *next = to;
        for (int i = 0; i < UUID_LEN; ++i) {
            if (i == 4 || i == 6 || i == 8 || i == 10) *next++ = '-';
            next += hex_encode(reinterpret_cast<const char *>(&uuid.data[i]), 1, next);
        }
        return static_cast<int>(next - to);
    });
}

void append_bytea(StringInfo out, std::string_view bytes) {
    if (bytes.size() > MaxAllocSize / 2)
        ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("bytea is too large to be audited"),
                errhint("Exclude the column with ledger.enable_audit(), or store less in it."));
    append_quoted(out, static_cast<int>(2 * bytes.size() + 3), [&](char *to) {
        to[0] = to[1] = '\\';
        to[2] = 'x';
        return static_cast<int>(3 + hex_encode(bytes.data(), bytes.size(), to + 3));
    });
}

// ISO 8601, with the zone's offset, zero, if there is one.
void append_time(StringInfo out, Datum value, Oid type) {
    append_quoted(out, MAXDATELEN, [&](char *to) {
        constexpr int kUtc = 0;
        JsonEncodeDateTime(to, value, type, &kUtc);
        return static_cast<int>(strlen(to));
    });
}

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// The code unit of the escape (\u and four hexadecimal digits) at from, -1 if there is none.
int code_unit(std::string_view json, std::size_t from) {
    if (json.size() < from + 6 || json[from] != '\\' || json[from + 1] != 'u') return -1;
    int code = 0;
    for (const char c : std::string_view(json.data() + from + 2, 4))
        code = code << 4 | (is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
    return code;
}

// Moves at past the escape there. False for those that jsonb refuses: NUL, half a surrogate
// pair, and what the database's encoding may lack.
bool skip_escape(std::string_view json, std::size_t &at) {
    const int code = code_unit(json, at);
    at += 2;
    if (code < 0) return true;
    at += 4;
    if (code == 0 || (code > 0x7F && GetDatabaseEncoding() != PG_UTF8)) return false;
    if (code < 0xD800 || code > 0xDFFF) return true;
    const int low = code_unit(json, at);
    at += 6;
    return code < 0xDC00 && low >= 0xDC00 && low <= 0xDFFF;
}

bool skip_string(std::string_view json, std::size_t &at) {
    ++at;
    while (at < json.size() && json[at] != '"') {
        if (json[at] != '\\')
            ++at;
        else if (!skip_escape(json, at))
            return false;
    }
    ++at;
    return true;
}

// False for a number that may be beyond numeric's range.
bool skip_number(std::string_view json, std::size_t &at) {
    const std::size_t start = at;
    std::size_t exponent = 0;
    for (; at < json.size() && (is_digit(json[at]) || strchr("+-.eE", json[at])); ++at)
        if (json[at] == 'e' || json[at] == 'E') exponent = at + 1;
    return at - start <= kNumberMax && (exponent == 0 || at - exponent <= kExponentMax + 1);
}

// True if no part of the text, which is that of a jsonb, nests deeper.
bool nests_within(std::string_view json, int depth_max) {
    if (json.size() <= 2 * static_cast<std::size_t>(Max(depth_max, 0))) return true;
    int depth = 0;
    bool is_in_string = false;
    for (std::size_t at = 0; at < json.size(); ++at) {
        const char c = json[at];
        if (is_in_string && c == '\\') ++at;
        if (c == '"') is_in_string = !is_in_string;
        if (is_in_string) continue;
        if (c == '{' || c == '[') ++depth;
        if (c == '}' || c == ']') --depth;
        if (depth > depth_max) return false;
    }
    return true;
}

// A json value. What a jsonb cannot hold becomes a string: it must not keep those who read
// ledger.audit_log from taking a record apart.
void append_json(StringInfo out, std::string_view json, int depth) {
    if (fits_jsonb(json, kDepthMax - depth))
        append(out, json);
    else
        append_string(out, json);
}

// So with a jsonb that nests too deep to be parsed again.
void append_jsonb(StringInfo out, Jsonb *json, int depth) {
    const int start = out->len;
    JsonbToCString(out, &json->root, VARSIZE(json));
    const std::string_view text(out->data + start, static_cast<std::size_t>(out->len - start));
    if (nests_within(text, kDepthMax - depth)) return;
    const std::string_view copy(pnstrdup(text.data(), text.size()), text.size());
    out->len = start;
    append_string(out, copy);
}

// True if the type's output follows no setting that with_fixed_settings leaves as it is.
bool has_fixed_output(Oid type) {
    switch (type) {
        case MONEYOID:
        case REGPROCOID:
        case REGPROCEDUREOID:
        case REGOPEROID:
        case REGOPERATOROID:
        case REGCLASSOID:
        case REGCOLLATIONOID:
        case REGTYPEOID:
        case REGCONFIGOID:
        case REGDICTIONARYOID:
            return false;
        default:
            break;
    }
    // Only of ranges: elsewhere an array has a form of its own.
    const Oid element = get_element_type(type);
    if (OidIsValid(element)) return has_fixed_output(getBaseType(element));
    if (type < FirstUnpinnedObjectId) return true;
    switch (get_typtype(type)) {
        case TYPTYPE_ENUM:
            return true;
        case TYPTYPE_RANGE:
            return has_fixed_output(getBaseType(get_range_subtype(type)));
        case TYPTYPE_MULTIRANGE:
            return has_fixed_output(get_multirange_range(type));
        default:
            return false;
    }
}

// Form of a type that is no domain.
Form form_of(Oid type) {
    switch (type) {
        case BOOLOID:
            return Form::boolean;
        case INT2OID:
            return Form::int2;
        case INT4OID:
            return Form::int4;
        case INT8OID:
            return Form::int8;
        case OIDOID:
            return Form::oid;
        case FLOAT4OID:
            return Form::float4;
        case FLOAT8OID:
            return Form::float8;
        case NUMERICOID:
            return Form::numeric;
        case TEXTOID:
        case VARCHAROID:
        case BPCHAROID:
            return Form::text;
        case NAMEOID:
            return Form::name;
        case UUIDOID:
            return Form::uuid;
        case BYTEAOID:
            return Form::bytea;
        case DATEOID:
            return Form::date;
        case TIMESTAMPOID:
            return Form::timestamp;
        case TIMESTAMPTZOID:
            return Form::timestamptz;
        case JSONOID:
            return Form::json;
        case JSONBOID:
            return Form::jsonb;
        case INT2VECTOROID:
        case OIDVECTOROID:
            return Form::vector;
        default:
            if (OidIsValid(get_element_type(type))) return Form::array;
            if (type_is_rowtype(type)) return Form::composite;
            return has_fixed_output(type) ? Form::system : Form::other;
    }
}

}  // namespace

bool fits_jsonb(std::string_view json, int depth_max) {
    int depth = 0;
    std::size_t at = 0;
    while (at < json.size()) {
        const char c = json[at];
        if (c == '"') {
            if (!skip_string(json, at)) return false;
        } else if (c == '-' || is_digit(c)) {
            if (!skip_number(json, at)) return false;
        } else {
            if (c == '{' || c == '[') ++depth;
            if (c == '}' || c == ']') --depth;
            if (depth > depth_max) return false;
            ++at;
        }
    }
    return true;
}

Style style_of(Oid type) {
    const Oid base = getBaseType(type);
    const Style style = {form_of(base), nullptr};
    if (style.form != Form::system && style.form != Form::other) return style;
    Oid function;
    bool is_varlena;
    getTypeOutputInfo(base, &function, &is_varlena);
    auto *output = static_cast<FmgrInfo *>(palloc(sizeof(FmgrInfo)));
    fmgr_info(function, output);
    return {style.form, output};
}

void append_string(StringInfo out, std::string_view text) {
    appendStringInfoCharMacro(out, '"');
    std::size_t done = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto c = static_cast<unsigned char>(text[i]);
        if (c >= ' ' && c != '"' && c != '\\') continue;
        append(out, {text.data() + done, i - done});
        append_escaped(out, text[i]);
        done = i + 1;
    }
    append(out, {text.data() + done, text.size() - done});
    appendStringInfoCharMacro(out, '"');
}

void append_value(StringInfo out, const Style &style, Datum value, int depth) {
    switch (style.form) {
        case Form::boolean:
            return append(out, DatumGetBool(value) ? "true" : "false");
        case Form::int2:
            return append_with(out, 8, [&](char *to) { return pg_ltoa(DatumGetInt16(value), to); });
        case Form::int4:
            return append_with(out, 12, [&](char *to) { return pg_ltoa(DatumGetInt32(value), to); });
        case Form::int8:
            return append_with(out, MAXINT8LEN + 1,
                               [&](char *to) { return pg_lltoa(DatumGetInt64(value), to); });
        case Form::oid:
            return append_quoted(out, 12, [&](char *to) { return pg_lltoa(DatumGetObjectId(value), to); });
        case Form::float4:
            return append_float(out, DatumGetFloat4(value));
        case Form::float8:
            return append_float(out, DatumGetFloat8(value));
        case Form::numeric:
            return append_number(out, DatumGetCString(DirectFunctionCall1(numeric_out, value)));
        case Form::text:
            return append_string(out, bytes_of(value));
        case Form::name:
            return append_string(out, NameStr(*DatumGetName(value)));
        case Form::uuid:
            return append_uuid(out, *DatumGetUUIDP(value));
        case Form::bytea:
            return append_bytea(out, bytes_of(value));
        case Form::date:
            return append_time(out, value, DATEOID);
        case Form::timestamp:
            return append_time(out, value, TIMESTAMPOID);
        case Form::timestamptz:
            return append_time(out, value, TIMESTAMPTZOID);
        case Form::json:
            return append_json(out, bytes_of(value), depth);
        case Form::jsonb:
            return append_jsonb(out, DatumGetJsonbP(value), depth);
        case Form::vector:
            return append_array(out, value, 0, depth);
        case Form::array:
            return append_array(out, value, 1, depth);
        case Form::composite:
            return append_composite(out, value, depth);
        case Form::system:
            return append_string(out, OutputFunctionCall(style.output, value));
        case Form::other:
            return with_fixed_names_and_locales(
                [&] { append_string(out, OutputFunctionCall(style.output, value)); });
    }
}

}  // namespace ledger
