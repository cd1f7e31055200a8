// jsonb in and out: objects built field by field, single values, fingerprints.
// Everything is made in the current memory context.
#pragma once

#include "pg/postgres.hpp"

namespace ledger {

struct JsonObject {
    JsonbParseState *state;
};

JsonObject begin_object();
Jsonb *end_object(JsonObject &object);

// A field, unless the value is NULL. put_numeric writes NaN and infinities, which JSON
// has no numbers for, as strings. put_digest puts a jsonb's fingerprint in its place.
void put_string(JsonObject &object, const char *name, std::string_view value);
void put_text(JsonObject &object, const char *name, NullableDatum value);
void put_bigint(JsonObject &object, const char *name, NullableDatum value);
void put_numeric(JsonObject &object, const char *name, NullableDatum value);
void put_digest(JsonObject &object, const char *name, NullableDatum value);
void put_interval(JsonObject &object, const char *name, NullableDatum value);

// An array of text or bigint values.
void put_texts(JsonObject &object, const char *name, const Datum *values, const bool *nulls, int count);
void put_bigints(JsonObject &object, const char *name, const Datum *values, const bool *nulls, int count);

// A jsonb of one value.
Jsonb *json_bigint(std::int64_t value);
Jsonb *json_numeric(Numeric value);
Jsonb *json_string(std::string_view value);
Jsonb *json_null();

// An array of numbers.
Jsonb *json_bigints(const Datum *values, int count);

// What a jsonb of one value, or the element of an array, holds.
bool is_json_null(const Jsonb *json);
Numeric numeric_in(const Jsonb *json);
std::int64_t bigint_in(const Jsonb *json);
std::int64_t bigint_in(const Jsonb *json, int element);
std::string_view string_in(const Jsonb *json);

// The fields in which two objects differ, as a sentence each ("amount was 5 and
// is 6."); empty if they are equal. A field that is absent is null.
const char *differences(const Jsonb *stored, const Jsonb *fresh);

// SHA-256 of the canonical text: PostgreSQL's own text of a jsonb (keys in its
// order, each once; one space after ':' and ',') with no trailing zeros after a
// decimal point, in the database's encoding. Equal values have equal fingerprints.
constexpr int kFingerprintBytes = 32;
bytea *fingerprint_of(const Jsonb *json);

// As 64 hexadecimal digits.
const char *hex_of(const bytea *bytes);

}  // namespace ledger
