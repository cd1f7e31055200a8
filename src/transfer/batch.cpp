// SQL: transfer_batch (sql/transfer.sql).
#include "engine/order.hpp"

namespace ledger {

namespace {

// Three arrays of one length.
struct Batch {
    Elements sources, destinations, amounts;
    int count;
};

Batch batch_of(FunctionCallInfo fcinfo) {
    Batch batch = {
        array_argument(fcinfo, 0, "sources", TEXTOID),
        array_argument(fcinfo, 1, "destinations", TEXTOID),
        array_argument(fcinfo, 2, "amounts", NUMERICOID),
        0,
    };
    batch.count = batch.sources.count;
    if (batch.destinations.count != batch.count || batch.amounts.count != batch.count)
        ereport(ERROR, errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
                errmsg("the arrays of a batch differ in length"),
                errdetail("There are %d sources, %d destinations and %d amounts.", batch.sources.count,
                          batch.destinations.count, batch.amounts.count),
                errhint("Give every transfer one element in each array."));
    return batch;
}

// Takes element i; false with the refusal.
bool take_element(Database &database, const Batch &batch, int i, Order &order, Refusal &refusal) {
    const char *missing = batch.sources.nulls[i]        ? "source"
                          : batch.destinations.nulls[i] ? "destination"
                          : batch.amounts.nulls[i]      ? "amount"
                                                        : nullptr;
    if (missing) {
        refusal = null_argument(missing);
        return false;
    }
    const Code source = code_of(DatumGetTextPP(batch.sources.values[i]));
    const Code destination = code_of(DatumGetTextPP(batch.destinations.values[i]));
    return make_order(source, destination, DatumGetNumeric(batch.amounts.values[i]), order, refusal) &&
           take(database, order, source, destination, refusal);
}

void put_row(ReturnSetInfo *result, int ordinal, TransferId id, Status status) {
    const bool ok = status == Status::ok;
    Datum values[] = {Int32GetDatum(ordinal), Int64GetDatum(static_cast<std::int64_t>(id)),
                      CStringGetTextDatum(condition(status).name)};
    bool nulls[] = {false, !ok, false};
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

}  // namespace

}  // namespace ledger

using namespace ledger;

LEDGER_FUNCTION(ledger_transfer_batch) {
    Database &database = begin_posting("ledger.transfer_batch()");
    const Batch batch = batch_of(fcinfo);
    if (PG_ARGISNULL(3)) raise_refusal(null_argument("atomic"));
    const bool atomic = PG_GETARG_BOOL(3);
    InitMaterializedSRF(fcinfo, 0);
    auto *result = reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);

    auto *orders = static_cast<Order *>(
        MemoryContextAllocHuge(CurrentMemoryContext, Max(batch.count, 1) * sizeof(Order)));
    int taken = 0;
    MemoryContext scratch =
        AllocSetContextCreate(CurrentMemoryContext, "ledger batch", ALLOCSET_DEFAULT_SIZES);
    for (int i = 0; i < batch.count; ++i) {
        CHECK_FOR_INTERRUPTS();
        MemoryContext caller = MemoryContextSwitchTo(scratch);
        Refusal refusal;
        const bool ok = take_element(database, batch, i, orders[taken], refusal);
        if (!ok && atomic) raise_refusal(refusal, i + 1);
        put_row(result, i + 1, orders[taken].id, ok ? Status::ok : refusal.status);
        taken += ok;
        MemoryContextSwitchTo(caller);
        MemoryContextReset(scratch);
    }
    append(orders, taken);
    return Datum{0};
}
