#include "engine/drop.hpp"

#include "engine/settings.hpp"
#include "pg/error.hpp"
#include "pg/table.hpp"

extern "C" {
#include "catalog/dependency.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
}

namespace ledger {

namespace {

object_access_hook_type earlier_access_hook = nullptr;

// Without an index: those of a table that is being dropped may be gone before it.
bool has_rows(Oid schema, const char *name) {
    const Oid relation = get_relname_relid(name, schema);
    if (!OidIsValid(relation) || get_rel_relkind(relation) != RELKIND_RELATION) return false;
    return with_latest_snapshot([&](Snapshot snapshot) {
        return with_table(relation, AccessShareLock, [&](Relation table) {
            TableScanDesc scan = table_beginscan(table, snapshot, 0, nullptr);
            TupleTableSlot *slot = table_slot_create(table, nullptr);
            const bool found = table_scan_getnextslot(scan, ForwardScanDirection, slot);
            ExecDropSingleTupleTableSlot(slot);
            table_endscan(scan);
            return found;
        });
    });
}

// The tables of the ledger by their schema, as the engine finds them: so it does not matter
// whether somebody has taken a table out of the extension first.
bool is_part(Oid schema, Oid class_id, Oid object) {
    if (class_id == RelationRelationId)
        return get_rel_namespace(object) == schema && get_rel_relkind(object) == RELKIND_RELATION;
    return class_id == ExtensionRelationId && object == get_extension_oid("ledger", true);
}

void check_drop(Oid class_id, Oid object) {
    const Oid schema = get_namespace_oid("ledger_data", true);
    if (!OidIsValid(schema) || !is_part(schema, class_id, object)) return;
    const Oid extension = get_extension_oid("ledger", true);
    if (!OidIsValid(extension)) return;                                     // a ledger's remains
    if (creating_extension && CurrentExtensionObject == extension) return;  // its own scripts
    if (!has_rows(schema, "transfer") && !has_rows(schema, "audit")) return;
    raise(
        Status::ledger_not_empty, "a ledger with transfers or audit records cannot be dropped",
        "What is dropped cannot be brought back. The setting ledger.allow_drop is off.",
        "Dump the database first. To drop the ledger after that, SET ledger.allow_drop = on as a superuser.");
}

// DROP EXTENSION, DROP SCHEMA ... CASCADE, DROP OWNED, DROP TABLE and ALTER TABLE ... DROP COLUMN
// all come here, object by object, before anything of the object is gone. Internal deletions are
// those of copies that VACUUM FULL or ALTER TABLE have made and swapped.
void on_drop(ObjectAccessType access, Oid class_id, Oid object, int part, void *argument) {
    if (earlier_access_hook) earlier_access_hook(access, class_id, object, part, argument);
    if (access != OAT_DROP || settings.allow_drop) return;
    if (class_id != RelationRelationId && class_id != ExtensionRelationId) return;
    if (static_cast<const ObjectAccessDrop *>(argument)->dropflags & PERFORM_DELETION_INTERNAL) return;
    check_drop(class_id, object);
}

}  // namespace

void register_drop_hook() {
    earlier_access_hook = object_access_hook;
    object_access_hook = on_drop;
}

}  // namespace ledger
