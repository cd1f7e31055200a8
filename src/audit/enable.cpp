// SQL: ledger.enable_audit and ledger.disable_audit, which put the audit triggers on a
// table, take them away, and log that they did.
#include "audit/armed.hpp"
#include "audit/log.hpp"
#include "audit/plan.hpp"
#include "engine/order.hpp"
#include "pg/table.hpp"

using namespace ledger;

namespace {

constexpr char kChanges[] = "INSERT OR UPDATE OR DELETE";

// Who may not alter a table shall not make its users wait: looked at before it is locked, and
// again when it is there, or is not, for good.
void check_owner(Oid relation) {
    const char *name = get_rel_name(relation);
    if (!name)
        ereport(ERROR, errcode(ERRCODE_UNDEFINED_TABLE),
                errmsg("relation with OID %u does not exist", relation),
                errhint("Name a table: ledger.enable_audit('orders')."));
    if (!compat::owns_relation(relation, GetUserId()))
        aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(get_rel_relkind(relation)), name);
}

Oid relation_argument(FunctionCallInfo fcinfo, LOCKMODE lock) {
    if (PG_ARGISNULL(0)) raise_refusal(null_argument("relation"));
    const Oid relation = PG_GETARG_OID(0);
    check_owner(relation);
    LockRelationOid(relation, lock);
    check_owner(relation);
    return relation;
}

[[noreturn]] void refuse_kind(Relation relation, int code, const char *why) {
    ereport(ERROR, errcode(code), errmsg("%s cannot be audited", qualified_name(relation)),
            errdetail_internal("%s", why),
            errhint("Ordinary and partitioned tables, and their partitions, can be audited."));
    pg_unreachable();
}

void check_relation(Relation relation) {
    const char kind = relation->rd_rel->relkind;
    if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
        refuse_kind(relation, ERRCODE_WRONG_OBJECT_TYPE, "It is not a table.");
    if (relation->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
        refuse_kind(relation, ERRCODE_WRONG_OBJECT_TYPE, "It is temporary.");
    const Oid schema = RelationGetNamespace(relation);
    const char *name = get_namespace_name(schema);
    for (const char *ours : {"pg_catalog", "information_schema", "ledger", "ledger_data"})
        if (strcmp(name, ours) == 0 || IsToastNamespace(schema))
            refuse_kind(relation, ERRCODE_INVALID_PARAMETER_VALUE,
                        "It belongs to the system or to the ledger.");
}

void check_logged(Relation relation) {
    if (relation->rd_rel->relpersistence == RELPERSISTENCE_UNLOGGED)
        refuse_kind(relation, ERRCODE_WRONG_OBJECT_TYPE,
                    "It is unlogged: after a crash it would be empty, and the audit log would not say so.");
}

const Trigger *trigger_named(Relation relation, const char *name) {
    const TriggerDesc *triggers = relation->trigdesc;
    for (int i = 0; triggers && i < triggers->numtriggers; ++i)
        if (strcmp(triggers->triggers[i].tgname, name) == 0) return &triggers->triggers[i];
    return nullptr;
}

// A partition has its row trigger from its parent, and keeps it as long.
void check_not_by_parent(Relation relation) {
    const Trigger *row = trigger_named(relation, name_of(AuditTrigger::row));
    if (!row || !row->tgisclone) return;
    ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
            errmsg("%s is audited as a partition", qualified_name(relation)),
            errdetail("The table that it is a partition of is audited, with all its partitions."),
            errhint("Call ledger.enable_audit() or ledger.disable_audit() for that table."));
}

void check_excluded(Relation relation, Datum name, bool is_null) {
    if (is_null) raise_refusal(null_argument("an element of exclude"));
    const char *column_name = NameStr(*DatumGetName(name));
    const AttrNumber column = column_named(relation, column_name);
    if (column == InvalidAttrNumber)
        ereport(ERROR, errcode(ERRCODE_UNDEFINED_COLUMN),
                errmsg("column \"%s\" of %s does not exist", column_name, qualified_name(relation)),
                errdetail("It is to be excluded from the audit."),
                errhint("Name columns of the table as they are, without quotes: exclude => '{password}'."));
    if (list_member_int(primary_key_columns(relation), column))
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                errmsg("column \"%s\" of %s cannot be excluded", column_name, qualified_name(relation)),
                errdetail("It is in the primary key, by which an audit record says whose change it is."),
                errhint("Keep what is secret out of the primary key."));
}

Elements exclude_argument(FunctionCallInfo fcinfo, Relation relation) {
    if (PG_ARGISNULL(1)) return {};
    const Elements names = array_argument(fcinfo, 1, "exclude", NAMEOID);
    for (int i = 0; i < names.count; ++i) check_excluded(relation, names.values[i], names.nulls[i]);
    return names;
}

// The names as they stand between the parentheses of a list, each as write(StringInfo, name) has it.
template <typename Write>
const char *list_of(const Elements &names, Write write) {
    StringInfoData list;
    initStringInfo(&list);
    for (int i = 0; i < names.count; ++i) {
        if (i > 0) appendStringInfoString(&list, ", ");
        write(&list, NameStr(*DatumGetName(names.values[i])));
    }
    return list.data;
}

const char *arguments_for(const Elements &exclude) {
    return list_of(exclude, [](StringInfo list, const char *name) {
        appendStringInfoString(list, quote_literal_cstr(name));
    });
}

const char *json_of(const Elements &exclude) {
    return psprintf("{\"exclude\": [%s]}",
                    list_of(exclude, [](StringInfo list, const char *name) { append_string(list, name); }));
}

// What is done is decided while the table is open, and done when it is closed: it must
// not be in use then.
struct Statements {
    List *texts;
    const char *relation;
    // The table and its partitions:
    List *part_ids;
    List *part_names;
};

void add_part(Statements &statements, Relation part) {
    statements.part_ids = lappend_oid(statements.part_ids, RelationGetRelid(part));
    statements.part_names = lappend(statements.part_names, const_cast<char *>(qualified_name(part)));
}

void execute(const Statements &statements) {
    SPI_connect();
    with_exemption([&] {
        ListCell *cell;
        foreach (cell, statements.texts)
            if (SPI_execute(static_cast<const char *>(lfirst(cell)), false, 0) != SPI_OK_UTILITY)
                elog(ERROR, "not done: %s", static_cast<const char *>(lfirst(cell)));
    });
    SPI_finish();
}

// OR REPLACE asks for no stronger lock than the writers' own, as DROP would. ALWAYS: also where
// session_replication_role is replica.
void add_create(Statements &statements, const char *table, AuditTrigger which, const char *when,
                const char *each, const char *arguments) {
    const char *trigger = name_of(which);
    statements.texts = lappend(
        statements.texts, psprintf("CREATE OR REPLACE TRIGGER %s AFTER %s ON %s FOR EACH %s EXECUTE FUNCTION "
                                   "ledger.audit(%s)",
                                   trigger, when, table, each, arguments));
    statements.texts =
        lappend(statements.texts, psprintf("ALTER TABLE %s ENABLE ALWAYS TRIGGER %s", table, trigger));
}

void add_drops(Statements &statements, Relation table) {
    for (const AuditTrigger which : kAuditTriggers) {
        const char *name = name_of(which);
        const Trigger *trigger = trigger_named(table, name);
        if (trigger && !trigger->tgisclone)
            statements.texts =
                lappend(statements.texts, psprintf("DROP TRIGGER %s ON %s", name, qualified_name(table)));
    }
}

// Calls visit(Relation) for the table and, where it is partitioned, for all tables below it: as the row
// trigger has it, also for foreign ones and for those whose detach was begun and not finished, which
// find_all_inheritors leaves out.
template <typename Visit>
void for_each_part(Relation table, LOCKMODE lock, Visit visit) {
    visit(table);
    if (table->rd_rel->relkind != RELKIND_PARTITIONED_TABLE) return;
    ListCell *cell;
    foreach (cell,
             find_inheritance_children_extended(RelationGetRelid(table), false, lock, nullptr, nullptr)) {
        check_stack_depth();
        with_table(lfirst_oid(cell), NoLock, [&](Relation part) { for_each_part(part, lock, visit); });
    }
}

// PostgreSQL alters no table whose detach was begun and not finished.
bool may_have_truncate_trigger(Relation part) {
    if (part->rd_rel->relkind == RELKIND_FOREIGN_TABLE) return false;
    return !part->rd_rel->relispartition || !PartitionHasPendingDetach(RelationGetRelid(part));
}

// One record for the table and for each partition: ledger.check_audit() goes by them.
void log_setting(const Statements &statements, const char *operation, const char *json) {
    ListCell *id, *name;
    forboth(id, statements.part_ids, name, statements.part_names) {
        Draft draft = begin_change(false);
        if (json)
            draft.new_row = add_value(draft, [&](StringInfo out) { appendStringInfoString(out, json); });
        add_change(lfirst_oid(id), static_cast<const char *>(lfirst(name)), operation, draft);
        end_statement();
    }
}

}  // namespace

// Of a TRUNCATE only the tables' own triggers tell: each partition has one.
LEDGER_FUNCTION(ledger_enable_audit) {
    begin_writing("ledger.enable_audit()");
    const Oid relation_id = relation_argument(fcinfo, ShareRowExclusiveLock);
    const char *json = nullptr;
    Statements statements = {};
    with_table(relation_id, NoLock, [&](Relation relation) {
        check_relation(relation);
        check_not_by_parent(relation);
        const Elements exclude = exclude_argument(fcinfo, relation);
        json = json_of(exclude);
        statements.relation = qualified_name(relation);
        add_create(statements, statements.relation, AuditTrigger::row, kChanges, "ROW",
                   arguments_for(exclude));
        add_create(statements, statements.relation, AuditTrigger::statement, kChanges, "STATEMENT", "");
        for_each_part(relation, ShareRowExclusiveLock, [&](Relation part) {
            check_logged(part);
            add_part(statements, part);
            if (may_have_truncate_trigger(part))
                add_create(statements, qualified_name(part), AuditTrigger::truncate, "TRUNCATE", "STATEMENT",
                           "");
        });
    });
    execute(statements);
    log_setting(statements, "ENABLE", json);
    PG_RETURN_VOID();
}

LEDGER_FUNCTION(ledger_disable_audit) {
    begin_writing("ledger.disable_audit()");
    const Oid relation_id = relation_argument(fcinfo, AccessExclusiveLock);
    Statements statements = {};
    with_table(relation_id, NoLock, [&](Relation relation) {
        check_relation(relation);
        check_not_by_parent(relation);
        statements.relation = qualified_name(relation);
        for_each_part(relation, AccessExclusiveLock, [&](Relation part) {
            add_part(statements, part);
            add_drops(statements, part);
        });
    });
    if (statements.texts == NIL)
        ereport(ERROR, errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("%s is not audited", statements.relation),
                errhint("Audited tables have the trigger %s.", name_of(AuditTrigger::row)));
    execute(statements);
    log_setting(statements, "DISABLE", nullptr);
    PG_RETURN_VOID();
}
