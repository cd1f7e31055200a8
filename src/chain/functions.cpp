// SQL: sealing, verifying, digests' signatures (sql/chain.sql).
#include "chain/progress.hpp"
#include "chain/seal.hpp"
#include "chain/signature.hpp"
#include "chain/verify.hpp"
#include "engine/order.hpp"
#include "pg/bytes.hpp"
#include "pg/error.hpp"
#include "pg/result.hpp"

namespace ledger {

namespace {

void put_finding(void *context, const Finding &finding) {
    auto *result = static_cast<ReturnSetInfo *>(context);
    Datum values[] = {CStringGetTextDatum(finding.scope), Int32GetDatum(finding.lane),
                      Int64GetDatum(finding.seq), Int64GetDatum(finding.id),
                      CStringGetTextDatum(finding.problem)};
    bool nulls[] = {false, finding.lane < 0, false, finding.id == 0, false};
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

Scopes scopes_argument(FunctionCallInfo fcinfo, int number) {
    if (PG_ARGISNULL(number)) return {true, true};
    const std::string_view name = bytes_of(PG_GETARG_DATUM(number));
    if (name == "transfers") return {true, false};
    if (name == "audit") return {false, true};
    ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
            errmsg("scope \"%s\" does not exist", text_to_cstring(PG_GETARG_TEXT_PP(number))),
            errhint("The scopes are transfers, audit and balances; NULL stands for all."));
}

}  // namespace

}  // namespace ledger

using namespace ledger;

LEDGER_FUNCTION(ledger_seal) {
    const std::int64_t number = make_seal(begin_posting("ledger.seal()"), true);
    if (number == 0) PG_RETURN_NULL();
    PG_RETURN_INT64(number);
}

LEDGER_FUNCTION(ledger_verify_seal) {
    InitMaterializedSRF(fcinfo, 0);
    verify_seal(PG_GETARG_INT64(0), scopes_argument(fcinfo, 1), put_finding, fcinfo->resultinfo);
    return Datum{0};
}

LEDGER_FUNCTION(ledger_verify_tail) {
    InitMaterializedSRF(fcinfo, 0);
    std::string_view live;
    if (!PG_ARGISNULL(2)) live = bytes_of(PG_GETARG_DATUM(2));
    verify_tail(PG_GETARG_INT64(0), scopes_argument(fcinfo, 1), PG_ARGISNULL(2) ? nullptr : &live,
                put_finding, fcinfo->resultinfo);
    return Datum{0};
}

// The heads in shared memory, where a write since the start has put them.
LEDGER_FUNCTION(ledger_live_heads) {
    Database *database = known_database();
    if (!database || pg_atomic_read_u32(&database->ready) == 0) PG_RETURN_NULL();
    auto *heads = static_cast<bytea *>(palloc(VARHDRSZ + kScopes * kLanes * kHeadBytes));
    auto *bytes = reinterpret_cast<std::uint8_t *>(VARDATA(heads));
    std::size_t size = 0;
    for (const Scope scope : {Scope::transfer, Scope::audit})
        for (int lane = 0; lane < kLanes; ++lane) {
            const Head head = head_of(database->lanes[lane], scope);
            if (head.seq == 0) continue;
            put_head(bytes + size, {scope, LaneNumber{lane}, head});
            size += kHeadBytes;
        }
    SET_VARSIZE(heads, VARHDRSZ + size);
    PG_RETURN_BYTEA_P(heads);
}

// How many records there are is known from the lanes where the server has written since
// its start, else only how many are sealed.
LEDGER_FUNCTION(ledger_begin_progress) {
    const Scopes scopes = scopes_argument(fcinfo, 0);
    Database *database = known_database();
    std::int64_t committed = 0;
    for (const Scope scope : {Scope::transfer, Scope::audit})
        for (int lane = 0; database && scopes[static_cast<int>(scope)] && lane < kLanes; ++lane)
            committed += head_of(database->lanes[lane], scope).seq;
    begin_progress(Max(committed, PG_GETARG_INT64(1)));
    PG_RETURN_VOID();
}

LEDGER_FUNCTION(ledger_end_progress) {
    end_progress();
    PG_RETURN_VOID();
}

LEDGER_FUNCTION(ledger_verify_progress) {
    InitMaterializedSRF(fcinfo, 0);
    auto *result = reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
    Database *database = known_database();
    for (int i = 0; database && i < kVerifications; ++i) {
        Verification &each = database->verifications[i];
        const std::uint32_t pid = pg_atomic_read_u32(&each.pid);
        if (pid == 0) continue;
        Datum values[] = {UInt32GetDatum(pid), UInt64GetDatum(pg_atomic_read_u64(&each.done)),
                          UInt64GetDatum(pg_atomic_read_u64(&each.total)),
                          TimestampTzGetDatum(read_time(each.began))};
        bool nulls[lengthof(values)] = {};
        tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    }
    return Datum{0};
}

// A digest is of a seal that has committed: its own transaction's might be rolled back.
LEDGER_FUNCTION(ledger_last_seal) {
    Seal seal = {};
    const bool found = with_latest_snapshot(
        [&](Snapshot snapshot) { return find_seal(snapshot, last_committed_seal(snapshot), seal); });
    HashDatum hash;
    Datum values[] = {Int64GetDatum(seal.row.number), TimestampTzGetDatum(seal.row.sealed_at),
                      hash.set(seal.hash)};
    bool nulls[] = {!found, !found, !found};
    return row_result(fcinfo, values, nulls);
}

LEDGER_FUNCTION(ledger_sign_digest) {
    ledger::Hash hash;
    if (!hash_in(PG_GETARG_DATUM(1), hash))
        raise(Status::invalid_parameter_value, "a seal's hash has 32 bytes", nullptr,
              "Give the hash of ledger_data.last_seal().");
    PG_RETURN_DATUM(sign_digest(fcinfo, PG_GETARG_INT64(0), hash));
}
