#include "audit/nesting.hpp"

extern "C" {
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
}

namespace ledger {

namespace {

ExecutorRun_hook_type earlier_run = nullptr;
ExecutorFinish_hook_type earlier_finish = nullptr;
ProcessUtility_hook_type earlier_utility = nullptr;
void (*on_end)() = nullptr;

// The statements that run now. An error ends some of them without a word to the hooks; so
// each notes the nesting level of the subtransaction that it began in, and ends with it.
struct {
    int *levels;  // in TopMemoryContext
    int count;
    int room;
    bool has_acted;  // a foreign key
} running = {};

void begin_statement() {
    if (running.count == running.room) {
        running.room = Max(2 * running.room, 16);
        const Size size = running.room * sizeof(int);
        running.levels = static_cast<int *>(running.levels ? repalloc(running.levels, size)
                                                           : MemoryContextAlloc(TopMemoryContext, size));
    }
    running.levels[running.count++] = GetCurrentTransactionNestLevel();
}

// A subscriber's worker applies changes without the executor: their triggers alone show that
// such a change is being made.
int applied_changes() {
    return IsLogicalWorker() ? DatumGetInt32(pg_trigger_depth(nullptr)) : 0;
}

void end_statement_if_outermost() {
    if (statements_running() > 0) return;
    running.has_acted = false;
    on_end();
}

bool has_row_triggers(const ResultRelInfo *result) {
    const TriggerDesc *triggers = result->ri_TrigDesc;
    // Partitions are opened one by one, and may have triggers of their own.
    return result->ri_RelationDesc->rd_rel->relkind == RELKIND_PARTITIONED_TABLE ||
           (triggers && (triggers->trig_insert_after_row || triggers->trig_update_after_row ||
                         triggers->trig_delete_after_row));
}

// A query that fires no AFTER trigger for a row tells of no change itself, nor does a cascade.
bool may_tell(const QueryDesc *query) {
    if (query->operation == CMD_SELECT && !query->plannedstmt->hasModifyingCTE) return false;
    ListCell *cell;
    foreach (cell, query->estate->es_opened_result_relations)
        if (has_row_triggers(static_cast<const ResultRelInfo *>(lfirst(cell)))) return true;
    return false;
}

// Before PostgreSQL 18 there is a last argument more.
template <typename... Once>
void run_query(QueryDesc *query, ScanDirection direction, uint64 count, Once... once) {
    const int around = running.count;
    if (may_tell(query)) {
        begin_statement();
        // So the triggers of foreign keys run their queries.
        if (query->estate->es_top_eflags & EXEC_FLAG_SKIP_TRIGGERS) running.has_acted = true;
    }
    if (earlier_run)
        earlier_run(query, direction, count, once...);
    else
        standard_ExecutorRun(query, direction, count, once...);
    running.count = around;
}

void finish_query(QueryDesc *query) {
    const bool is_counted = may_tell(query);
    const int around = running.count;
    if (is_counted) begin_statement();
    if (earlier_finish)
        earlier_finish(query);
    else
        standard_ExecutorFinish(query);
    running.count = around;
    if (!is_counted) return;
    MemoryContext caller = MemoryContextSwitchTo(query->estate->es_query_cxt);
    end_statement_if_outermost();
    MemoryContextSwitchTo(caller);
}

bool may_tell(const PlannedStmt *statement) {
    const Node *node = statement->utilityStmt;
    return IsA(node, TruncateStmt) ||
           (IsA(node, CopyStmt) && reinterpret_cast<const CopyStmt *>(node)->is_from);
}

void run_utility(PlannedStmt *statement, const char *text, bool is_read_only_tree,
                 ProcessUtilityContext context, ParamListInfo parameters, QueryEnvironment *environment,
                 DestReceiver *receiver, QueryCompletion *completion) {
    const bool is_counted = may_tell(statement);
    const int around = running.count;
    if (is_counted) begin_statement();
    const ProcessUtility_hook_type run = earlier_utility ? earlier_utility : standard_ProcessUtility;
    run(statement, text, is_read_only_tree, context, parameters, environment, receiver, completion);
    if (!is_counted) return;
    running.count = around;
    end_statement_if_outermost();
}

void forget_from(int level) {
    while (running.count > 0 && running.levels[running.count - 1] >= level) --running.count;
}

void on_transaction(XactEvent event, void *) {
    switch (event) {
        case XACT_EVENT_COMMIT:
        case XACT_EVENT_ABORT:
        case XACT_EVENT_PREPARE:
            running.count = 0;
            running.has_acted = false;
            break;
        case XACT_EVENT_PRE_COMMIT:
        case XACT_EVENT_PRE_PREPARE:
        case XACT_EVENT_PARALLEL_PRE_COMMIT:
        case XACT_EVENT_PARALLEL_COMMIT:
        case XACT_EVENT_PARALLEL_ABORT:
            break;
    }
}

void on_subtransaction(SubXactEvent event, SubTransactionId, SubTransactionId, void *) {
    if (event == SUBXACT_EVENT_ABORT_SUB) forget_from(GetCurrentTransactionNestLevel());
}

}  // namespace

int statements_running() {
    return running.count + applied_changes();
}

bool foreign_key_has_acted() {
    return running.has_acted;
}

void register_statement_hooks(void (*ended)()) {
    on_end = ended;
    earlier_run = ExecutorRun_hook;
    ExecutorRun_hook = run_query;
    earlier_finish = ExecutorFinish_hook;
    ExecutorFinish_hook = finish_query;
    earlier_utility = ProcessUtility_hook;
    ProcessUtility_hook = run_utility;
    RegisterXactCallback(on_transaction, nullptr);
    RegisterSubXactCallback(on_subtransaction, nullptr);
}

}  // namespace ledger
