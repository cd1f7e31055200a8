// How the rows of an audited table are written: which columns, under which names,
// in which form. Worked out once for a trigger, and again when its table has changed.
#pragma once

#include "audit/armed.hpp"
#include "audit/json_text.hpp"

namespace ledger {

struct PlannedColumn {
    AttrNumber number;
    Style style;
    std::string_view prefix;  // ,"name":
};

struct PlannedColumns {
    PlannedColumn *items;
    int count;
    bool follow_every_setting;  // of one of them at least
};

struct RowPlan {
    MemoryContext context;
    Oid relation_id;
    const char *relation;  // its name as in SQL, with its schema
    PlannedColumns row;
    PlannedColumns key;     // of the primary key; none without one
    bool has_foreign_code;  // writing a row may run it, and needs with_fixed_settings
    bool is_misplaced;      // the trigger is none that ledger.enable_audit() makes: no columns then
};

// True if the trigger is the audit's of that kind, fired where and when ledger.enable_audit() has it
// fire. Another one would log a change again, or with the columns that it chooses.
bool is_in_its_place(Relation relation, const Trigger &trigger, AuditTrigger which);

// The plan of that row trigger of the table. It stays in place until the transaction ends.
// Raises an error if the table has changed so that what is excluded is no longer certain.
const RowPlan &plan_of(Relation relation, const Trigger &trigger);
inline const RowPlan &plan_of(const TriggerData &fired) {
    return plan_of(fired.tg_relation, *fired.tg_trigger);
}

// The row as a JSON object, always the same text if it is written within with_fixed_settings
// where its plan needs that.
void append_row(StringInfo out, const PlannedColumns &columns, TupleTableSlot *row);

// The table's name as in SQL, with its schema, in the current memory context.
const char *qualified_name(Relation relation);

// The columns of the primary key, in its order; none without one. In the current memory context.
List *primary_key_columns(Relation relation);

// The live column of that name, else InvalidAttrNumber.
AttrNumber column_named(Relation relation, const char *name);

// To be called once in a backend.
void register_plan_invalidation();

}  // namespace ledger
