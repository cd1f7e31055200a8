#include "audit/log.hpp"

#include "audit/causal_order.hpp"
#include "audit/nesting.hpp"
#include "engine/lane.hpp"
#include "engine/post.hpp"
#include "engine/storage.hpp"
#include "pg/bytes.hpp"
#include "pg/table.hpp"
#include "pg/time.hpp"

namespace ledger {

namespace {

constexpr char kName[] = "ledger.audit()";

// What is gathered at most before it is written, where it may be.
constexpr int kChangesMax = 4096;
constexpr int kBytesMax = 1 << 20;

// What may wait for the end of the outermost statement: half of what a StringInfo can hold, so
// that there is room for the largest row.
constexpr int kWaitingChangesMax = 1 << 23;
constexpr int kWaitingBytesMax = 512 << 20;

// A jsonb, which ledger.audit_change() makes of the values, has less than 256 MB.
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

// A table under its name, as in SQL.
struct Table {
    Oid id;
    ShortText<2 * (2 * NAMEDATALEN + 2) + 1> name;
};

// Who changes rows.
struct Author {
    Oid session_user;
    Oid user;
    ShortText<NAMEDATALEN> actor;
    ShortText<NAMEDATALEN> acting_as;
    ShortText<NAMEDATALEN> application;
};

// What the changes that a statement makes to a table have in common.
struct Statement {
    int table;
    int author;
    CommandId command;
    TimestampTz at;
};

struct Change {
    int statement;
    int statements;  // how many there are from this change on
    int level;       // nesting level of its subtransaction
    const char *operation;
    Draft draft;
    int end;  // of its bytes
};

template <typename Item>
struct Items {
    Item *first;
    int count;
    int room;

    // All zero.
    Item &add() {
        if (count == room) {
            room = Max(2 * room, 4);
            const Size size = room * sizeof(Item);
            first = static_cast<Item *>(first ? repalloc_huge(first, size)
                                              : MemoryContextAllocHuge(TopTransactionContext, size));
        }
        return first[count++] = {};
    }
    Item &last() { return first[count - 1]; }
};

// All memory is TopTransactionContext's. Changes stand in the order in which they were told;
// so their levels never fall: a change of a subtransaction comes after those that were told
// outside before it.
struct {
    StringInfoData bytes;
    Items<Change> changes;
    Items<Statement> statements;
    Items<Table> tables;
    Items<Author> authors;
    bool is_mixed;       // a change is of an earlier command than one told before it
    int enough_changes;  // to try again to write what had to wait
    int enough_bytes;
    TimestampTz last_at;  // of what was written
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

// The item that fits among the last ones, or one that is made.
template <typename Item, typename Fits, typename Make>
int find_or_make(Items<Item> &items, Fits fits, Make make) {
    constexpr int kLooks = 16;
    for (int i = items.count - 1; i >= 0 && i >= items.count - kLooks; --i)
        if (fits(items.first[i])) return i;
    make(items.add());
    return items.count - 1;
}

int table_of(Oid id, const char *name) {
    return find_or_make(
        mine.tables, [&](const Table &table) { return table.id == id && table.name.view() == name; },
        [&](Table &table) {
            table.id = id;
            table.name.set(name);
        });
}

int author_now() {
    const Oid session_user = GetSessionUserId(), user = GetUserId();
    const char *application = application_name ? application_name : "";
    return find_or_make(
        mine.authors,
        [&](const Author &author) {
            return author.session_user == session_user && author.user == user &&
                   author.application.view() == application;
        },
        [&](Author &author) {
            const char *actor = role_name(session_user);
            const char *acting_as = user == session_user ? actor : role_name(user);
            author.session_user = session_user;
            author.user = user;
            author.actor.set(actor);
            author.acting_as.set(acting_as);
            author.application.set(application);
        });
}

// Statements within one another take turns. No two have one command.
int statement_for(CommandId command, Oid relation_id, const char *relation) {
    const Oid session_user = GetSessionUserId(), user = GetUserId();
    return find_or_make(
        mine.statements,
        [&](const Statement &statement) {
            const Author &author = mine.authors.first[statement.author];
            return statement.command == command && mine.tables.first[statement.table].id == relation_id &&
                   author.session_user == session_user && author.user == user;
        },
        [&](Statement &statement) {
            statement.command = command;
            statement.table = table_of(relation_id, relation);
            statement.author = author_now();
            statement.at = GetCurrentTimestamp();
        });
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

std::string_view value_of(const Draft &draft, int value) {
    if (value == Draft::kAbsent) return {};
    return bytes_of(PointerGetDatum(mine.bytes.data + draft.start + value));
}

// Links the change to the chain, and makes its row. In a transaction times do not fall, though
// a statement may have begun before another whose changes come first.
HeapTuple form_row(TupleDesc shape, Database &database, Txid txid, const Change &change) {
    const Statement &statement = mine.statements.first[change.statement];
    const Table &table = mine.tables.first[statement.table];
    const Author &author = mine.authors.first[statement.author];
    const TimestampTz at = mine.last_at = Max(mine.last_at, statement.at);
    ShortText<16> operation;
    operation.set(change.operation);
    const Field fields[] = {field_of(table.name),
                            field_of(operation),
                            field_of(author.actor),
                            field_of(author.acting_as),
                            field_of(author.application),
                            field_of(client_address()),
                            field_of(change.draft, change.draft.key),
                            field_of(change.draft, change.draft.old_row),
                            field_of(change.draft, change.draft.new_row)};
    const auto &[relation, op, actor, acting_as, application, client, key, old_row, new_row] = fields;
    AuditRecord record = {
        {},           txid,         unix_us(at), table.id,       relation.utf8,    op.utf8,    key.utf8,
        old_row.utf8, new_row.utf8, actor.utf8,  acting_as.utf8, application.utf8, client.utf8};
    HashDatum hash;
    const Datum hash_datum = hash.set(link(database, record, at));
    Datum values[AuditColumn::count] = {
        Int64GetDatum(record.place.id),
        Int64GetDatum(record.place.seq),
        Int64GetDatum(static_cast<std::int64_t>(txid)),
        TimestampTzGetDatum(at),
        ObjectIdGetDatum(table.id),
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

// Removes the changes from that one on.
void forget_from(int first) {
    mine.changes.count = first;
    if (first > 0) {
        mine.bytes.len = mine.changes.last().end;
        mine.statements.count = mine.changes.last().statements;
        return;
    }
    mine.bytes.len = 0;
    mine.is_mixed = false;
    mine.enough_changes = mine.enough_bytes = 0;
    mine.statements.count = mine.tables.count = mine.authors.count = 0;
}

// Writes count changes: those of order, or where it is null the first.
void write_changes(const int *order, int count) {
    Database &database = begin_posting(kName);
    const Txid txid = txid_of(GetTopFullTransactionId());
    const bool has_snapshot = ActiveSnapshotSet();
    if (!has_snapshot) PushActiveSnapshot(GetTransactionSnapshot());
    append_rows(storage().audit, count, [&](TupleDesc shape, int i) {
        return form_row(shape, database, txid, mine.changes.first[order ? order[i] : i]);
    });
    if (!has_snapshot) PopActiveSnapshot();
}

RowChange row_change(const Change &change) {
    const Draft &draft = change.draft;
    const std::string_view key = value_of(draft, draft.key);
    return {draft.command,
            mine.tables.first[mine.statements.first[change.statement].table].id,
            draft.storage,
            draft.is_truncate,
            draft.old_version,
            draft.new_version,
            draft.old_key == Draft::kAbsent ? key : value_of(draft, draft.old_key),
            key};
}

CausalOrder order_up_to(int last) {
    const Size size = mine.changes.count * sizeof(RowChange);
    auto *changes = static_cast<RowChange *>(MemoryContextAllocHuge(CurrentMemoryContext, size));
    for (int i = 0; i < mine.changes.count; ++i) changes[i] = row_change(mine.changes.first[i]);
    return causal_order(changes, mine.changes.count, last);
}

// Runs work in a memory context of its own.
template <typename Work>
void with_scratch(Work work) {
    MemoryContext scratch =
        AllocSetContextCreate(CurrentMemoryContext, "ledger audit write", ALLOCSET_DEFAULT_SIZES);
    MemoryContext caller = MemoryContextSwitchTo(scratch);
    work();
    MemoryContextSwitchTo(caller);
    MemoryContextDelete(scratch);
}

void write_all() {
    if (!mine.is_mixed) return write_changes(nullptr, mine.changes.count);
    with_scratch([] { write_changes(order_up_to(kAllChanges).changes, mine.changes.count); });
}

// Of a list of items those that keep() was called for, in the order of these calls.
template <typename Item>
class Kept {
  public:
    explicit Kept(Items<Item> &items)
        : items_(items), kept_(array<Item>(items.count)), moved_to_(array<int>(items.count)) {
        std::fill(moved_to_, moved_to_ + items.count, -1);
    }
    // Its new number.
    int keep(int item) {
        if (moved_to_[item] < 0) {
            kept_[count_] = items_.first[item];
            moved_to_[item] = count_++;
        }
        return moved_to_[item];
    }
    int count() const { return count_; }
    Item *kept() { return kept_; }
    void end() {
        std::copy(kept_, kept_ + count_, items_.first);
        items_.count = count_;
    }

  private:
    template <typename T>
    static T *array(int count) {
        return static_cast<T *>(palloc_extended(Max(count, 1) * sizeof(T), MCXT_ALLOC_HUGE));
    }

    Items<Item> &items_;
    Item *kept_;
    int *moved_to_;
    int count_ = 0;
};

// Removes the changes that were written, and moves the bytes of the others together.
void keep_changes(const bool *is_written, Kept<Statement> &statements) {
    int count = 0, end = 0;
    for (int i = 0; i < mine.changes.count; ++i) {
        if (is_written[i]) continue;
        Change change = mine.changes.first[i];
        const int start = MAXALIGN(end), size = change.end - change.draft.start;
        memmove(mine.bytes.data + start, mine.bytes.data + change.draft.start, size);
        change.draft.start = start;
        change.end = end = start + size;
        change.statement = statements.keep(change.statement);
        change.statements = statements.count();
        mine.changes.first[count++] = change;
    }
    mine.changes.count = count;
    mine.bytes.len = end;
}

// Keeps the changes that are not written, with all that they refer to. The statement of the
// change told last goes on.
void keep_rest(const bool *is_written) {
    Kept<Statement> statements(mine.statements);
    Kept<Table> tables(mine.tables);
    Kept<Author> authors(mine.authors);
    const int last_statement = mine.changes.last().statement;
    keep_changes(is_written, statements);
    statements.keep(last_statement);
    if (mine.changes.count > 0) mine.changes.last().statements = statements.count();
    for (int i = 0; i < statements.count(); ++i) {
        Statement &statement = statements.kept()[i];
        statement.table = tables.keep(statement.table);
        statement.author = authors.keep(statement.author);
    }
    statements.end();
    tables.end();
    authors.end();
}

// True if the change may have been made before the one told before it.
bool is_earlier(const Draft &change, const Draft &before) {
    return change.command < before.command || !change.is_command_certain;
}

bool is_mixed() {
    for (int i = 1; i < mine.changes.count; ++i)
        if (is_earlier(mine.changes.first[i].draft, mine.changes.first[i - 1].draft)) return true;
    return false;
}

// Writes the changes up to the one told last, in their order. What is to be told yet comes
// after it: its own statement, the outermost one, has changes left that it made later, and
// those of foreign keys. The others, of statements within it, wait for them.
void write_up_to_last() {
    const int count = mine.changes.count;
    with_scratch([&] {
        auto *is_written = static_cast<bool *>(palloc_extended(count, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO));
        if (!mine.is_mixed) {
            write_changes(nullptr, count);
            memset(is_written, true, count);
        } else {
            const CausalOrder order = order_up_to(count - 1);
            if (foreign_key_has_acted() && !order.is_certain) return;
            write_changes(order.changes, order.count);
            for (int i = 0; i < order.count; ++i) is_written[order.changes[i]] = true;
        }
        keep_rest(is_written);
        mine.is_mixed = is_mixed();
    });
    mine.enough_changes = 2 * mine.changes.count;
    mine.enough_bytes = static_cast<int>(Min(2 * static_cast<std::int64_t>(mine.bytes.len), INT_MAX));
}

// The first change of this subtransaction, or of one in it.
int first_of(int level) {
    int first = mine.changes.count;
    while (first > 0 && mine.changes.first[first - 1].level >= level) --first;
    return first;
}

// What an outer subtransaction has gathered is not ours to write, since it must outlive a
// rollback of ours; to keep the order, ours waits for it. Levels never fall.
bool is_all_ours() {
    return mine.changes.first[0].level >= GetCurrentTransactionNestLevel();
}

void write_in_order() {
    if (mine.changes.count == 0 || !is_all_ours()) return;
    write_all();
    forget_from(0);
}

// What is gathered when a savepoint begins waits for the end of the transaction, and all that
// comes after the savepoint waits with it (is_all_ours). Where a subscriber's worker makes
// savepoints, nothing is to be left over.
bool is_enough() {
    return mine.changes.count >= Max(kChangesMax, mine.enough_changes) ||
           mine.bytes.len >= Max(kBytesMax, mine.enough_bytes) || compat::is_parallel_apply();
}

// For a row trigger: all changes that its own statement made before this one have been told;
// those of a statement further out have not.
void write_if_enough() {
    if (!is_enough()) return;
    if (statements_running() <= 1 && is_all_ours()) write_up_to_last();
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
            end_statement();
            break;
        case SUBXACT_EVENT_COMMIT_SUB:
            for (int i = first_of(level); i < mine.changes.count; ++i)
                mine.changes.first[i].level = level - 1;
            break;
        case SUBXACT_EVENT_ABORT_SUB:
            forget_from(first_of(level));
            break;
        case SUBXACT_EVENT_START_SUB:
            break;
    }
}

void check_waiting() {
    if (mine.bytes.len <= kWaitingBytesMax && mine.changes.count < kWaitingChangesMax) return;
    ereport(
        ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
        errmsg("too many audited changes wait for the end of a statement"),
        errdetail("%d changes with %d bytes wait: they are logged in the order in which they were made, "
                  "so those of triggers and functions come after those of the statement around them.",
                  mine.changes.count, mine.bytes.len),
        errhint("Change fewer rows in one statement where its triggers or functions change audited tables."));
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
    check_waiting();
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
    if (kept.command == InvalidCommandId) kept.command = GetCurrentCommandId(false);
    mine.is_mixed |= mine.changes.count > 0 && is_earlier(kept, mine.changes.last().draft);
    const int statement = statement_for(kept.command, relation_id, relation);
    mine.changes.add() = {statement, mine.statements.count, GetCurrentTransactionNestLevel(), operation,
                          kept,      mine.bytes.len};
    if (kept.storage != InvalidOid) write_if_enough();
}

void end_statement() {
    if (statements_running() == 0) write_in_order();
}

void register_log_callbacks() {
    RegisterXactCallback(on_transaction, nullptr);
    RegisterSubXactCallback(on_subtransaction, nullptr);
    register_statement_hooks(write_in_order);
}

}  // namespace ledger
