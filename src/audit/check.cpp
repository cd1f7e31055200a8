// SQL: what ledger.check_audit() is made of: whether a table's audit triggers are as installed, its
// rows as the audit writes them, and keys taken out of rows that were logged.
#include "audit/armed.hpp"
#include "audit/plan.hpp"
#include "pg/bytes.hpp"
#include "pg/result.hpp"
#include "pg/table.hpp"

extern "C" Datum ledger_audit(PG_FUNCTION_ARGS);

using namespace ledger;

namespace {

// --- triggers

void put_text(FunctionCallInfo fcinfo, const char *text) {
    auto *result = reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
    Datum value = CStringGetTextDatum(text);
    bool is_null = false;
    tuplestore_putvalues(result->setResult, result->setDesc, &value, &is_null);
}

// A function that was replaced, or runs under settings of its own, is entered elsewhere.
bool is_ours(Oid function) {
    FmgrInfo info;
    fmgr_info(function, &info);
    return info.fn_addr == ledger_audit;
}

void check_trigger(FunctionCallInfo fcinfo, const Armed &trigger, AuditTrigger which) {
    if (!trigger.exists)
        put_text(fcinfo, psprintf("trigger: %s is missing", name_of(which)));
    else if (!trigger.is_plain)
        put_text(fcinfo, psprintf("trigger: %s is not as ledger.enable_audit() makes it", name_of(which)));
    else if (!trigger.is_exact())
        put_text(fcinfo, psprintf("trigger: %s has the state %c, not %c", name_of(which), trigger.state,
                                  TRIGGER_FIRES_ALWAYS));
}

// --- rows

const Trigger *row_trigger(Relation relation) {
    const TriggerDesc *triggers = relation->trigdesc;
    for (int i = 0; triggers && i < triggers->numtriggers; ++i)
        if (strcmp(triggers->triggers[i].tgname, name_of(AuditTrigger::row)) == 0)
            return &triggers->triggers[i];
    return nullptr;
}

bool excludes_known_columns(Relation relation, const Trigger &trigger) {
    List *key = primary_key_columns(relation);
    for (int i = 0; i < trigger.tgnargs; ++i) {
        const AttrNumber column = column_named(relation, trigger.tgargs[i]);
        if (column == InvalidAttrNumber || list_member_int(key, column)) return false;
    }
    return true;
}

// The plan of a table whose rows can be told apart and written; else null.
const RowPlan *plan_for(Relation relation) {
    if (relation->rd_rel->relkind != RELKIND_RELATION) return nullptr;
    const Trigger *trigger = row_trigger(relation);
    if (!trigger || !excludes_known_columns(relation, *trigger)) return nullptr;
    const RowPlan &plan = plan_of(relation, *trigger);
    return plan.key.count > 0 ? &plan : nullptr;
}

// True if the table was altered or written anew by a transaction that the snapshot does not see:
// its rows are then not those of the snapshot.
bool is_newer_than(Relation relation, Snapshot snapshot) {
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(RelationGetRelid(relation)));
    if (!HeapTupleIsValid(tuple)) return true;
    const TransactionId made_by = HeapTupleHeaderGetXmin(tuple->t_data);
    ReleaseSysCache(tuple);
    return !TransactionIdIsCurrentTransactionId(made_by) && XidInMVCCSnapshot(made_by, snapshot);
}

// The names of columns as an array in JSON.
Datum names_of(const PlannedColumns &columns) {
    StringInfoData text;
    initStringInfo(&text);
    for (int i = 0; i < columns.count; ++i) {
        const std::string_view prefix = columns.items[i].prefix;  // ,"name":
        appendBinaryStringInfo(&text, prefix.data(), static_cast<int>(prefix.size()) - 1);
    }
    return PointerGetDatum(cstring_to_text_with_len(text.data, text.len));
}

Datum exclusion_of(const Trigger &trigger) {
    StringInfoData text;
    initStringInfo(&text);
    appendStringInfoString(&text, "{\"exclude\": [");
    for (int i = 0; i < trigger.tgnargs; ++i) {
        if (i > 0) appendStringInfoString(&text, ", ");
        append_string(&text, trigger.tgargs[i]);
    }
    appendStringInfoString(&text, "]}");
    return PointerGetDatum(cstring_to_text_with_len(text.data, text.len));
}

Datum text_of_row(StringInfo buffer, const PlannedColumns &columns, TupleTableSlot *row) {
    resetStringInfo(buffer);
    append_row(buffer, columns, row);
    return PointerGetDatum(cstring_to_text_with_len(buffer->data, buffer->len));
}

void put_rows(const ReturnSetInfo &result, Relation relation, const RowPlan &plan) {
    MemoryContext scratch =
        AllocSetContextCreate(CurrentMemoryContext, "ledger audit row", ALLOCSET_DEFAULT_SIZES);
    TupleTableSlot *slot = table_slot_create(relation, nullptr);
    TableScanDesc scan = table_beginscan(relation, GetActiveSnapshot(), 0, nullptr);
    while (table_scan_getnextslot(scan, ForwardScanDirection, slot)) {
        CHECK_FOR_INTERRUPTS();
        MemoryContext caller = MemoryContextSwitchTo(scratch);
        StringInfoData buffer;
        initStringInfo(&buffer);
        Datum values[] = {text_of_row(&buffer, plan.key, slot), text_of_row(&buffer, plan.row, slot)};
        bool nulls[] = {false, false};
        MemoryContextSwitchTo(caller);
        tuplestore_putvalues(result.setResult, result.setDesc, values, nulls);
        MemoryContextReset(scratch);
    }
    table_endscan(scan);
    ExecDropSingleTupleTableSlot(slot);
    MemoryContextDelete(scratch);
}

// Runs work with the rights of that role, as maintenance does: should the text of a value run code of
// the table's owner, the code gets no rights that the owner does not have.
template <typename Work>
void with_rights_of(Oid role, Work work) {
    Oid user;
    int context;
    GetUserIdAndSecContext(&user, &context);
    SetUserIdAndSecContext(role, context | SECURITY_RESTRICTED_OPERATION);
    work();
    SetUserIdAndSecContext(user, context);
}

// --- texts of the log

// Walks over an object's members in a JSON text. What was logged is read as it is: a text that is no
// object has no members, and nothing is an error.
struct Members {
    std::string_view rest;

    void skip_spaces() {
        while (!rest.empty() && strchr(" \t\r\n", rest.front())) rest.remove_prefix(1);
    }

    std::string_view take_string() {
        std::size_t at = 1;
        while (at < rest.size() && rest[at] != '"') at += rest[at] == '\\' ? 2 : 1;
        return take(at + 1);
    }

    std::string_view take(std::size_t size) {
        const std::string_view taken = rest.substr(0, size);
        rest.remove_prefix(taken.size());
        return taken;
    }

    // Up to the comma or the brace that ends it.
    std::string_view take_value() {
        const std::string_view start = rest;
        int depth = 0;
        while (!rest.empty()) {
            const char c = rest.front();
            if (c == '"') {
                take_string();
                continue;
            }
            if (depth == 0 && (c == ',' || c == '}')) break;
            if (c == '{' || c == '[') ++depth;
            if (c == '}' || c == ']') --depth;
            rest.remove_prefix(1);
        }
        return start.substr(0, start.size() - rest.size());
    }

    bool begin() {
        skip_spaces();
        return take(1) == "{";
    }

    // The next name, with its quotes, and value.
    bool next(std::string_view &name, std::string_view &value) {
        skip_spaces();
        if (!rest.empty() && rest.front() == ',') rest.remove_prefix(1);
        skip_spaces();
        if (rest.empty() || rest.front() != '"') return false;
        name = take_string();
        skip_spaces();
        if (take(1) != ":") return false;
        skip_spaces();
        value = take_value();
        return true;
    }
};

bool find_member(std::string_view object, std::string_view wanted, std::string_view &value) {
    Members members = {object};
    std::string_view name;
    if (!members.begin()) return false;
    while (members.next(name, value))
        if (name == wanted) return true;
    return false;
}

void append(StringInfo out, std::string_view text) {
    appendBinaryStringInfo(out, text.data(), static_cast<int>(text.size()));
}

// Runs work with a table that may have been dropped since the caller's snapshot; false if it has.
template <typename Work>
bool with_table_if_there(Oid relation_id, Work work) {
    Relation relation = try_table_open(relation_id, AccessShareLock);
    if (!relation) return false;
    work(relation);
    table_close(relation, NoLock);
    return true;
}

}  // namespace

// What is wrong with the audit triggers of a table. Those for a statement are the table's own, which a
// partition need not have.
LEDGER_FUNCTION(ledger_audit_trigger_problems) {
    InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
    const Oid relation = PG_GETARG_OID(0);
    const ArmedTable table = armed_table(relation);
    check_trigger(fcinfo, table[AuditTrigger::row], AuditTrigger::row);
    if (!table[AuditTrigger::row].is_clone)
        check_trigger(fcinfo, table[AuditTrigger::statement], AuditTrigger::statement);
    if (get_rel_relkind(relation) != RELKIND_FOREIGN_TABLE)
        check_trigger(fcinfo, table[AuditTrigger::truncate], AuditTrigger::truncate);
    if (!is_ours(audit_function())) put_text(fcinfo, "trigger: function ledger.audit() is not the ledger's");
    return Datum{0};
}

// The names of the columns in a table's keys, and what its trigger excludes. No names where rows cannot
// be compared; is_newer where the table has changed since the snapshot.
LEDGER_FUNCTION(ledger_audit_shape) {
    Datum values[3] = {};
    bool nulls[3] = {true, true, false};
    const bool is_there = with_table_if_there(PG_GETARG_OID(0), [&](Relation relation) {
        const Trigger *trigger = row_trigger(relation);
        const RowPlan *plan = plan_for(relation);
        if (plan) values[0] = names_of(plan->key);
        if (trigger) values[1] = exclusion_of(*trigger);
        nulls[0] = !plan;
        nulls[1] = !trigger;
        values[2] = BoolGetDatum(is_newer_than(relation, GetActiveSnapshot()));
    });
    if (!is_there) values[2] = BoolGetDatum(true);
    return row_result(fcinfo, values, nulls);
}

// The rows of an audited table in the caller's snapshot, each as the audit would log it now.
LEDGER_FUNCTION(ledger_audit_rows) {
    InitMaterializedSRF(fcinfo, 0);
    const auto &result = *reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
    with_table_if_there(PG_GETARG_OID(0), [&](Relation relation) {
        const RowPlan *plan = plan_for(relation);
        if (!plan) return;
        with_rights_of(relation->rd_rel->relowner,
                       [&] { with_fixed_settings([&] { put_rows(result, relation, *plan); }); });
    });
    return Datum{0};
}

// The names of a JSON object's members, as names_of has those of columns.
LEDGER_FUNCTION(ledger_audit_names) {
    Members members = {bytes_of(PG_GETARG_DATUM(0))};
    std::string_view name, value;
    StringInfoData text;
    initStringInfo(&text);
    for (bool more = members.begin(); more && members.next(name, value);) {
        appendStringInfoChar(&text, ',');
        append(&text, name);
    }
    PG_RETURN_TEXT_P(cstring_to_text_with_len(text.data, text.len));
}

// The key of a logged row: its members that the other key names, in the order of that.
LEDGER_FUNCTION(ledger_audit_key) {
    const std::string_view row = bytes_of(PG_GETARG_DATUM(0));
    Members members = {bytes_of(PG_GETARG_DATUM(1))};
    std::string_view name, value;
    StringInfoData key;
    initStringInfo(&key);
    for (bool more = members.begin(); more && members.next(name, value);) {
        if (!find_member(row, name, value)) PG_RETURN_NULL();
        appendStringInfoChar(&key, key.len > 0 ? ',' : '{');
        append(&key, name);
        appendStringInfoChar(&key, ':');
        append(&key, value);
    }
    if (key.len == 0) PG_RETURN_NULL();
    appendStringInfoChar(&key, '}');
    PG_RETURN_TEXT_P(cstring_to_text_with_len(key.data, key.len));
}
