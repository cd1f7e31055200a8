#include "pg/json.hpp"

extern "C" {
#include "utils/datetime.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
}

namespace ledger {

namespace {

JsonbValue string_value(std::string_view text) {
    JsonbValue value = {};
    value.type = jbvString;
    value.val.string.val = const_cast<char *>(text.data());
    value.val.string.len = static_cast<int>(text.size());
    return value;
}

JsonbValue null_value() {
    JsonbValue value = {};
    value.type = jbvNull;
    return value;
}

JsonbValue text_value(Datum datum) {
    const text *string = DatumGetTextPP(datum);
    return string_value({VARDATA_ANY(string), static_cast<std::size_t>(VARSIZE_ANY_EXHDR(string))});
}

JsonbValue number_value(Numeric number) {
    if (numeric_is_nan(number) || numeric_is_inf(number))
        return string_value(DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(number))));
    JsonbValue value = {};
    value.type = jbvNumeric;
    value.val.numeric = number;
    return value;
}

JsonbValue bigint_value(Datum datum) {
    return number_value(int64_to_numeric(DatumGetInt64(datum)));
}

void put(JsonObject &object, const char *name, JsonbValue value) {
    JsonbValue key = string_value(name);
    pushJsonbValue(&object.state, WJB_KEY, &key);
    pushJsonbValue(&object.state, WJB_VALUE, &value);
}

template <typename Convert>
void put_array(JsonObject &object, const char *name, const Datum *values, const bool *nulls, int count,
               Convert convert) {
    JsonbValue key = string_value(name);
    pushJsonbValue(&object.state, WJB_KEY, &key);
    pushJsonbValue(&object.state, WJB_BEGIN_ARRAY, nullptr);
    for (int i = 0; i < count; ++i) {
        JsonbValue value = nulls[i] ? null_value() : convert(values[i]);
        pushJsonbValue(&object.state, WJB_ELEM, &value);
    }
    pushJsonbValue(&object.state, WJB_END_ARRAY, nullptr);
}

JsonbValue only_value(const Jsonb *json) {
    JsonbValue value;
    if (!JsonbExtractScalar(const_cast<JsonbContainer *>(&json->root), &value))
        elog(ERROR, "a single value was expected");
    return value;
}

// The same value without trailing zeros in its numbers.
Jsonb *trimmed(const Jsonb *json) {
    JsonbIterator *walk = JsonbIteratorInit(const_cast<JsonbContainer *>(&json->root));
    JsonbParseState *state = nullptr;
    JsonbValue value;
    JsonbValue *result = nullptr;
    JsonbIteratorToken token;
    while ((token = JsonbIteratorNext(&walk, &value, false)) != WJB_DONE) {
        const bool is_value = token == WJB_VALUE || token == WJB_ELEM;
        if (is_value && value.type == jbvNumeric)
            value.val.numeric =
                DatumGetNumeric(DirectFunctionCall1(numeric_trim_scale, NumericGetDatum(value.val.numeric)));
        const bool is_scalar_root = token == WJB_BEGIN_ARRAY && value.val.array.rawScalar;
        result =
            pushJsonbValue(&state, token, is_value || token == WJB_KEY || is_scalar_root ? &value : nullptr);
    }
    return JsonbValueToJsonb(result);
}

// The jsonb's text, behind room for a varlena header.
void append_text(StringInfo text, const Jsonb *json) {
    appendStringInfoSpaces(text, VARHDRSZ);
    JsonbToCString(text, const_cast<JsonbContainer *>(&json->root), static_cast<int>(VARSIZE(json)));
}

// A field as text; no data if it is absent.
std::string_view field_text(const Jsonb *json, Datum name) {
    LOCAL_FCINFO(call, 2);
    InitFunctionCallInfoData(*call, nullptr, 2, InvalidOid, nullptr, nullptr);
    call->args[0] = {JsonbPGetDatum(json), false};
    call->args[1] = {name, false};
    const Datum field = jsonb_object_field(call);
    if (call->isnull) return {};
    Jsonb *value = DatumGetJsonbP(field);
    return JsonbToCString(nullptr, &value->root, static_cast<int>(VARSIZE(value)));
}

// What a message can show of a text, around the byte where it gets interesting.
const char *excerpt(std::string_view text, std::size_t interesting) {
    constexpr int kShownMax = 80;
    constexpr int kBefore = 20;
    const int length = static_cast<int>(text.size());
    if (length <= kShownMax) return text.data();
    const int from = pg_mbcliplen(text.data(), length, Max(static_cast<int>(interesting) - kBefore, 0));
    const int shown = pg_mbcliplen(text.data() + from, length - from, kShownMax);
    return psprintf("%s%.*s%s", from > 0 ? "..." : "", shown, text.data() + from,
                    from + shown < length ? "..." : "");
}

// Calls visit(name) for each field of an object, in jsonb's order.
template <typename Visit>
void each_field(const Jsonb *json, Visit visit) {
    JsonbIterator *walk = JsonbIteratorInit(const_cast<JsonbContainer *>(&json->root));
    JsonbValue name;
    JsonbIteratorToken token;
    while ((token = JsonbIteratorNext(&walk, &name, true)) != WJB_DONE)
        if (token == WJB_KEY)
            visit(std::string_view{name.val.string.val, static_cast<std::size_t>(name.val.string.len)});
}

}  // namespace

JsonObject begin_object() {
    JsonObject object = {};
    pushJsonbValue(&object.state, WJB_BEGIN_OBJECT, nullptr);
    return object;
}

Jsonb *end_object(JsonObject &object) {
    return JsonbValueToJsonb(pushJsonbValue(&object.state, WJB_END_OBJECT, nullptr));
}

void put_string(JsonObject &object, const char *name, std::string_view value) {
    put(object, name, string_value(value));
}

void put_text(JsonObject &object, const char *name, NullableDatum value) {
    if (!value.isnull) put(object, name, text_value(value.value));
}

void put_bigint(JsonObject &object, const char *name, NullableDatum value) {
    if (!value.isnull) put(object, name, bigint_value(value.value));
}

void put_numeric(JsonObject &object, const char *name, NullableDatum value) {
    if (!value.isnull) put(object, name, number_value(DatumGetNumeric(value.value)));
}

void put_digest(JsonObject &object, const char *name, NullableDatum value) {
    if (!value.isnull) put(object, name, string_value(hex_of(fingerprint_of(DatumGetJsonbP(value.value)))));
}

// The same whatever the session's IntervalStyle.
void put_interval(JsonObject &object, const char *name, NullableDatum value) {
    if (value.isnull) return;
    struct pg_itm parts;
    char text[MAXDATELEN + 1];
    interval2itm(*DatumGetIntervalP(value.value), &parts);
    EncodeInterval(&parts, INTSTYLE_POSTGRES, text);
    put_string(object, name, pstrdup(text));  // the object refers to it until it ends
}

void put_texts(JsonObject &object, const char *name, const Datum *values, const bool *nulls, int count) {
    put_array(object, name, values, nulls, count, text_value);
}

void put_bigints(JsonObject &object, const char *name, const Datum *values, const bool *nulls, int count) {
    put_array(object, name, values, nulls, count, bigint_value);
}

Jsonb *json_bigint(std::int64_t value) {
    JsonbValue number = number_value(int64_to_numeric(value));
    return JsonbValueToJsonb(&number);
}

Jsonb *json_numeric(Numeric value) {
    JsonbValue number = number_value(value);
    return JsonbValueToJsonb(&number);
}

Jsonb *json_string(std::string_view value) {
    JsonbValue string = string_value(value);
    return JsonbValueToJsonb(&string);
}

Jsonb *json_null() {
    JsonbValue null = null_value();
    return JsonbValueToJsonb(&null);
}

Jsonb *json_bigints(const Datum *values, int count) {
    JsonbParseState *state = nullptr;
    pushJsonbValue(&state, WJB_BEGIN_ARRAY, nullptr);
    for (int i = 0; i < count; ++i) {
        JsonbValue number = bigint_value(values[i]);
        pushJsonbValue(&state, WJB_ELEM, &number);
    }
    return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, nullptr));
}

bool is_json_null(const Jsonb *json) {
    JsonbValue value;
    return JsonbExtractScalar(const_cast<JsonbContainer *>(&json->root), &value) && value.type == jbvNull;
}

Numeric numeric_in(const Jsonb *json) {
    return only_value(json).val.numeric;
}

std::int64_t bigint_in(const Jsonb *json) {
    return DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(numeric_in(json))));
}

std::int64_t bigint_in(const Jsonb *json, int element) {
    const JsonbValue *value = getIthJsonbValueFromContainer(const_cast<JsonbContainer *>(&json->root),
                                                            static_cast<std::uint32_t>(element));
    if (!value || value->type != jbvNumeric) elog(ERROR, "element %d of an answer is missing", element);
    return DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(value->val.numeric)));
}

std::string_view string_in(const Jsonb *json) {
    const JsonbValue value = only_value(json);
    return {value.val.string.val, static_cast<std::size_t>(value.val.string.len)};
}

const char *differences(const Jsonb *stored, const Jsonb *fresh) {
    if (compareJsonbContainers(const_cast<JsonbContainer *>(&stored->root),
                               const_cast<JsonbContainer *>(&fresh->root)) == 0)
        return "";
    const Jsonb *before = trimmed(stored);
    const Jsonb *now = trimmed(fresh);
    StringInfoData text;
    initStringInfo(&text);
    const auto compare = [&](std::string_view name, bool only_absent) {
        const int length = static_cast<int>(name.size());
        const Datum key = PointerGetDatum(cstring_to_text_with_len(name.data(), length));
        std::string_view was = field_text(before, key);
        std::string_view is = field_text(now, key);
        if (only_absent && was.data()) return;
        if (!was.data()) was = "null";
        if (!is.data()) is = "null";
        if (was == is) return;
        std::size_t same = 0;
        while (same < was.size() && same < is.size() && was[same] == is[same]) ++same;
        appendStringInfo(&text, "%s%.*s was %s and is %s.", text.len > 0 ? " " : "", length, name.data(),
                         excerpt(was, same), excerpt(is, same));
    };
    each_field(before, [&](std::string_view name) { compare(name, false); });
    each_field(now, [&](std::string_view name) { compare(name, true); });
    return text.len > 0 ? text.data : "They differ.";
}

bytea *fingerprint_of(const Jsonb *json) {
    StringInfoData text;
    initStringInfo(&text);
    append_text(&text, json);
    // Only after a point can there be zeros to trim.
    if (memchr(text.data, '.', text.len)) {
        resetStringInfo(&text);
        append_text(&text, trimmed(json));
    }
    SET_VARSIZE(text.data, text.len);
    return DatumGetByteaPP(DirectFunctionCall1(sha256_bytea, PointerGetDatum(text.data)));
}

const char *hex_of(const bytea *bytes) {
    const auto length = VARSIZE_ANY_EXHDR(bytes);
    auto *text = static_cast<char *>(palloc(2 * length + 1));
    hex_encode(VARDATA_ANY(bytes), length, text);
    text[2 * length] = '\0';
    return text;
}

}  // namespace ledger
