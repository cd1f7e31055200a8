// SQL: check_size (sql/account.sql).
#include "engine/size.hpp"

#include "engine/directory.hpp"
#include "engine/settings.hpp"
#include "engine/shared.hpp"
#include "pg/error.hpp"

extern "C" {
#include "access/detoast.h"
}

namespace ledger {

namespace {

constexpr Size kBytesOfKilobyte = 1024;

struct Limit {
    const char *message;
    const char *setting;
    int kilobytes;
};

Limit limit_of(Sized kind) {
    switch (kind) {
        case Sized::metadata:
            return {"the metadata is too large", "ledger.max_metadata", settings.max_metadata_kb};
        case Sized::description:
            return {"the description is too large", "ledger.max_metadata", settings.max_metadata_kb};
        case Sized::payload:
            return {"the payload is too large", "ledger.max_payload", settings.max_payload_kb};
        case Sized::arguments:
            return {"the arguments of a call under a key are too large", "ledger.max_payload",
                    settings.max_payload_kb};
        default:
            return {"the response is too large", "ledger.max_response", settings.max_response_kb};
    }
}

// Characters of a scalar in the text of a jsonb, at least.
Size least_length(const JsonbValue &scalar) {
    switch (scalar.type) {
        case jbvString:
            return static_cast<Size>(scalar.val.string.len);
        case jbvNumeric: {
            char *digits =
                DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(scalar.val.numeric)));
            const Size length = strlen(digits);
            pfree(digits);
            return length;
        }
        default:
            return 1;
    }
}

// True if the text has more characters than that. The text itself is not made: 1e131071 is
// eight bytes of a jsonb.
bool has_longer_text(Jsonb *json, Size limit) {
    JsonbIterator *iterator = JsonbIteratorInit(&json->root);
    JsonbValue value;
    Size length = 0;
    for (;;) {
        CHECK_FOR_INTERRUPTS();
        const JsonbIteratorToken token = JsonbIteratorNext(&iterator, &value, false);
        if (token == WJB_DONE) return false;
        if (token == WJB_KEY || token == WJB_VALUE || token == WJB_ELEM) length += least_length(value);
        if (length > limit) return true;
    }
}

[[noreturn]] void raise_too_large(Size bytes, const Limit &limit) {
    raise(Status::value_too_large, limit.message,
          psprintf("The size is %zu bytes; %s allows %d kB.", bytes, limit.setting, limit.kilobytes),
          "Keep large values in a table of your own, and give the ledger a reference.");
}

}  // namespace

void check_size(Size bytes, Sized kind) {
    const Limit limit = limit_of(kind);
    if (bytes > static_cast<Size>(limit.kilobytes) * kBytesOfKilobyte) raise_too_large(bytes, limit);
}

void check_text_size(const Jsonb *json, Sized kind) {
    StringInfoData text;
    initStringInfo(&text);
    JsonbToCString(&text, const_cast<JsonbContainer *>(&json->root), static_cast<int>(VARSIZE(json)));
    check_size(static_cast<Size>(text.len), kind);
    pfree(text.data);
}

Jsonb *sized_argument(FunctionCallInfo fcinfo, int number, Sized kind) {
    if (PG_ARGISNULL(number)) return nullptr;
    check_size(toast_raw_datum_size(PG_GETARG_DATUM(number)) - VARHDRSZ, kind);
    Jsonb *json = PG_GETARG_JSONB_P(number);
    const Limit limit = limit_of(kind);
    if (has_longer_text(json, static_cast<Size>(limit.kilobytes) * kBytesOfKilobyte))
        raise(Status::value_too_large, limit.message,
              psprintf("As text it is longer; %s allows %d kB.", limit.setting, limit.kilobytes),
              "Keep large values in a table of your own, and give the ledger a reference.");
    return json;
}

void put_metadata(JsonObject &object, FunctionCallInfo fcinfo, int number) {
    if (const Jsonb *metadata = sized_argument(fcinfo, number, Sized::metadata))
        put_digest(object, "metadata", {JsonbPGetDatum(metadata), false});
}

}  // namespace ledger

using namespace ledger;

LEDGER_FUNCTION(ledger_check_size) {
    require_preload();
    const bool is_metadata = code_of(PG_GETARG_TEXT_PP(0)) == "metadata";
    const Sized kind = is_metadata ? Sized::metadata : Sized::description;
    check_text_size(sized_argument(fcinfo, 1, kind), kind);
    PG_RETURN_VOID();
}
