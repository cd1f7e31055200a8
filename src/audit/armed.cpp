#include "audit/armed.hpp"

#include "pg/table.hpp"

extern "C" {
#include "catalog/pg_authid.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
}

namespace ledger {

int exempt_depth = 0;

namespace {

constexpr int kChanges = TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE;

// What tgtype says of the trigger.
int type_of(AuditTrigger which) {
    switch (which) {
        case AuditTrigger::row:
            return TRIGGER_TYPE_ROW | TRIGGER_TYPE_AFTER | kChanges;
        case AuditTrigger::statement:
            return TRIGGER_TYPE_STATEMENT | TRIGGER_TYPE_AFTER | kChanges;
        case AuditTrigger::truncate:
            break;
    }
    return TRIGGER_TYPE_STATEMENT | TRIGGER_TYPE_AFTER | TRIGGER_TYPE_TRUNCATE;
}

bool has_null(HeapTuple tuple, AttrNumber column, TupleDesc shape) {
    bool is_null;
    heap_getattr(tuple, column, shape, &is_null);
    return is_null;
}

bool is_plain(HeapTuple tuple, TupleDesc shape, AuditTrigger which) {
    const auto *row = reinterpret_cast<Form_pg_trigger>(GETSTRUCT(tuple));
    return row->tgtype == type_of(which) && !row->tgisinternal && !row->tgdeferrable &&
           !row->tginitdeferred && !OidIsValid(row->tgconstraint) && !OidIsValid(row->tgconstrrelid) &&
           row->tgattr.dim1 == 0 && (which == AuditTrigger::row || row->tgnargs == 0) &&
           (which == AuditTrigger::row || !OidIsValid(row->tgparentid)) &&
           has_null(tuple, Anum_pg_trigger_tgqual, shape) &&
           has_null(tuple, Anum_pg_trigger_tgoldtable, shape) &&
           has_null(tuple, Anum_pg_trigger_tgnewtable, shape);
}

Armed armed_in(HeapTuple tuple, TupleDesc shape, AuditTrigger which) {
    const auto *row = reinterpret_cast<Form_pg_trigger>(GETSTRUCT(tuple));
    Armed armed = {};
    armed.exists = true;
    armed.is_clone = OidIsValid(row->tgparentid);
    armed.is_plain = is_plain(tuple, shape, which);
    armed.state = row->tgenabled;
    bool is_null;
    const Datum arguments = heap_getattr(tuple, Anum_pg_trigger_tgargs, shape, &is_null);
    if (is_null) return armed;
    const bytea *copy = DatumGetByteaPCopy(arguments);
    armed.arguments = VARDATA_ANY(copy);
    armed.arguments_size = VARSIZE_ANY_EXHDR(copy);
    return armed;
}

List *strings_of(const Armed &armed) {
    List *strings = NIL;
    for (std::size_t at = 0; at < armed.arguments_size; at += strlen(armed.arguments + at) + 1)
        strings = lappend(strings, makeString(pstrdup(armed.arguments + at)));
    return strings;
}

bool has_same_arguments(const Armed &a, const Armed &b) {
    return std::string_view(a.arguments, a.arguments_size) == std::string_view(b.arguments, b.arguments_size);
}

}  // namespace

const char *name_of(AuditTrigger which) {
    switch (which) {
        case AuditTrigger::row:
            return "ledger_audit_row";
        case AuditTrigger::statement:
            return "ledger_audit_statement";
        case AuditTrigger::truncate:
            break;
    }
    return "ledger_audit_truncate";
}

Oid audit_function() {
    const Oid schema = get_namespace_oid("ledger", true);
    if (!OidIsValid(schema)) return InvalidOid;
    return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum("audit"),
                           PointerGetDatum(buildoidvector(nullptr, 0)), ObjectIdGetDatum(schema));
}

ArmedTable armed_table(Oid relation) {
    ArmedTable table = {};
    const Oid function = audit_function();
    if (!OidIsValid(function)) return table;
    Relation catalog = table_open(TriggerRelationId, AccessShareLock);
    for (const AuditTrigger which : kAuditTriggers) {
        ScanKeyData keys[2];
        ScanKeyInit(&keys[0], Anum_pg_trigger_tgrelid, BTEqualStrategyNumber, F_OIDEQ,
                    ObjectIdGetDatum(relation));
        ScanKeyInit(&keys[1], Anum_pg_trigger_tgname, BTEqualStrategyNumber, F_NAMEEQ,
                    CStringGetDatum(name_of(which)));
        SysScanDesc scan = systable_beginscan(catalog, TriggerRelidNameIndexId, true, nullptr, 2, keys);
        HeapTuple tuple = systable_getnext(scan);
        if (tuple && reinterpret_cast<Form_pg_trigger>(GETSTRUCT(tuple))->tgfoid == function)
            table[which] = armed_in(tuple, RelationGetDescr(catalog), which);
        systable_endscan(scan);
        if (which == AuditTrigger::row && !tuple) break;  // most tables are not audited
    }
    table_close(catalog, AccessShareLock);
    return table;
}

bool is_weaker(const Armed &before, const Armed &now) {
    if (!before.exists) return false;
    if (!now.exists || !has_same_arguments(before, now)) return true;
    return !now.is_exact() && (now.state != before.state || now.is_plain != before.is_plain);
}

void enable_always(Oid relation, AuditTrigger which) {
    with_table(relation, ShareRowExclusiveLock, [&](Relation table) {
        compat::enable_trigger_always(table, name_of(which), ShareRowExclusiveLock);
    });
    CommandCounterIncrement();
}

// As a superuser: who attaches a partition need not have the right to call ledger.audit(). Nothing
// of anybody else's is run.
void add_trigger(Oid relation, AuditTrigger which, const Armed &arguments_of) {
    CreateTrigStmt *statement = makeNode(CreateTrigStmt);
    statement->trigname = pstrdup(name_of(which));
    statement->funcname = list_make2(makeString(pstrdup("ledger")), makeString(pstrdup("audit")));
    statement->row = which == AuditTrigger::row;
    statement->timing = TRIGGER_TYPE_AFTER;
    statement->events =
        static_cast<int16>(which == AuditTrigger::truncate ? TRIGGER_TYPE_TRUNCATE : kChanges);
    if (which == AuditTrigger::row) statement->args = strings_of(arguments_of);
    Oid user;
    int context;
    GetUserIdAndSecContext(&user, &context);
    SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID, context | SECURITY_LOCAL_USERID_CHANGE);
    CreateTriggerFiringOn(statement, nullptr, relation, InvalidOid, InvalidOid, InvalidOid, InvalidOid,
                          InvalidOid, nullptr, false, false, TRIGGER_FIRES_ALWAYS);
    SetUserIdAndSecContext(user, context);
    CommandCounterIncrement();
}

}  // namespace ledger
