#include "request/registry.hpp"

#include "pg/lock.hpp"
#include "pg/role.hpp"
#include "pg/table.hpp"

extern "C" {
#include "catalog/pg_collation.h"
#include "mb/pg_wchar.h"
}

namespace ledger {

namespace {

constexpr int kNameMax = 255;

int length_of(const text *value) {
    return pg_mbstrlen_with_len(VARDATA_ANY(value), static_cast<int>(VARSIZE_ANY_EXHDR(value)));
}

// Where write_request wrote last.
struct {
    TransactionId transaction;
    std::uint64_t name;
    ItemPointerData tid;
} last_written;

std::uint64_t hash_of(const RequestName &name) {
    return hash_text(name.key, hash_text(name.scope, static_cast<std::uint64_t>(name.kind)));
}

bool is_named(HeapTuple tuple, Relation table, const RequestName &name) {
    const auto equals = [&](AttrNumber number, text *value) {
        bool is_null;
        const Datum stored = heap_getattr(tuple, number, RelationGetDescr(table), &is_null);
        return DatumGetBool(DirectFunctionCall2Coll(texteq, C_COLLATION_OID, stored, PointerGetDatum(value)));
    };
    return row_of<RequestRow>(tuple)->kind == name.kind && equals(RequestColumn::key, name.key) &&
           equals(RequestColumn::scope, name.scope);
}

template <typename Type>
Type *column(HeapTuple tuple, Relation table, AttrNumber number) {
    bool is_null;
    const Datum value = heap_getattr(tuple, number, RelationGetDescr(table), &is_null);
    return is_null ? nullptr : reinterpret_cast<Type *>(PG_DETOAST_DATUM_COPY(value));
}

// False with the SQL of 0.1 and 0.2.
bool has_role(TupleDesc shape) {
    return shape->natts >= RequestColumn::role;
}

Request request_in(HeapTuple tuple, Relation table, const RequestName &name) {
    Request request = new_request(name);
    request.row = copy_of_row<RequestRow>(tuple);
    request.tid = tuple->t_self;
    if (has_role(RelationGetDescr(table))) request.role = column<text>(tuple, table, RequestColumn::role);
    request.is_anothers = request.role && !has_privileges_of(request.role);
    if (request.is_anothers) return request;  // how long the rest takes to read would tell of it
    request.fingerprint = column<bytea>(tuple, table, RequestColumn::fingerprint);
    request.arguments = column<Jsonb>(tuple, table, RequestColumn::arguments);
    request.response = column<Jsonb>(tuple, table, RequestColumn::response);
    bool is_null;
    const Datum issued_at = heap_getattr(tuple, RequestColumn::issued_at, RelationGetDescr(table), &is_null);
    request.issued_at = is_null ? DT_NOBEGIN : DatumGetTimestampTz(issued_at);
    return request;
}

// The table may have fewer columns: has_role.
HeapTuple form_request(TupleDesc shape, const Request &request) {
    const RequestRow &row = request.row;
    Datum values[RequestColumn::count] = {
        TimestampTzGetDatum(row.begun_at),
        TimestampTzGetDatum(row.expires_at),
        TimestampTzGetDatum(row.leased_until),
        Int64GetDatum(row.holder),
        Int64GetDatum(row.transfer),
        Int32GetDatum(row.attempt),
        Int16GetDatum(static_cast<std::int16_t>(row.kind)),
        Int16GetDatum(static_cast<std::int16_t>(row.state)),
        PointerGetDatum(request.name.scope),
        PointerGetDatum(request.name.key),
        PointerGetDatum(request.fingerprint),
        PointerGetDatum(request.arguments),
        PointerGetDatum(request.response),
        TimestampTzGetDatum(request.issued_at),
        PointerGetDatum(request.role),
    };
    bool nulls[RequestColumn::count] = {};
    nulls[RequestColumn::fingerprint - 1] = request.fingerprint == nullptr;
    nulls[RequestColumn::arguments - 1] = request.arguments == nullptr;
    nulls[RequestColumn::response - 1] = request.response == nullptr;
    nulls[RequestColumn::issued_at - 1] = request.issued_at == DT_NOBEGIN;
    nulls[RequestColumn::role - 1] = request.role == nullptr;
    return heap_form_tuple(shape, values, nulls);
}

// An attempt that was abandoned is remembered for its ttl after its lease, so that
// its holder, if he comes back, hears that he has lost it.
bool may_purge(const RequestRow &row, TimestampTz now) {
    return row.state != RequestState::in_progress ||
           row.leased_until + (row.expires_at - row.begun_at) <= now;
}

// False if somebody is using the row.
bool delete_row(Relation table, HeapTuple tuple) {
    TM_FailureData failure;
    return table_tuple_delete(table, &tuple->t_self, GetCurrentCommandId(true), GetActiveSnapshot(),
                              InvalidSnapshot, false, &failure, false) == TM_Ok;
}

}  // namespace

Request new_request(const RequestName &name) {
    Request request = {};
    request.name = name;
    request.issued_at = DT_NOBEGIN;
    return request;
}

bool is_name(const text *value) {
    const int length = length_of(value);
    return length >= 1 && length <= kNameMax;
}

Refusal bad_name(const text *value, const char *what) {
    Refusal refusal = {};
    refusal.status = Status::invalid_parameter_value;
    refusal.message = psprintf("a %s has 1 to %d characters", what, kNameMax);
    refusal.detail = psprintf("The one given has %d.", length_of(value));
    refusal.hint = "Use something shorter, such as a UUID or a SHA-256 in hexadecimal.";
    return refusal;
}

text *name_argument(FunctionCallInfo fcinfo, int number, const char *what) {
    if (PG_ARGISNULL(number)) raise_refusal(null_argument(what));
    text *value = PG_GETARG_TEXT_PP(number);
    if (!is_name(value)) raise_refusal(bad_name(value, what));
    return value;
}

Refusal request_of_another_role(const RequestName &name) {
    Refusal refusal = {};
    refusal.status = Status::request_of_another_role;
    refusal.message = psprintf("\"%s\" belongs to another role", shown(code_of(name.key)));
    refusal.detail = "The caller lacks the privileges of the role that used it first.";
    refusal.hint = "Use another key, or call as that role or as a member of it.";
    return refusal;
}

void lock_name(const RequestName &name) {
    lock_hash(storage().request, hash_of(name));
}

bool try_lock_name(const RequestName &name) {
    return try_lock_hash(storage().request, hash_of(name));
}

void unlock_name(const RequestName &name) {
    unlock_hash(storage().request, hash_of(name));
}

Request find_request(const RequestName &name) {
    return with_table(storage().request, RowExclusiveLock, [&](Relation table) {
        ScanKeyData keys[3];
        key_text(keys[0], RequestColumn::key, name.key);
        key_text(keys[1], RequestColumn::scope, name.scope);
        key_smallint(keys[2], RequestColumn::kind, static_cast<std::int16_t>(name.kind));
        SnapshotData dirty;
        InitDirtySnapshot(dirty);
        Request found = new_request(name);
        scan_index(table, storage().request_by_key, &dirty, keys, 3, [&](HeapTuple tuple) {
            const TransactionId inserter = dirty.xmin;
            const TransactionId changer = dirty.xmax;
            // While another transaction replaces the row both versions show: the old one counts.
            if (ItemPointerIsValid(&found.tid) && TransactionIdIsValid(inserter)) return true;
            found = request_in(tuple, table, name);
            found.is_inserted = TransactionIdIsValid(inserter);
            found.pending = found.is_inserted ? inserter : changer;
            return true;
        });
        return found;
    });
}

Request find_own_request(const RequestName &name) {
    Request found = new_request(name);
    const TransactionId current = GetTopTransactionIdIfAny();
    if (!TransactionIdIsValid(current) || last_written.transaction != current ||
        last_written.name != hash_of(name))
        return found;
    return with_table(storage().request, RowExclusiveLock, [&](Relation table) {
        TupleTableSlot *slot = table_slot_create(table, nullptr);
        // Gone if it was rolled back to a savepoint, perhaps with its page.
        const bool is_there = ItemPointerGetBlockNumber(&last_written.tid) < RelationGetNumberOfBlocks(table);
        if (is_there && table_tuple_fetch_row_version(table, &last_written.tid, SnapshotSelf, slot)) {
            HeapTuple tuple = ExecFetchSlotHeapTuple(slot, false, nullptr);
            if (TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data)) &&
                is_named(tuple, table, name))
                found = request_in(tuple, table, name);
        }
        ExecDropSingleTupleTableSlot(slot);
        return found;
    });
}

void append_request(const Request &request) {
    with_table(storage().request, RowExclusiveLock, [&](Relation table) {
        CatalogTupleInsert(table, form_request(RelationGetDescr(table), request));
    });
}

void write_request(const Request &request) {
    with_table(storage().request, RowExclusiveLock, [&](Relation table) {
        HeapTuple tuple = form_request(RelationGetDescr(table), request);
        ItemPointerData tid = request.tid;
        if (ItemPointerIsValid(&tid))
            CatalogTupleUpdate(table, &tid, tuple);
        else
            CatalogTupleInsert(table, tuple);
        last_written = {GetTopTransactionId(), hash_of(request.name), tuple->t_self};
    });
    CommandCounterIncrement();
}

std::int64_t purge_expired(std::int64_t max) {
    return with_latest_snapshot([&](Snapshot snapshot) {
        return with_table(storage().request, RowExclusiveLock, [&](Relation table) {
            const TimestampTz now = GetCurrentTimestamp();
            ScanKeyData key;
            key_until(key, RequestColumn::expires_at, now);
            std::int64_t purged = 0;
            scan_index(table, storage().request_by_expiry, snapshot, &key, 1, [&](HeapTuple tuple) {
                const RequestRow &row = *row_of<RequestRow>(tuple);
                if (!may_purge(row, now)) return true;
                const RequestName name = {row.kind, column<text>(tuple, table, RequestColumn::scope),
                                          column<text>(tuple, table, RequestColumn::key)};
                if (!try_lock_name(name)) return true;
                purged += delete_row(table, tuple);
                unlock_name(name);
                return purged < max;
            });
            return purged;
        });
    });
}

}  // namespace ledger
