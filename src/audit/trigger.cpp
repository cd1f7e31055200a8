// SQL: the audit trigger, which ledger.enable_audit puts on a table.
#include "audit/log.hpp"
#include "audit/plan.hpp"

using namespace ledger;

namespace {

[[noreturn]] void refuse_trigger(const TriggerData &fired) {
    ereport(
        ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
        errmsg("trigger \"%s\" on %s calls ledger.audit(), but is no audit trigger", fired.tg_trigger->tgname,
               qualified_name(fired.tg_relation)),
        errdetail("Only ledger.enable_audit() makes audit triggers; none is deferrable, or on a temporary "
                  "table. Another one could log changes twice, or leave columns out."),
        errhint("Drop the trigger, and use ledger.enable_audit()."));
    pg_unreachable();
}

struct Rows {
    const char *operation;
    TupleTableSlot *before;
    TupleTableSlot *after;
};

Rows rows_of(const TriggerData &fired) {
    if (TRIGGER_FIRED_BY_INSERT(fired.tg_event)) return {"INSERT", nullptr, fired.tg_trigslot};
    if (TRIGGER_FIRED_BY_DELETE(fired.tg_event)) return {"DELETE", fired.tg_trigslot, nullptr};
    return {"UPDATE", fired.tg_trigslot, fired.tg_newslot};
}

void note_command(Draft &draft, const TriggerData &fired) {
    const HeapTuple row = TRIGGER_FIRED_BY_UPDATE(fired.tg_event) ? fired.tg_newtuple : fired.tg_trigtuple;
    if (fired.tg_relation->rd_rel->relam != HEAP_TABLE_AM_OID) {
        draft.is_command_certain = false;
    } else if (TRIGGER_FIRED_BY_DELETE(fired.tg_event)) {
        draft.command = HeapTupleHeaderGetCmax(row->t_data);
    } else if (HeapTupleHeaderXminFrozen(row->t_data)) {
        // COPY ... FREEZE. The command that ended the version may be there instead.
        draft.command = HeapTupleHeaderGetRawCommandId(row->t_data);
        draft.is_command_certain = false;
    } else {
        draft.command = HeapTupleHeaderGetCmin(row->t_data);
    }
}

// What the order of changes is found from (causal_order.hpp).
void note_versions(Draft &draft, const TriggerData &fired, const Rows &rows) {
    note_command(draft, fired);
    draft.storage = compat::storage_of(fired.tg_relation);
    if (rows.before) draft.old_version = rows.before->tts_tid;
    if (rows.after) draft.new_version = rows.after->tts_tid;
}

bool has_same_key(const RowPlan &plan, const Rows &rows) {
    for (int i = 0; i < plan.key.count; ++i) {
        const AttrNumber number = plan.key.items[i].number;
        Form_pg_attribute column = TupleDescAttr(rows.after->tts_tupleDescriptor, number - 1);
        bool is_null;
        const Datum before = slot_getattr(rows.before, number, &is_null);
        const Datum after = slot_getattr(rows.after, number, &is_null);
        if (!datum_image_eq(before, after, column->attbyval, column->attlen)) return false;
    }
    return true;
}

void write_rows(Draft &draft, const RowPlan &plan, const Rows &rows) {
    const auto add = [&](const PlannedColumns &columns, TupleTableSlot *row) {
        return add_value(draft, [&](StringInfo out) { append_row(out, columns, row); });
    };
    if (plan.key.count > 0) draft.key = add(plan.key, rows.after ? rows.after : rows.before);
    if (rows.before && rows.after && !has_same_key(plan, rows)) draft.old_key = add(plan.key, rows.before);
    if (rows.before) draft.old_row = add(plan.row, rows.before);
    if (rows.after) draft.new_row = add(plan.row, rows.after);
}

void log_row(const TriggerData &fired) {
    const RowPlan &plan = plan_of(fired);
    if (plan.is_misplaced) refuse_trigger(fired);
    const Rows rows = rows_of(fired);
    Draft draft = begin_change(plan.has_foreign_code);
    if (plan.has_foreign_code)
        with_fixed_settings([&] { write_rows(draft, plan, rows); });
    else
        write_rows(draft, plan, rows);
    note_versions(draft, fired, rows);
    add_change(plan.relation_id, plan.relation, rows.operation, draft);
}

void log_truncate(Relation relation) {
    Draft draft = begin_change(false);
    draft.is_truncate = true;
    add_change(RelationGetRelid(relation), qualified_name(relation), "TRUNCATE", draft);
}

// Of other statements the rows tell.
void log_statement(const TriggerData &fired) {
    const bool is_truncate = TRIGGER_FIRED_BY_TRUNCATE(fired.tg_event);
    const AuditTrigger which = is_truncate ? AuditTrigger::truncate : AuditTrigger::statement;
    if (!is_in_its_place(fired.tg_relation, *fired.tg_trigger, which)) refuse_trigger(fired);
    if (is_truncate) log_truncate(fired.tg_relation);
}

}  // namespace

// The end of a statement that changed rows is known from the executor (nesting.hpp), not from
// the trigger that fires then: triggers and foreign keys may have changes left to tell.
LEDGER_FUNCTION(ledger_audit) {
    const auto *fired = reinterpret_cast<const TriggerData *>(fcinfo->context);
    if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(fired->tg_event))
        ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                errmsg("ledger.audit() must be called as an AFTER trigger"),
                errhint("Use ledger.enable_audit()."));
    if (TRIGGER_FIRED_FOR_ROW(fired->tg_event))
        log_row(*fired);
    else
        log_statement(*fired);
    return PointerGetDatum(nullptr);
}
