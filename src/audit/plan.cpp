#include "audit/plan.hpp"

#include "pg/error.hpp"

namespace ledger {

namespace {

// By trigger: a table's and its clones on partitions are different ones.
struct Entry {
    Oid trigger;
    Oid relation_id;
    bool valid;
    RowPlan *plan;
    Entry *next;
};
HTAB *entries = nullptr;
Entry *first_entry = nullptr;
std::uint32_t invalidations = 0;

// Plans are only marked here: one may be in use.
void forget_relation(Datum, Oid relation) {
    ++invalidations;
    for (Entry *entry = first_entry; entry; entry = entry->next)
        if (relation == InvalidOid || entry->relation_id == relation) entry->valid = false;
}

// Schemas are renamed without a word to their tables.
void forget_all(Datum, int, uint32) {
    forget_relation(Datum{0}, InvalidOid);
}

[[noreturn]] void refuse(Relation relation, const char *column, const char *problem) {
    ereport(
        ERROR, errcode(ERRCODE_UNDEFINED_COLUMN),
        errmsg("the audit of table %s excludes column \"%s\", %s", qualified_name(relation), column, problem),
        errdetail("Until it is certain what may be logged, nothing is written."),
        errhint("Call ledger.enable_audit(%s, exclude => ...) with the columns as they are now.",
                quote_literal_cstr(qualified_name(relation))));
    pg_unreachable();
}

// True for each column the trigger's arguments exclude.
bool *excluded_columns(Relation relation, const Trigger &trigger) {
    auto *excluded = static_cast<bool *>(palloc0(RelationGetNumberOfAttributes(relation) + 1));
    for (int i = 0; i < trigger.tgnargs; ++i) {
        const AttrNumber column = column_named(relation, trigger.tgargs[i]);
        if (column == InvalidAttrNumber) refuse(relation, trigger.tgargs[i], "which is not there any more");
        excluded[column] = true;
    }
    return excluded;
}

bool is_stored(Form_pg_attribute column) {
    return !column->attisdropped && !compat::is_virtual(column);
}

// Adds it to the plan, with its name as JSON.
void plan_column(PlannedColumns &columns, Form_pg_attribute column) {
    StringInfoData prefix;
    initStringInfo(&prefix);
    appendStringInfoCharMacro(&prefix, ',');
    append_string(&prefix, NameStr(column->attname));
    appendStringInfoCharMacro(&prefix, ':');
    const Style style = style_of(column->atttypid);
    columns.items[columns.count++] = {
        column->attnum, style, {prefix.data, static_cast<std::size_t>(prefix.len)}};
    columns.follow_every_setting |= style.form == Form::other;
}

PlannedColumns room_for(int count) {
    return {static_cast<PlannedColumn *>(palloc(Max(count, 1) * sizeof(PlannedColumn))), 0, false};
}

void plan_row(RowPlan &plan, Relation relation, const bool *excluded) {
    TupleDesc shape = RelationGetDescr(relation);
    plan.row = room_for(shape->natts);
    for (int i = 0; i < shape->natts; ++i) {
        Form_pg_attribute column = TupleDescAttr(shape, i);
        if (!is_stored(column) || excluded[column->attnum]) continue;
        plan_column(plan.row, column);
        plan.has_foreign_code |= follows_settings(plan.row.items[plan.row.count - 1].style.form);
    }
}

void plan_key(RowPlan &plan, Relation relation, const bool *excluded) {
    List *columns = primary_key_columns(relation);
    plan.key = room_for(list_length(columns));
    ListCell *cell;
    foreach (cell, columns) {
        Form_pg_attribute column = TupleDescAttr(RelationGetDescr(relation), lfirst_int(cell) - 1);
        if (excluded[column->attnum])
            refuse(relation, NameStr(column->attname), "which is in the primary key now");
        plan_column(plan.key, column);
    }
}

void plan_columns(RowPlan &plan, Relation relation, const Trigger &trigger) {
    const bool *excluded = excluded_columns(relation, trigger);
    plan_row(plan, relation, excluded);
    plan_key(plan, relation, excluded);
}

RowPlan *make_plan(Relation relation, const Trigger &trigger) {
    MemoryContext context =
        AllocSetContextCreate(CurrentMemoryContext, "ledger audit plan", ALLOCSET_SMALL_SIZES);
    MemoryContext caller = MemoryContextSwitchTo(context);
    auto *plan = static_cast<RowPlan *>(palloc0(sizeof(RowPlan)));
    plan->context = context;
    plan->relation_id = RelationGetRelid(relation);
    plan->relation = qualified_name(relation);
    plan->is_misplaced = !is_in_its_place(relation, trigger, AuditTrigger::row);
    if (!plan->is_misplaced) plan_columns(*plan, relation, trigger);
    MemoryContextSwitchTo(caller);
    return plan;
}

// The old plan goes with the transaction: a trigger further out may be using it.
void renew(Entry &entry, Relation relation, const Trigger &trigger) {
    const std::uint32_t seen = invalidations;
    RowPlan *plan = make_plan(relation, trigger);
    MemoryContextSetParent(plan->context, CacheMemoryContext);
    if (entry.plan) MemoryContextSetParent(entry.plan->context, TopTransactionContext);
    entry.plan = plan;
    entry.relation_id = plan->relation_id;
    entry.valid = seen == invalidations;  // else something changed meanwhile: again next time
}

Entry &entry_of(Oid trigger) {
    if (!entries) {
        HASHCTL control = {};
        control.keysize = sizeof(Oid);
        control.entrysize = sizeof(Entry);
        control.hcxt = CacheMemoryContext;
        entries = hash_create("ledger audit plans", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
    }
    bool found;
    auto *entry = static_cast<Entry *>(hash_search(entries, &trigger, HASH_ENTER, &found));
    if (!found) {
        *entry = {trigger, InvalidOid, false, nullptr, first_entry};
        first_entry = entry;
    }
    return *entry;
}

void append_columns(StringInfo out, const PlannedColumns &columns, TupleTableSlot *row) {
    for (int i = 0; i < columns.count; ++i) {
        const PlannedColumn &column = columns.items[i];
        appendBinaryStringInfo(out, column.prefix.data(), static_cast<int>(column.prefix.size()));
        if (row->tts_isnull[column.number - 1])
            appendBinaryStringInfo(out, "null", 4);
        else
            append_value(out, column.style, row->tts_values[column.number - 1], 1);
    }
}

}  // namespace

// Partitions' clones have the same name.
bool is_in_its_place(Relation relation, const Trigger &trigger, AuditTrigger which) {
    return strcmp(trigger.tgname, name_of(which)) == 0 && !trigger.tgdeferrable &&
           relation->rd_rel->relpersistence != RELPERSISTENCE_TEMP;
}

const RowPlan &plan_of(Relation relation, const Trigger &trigger) {
    Entry &entry = entry_of(trigger.tgoid);
    if (!entry.valid) renew(entry, relation, trigger);
    return *entry.plan;
}

void append_row(StringInfo out, const PlannedColumns &columns, TupleTableSlot *row) {
    slot_getallattrs(row);
    const int start = out->len;
    if (columns.follow_every_setting)
        with_fixed_names_and_locales([&] { append_columns(out, columns, row); });
    else
        append_columns(out, columns, row);
    if (columns.count == 0) appendStringInfoCharMacro(out, '{');
    out->data[start] = '{';  // in place of the first comma
    appendStringInfoCharMacro(out, '}');
}

const char *qualified_name(Relation relation) {
    return without_quoting_all([&] {
        return quote_qualified_identifier(get_namespace_name(RelationGetNamespace(relation)),
                                          RelationGetRelationName(relation));
    });
}

List *primary_key_columns(Relation relation) {
    List *columns = NIL;
    ListCell *cell;
    foreach (cell, RelationGetIndexList(relation)) {
        HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(cell)));
        if (!HeapTupleIsValid(tuple)) continue;
        const auto *index = reinterpret_cast<Form_pg_index>(GETSTRUCT(tuple));
        for (int i = 0; index->indisprimary && i < index->indnkeyatts; ++i)
            columns = lappend_int(columns, index->indkey.values[i]);
        ReleaseSysCache(tuple);
    }
    return columns;
}

AttrNumber column_named(Relation relation, const char *name) {
    TupleDesc shape = RelationGetDescr(relation);
    for (int i = 0; i < shape->natts; ++i) {
        Form_pg_attribute column = TupleDescAttr(shape, i);
        if (!column->attisdropped && strcmp(NameStr(column->attname), name) == 0) return column->attnum;
    }
    return InvalidAttrNumber;
}

void register_plan_invalidation() {
    CacheRegisterRelcacheCallback(forget_relation, Datum{0});
    CacheRegisterSyscacheCallback(NAMESPACEOID, forget_all, Datum{0});
}

}  // namespace ledger
