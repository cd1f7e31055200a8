// The registry of idempotent requests: the table ledger_data.request, one row a
// name. Its only users are begin_request and its like (request.cpp), the keys of
// calls (call.hpp) and the purge.
//
// Whoever looks a name up in order to change it holds the name's lock, from the
// look to the write and no longer: a lock of PostgreSQL's own lock table, let go
// before the transaction ends, so that any number of names can be used in one
// transaction. From then on the uncommitted row itself tells the others, who
// see it through a dirty snapshot.
#pragma once

#include "engine/refusal.hpp"
#include "engine/storage.hpp"
#include "pg/postgres.hpp"

namespace ledger {

struct RequestName {
    RequestKind kind;
    text *scope;
    text *key;
};

// A row of the registry, or one to be.
struct Request {
    RequestName name;
    RequestRow row;
    bytea *fingerprint;     // of a request's payload, or null
    Jsonb *arguments;       // of a call, or null
    Jsonb *response;        // or null
    TimestampTz issued_at;  // of a token, else DT_NOBEGIN
    text *role;             // that it belongs to; null: of a version before 0.3, or a nonce
    bool is_anothers;       // the caller lacks the privileges of role; only the row's head was read
    ItemPointerData tid;    // invalid: not in the table
    TransactionId pending;  // another transaction that is inserting, changing or deleting the row
    bool is_inserted;       // pending inserted it: it may never have been
};

// A row that is not in the table, with nothing but its name.
Request new_request(const RequestName &name);

// A name's part that a user gave, a what: 1 to 255 characters, or an error 22004 or 22023.
text *name_argument(FunctionCallInfo fcinfo, int number, const char *what);
bool is_name(const text *value);
Refusal bad_name(const text *value, const char *what);

// Why a request of another role is refused.
Refusal request_of_another_role(const RequestName &name);

// The lock of a name. Waits only for others between a look and a write.
void lock_name(const RequestName &name);
bool try_lock_name(const RequestName &name);
void unlock_name(const RequestName &name);

// The newest state of the row, whatever the transaction's isolation level, in the
// current memory context; tid is invalid if there is none. The caller holds the lock.
Request find_request(const RequestName &name);

// The row that write_request wrote last in this backend, if it is this name's and
// this transaction's own, found without the index. tid is invalid if it is not. The
// caller holds the lock: a look of others must not meet a row that is replaced.
Request find_own_request(const RequestName &name);

// Inserts the row, or replaces the one at its tid, which must have nothing
// pending. The caller holds the lock. write_request lets later writes of the
// same statement see it; append_request does not.
void write_request(const Request &request);
void append_request(const Request &request);

// Deletes up to max requests whose time is up; those that others are using wait
// for the next purge. Returns how many.
std::int64_t purge_expired(std::int64_t max);

}  // namespace ledger
