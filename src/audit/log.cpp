#include "audit/log.hpp"

#include "engine/lane.hpp"
#include "engine/post.hpp"
#include "engine/storage.hpp"
#include "pg/bytes.hpp"
#include "pg/table.hpp"
#include "pg/time.hpp"

namespace ledger {

namespace {

constexpr char kName[] = "ledger.audit()";

// What is gathered at most before it is written.
constexpr int kChangesMax = 4096;
constexpr int kBytesMax = 1 << 20;

// A jsonb, as ledger.audit_log shows the values, has less than 256 MB.
constexpr int kValueMax = 255 << 20;

// A text datum with room for a few characters.
template <int kRoom>
struct alignas(int) ShortText {
    char bytes[VARHDRSZ + kRoom];

    void set(const char *string) {
        const std::size_t size = Min(strlen(string), std::size_t{kRoom});
        SET_VARSIZE(bytes, VARHDRSZ + size);
        memcpy(bytes + VARHDRSZ, string, size);
    }
    std::string_view view() const { return {bytes + VARHDRSZ, VARSIZE(bytes) - VARHDRSZ}; }
};

// What the changes that a statement makes to a table have in common.
struct Statement {
    Oid relation_id;
    CommandId command;
    Oid session_user;
    Oid user;
    TimestampTz at;
    ShortText<2 * (2 * NAMEDATALEN + 2) + 1> relation;
    ShortText<NAMEDATALEN> actor;
    ShortText<NAMEDATALEN> acting_as;
    ShortText<NAMEDATALEN> application;
};

struct Change {
    int statement;
    int level;  // nesting level of its subtransaction
    const char *operation;
    Draft draft;
    int end;  // of its bytes
};

template <typename Item>
struct Items {
    Item *first;
    int count;
    int room;

    Item &add() {
        if (count == room) {
            room = Max(2 * room, 4);
            first =
                static_cast<Item *>(first ? repalloc(first, room * sizeof(Item))
                                          : MemoryContextAlloc(TopTransactionContext, room * sizeof(Item)));
        }
        return first[count++];
    }
    Item &last() { return first[count - 1]; }
};

// All memory is TopTransactionContext's. The levels of the changes never fall: a change
// of a subtransaction comes after those that were made outside before it.
struct {
    StringInfoData bytes;
    Items<Change> changes;
    Items<Statement> statements;
    bool in_statement;  // the last of them goes on
} mine = {};

const char *role_name(Oid role) {
    const char *name = GetUserNameFromId(role, true);
    return name ? name : psprintf("%u", role);
}

// The client's address, which stays the same in a backend; empty for none.
const ShortText<64> &client_address() {
    static ShortText<64> address = {};
    static bool is_known = false;
    if (is_known) return address;
    LOCAL_FCINFO(call, 0);
    InitFunctionCallInfoData(*call, nullptr, 0, InvalidOid, nullptr, nullptr);
    const Datum inet = inet_client_addr(call);
    address.set(call->isnull ? "" : text_to_cstring(DatumGetTextPP(DirectFunctionCall1(network_host, inet))));
    is_known = true;
    return address;
}

int statement_for(Oid relation_id, const char *relation) {
    const CommandId command = GetCurrentCommandId(false);
    const Oid session_user = GetSessionUserId(), user = GetUserId();
    if (mine.in_statement) {
        const Statement &last = mine.statements.last();
        if (last.relation_id == relation_id && last.command == command && last.user == user &&
            last.session_user == session_user)
            return mine.statements.count - 1;
    }
    const char *actor = role_name(session_user);
    const char *acting_as = user == session_user ? actor : role_name(user);
    Statement &statement = mine.statements.add();
    statement.relation_id = relation_id;
    statement.command = command;
    statement.session_user = session_user;
    statement.user = user;
    statement.at = GetCurrentTimestamp();
    statement.relation.set(relation);
    statement.actor.set(actor);
    statement.acting_as.set(acting_as);
    statement.application.set(application_name ? application_name : "");
    mine.in_statement = true;
    return mine.statements.count - 1;
}

// A value that is there as a datum, and in UTF-8; an empty text stands for NULL.
struct Field {
    Datum datum;
    Text utf8;
};

template <int kRoom>
Field field_of(const ShortText<kRoom> &text) {
    if (text.view().empty()) return {};
    return {PointerGetDatum(text.bytes), utf8_of(text.view())};
}

Field field_of(const Draft &draft, int value) {
    if (value == Draft::kAbsent) return {};
    const Datum datum = PointerGetDatum(mine.bytes.data + draft.start + value);
    return {datum, utf8_of(bytes_of(datum))};
}

// Links the change to the chain, and makes its row.
HeapTuple form_row(TupleDesc shape, Database &database, Txid txid, const Change &change) {
    const Statement &statement = mine.statements.first[change.statement];
    ShortText<16> operation;
    operation.set(change.operation);
    const Field fields[] = {field_of(statement.relation),
                            field_of(operation),
                            field_of(statement.actor),
                            field_of(statement.acting_as),
                            field_of(statement.application),
                            field_of(client_address()),
                            field_of(change.draft, change.draft.key),
                            field_of(change.draft, change.draft.old_row),
                            field_of(change.draft, change.draft.new_row)};
    const auto &[relation, op, actor, acting_as, application, client, key, old_row, new_row] = fields;
    AuditRecord record = {{},
                          txid,
                          unix_us(statement.at),
                          statement.relation_id,
                          relation.utf8,
                          op.utf8,
                          key.utf8,
                          old_row.utf8,
                          new_row.utf8,
                          actor.utf8,
                          acting_as.utf8,
                          application.utf8,
                          client.utf8};
    HashDatum hash;
    const Datum hash_datum = hash.set(link(database, record, statement.at));
    Datum values[AuditColumn::count] = {
        Int64GetDatum(record.place.id),
        Int64GetDatum(record.place.seq),
        Int64GetDatum(static_cast<std::int64_t>(txid)),
        TimestampTzGetDatum(statement.at),
        ObjectIdGetDatum(statement.relation_id),
        Int16GetDatum(static_cast<std::int16_t>(record.place.lane)),
        hash_datum,
    };
    bool nulls[AuditColumn::count] = {};
    for (int i = AuditColumn::relation; i <= AuditColumn::count; ++i) {
        const Field &field = fields[i - AuditColumn::relation];
        values[i - 1] = field.datum;
        nulls[i - 1] = !field.utf8;
    }
    return heap_form_tuple(shape, values, nulls);
}

// Removes the changes from that one on. The statement that is going on stays known.
void forget_from(int first) {
    mine.changes.count = first;
    mine.bytes.len = first ? mine.changes.last().end : 0;
    if (first > 0) return;
    if (mine.in_statement) mine.statements.first[0] = mine.statements.last();
    mine.statements.count = mine.in_statement ? 1 : 0;
}

void write_from(int first) {
    Database &database = begin_posting(kName);
    const Txid txid = txid_of(GetTopFullTransactionId());
    const bool has_snapshot = ActiveSnapshotSet();
    if (!has_snapshot) PushActiveSnapshot(GetTransactionSnapshot());
    append_rows(storage().audit, mine.changes.count - first, [&](TupleDesc shape, int i) {
        return form_row(shape, database, txid, mine.changes.first[first + i]);
    });
    if (!has_snapshot) PopActiveSnapshot();
    forget_from(first);
}

// The first change of this subtransaction, or of one in it.
int first_of(int level) {
    int first = mine.changes.count;
    while (first > 0 && mine.changes.first[first - 1].level >= level) --first;
    return first;
}

// Writes what this subtransaction has gathered. What an outer one has is not ours to write,
// since it must outlive a rollback of ours; to keep the order, ours waits for it.
void write_in_order() {
    if (mine.changes.count > 0 && first_of(GetCurrentTransactionNestLevel()) == 0) write_from(0);
}

void write_if_many() {
    if (mine.changes.count < kChangesMax && mine.bytes.len < kBytesMax) return;
    const int first = first_of(GetCurrentTransactionNestLevel());
    if (first < mine.changes.count) write_from(first);
}

void on_transaction(XactEvent event, void *) {
    switch (event) {
        case XACT_EVENT_PRE_COMMIT:
        case XACT_EVENT_PRE_PREPARE:
            write_in_order();
            break;
        case XACT_EVENT_COMMIT:
        case XACT_EVENT_ABORT:
        case XACT_EVENT_PREPARE:
            mine = {};
            break;
        case XACT_EVENT_PARALLEL_PRE_COMMIT:
        case XACT_EVENT_PARALLEL_COMMIT:
        case XACT_EVENT_PARALLEL_ABORT:
            break;
    }
}

void on_subtransaction(SubXactEvent event, SubTransactionId, SubTransactionId, void *) {
    const int level = GetCurrentTransactionNestLevel();
    switch (event) {
        case SUBXACT_EVENT_PRE_COMMIT_SUB:
            write_in_order();
            break;
        case SUBXACT_EVENT_COMMIT_SUB:
            for (int i = first_of(level); i < mine.changes.count; ++i)
                mine.changes.first[i].level = level - 1;
            break;
        case SUBXACT_EVENT_ABORT_SUB:
            mine.in_statement = false;
            forget_from(first_of(level));
            break;
        case SUBXACT_EVENT_START_SUB:
            break;
    }
}

void align(StringInfo bytes) {
    while (bytes->len % MAXIMUM_ALIGNOF != 0) appendStringInfoCharMacro(bytes, '\0');
}

}  // namespace

Draft begin_change(bool runs_foreign_code) {
    if (!mine.bytes.data) {
        begin_writing(kName);
        MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);
        initStringInfo(&mine.bytes);
        MemoryContextSwitchTo(caller);
    }
    StringInfo bytes = runs_foreign_code ? makeStringInfo() : &mine.bytes;
    align(bytes);
    return {bytes, bytes->len};
}

int begin_value(Draft &draft) {
    align(draft.bytes);
    const int value = draft.bytes->len - draft.start;
    enlargeStringInfo(draft.bytes, VARHDRSZ);
    draft.bytes->len += VARHDRSZ;
    return value;
}

void end_value(Draft &draft, int value) {
    const int size = draft.bytes->len - draft.start - value;
    if (size > kValueMax)
        ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("the row is too large to be audited"),
                errdetail("As JSON it has %d bytes, %d are allowed.", size - VARHDRSZ, kValueMax - VARHDRSZ),
                errhint("Exclude a column with ledger.enable_audit(), or store less in a row."));
    SET_VARSIZE(draft.bytes->data + draft.start + value, size);
}

void add_change(Oid relation_id, const char *relation, const char *operation, const Draft &draft) {
    Draft kept = draft;
    if (draft.bytes != &mine.bytes) {
        align(&mine.bytes);
        kept.bytes = &mine.bytes;
        kept.start = mine.bytes.len;
        appendBinaryStringInfo(&mine.bytes, draft.bytes->data + draft.start, draft.bytes->len - draft.start);
    }
    const int statement = statement_for(relation_id, relation);
    mine.changes.add() = {statement, GetCurrentTransactionNestLevel(), operation, kept, mine.bytes.len};
    write_if_many();
}

void end_statement() {
    mine.in_statement = false;
    write_in_order();
}

void register_log_callbacks() {
    RegisterXactCallback(on_transaction, nullptr);
    RegisterSubXactCallback(on_subtransaction, nullptr);
}

}  // namespace ledger
