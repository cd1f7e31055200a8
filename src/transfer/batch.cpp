// SQL: transfer_batch (sql/transfer.sql).
#include "request/call.hpp"

namespace ledger {

namespace {

constexpr const char *kFunction = "ledger.transfer_batch()";

// Arrays of one length; keys may be absent.
struct Batch {
    Elements sources, destinations, amounts, keys;
    int count;
    bool has_keys;
};

Batch batch_of(FunctionCallInfo fcinfo) {
    const Elements sources = array_argument(fcinfo, 0, "sources", TEXTOID);
    const Batch batch = {
        sources,
        array_argument(fcinfo, 1, "destinations", TEXTOID),
        array_argument(fcinfo, 2, "amounts", NUMERICOID),
        PG_ARGISNULL(3) ? Elements{} : array_argument(fcinfo, 3, "keys", TEXTOID),
        sources.count,
        !PG_ARGISNULL(3),
    };
    if (batch.destinations.count != batch.count || batch.amounts.count != batch.count ||
        (batch.has_keys && batch.keys.count != batch.count))
        ereport(
            ERROR, errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR), errmsg("the arrays of a batch differ in length"),
            batch.has_keys ? errdetail("There are %d sources, %d destinations, %d amounts and %d keys.",
                                       batch.sources.count, batch.destinations.count, batch.amounts.count,
                                       batch.keys.count)
                           : errdetail("There are %d sources, %d destinations and %d amounts.",
                                       batch.sources.count, batch.destinations.count, batch.amounts.count),
            errhint("Give every transfer one element in each array."));
    return batch;
}

// In an atomic batch: what a batch that was not atomic said of the same element.
Refusal refused_before(const Call &call, const Recalled &made) {
    const std::string_view status = string_in(made.answer);
    Refusal refusal = {};
    refusal.status = status_by_name(status);
    refusal.message = psprintf("key \"%s\" was refused before: %.*s", shown(code_of(call.name.key)),
                               static_cast<int>(status.size()), status.data());
    refusal.hint = "Give a new request a new key.";
    return refusal;
}

// Element i as a call; false with the refusal if its key is none.
bool element_call(const Batch &batch, int i, Call &call, Refusal &refusal) {
    call = {};
    if (!batch.has_keys || batch.keys.nulls[i]) return true;
    text *key = DatumGetTextPP(batch.keys.values[i]);
    if (!is_name(key)) {
        refusal = bad_name(key, "key");
        return false;
    }
    call = call_under(key, kFunction, [&](JsonObject &arguments) {
        put_text(arguments, "source", {batch.sources.values[i], batch.sources.nulls[i]});
        put_text(arguments, "destination", {batch.destinations.values[i], batch.destinations.nulls[i]});
        put_numeric(arguments, "amount", {batch.amounts.values[i], batch.amounts.nulls[i]});
    });
    return true;
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

void put_row(ReturnSetInfo *result, int ordinal, TransferId id, std::string_view status) {
    Datum values[] = {
        Int32GetDatum(ordinal), Int64GetDatum(static_cast<std::int64_t>(id)),
        PointerGetDatum(cstring_to_text_with_len(status.data(), static_cast<int>(status.size())))};
    bool nulls[] = {false, id == TransferId{0}, false};
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

// What became of an element.
struct Outcome {
    bool taken;
    TransferId id;
    std::string_view status;
};

Outcome refused(const Refusal &refusal) {
    return {false, TransferId{0}, condition(refusal.status).name};
}

// What became of the element when its key was used before; false if it was not.
// An atomic batch raises what is not a duplicate: it answers for all or none.
bool recall_element(const Call &call, int ordinal, bool atomic, Outcome &outcome) {
    if (!call.name.key) return false;
    const Recalled made = recall_unless_different(call);
    if (!made.answer && !made.is_anothers) return false;
    const bool was_made = !made.differs && made.transfer != TransferId{0};
    const Refusal refusal = made.is_anothers ? request_of_another_role(call.name)
                            : made.differs   ? request_mismatch(call, made.differs)
                            : was_made       ? Refusal{}
                                             : refused_before(call, made);
    if (!was_made && atomic) raise_refusal(refusal, ordinal);
    outcome = was_made ? Outcome{false, made.transfer, "duplicate"} : refused(refusal);
    return true;
}

// In flight nothing is decided: such an element may be repeated under its key.
void remember_element(const Call &call, Status status, TransferId id) {
    if (status == Status::balance_in_flight)
        leave_open(call);
    else if (call.name.key)
        remember(call, json_string(condition(status).name), id);
}

// Makes element i, or says why not; in an atomic batch it raises instead.
Outcome make_element(Database &database, const Batch &batch, int i, bool atomic, Order &order) {
    Call call;
    Refusal refusal;
    Outcome outcome;
    const bool has_call = element_call(batch, i, call, refusal);
    if (has_call && recall_element(call, i + 1, atomic, outcome)) return outcome;
    if (has_call && take_element(database, batch, i, order, refusal))
        outcome = {true, order.id, condition(Status::ok).name};
    else if (atomic)
        raise_refusal(refusal, i + 1);
    else
        outcome = refused(refusal);
    if (has_call) remember_element(call, outcome.taken ? Status::ok : refusal.status, outcome.id);
    return outcome;
}

}  // namespace

}  // namespace ledger

using namespace ledger;

LEDGER_FUNCTION(ledger_transfer_batch) {
    Database &database = begin_posting(kFunction);
    const Batch batch = batch_of(fcinfo);
    if (PG_ARGISNULL(4)) raise_refusal(null_argument("atomic"));
    const bool atomic = PG_GETARG_BOOL(4);
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
        const Outcome outcome = make_element(database, batch, i, atomic, orders[taken]);
        put_row(result, i + 1, outcome.id, outcome.status);
        taken += outcome.taken;
        MemoryContextSwitchTo(caller);
        MemoryContextReset(scratch);
    }
    append(orders, taken);
    return Datum{0};
}
