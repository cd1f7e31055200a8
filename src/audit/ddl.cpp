#include "audit/ddl.hpp"

#include "audit/armed.hpp"
#include "audit/fixed_settings.hpp"
#include "audit/log.hpp"
#include "audit/plan.hpp"
#include "engine/database.hpp"
#include "engine/settings.hpp"
#include "pg/error.hpp"
#include "pg/table.hpp"

extern "C" {
#include "catalog/objectaccess.h"
#include "catalog/partition.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
}

namespace ledger {

namespace {

// The utility command that is running.
struct Command {
    const char *tag;
    bool is_maintenance;     // VACUUM and the like: a table is written anew, and is as it was
    bool sets_all_triggers;  // sets the state of all triggers of a table, and does nothing else
    int depth;               // of commands around it and itself; one and its parts have the same
};
constexpr Command kNoCommand = {"unknown", false, false, 0};
Command running = kNoCommand;

// A session that is ended by force runs none any more, though it was never told of the end.
const Command &present_command() {
    return proc_exit_inprogress ? kNoCommand : running;
}

bool is_exempt() {
    return exempt_depth > 0 && !proc_exit_inprogress;
}

// The objects that one command has touched and that the record names.
constexpr int kObjectsMax = 16;

struct Object {
    ObjectAddress address;
    const char *description;  // before it is dropped; else null
};

// An audited table that DDL has touched since the last record, as it was before.
struct Touched {
    MemoryContext memory;  // of all that is noted here
    Oid relation;
    int level;  // nesting level of the subtransaction that touched it
    Command command;
    const char *name;
    const char *columns;
    Oid file;
    char persistence;
    ArmedTable before;
    bool is_dropped;
    Object objects[kObjectsMax];
    int object_count;
    int more_objects;
    // Known at the end of the command:
    bool is_rearmed;
    Touched *earlier;
};

// Newest first; so neither the depth of the command nor the level rises from one to the next. There
// are as many as audited tables that the commands that run now have touched.
Touched *touched = nullptr;

object_access_hook_type earlier_access_hook = nullptr;
ProcessUtility_hook_type earlier_utility_hook = nullptr;

// --- what was touched

const char *table_name(Oid relation) {
    const char *name = get_rel_name(relation);
    const char *schema = name ? get_namespace_name(get_rel_namespace(relation)) : nullptr;
    if (!schema) return nullptr;
    return without_quoting_all([&] { return quote_qualified_identifier(schema, name); });
}

bool can_be_described(Oid class_id) {
    switch (class_id) {
        case RelationRelationId:
        case NamespaceRelationId:
        case TriggerRelationId:
        case ConstraintRelationId:
        case RewriteRelationId:
        case PolicyRelationId:
        case AttrDefaultRelationId:
            return true;
    }
    return false;
}

// An identity does not depend on the search path. Null for an object that is not there any more, or of a
// class that PostgreSQL has no words for: it raises an error for those.
const char *describe(const ObjectAddress &address) {
    if (!can_be_described(address.classId)) return nullptr;
    return without_quoting_all([&]() -> const char * {
        const char *identity = getObjectIdentity(&address, true);
        const char *type = identity ? getObjectTypeDescription(&address, true) : nullptr;
        return type ? psprintf("%s %s", type, identity) : nullptr;
    });
}

void append_primary_key(StringInfo text, Oid relation) {
    Relation catalog = table_open(IndexRelationId, AccessShareLock);
    ScanKeyData key;
    ScanKeyInit(&key, Anum_pg_index_indrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relation));
    SysScanDesc scan = systable_beginscan(catalog, IndexIndrelidIndexId, true, nullptr, 1, &key);
    while (HeapTuple tuple = systable_getnext(scan)) {
        const auto *index = reinterpret_cast<Form_pg_index>(GETSTRUCT(tuple));
        for (int i = 0; index->indisprimary && i < index->indnkeyatts; ++i)
            appendStringInfo(text, "%d ", index->indkey.values[i]);
    }
    systable_endscan(scan);
    table_close(catalog, AccessShareLock);
}

// The columns and the primary key, to be compared.
const char *columns_of(Oid relation) {
    StringInfoData text;
    initStringInfo(&text);
    for (AttrNumber number = 1;; ++number) {
        HeapTuple tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relation), Int16GetDatum(number));
        if (!HeapTupleIsValid(tuple)) break;
        const auto *column = reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple));
        if (!column->attisdropped)
            appendStringInfo(&text, "%s %u %d %c, ", quote_literal_cstr(NameStr(column->attname)),
                             column->atttypid, column->atttypmod,
                             column->attgenerated ? column->attgenerated : '-');
        ReleaseSysCache(tuple);
    }
    append_primary_key(&text, relation);
    return text.data;
}

// Each command has notes of its own: what it does is judged at its end.
Touched *find_touched(Oid relation) {
    const int level = GetCurrentTransactionNestLevel();
    for (Touched *each = touched; each && each->level >= level; each = each->earlier)
        if (each->relation == relation && each->command.depth == present_command().depth) return each;
    return nullptr;
}

void forget_newest() {
    Touched *gone = touched;
    touched = gone->earlier;
    MemoryContextDelete(gone->memory);
}

// The file and the persistence of a table as the catalog has them.
void read_storage(Oid relation, Oid &file, char &persistence) {
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
    if (!HeapTupleIsValid(tuple)) return;
    const auto *row = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
    file = row->relfilenode;
    persistence = row->relpersistence;
    ReleaseSysCache(tuple);
}

Touched *add_touched(Oid relation, bool audits) {
    MemoryContext memory = AllocSetContextCreate(TopTransactionContext, "ledger DDL", ALLOCSET_SMALL_SIZES);
    MemoryContext caller = MemoryContextSwitchTo(memory);
    auto *fresh = static_cast<Touched *>(palloc0(sizeof(Touched)));
    fresh->memory = memory;
    fresh->relation = relation;
    fresh->level = GetCurrentTransactionNestLevel();
    fresh->command = present_command();
    fresh->name = table_name(relation);
    fresh->columns = columns_of(relation);
    read_storage(relation, fresh->file, fresh->persistence);
    if (!audits) fresh->before = armed_table(relation);
    fresh->earlier = touched;
    MemoryContextSwitchTo(caller);
    return touched = fresh;
}

bool is_same(const ObjectAddress &a, const ObjectAddress &b) {
    return a.classId == b.classId && a.objectId == b.objectId && a.objectSubId == b.objectSubId;
}

void add_object(Touched &table, const ObjectAddress &address, bool is_dropped) {
    for (int i = 0; i < table.object_count; ++i)
        if (is_same(table.objects[i].address, address)) return;
    if (table.object_count == kObjectsMax) {
        ++table.more_objects;
        return;
    }
    table.objects[table.object_count++] = {address, is_dropped ? describe(address) : nullptr};
}

// Such a table cannot be audited, whatever its triggers are called; and it has to be cleared away at
// the end of its session.
bool is_temporary(Oid relation) {
    Oid file = InvalidOid;
    char persistence = '\0';
    read_storage(relation, file, persistence);
    return persistence == RELPERSISTENCE_TEMP;
}

// Notes that the object, which belongs to the table, is touched. audits: it is the first audit
// trigger of the table, which the catalog may show already.
void touch(Oid relation, const ObjectAddress &address, bool is_dropped, bool audits) {
    Touched *table = find_touched(relation);
    if (!table && !audits && !armed_table(relation).is_audited()) return;
    if (!table && is_temporary(relation)) return;
    if (!table) table = add_touched(relation, audits);
    MemoryContext caller = MemoryContextSwitchTo(table->memory);
    if (is_dropped && is_same(address, {RelationRelationId, relation, 0})) {
        table->is_dropped = true;
        table->object_count = table->more_objects = 0;  // its parts go without saying
    }
    add_object(*table, address, is_dropped);
    MemoryContextSwitchTo(caller);
}

// --- which table an object belongs to

// A catalog whose rows name the table that they belong to.
struct Catalog {
    Oid id;
    Oid index;
    AttrNumber oid_column;
    AttrNumber relation_column;
};
constexpr Catalog kCatalogs[] = {
    {IndexRelationId, IndexRelidIndexId, Anum_pg_index_indexrelid, Anum_pg_index_indrelid},
    {TriggerRelationId, TriggerOidIndexId, Anum_pg_trigger_oid, Anum_pg_trigger_tgrelid},
    {ConstraintRelationId, ConstraintOidIndexId, Anum_pg_constraint_oid, Anum_pg_constraint_conrelid},
    {RewriteRelationId, RewriteOidIndexId, Anum_pg_rewrite_oid, Anum_pg_rewrite_ev_class},
    {PolicyRelationId, PolicyOidIndexId, Anum_pg_policy_oid, Anum_pg_policy_polrelid},
    {AttrDefaultRelationId, AttrDefaultOidIndexId, Anum_pg_attrdef_oid, Anum_pg_attrdef_adrelid},
};

const Catalog *catalog_of(Oid class_id) {
    for (const Catalog &each : kCatalogs)
        if (each.id == class_id) return &each;
    return nullptr;
}

// Calls visit(HeapTuple, TupleDesc) with the newest row of that OID, also one that the running
// command has just made.
template <typename Visit>
void visit_newest(const Catalog &catalog, Oid object, Visit visit) {
    Relation relation = table_open(catalog.id, AccessShareLock);
    ScanKeyData key;
    ScanKeyInit(&key, catalog.oid_column, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object));
    SysScanDesc scan = systable_beginscan(relation, catalog.index, true, SnapshotSelf, 1, &key);
    if (HeapTuple tuple = systable_getnext(scan)) visit(tuple, RelationGetDescr(relation));
    systable_endscan(scan);
    table_close(relation, AccessShareLock);
}

Oid relation_in(const Catalog &catalog, Oid object) {
    Oid relation = InvalidOid;
    visit_newest(catalog, object, [&](HeapTuple tuple, TupleDesc shape) {
        bool is_null;
        relation = DatumGetObjectId(heap_getattr(tuple, catalog.relation_column, shape, &is_null));
    });
    return relation;
}

// The table itself, or that of the index; InvalidOid for relations that have no triggers.
Oid table_of_relation(Oid relation) {
    switch (get_rel_relkind(relation)) {
        case RELKIND_RELATION:
        case RELKIND_PARTITIONED_TABLE:
            return relation;
        case RELKIND_INDEX:
        case RELKIND_PARTITIONED_INDEX:
        case '\0':  // an index, or a table, in the making
            return relation_in(kCatalogs[0], relation);
    }
    return InvalidOid;
}

// True for a new row trigger of the audit, and not for one that replaces another.
bool is_new_audit_trigger(Oid trigger) {
    bool is_ours = false;
    visit_newest(*catalog_of(TriggerRelationId), trigger, [&](HeapTuple tuple, TupleDesc) {
        const auto *row = reinterpret_cast<Form_pg_trigger>(GETSTRUCT(tuple));
        is_ours = strcmp(NameStr(row->tgname), name_of(AuditTrigger::row)) == 0 &&
                  row->tgfoid == audit_function() && !(tuple->t_data->t_infomask & HEAP_UPDATED);
    });
    return is_ours;
}

// A schema's new name is one of its tables. They are touched in the order of their OIDs.
void touch_tables_in(Oid schema) {
    const ObjectAddress address = {NamespaceRelationId, schema, 0};
    with_table(RelationRelationId, AccessShareLock, [&](Relation catalog) {
        scan_index(catalog, ClassOidIndexId, nullptr, nullptr, 0, [&](HeapTuple tuple) {
            const auto *row = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
            if (row->relnamespace == schema && row->relhastriggers) touch(row->oid, address, false, false);
            return true;
        });
    });
}

void note(ObjectAccessType access, const ObjectAddress &address, Oid parent) {
    const bool is_dropped = access == OAT_DROP;
    if (address.classId == NamespaceRelationId) {
        if (access == OAT_POST_ALTER) touch_tables_in(address.objectId);
    } else if (address.classId == RelationRelationId) {
        const Oid relation = table_of_relation(address.objectId);
        if (OidIsValid(relation)) touch(relation, address, is_dropped, false);
    } else if (address.classId == AttrDefaultRelationId && access == OAT_POST_CREATE) {
        // A new default is named by its table and column.
        touch(address.objectId, {RelationRelationId, address.objectId, address.objectSubId}, false, false);
    } else if (address.classId == IndexRelationId) {
        // A row of pg_index is no object: the index is one.
        const Oid relation = table_of_relation(address.objectId);
        if (OidIsValid(relation))
            touch(relation, {RelationRelationId, address.objectId, 0}, is_dropped, false);
    } else if (address.classId == InheritsRelationId) {
        const ObjectAddress child = {RelationRelationId, address.objectId, 0};
        touch(child.objectId, child, false, false);
        if (OidIsValid(parent)) touch(parent, child, false, false);
    } else if (const Catalog *catalog = catalog_of(address.classId)) {
        const bool audits = access == OAT_POST_CREATE && catalog->id == TriggerRelationId &&
                            is_new_audit_trigger(address.objectId);
        const Oid relation = relation_in(*catalog, address.objectId);
        if (OidIsValid(relation)) touch(relation, address, is_dropped, audits);
    }
}

bool is_concerned(Oid class_id) {
    return class_id == RelationRelationId || class_id == InheritsRelationId ||
           class_id == NamespaceRelationId || catalog_of(class_id);
}

// Who makes an object for a purpose of its own is no user: an index for a constraint is named by
// that, and a trigger of a foreign key as well.
bool is_internal(ObjectAccessType access, Oid class_id, const void *argument) {
    switch (access) {
        case OAT_POST_CREATE:
            return argument && static_cast<const ObjectAccessPostCreate *>(argument)->is_internal;
        case OAT_POST_ALTER:
            // A table that is written anew is altered like this.
            return class_id != RelationRelationId && class_id != InheritsRelationId && argument &&
                   static_cast<const ObjectAccessPostAlter *>(argument)->is_internal;
        default:
            return false;
    }
}

void on_object_access(ObjectAccessType access, Oid class_id, Oid object, int part, void *argument) {
    if (earlier_access_hook) earlier_access_hook(access, class_id, object, part, argument);
    if (access != OAT_POST_CREATE && access != OAT_POST_ALTER && access != OAT_DROP) return;
    if (!is_concerned(class_id) || is_exempt() || IsBinaryUpgrade) return;
    if (present_command().is_maintenance) return;
    if (!OidIsValid(MyDatabaseId) || !IsTransactionState() || IsInParallelMode()) return;
    if (is_internal(access, class_id, argument) || !OidIsValid(audit_function())) return;
    const Oid parent = access == OAT_POST_ALTER && argument
                           ? static_cast<const ObjectAccessPostAlter *>(argument)->auxiliary_id
                           : InvalidOid;
    note(access, {class_id, object, part}, parent);
}

// --- what is put back, and what is refused

[[noreturn]] void refuse_trigger(const Touched &table, AuditTrigger which) {
    raise(Status::audit_protected,
          psprintf("trigger \"%s\" of %s cannot be changed or dropped by hand", name_of(which), table.name),
          "The trigger writes the audit log of the table.",
          "To end the audit, call ledger.disable_audit(), which is logged. To exclude other columns, call "
          "ledger.enable_audit() again.");
}

void check_persistence(const Touched &table) {
    Oid file = InvalidOid;
    char persistence = '\0';
    read_storage(table.relation, file, persistence);
    const bool was_unlogged = table.before.is_audited() && table.persistence == RELPERSISTENCE_UNLOGGED;
    if (persistence == RELPERSISTENCE_UNLOGGED && !was_unlogged)
        raise(Status::audit_protected,
              psprintf("audited table %s cannot be unlogged", table_name(table.relation)),
              "After a crash the table would be empty, and the audit log would not say so.",
              "To end the audit, call ledger.disable_audit(), which is logged.");
}

bool exists(Oid relation) {
    return SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relation));
}

// DISABLE TRIGGER ALL is what pg_restore --disable-triggers says, and ENABLE TRIGGER ALL turns
// triggers that fire always into such that do not in a replica.
void rearm_states(Touched &table, const ArmedTable &now) {
    if (!table.command.sets_all_triggers) return;
    for (const AuditTrigger which : kAuditTriggers) {
        if (!is_weaker(table.before[which], now[which]) || !now[which].is_plain) continue;
        enable_always(table.relation, which);
        table.is_rearmed = true;
    }
}

// A partition that was detached has lost its trigger, and goes on by itself.
void rearm_detached(Touched &table, const ArmedTable &now) {
    const Armed &row = table.before[AuditTrigger::row];
    if (!row.is_clone || now.is_audited() || get_rel_relispartition(table.relation)) return;
    add_trigger(table.relation, AuditTrigger::row, row);
    if (!now[AuditTrigger::statement].exists) add_trigger(table.relation, AuditTrigger::statement, row);
    table.is_rearmed = true;
}

// A trigger for each row comes to partitions by itself, one for TRUNCATE does not.
void cover_truncate(const Touched &table) {
    if (get_rel_relkind(table.relation) == RELKIND_FOREIGN_TABLE) return;
    if (table.before[AuditTrigger::truncate].exists) return;
    const ArmedTable now = armed_table(table.relation);
    if (now.is_audited() && now[AuditTrigger::row].is_clone && !now[AuditTrigger::truncate].exists)
        add_trigger(table.relation, AuditTrigger::truncate, now[AuditTrigger::row]);
}

void rearm(Touched &table) {
    const ArmedTable now = armed_table(table.relation);
    rearm_states(table, now);
    rearm_detached(table, now);
    if (table.is_rearmed)
        ereport(NOTICE, errmsg("the audit of %s stays enabled", table_name(table.relation)),
                errhint("To end the audit, call ledger.disable_audit()."));
}

// pg_restore --clean drops triggers before their tables; that goes with a ledger's own records.
bool may_be_dropped(const Armed &now) {
    return settings.allow_drop && !now.exists;
}

void check_armed(const Touched &table) {
    const ArmedTable now = armed_table(table.relation);
    for (const AuditTrigger which : kAuditTriggers)
        if (is_weaker(table.before[which], now[which]) && !may_be_dropped(now[which]))
            refuse_trigger(table, which);
    if (now.is_audited()) check_persistence(table);
}

// --- what is recorded

void append_objects(StringInfo json, const Touched &table) {
    appendStringInfoString(json, ",\"objects\":[");
    int shown = 0;
    for (int i = 0; i < table.object_count; ++i) {
        const Object &object = table.objects[i];
        const char *text = object.description ? object.description : describe(object.address);
        if (!text) continue;
        if (shown++ > 0) appendStringInfoChar(json, ',');
        append_string(json, text);
    }
    appendStringInfoChar(json, ']');
    if (table.more_objects > 0) appendStringInfo(json, ",\"more_objects\":%d", table.more_objects);
}

void append_flag(StringInfo json, const char *name, bool is_set) {
    if (is_set) appendStringInfo(json, ",\"%s\":true", name);
}

void append_effects(StringInfo json, const Touched &table, const char *name) {
    if (!name || table.is_dropped) return append_flag(json, "dropped", true);
    Oid file = InvalidOid;
    char persistence;
    read_storage(table.relation, file, persistence);
    if (table.name && strcmp(table.name, name) != 0) {
        appendStringInfoString(json, ",\"renamed_from\":");
        append_string(json, table.name);
    }
    append_flag(json, "audited", !table.before.is_audited());
    append_flag(json, "columns", strcmp(table.columns, columns_of(table.relation)) != 0);
    append_flag(json, "rewritten", file != table.file);
    append_flag(json, "rearmed", table.is_rearmed);
}

void record(const Touched &table) {
    const char *name = table.is_dropped ? nullptr : table_name(table.relation);
    if (name && !table.before.is_audited() && !armed_table(table.relation).is_audited()) return;
    if (!name && !table.before.is_audited()) return;
    Draft draft = begin_change(false);
    draft.new_row = add_value(draft, [&](StringInfo json) {
        appendStringInfoString(json, "{\"command\":");
        append_string(json, table.command.tag);
        append_objects(json, table);
        append_effects(json, table, name);
        appendStringInfoChar(json, '}');
    });
    add_change(table.relation, name ? name : table.name, "DDL", draft);
    end_statement();
}

bool is_touched_from(int depth) {
    return touched && touched->command.depth >= depth;
}

// By commands of that depth or deeper, in the order in which the tables were touched.
List *touched_in_order(int depth) {
    List *tables = NIL;
    for (Touched *each = touched; each && each->command.depth >= depth; each = each->earlier)
        tables = lcons(each, tables);
    return tables;
}

// Calls visit(Touched &) for those of the tables that are still there and, as asked, are
// partitions or are not.
template <typename Visit>
void for_each_left(List *tables, bool partitions, Visit visit) {
    ListCell *cell;
    foreach (cell, tables) {
        auto *table = static_cast<Touched *>(lfirst(cell));
        if (!table->is_dropped && exists(table->relation) &&
            get_rel_relispartition(table->relation) == partitions)
            visit(*table);
    }
}

// A table comes before its partitions: to arm it arms them.
void rearm_all(List *tables) {
    for (const bool partitions : {false, true}) for_each_left(tables, partitions, rearm);
    for (const bool partitions : {false, true}) for_each_left(tables, partitions, cover_truncate);
    for (const bool partitions : {false, true}) for_each_left(tables, partitions, check_armed);
}

void record_all(List *tables) {
    ListCell *cell;
    foreach (cell, tables) {
        record(*static_cast<Touched *>(lfirst(cell)));
    }
}

// True while there is a ledger in this database that has been written to. Tables that were just
// restored, or copied, belong to nobody yet.
bool is_in_force() {
    return OidIsValid(audit_function()) && OidIsValid(get_extension_oid("ledger", true)) &&
           OidIsValid(get_namespace_oid("ledger_data", true)) && installation_is_current();
}

// The end of a session and DISCARD drop temporary objects in a read-only transaction, too, and what
// depends on them goes with them: a trigger, or a column, of an audited table.
template <typename Work>
void with_writing(Work work) {
    const bool is_read_only = XactReadOnly;
    XactReadOnly = false;
    PG_TRY();
    { work(); }
    PG_FINALLY();
    { XactReadOnly = is_read_only; }
    PG_END_TRY();
}

// At the end of a command, and at commit for what no command has done. What the commands around it
// have touched is left to them: the records that are made here may be rolled back without those.
void settle(int depth) {
    if (!is_touched_from(depth) || is_exempt()) return;
    CommandCounterIncrement();
    const bool has_snapshot = ActiveSnapshotSet();
    if (!has_snapshot) PushActiveSnapshot(GetTransactionSnapshot());
    if (is_in_force()) {
        List *tables = touched_in_order(depth);
        // Nothing that a session leaves behind may stay because it cannot be dropped.
        if (!proc_exit_inprogress) with_exemption([&] { rearm_all(tables); });
        with_writing([&] { record_all(tables); });
    }
    while (is_touched_from(depth)) forget_newest();
    if (!has_snapshot) PopActiveSnapshot();
}

// --- the hooks

bool sets_all_triggers(const AlterTableStmt *statement) {
    if (list_length(statement->cmds) != 1) return false;
    switch (linitial_node(AlterTableCmd, statement->cmds)->subtype) {
        case AT_EnableTrigAll:
        case AT_EnableTrigUser:
        case AT_DisableTrigAll:
        case AT_DisableTrigUser:
            return true;
        default:
            return false;
    }
}

Command command_of(Node *statement, int depth) {
    Command command = {GetCommandTagName(CreateCommandTag(statement)), false, false, depth};
    switch (nodeTag(statement)) {
        case T_VacuumStmt:
        case T_ClusterStmt:
        case T_ReindexStmt:
            command.is_maintenance = true;
            break;
        case T_AlterTableStmt:
            command.sets_all_triggers = sets_all_triggers(reinterpret_cast<AlterTableStmt *>(statement));
            break;
        default:
            break;
    }
    return command;
}

template <typename Run>
void run_as(const Command &command, Run run) {
    const Command outer = running;
    running = command;
    PG_TRY();
    { run(); }
    PG_FINALLY();
    { running = outer; }
    PG_END_TRY();
}

void on_utility(PlannedStmt *planned, const char *query, bool is_read_only_tree,
                ProcessUtilityContext context, ParamListInfo parameters, QueryEnvironment *environment,
                DestReceiver *receiver, QueryCompletion *completion) {
    const auto run = [&] {
        const auto next = earlier_utility_hook ? earlier_utility_hook : standard_ProcessUtility;
        next(planned, query, is_read_only_tree, context, parameters, environment, receiver, completion);
    };
    if (IsA(planned->utilityStmt, TransactionStmt)) return run();
    // A part of another command is settled with it.
    const bool is_part = context == PROCESS_UTILITY_SUBCOMMAND;
    const int depth = is_part ? running.depth : running.depth + 1;
    run_as(command_of(planned->utilityStmt, depth), run);
    if (!is_part) settle(depth);
}

void on_transaction(XactEvent event, void *) {
    switch (event) {
        case XACT_EVENT_PRE_COMMIT:
        case XACT_EVENT_PRE_PREPARE:
            settle(0);
            break;
        case XACT_EVENT_COMMIT:
        case XACT_EVENT_ABORT:
        case XACT_EVENT_PREPARE:
            touched = nullptr;
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
        case SUBXACT_EVENT_COMMIT_SUB:
            for (Touched *each = touched; each && each->level >= level; each = each->earlier)
                each->level = level - 1;
            break;
        case SUBXACT_EVENT_ABORT_SUB:
            while (touched && touched->level >= level) forget_newest();
            break;
        case SUBXACT_EVENT_START_SUB:
        case SUBXACT_EVENT_PRE_COMMIT_SUB:
            break;
    }
}

}  // namespace

void register_ddl_hooks() {
    earlier_access_hook = object_access_hook;
    object_access_hook = on_object_access;
    earlier_utility_hook = ProcessUtility_hook;
    ProcessUtility_hook = on_utility;
    RegisterXactCallback(on_transaction, nullptr);
    RegisterSubXactCallback(on_subtransaction, nullptr);
}

}  // namespace ledger
