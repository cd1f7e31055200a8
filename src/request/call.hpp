// Keys: a call of a changing function under a key is made once, whoever repeats
// it. The function asks recall() before it does anything and tells remember()
// its answer afterwards; both are nothing where there is no key.
#pragma once

#include "engine/order.hpp"
#include "pg/json.hpp"
#include "request/registry.hpp"

namespace ledger {

struct Call {
    RequestName name;  // key null: not under a key
    Jsonb *arguments;  // the function's name among them
};

// The arguments of a call, its function first, written as in messages: "ledger.transfer()".
JsonObject begin_arguments(const char *function);

// A call under key (null: none), whose arguments describe(JsonObject &) puts.
template <typename Describe>
Call call_under(text *key, const char *function, Describe describe) {
    if (!key) return {};
    JsonObject arguments = begin_arguments(function);
    describe(arguments);
    return {{RequestKind::call, cstring_to_text(""), key}, end_object(arguments)};
}

// The argument, null if it is NULL; 22023 unless it has 1 to 255 characters.
text *key_argument(FunctionCallInfo fcinfo, int number);

// The answer, if the call has been made, or null: then the caller makes it. Waits
// for another transaction that is making it. differs says how the call differs
// from the one made, if it does. is_anothers: the key belongs to another role, and
// nothing is said of the call.
struct Recalled {
    Jsonb *answer;
    TransferId transfer;
    const char *differs;
    bool is_anothers;
};
Recalled recall_unless_different(const Call &call);

// The same; a different call raises LG301, one of another role LG308. ordinal > 0 names the
// element of a batch.
Recalled recall(const Call &call, int ordinal = 0);

// Notes the answer, and the transfer made if it was one, for ledger.key_ttl or
// until expires_at. To be called once after recall() found none.
void remember(const Call &call, Jsonb *answer, TransferId transfer = TransferId{0});
void remember_until(const Call &call, Jsonb *answer, TransferId transfer, TimestampTz expires_at);

// Ends the call without an answer: nothing was decided, it may be repeated.
void leave_open(const Call &call);

// Why a different call under the key is refused.
Refusal request_mismatch(const Call &call, const char *differences);

// Ends the call of a function that makes one transfer and returns a bigint:
// appends the order if it was taken, remembers, and returns result, or else NULL.
Datum conclude(FunctionCallInfo fcinfo, const Call &call, Order &order, bool taken, std::int64_t result);

// Ends the call of a function that returns the transfer it made.
Datum conclude(const Call &call, TransferId made);

// The result of such a function from its answer.
Datum result_of(FunctionCallInfo fcinfo, const Jsonb *answer);

}  // namespace ledger
