// How large a value may be that a caller leaves behind: LG017 beyond the settings
// ledger.max_metadata, ledger.max_payload and ledger.max_response.
#pragma once

#include "pg/json.hpp"

namespace ledger {

enum class Sized { metadata, description, payload, arguments, response };

// Raises LG017 if a value of so many bytes is too large.
void check_size(Size bytes, Sized kind);

// The same for the text of a value, which numbers such as 1e9999 make longer than the value.
void check_text_size(const Jsonb *json, Sized kind);

// The argument, null if it is NULL. Its size is checked before it is read, and that of its text
// before that is made.
Jsonb *sized_argument(FunctionCallInfo fcinfo, int number, Sized kind);

// Puts the fingerprint of metadata, whose size is checked first, into the arguments of a call.
void put_metadata(JsonObject &object, FunctionCallInfo fcinfo, int number);

}  // namespace ledger
