// SQL: requests between begin and complete, tokens, the inbox (sql/request.sql).
#include "engine/size.hpp"
#include "pg/result.hpp"
#include "pg/error.hpp"
#include "pg/role.hpp"
#include "pg/time.hpp"
#include "request/call.hpp"
#include "request/purge.hpp"
#include "request/random.hpp"

namespace ledger {

namespace {

// This session, as server logs name it: its start and its process.
std::int64_t this_session() {
    return static_cast<std::int64_t>(MyStartTime) << 32 | MyProcPid;
}

RequestName request_name(FunctionCallInfo fcinfo, int key, int scope) {
    return {RequestKind::request, name_argument(fcinfo, scope, "scope"), name_argument(fcinfo, key, "key")};
}

const char *shown_key(const RequestName &name) {
    return shown(code_of(name.key));
}

const char *state_name(RequestState state) {
    switch (state) {
        case RequestState::issued:
            return "issued";
        case RequestState::in_progress:
            return "in_progress";
        case RequestState::completed:
            return "completed";
        default:
            return "failed";
    }
}

// ---- begin_request ----

// What begin_request was called with.
struct Begin {
    RequestName name;
    bytea *fingerprint;
    TimestampTz leased_until;
    TimestampTz expires_at;
    bool require_token;
};

struct Begun {
    const char *state;
    Jsonb *response;
    std::int32_t attempt;
};

Begin begin_arguments_of(FunctionCallInfo fcinfo, TimestampTz now) {
    Begin begin = {};
    begin.name = request_name(fcinfo, 0, 2);
    const Jsonb *payload = sized_argument(fcinfo, 1, Sized::payload);
    begin.fingerprint = payload ? fingerprint_of(payload) : nullptr;
    begin.leased_until = time_within_a_year(now, interval_argument(fcinfo, 3, "lease"), "lease");
    begin.expires_at = time_within_a_year(now, interval_argument(fcinfo, 4, "ttl"), "ttl");
    if (PG_ARGISNULL(5)) raise_refusal(null_argument("require_token"));
    begin.require_token = PG_GETARG_BOOL(5);
    return begin;
}

[[noreturn]] void raise_bad_token(const Begin &begin, const char *detail) {
    raise(Status::invalid_token, psprintf("\"%s\" is not a valid token", shown_key(begin.name)), detail,
          "Get one from ledger.issue_request_token(), in the same scope.");
}

void check_payload(const Request &request, const Begin &begin) {
    const auto digits = [](const bytea *fingerprint) { return fingerprint ? hex_of(fingerprint) : "absent"; };
    const char *was = digits(request.fingerprint);
    const char *is = digits(begin.fingerprint);
    if (strcmp(was, is) == 0) return;
    raise(Status::request_mismatch,
          psprintf("request \"%s\" was begun with another payload", shown_key(begin.name)),
          psprintf("The SHA-256 of its payload was %s, that of this one is %s.", was, is),
          "Give every new request a new key; repeat one with the payload it first had.");
}

// This session's attempt at the request, which belongs to whoever used it first.
Begun start(Request request, const Begin &begin, TimestampTz now) {
    RequestRow &row = request.row;
    row.begun_at = now;
    row.expires_at = begin.expires_at;
    row.leased_until = begin.leased_until;
    row.holder = this_session();
    row.attempt += 1;
    row.kind = RequestKind::request;
    row.state = RequestState::in_progress;
    request.fingerprint = begin.fingerprint;
    request.response = nullptr;
    if (!request.role) request.role = calling_role_name();
    write_request(request);
    return {"new", nullptr, row.attempt};
}

// What to answer where another transaction is at the row: only an outcome, which
// nothing but a purge can change any more, is certain.
Begun answer_pending(const Request &request, const Begin &begin) {
    if (!request.is_inserted && request.row.state != RequestState::issued) check_payload(request, begin);
    const RequestState state = request.row.state;
    const bool is_outcome = state == RequestState::completed || state == RequestState::rejected;
    if (is_outcome && !request.is_inserted) return {state_name(state), request.response, request.row.attempt};
    return {"in_progress", nullptr, request.row.attempt};
}

Begun begin_issued(const Request &request, const Begin &begin, TimestampTz now) {
    if (begin.require_token && request.row.expires_at <= now)
        raise_bad_token(begin, psprintf("It expired at %s.", timestamptz_to_str(request.row.expires_at)));
    return start(request, begin, now);
}

Begun begin_request(const Begin &begin, TimestampTz now) {
    const Request request = find_request(begin.name);
    if (!ItemPointerIsValid(&request.tid)) {
        if (begin.require_token) raise_bad_token(begin, "It was not issued, or it has been purged.");
        return start(request, begin, now);
    }
    if (request.is_anothers) raise_refusal(request_of_another_role(begin.name));
    if (begin.require_token && request.issued_at == DT_NOBEGIN) raise_bad_token(begin, "It was not issued.");
    if (TransactionIdIsValid(request.pending)) return answer_pending(request, begin);
    if (request.row.state == RequestState::issued) return begin_issued(request, begin, now);
    check_payload(request, begin);
    const bool lease_ran_out =
        request.row.state == RequestState::in_progress && request.row.leased_until <= now;
    if (request.row.state == RequestState::failed || lease_ran_out) return start(request, begin, now);
    return {state_name(request.row.state), request.response, request.row.attempt};
}

// ---- complete_request, fail_request ----

// The request, settled, with its name locked; or LG302, or LG308 where it is another role's.
Request existing_request(const RequestName &name) {
    for (;;) {
        lock_name(name);
        const Request own = find_own_request(name);
        const Request request = ItemPointerIsValid(&own.tid) ? own : find_request(name);
        if (!ItemPointerIsValid(&request.tid))
            raise(Status::unknown_request, psprintf("request \"%s\" does not exist", shown_key(name)),
                  psprintf("Nothing is known of it in scope \"%s\".", shown(code_of(name.scope))),
                  "Begin it with ledger.begin_request(), in the same scope.");
        if (request.is_anothers) raise_refusal(request_of_another_role(name));
        if (!TransactionIdIsValid(request.pending)) return request;
        unlock_name(name);
        XactLockTableWait(request.pending, nullptr, nullptr, XLTW_None);
    }
}

// Who does not say which attempt is theirs is taken to hold the present one,
// unless another session began it after an earlier one had been lost or failed.
bool holds(const Request &request, FunctionCallInfo fcinfo, int attempt_argument) {
    if (!PG_ARGISNULL(attempt_argument)) return PG_GETARG_INT32(attempt_argument) == request.row.attempt;
    return request.row.attempt <= 1 || request.row.holder == this_session();
}

// The ttl counts from begin. Where most of it was spent on the work it begins
// again, so that the outcome is there for whoever asks.
void renew(RequestRow &row, TimestampTz now) {
    const TimestampTz ttl = row.expires_at - row.begun_at;
    if (row.expires_at - now < ttl / 2) row.expires_at = now + ttl;
}

void finish(FunctionCallInfo fcinfo, const char *function, RequestState outcome, int attempt_argument) {
    begin_writing(function);
    const RequestName name = request_name(fcinfo, 0, 2);
    Jsonb *response = sized_argument(fcinfo, 1, Sized::response);
    if (response) check_text_size(response, Sized::response);
    Request request = existing_request(name);
    if (!holds(request, fcinfo, attempt_argument))
        raise(Status::lease_lost, psprintf("request \"%s\" is no longer this caller's", shown_key(name)),
              psprintf("Attempt %d has begun since.", request.row.attempt),
              "Undo what was done for it. If it is this caller's, pass the attempt that "
              "ledger.begin_request() returned.");
    if (request.row.state != RequestState::in_progress)
        raise(Status::request_not_in_progress, psprintf("request \"%s\" is not in progress", shown_key(name)),
              psprintf("Its state is %s.", state_name(request.row.state)),
              "Begin it with ledger.begin_request(), and complete it once.");
    request.row.state = outcome;
    renew(request.row, GetCurrentTimestamp());
    request.response = response;
    write_request(request);
    unlock_name(name);
}

}  // namespace

}  // namespace ledger

using namespace ledger;

LEDGER_FUNCTION(ledger_issue_request_token) {
    begin_writing("ledger.issue_request_token()");
    const TimestampTz now = GetCurrentTimestamp();
    Request request = new_request({RequestKind::request, name_argument(fcinfo, 0, "scope"), random_token()});
    request.row.expires_at = time_within_a_year(now, interval_argument(fcinfo, 1, "ttl"), "ttl");
    request.row.begun_at = now;
    request.issued_at = now;
    request.row.leased_until = DT_NOBEGIN;
    request.row.kind = RequestKind::request;
    request.row.state = RequestState::issued;
    request.role = calling_role_name();
    write_request(request);
    purge_when_due(request.row.expires_at);
    PG_RETURN_TEXT_P(request.name.key);
}

LEDGER_FUNCTION(ledger_begin_request) {
    begin_writing("ledger.begin_request()");
    const TimestampTz now = GetCurrentTimestamp();
    const Begin begin = begin_arguments_of(fcinfo, now);
    lock_name(begin.name);
    const Begun begun = begin_request(begin, now);
    unlock_name(begin.name);
    purge_when_due(begin.expires_at);

    Datum values[] = {CStringGetTextDatum(begun.state), PointerGetDatum(begun.response),
                      Int32GetDatum(begun.attempt)};
    bool nulls[] = {false, begun.response == nullptr, false};
    return row_result(fcinfo, values, nulls);
}

LEDGER_FUNCTION(ledger_complete_request) {
    finish(fcinfo, "ledger.complete_request()", RequestState::completed, 3);
    PG_RETURN_VOID();
}

LEDGER_FUNCTION(ledger_fail_request) {
    if (PG_ARGISNULL(3)) raise_refusal(null_argument("retryable"));
    finish(fcinfo, "ledger.fail_request()", PG_GETARG_BOOL(3) ? RequestState::failed : RequestState::rejected,
           4);
    PG_RETURN_VOID();
}

LEDGER_FUNCTION(ledger_accept_message) {
    begin_writing("ledger.accept_message()");
    text *consumer = name_argument(fcinfo, 0, "consumer");
    const Call message = {{RequestKind::message, consumer, name_argument(fcinfo, 1, "message_id")}, nullptr};
    if (recall(message).answer) PG_RETURN_BOOL(false);
    remember(message, nullptr);
    PG_RETURN_BOOL(true);
}
