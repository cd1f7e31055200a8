// SQL: the audit trigger, which ledger.enable_audit puts on a table.
#include "audit/log.hpp"
#include "audit/plan.hpp"

using namespace ledger;

namespace {

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

void write_rows(Draft &draft, const RowPlan &plan, const Rows &rows) {
    const auto add = [&](const PlannedColumns &columns, TupleTableSlot *row) {
        return add_value(draft, [&](StringInfo out) { append_row(out, columns, row); });
    };
    if (plan.key.count > 0) draft.key = add(plan.key, rows.after ? rows.after : rows.before);
    if (rows.before) draft.old_row = add(plan.row, rows.before);
    if (rows.after) draft.new_row = add(plan.row, rows.after);
}

void log_row(const TriggerData &fired) {
    const RowPlan &plan = plan_of(fired);
    const Rows rows = rows_of(fired);
    Draft draft = begin_change(plan.has_foreign_code);
    if (plan.has_foreign_code)
        with_fixed_settings([&] { write_rows(draft, plan, rows); });
    else
        write_rows(draft, plan, rows);
    add_change(plan.relation_id, plan.relation, rows.operation, draft);
}

}  // namespace

LEDGER_FUNCTION(ledger_audit) {
    const auto *fired = reinterpret_cast<const TriggerData *>(fcinfo->context);
    if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(fired->tg_event))
        ereport(ERROR, errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                errmsg("ledger.audit() must be called as an AFTER trigger"),
                errhint("Use ledger.enable_audit()."));
    if (TRIGGER_FIRED_FOR_ROW(fired->tg_event)) {
        log_row(*fired);
    } else {
        if (TRIGGER_FIRED_BY_TRUNCATE(fired->tg_event))
            add_change(RelationGetRelid(fired->tg_relation), qualified_name(fired->tg_relation), "TRUNCATE",
                       begin_change(false));
        end_statement();
    }
    return PointerGetDatum(nullptr);
}
