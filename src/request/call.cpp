// Keys, and SQL: recall, remember, fingerprint (sql/request.sql).
#include "request/call.hpp"

#include "engine/settings.hpp"
#include "engine/shared.hpp"
#include "engine/size.hpp"
#include "pg/error.hpp"
#include "pg/role.hpp"
#include "request/purge.hpp"

namespace ledger {

namespace {

// What is left for others to wait for. A row that is about to be purged still answers.
bool must_wait(const Request &request) {
    return TransactionIdIsValid(request.pending) && request.is_inserted;
}

// The row of the call's name, once nobody is inserting it. The name is locked
// if there is none.
Request settled_request(const RequestName &name) {
    for (;;) {
        lock_name(name);
        const Request request = find_request(name);
        if (!ItemPointerIsValid(&request.tid)) return request;
        unlock_name(name);
        if (!must_wait(request)) return request;
        XactLockTableWait(request.pending, nullptr, nullptr, XLTW_None);
    }
}

// (key, arguments, ...), for the functions written in SQL (sql/request.sql).
Call call_from(FunctionCallInfo fcinfo) {
    if (PG_ARGISNULL(1)) raise_refusal(null_argument("arguments"));
    Jsonb *arguments = PG_GETARG_JSONB_P(1);
    if (!JB_ROOT_IS_OBJECT(arguments))
        raise(Status::invalid_parameter_value, "arguments must be a JSON object", nullptr,
              "Give the function and its arguments by name.");
    return {{RequestKind::call, cstring_to_text(""), name_argument(fcinfo, 0, "key")}, arguments};
}

// The call as a request that is over.
void keep(const Call &call, Jsonb *answer, TransferId transfer, TimestampTz now, TimestampTz expires_at) {
    Request request = new_request(call.name);
    request.row.begun_at = now;
    request.row.expires_at = expires_at;
    request.row.leased_until = DT_NOBEGIN;
    request.row.transfer = static_cast<std::int64_t>(transfer);
    request.row.attempt = 1;
    request.row.kind = call.name.kind;
    request.row.state = RequestState::completed;
    if (call.arguments) check_size(VARSIZE(call.arguments) - VARHDRSZ, Sized::arguments);
    request.arguments = call.arguments;
    request.response = answer;
    if (call.name.kind != RequestKind::nonce) request.role = calling_role_name();
    append_request(request);
    unlock_name(call.name);
    purge_when_due(expires_at);
}

}  // namespace

JsonObject begin_arguments(const char *function) {
    constexpr std::string_view kSchema = "ledger.";
    constexpr std::string_view kParentheses = "()";
    std::string_view name = function;
    name.remove_prefix(kSchema.size());
    name.remove_suffix(kParentheses.size());
    JsonObject arguments = begin_object();
    put_string(arguments, "function", name);
    return arguments;
}

text *key_argument(FunctionCallInfo fcinfo, int number) {
    return PG_ARGISNULL(number) ? nullptr : name_argument(fcinfo, number, "key");
}

Recalled recall_unless_different(const Call &call) {
    if (!call.name.key) return {};
    const Request request = settled_request(call.name);
    if (!ItemPointerIsValid(&request.tid)) return {};
    Recalled recalled = {};
    recalled.is_anothers = request.is_anothers;
    if (request.is_anothers) return recalled;
    if (call.arguments && request.arguments) {
        const char *differs = differences(request.arguments, call.arguments);
        if (*differs) recalled.differs = differs;
    }
    recalled.answer = request.response ? request.response : json_null();
    recalled.transfer = TransferId{request.row.transfer};
    return recalled;
}

Recalled recall(const Call &call, int ordinal) {
    const Recalled recalled = recall_unless_different(call);
    if (recalled.is_anothers) raise_refusal(request_of_another_role(call.name), ordinal);
    if (recalled.differs) raise_refusal(request_mismatch(call, recalled.differs), ordinal);
    return recalled;
}

void remember(const Call &call, Jsonb *answer, TransferId transfer) {
    if (!call.name.key) return;
    const TimestampTz now = GetCurrentTimestamp();
    keep(call, answer, transfer, now, now + settings.key_ttl_s * USECS_PER_SEC);
}

void remember_until(const Call &call, Jsonb *answer, TransferId transfer, TimestampTz expires_at) {
    keep(call, answer, transfer, GetCurrentTimestamp(), expires_at);
}

void leave_open(const Call &call) {
    if (call.name.key) unlock_name(call.name);
}

Refusal request_mismatch(const Call &call, const char *differences) {
    Refusal refusal = {};
    refusal.status = Status::request_mismatch;
    refusal.message = psprintf("key \"%s\" was used for another call", shown(code_of(call.name.key)));
    refusal.detail = differences;
    refusal.hint = "Give every new request a new key; repeat one with the arguments it first had.";
    return refusal;
}

Datum conclude(FunctionCallInfo fcinfo, const Call &call, Order &order, bool taken, std::int64_t result) {
    if (taken) append(&order, 1);
    if (call.name.key) remember(call, taken ? json_bigint(result) : json_null(), order.id);
    if (!taken) PG_RETURN_NULL();
    PG_RETURN_INT64(result);
}

Datum conclude(const Call &call, TransferId made) {
    const auto id = static_cast<std::int64_t>(made);
    if (call.name.key) remember(call, json_bigint(id), made);
    PG_RETURN_INT64(id);
}

Datum result_of(FunctionCallInfo fcinfo, const Jsonb *answer) {
    if (is_json_null(answer)) PG_RETURN_NULL();
    PG_RETURN_INT64(bigint_in(answer));
}

}  // namespace ledger

using namespace ledger;

LEDGER_FUNCTION(ledger_recall) {
    begin_writing("a call under a key");
    const Recalled made = recall(call_from(fcinfo));
    if (!made.answer) PG_RETURN_NULL();
    PG_RETURN_JSONB_P(made.answer);
}

LEDGER_FUNCTION(ledger_remember) {
    begin_writing("a call under a key");
    remember(call_from(fcinfo), PG_ARGISNULL(2) ? nullptr : PG_GETARG_JSONB_P(2),
             TransferId{bigint_argument(fcinfo, 3, "transfer")});
    PG_RETURN_VOID();
}

LEDGER_FUNCTION(ledger_fingerprint) {
    require_preload();
    const Jsonb *metadata = sized_argument(fcinfo, 0, Sized::metadata);
    PG_RETURN_TEXT_P(cstring_to_text(hex_of(fingerprint_of(metadata))));
}
