// SQL: what signed requests need of cryptography (sql/request.sql). The hashing
// is PostgreSQL's, which is OpenSSL's where it is built with it.
#include "engine/settings.hpp"
#include "engine/shared.hpp"
#include "pg/json.hpp"
#include "pg/result.hpp"
#include "pg/table.hpp"
#include "request/call.hpp"
#include "request/random.hpp"

extern "C" {
#include "common/hmac.h"
#include "common/sha2.h"
}

namespace ledger {

namespace {

void digest(const Code &secret, const Code &message, std::uint8_t *result) {
    const auto *key = reinterpret_cast<const std::uint8_t *>(secret.data());
    const auto *data = reinterpret_cast<const std::uint8_t *>(message.data());
    pg_hmac_ctx *context = pg_hmac_create(PG_SHA256);
    if (!context || pg_hmac_init(context, key, secret.size()) < 0 ||
        pg_hmac_update(context, data, message.size()) < 0 ||
        pg_hmac_final(context, result, PG_SHA256_DIGEST_LENGTH) < 0)
        ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("HMAC-SHA256 could not be computed"),
                errhint("See that the server's OpenSSL library works."));
    pg_hmac_free(context);
}

// The secret, and the one before it while that is valid.
void read_secrets(Snapshot snapshot, text *client, Datum *values, bool *nulls) {
    with_table(storage().client, AccessShareLock, [&](Relation table) {
        ScanKeyData key;
        key_text(key, ClientColumn::client, client);
        HeapTuple row = find_row(table, storage().client_by_name, snapshot, &key, 1);
        if (!row) return;
        const auto column = [&](AttrNumber number, bool &is_null) {
            return heap_getattr(row, number, RelationGetDescr(table), &is_null);
        };
        bool no_end;
        values[0] = column(ClientColumn::secret, nulls[0]);
        values[1] = column(ClientColumn::previous, nulls[1]);
        const Datum until = column(ClientColumn::previous_until, no_end);
        nulls[1] = nulls[1] || no_end || DatumGetTimestampTz(until) <= GetCurrentTimestamp();
    });
}

}  // namespace

}  // namespace ledger

using namespace ledger;

LEDGER_FUNCTION(ledger_hmac) {
    std::uint8_t result[PG_SHA256_DIGEST_LENGTH];
    char digits[2 * sizeof result];
    digest(code_of(PG_GETARG_BYTEA_PP(1)), code_of(PG_GETARG_BYTEA_PP(0)), result);
    hex_encode(reinterpret_cast<const char *>(result), sizeof result, digits);
    PG_RETURN_TEXT_P(cstring_to_text_with_len(digits, sizeof digits));
}

LEDGER_FUNCTION(ledger_secrets_of) {
    if (PG_ARGISNULL(0)) raise_refusal(null_argument("client"));
    Datum values[2] = {};
    bool nulls[2] = {true, true};
    with_latest_snapshot(
        [&](Snapshot snapshot) { read_secrets(snapshot, PG_GETARG_TEXT_PP(0), values, nulls); });
    return row_result(fcinfo, values, nulls);
}

// Looks at every byte, whatever it finds. Hexadecimal digits may be of either case.
LEDGER_FUNCTION(ledger_same_digest) {
    const Code one = code_of(PG_GETARG_TEXT_PP(0));
    const Code other = code_of(PG_GETARG_TEXT_PP(1));
    if (one.size() != other.size()) PG_RETURN_BOOL(false);
    unsigned difference = 0;
    for (std::size_t i = 0; i < one.size(); ++i)
        difference |= pg_ascii_tolower(static_cast<unsigned char>(one[i])) ^
                      pg_ascii_tolower(static_cast<unsigned char>(other[i]));
    PG_RETURN_BOOL(difference == 0);
}

LEDGER_FUNCTION(ledger_new_secret) {
    PG_RETURN_TEXT_P(random_token());
}

LEDGER_FUNCTION(ledger_signature_window) {
    require_preload();
    auto *window = static_cast<Interval *>(palloc0(sizeof(Interval)));
    window->time = settings.signature_window_s * USECS_PER_SEC;
    PG_RETURN_INTERVAL_P(window);
}

LEDGER_FUNCTION(ledger_use_nonce) {
    begin_writing("ledger.verify_signed_request()");
    const Call nonce = {
        {RequestKind::nonce, name_argument(fcinfo, 0, "client"), name_argument(fcinfo, 1, "nonce")}, nullptr};
    if (PG_ARGISNULL(2)) raise_refusal(null_argument("expires_at"));
    if (recall(nonce).answer) PG_RETURN_BOOL(false);
    remember_until(nonce, nullptr, TransferId{0}, PG_GETARG_TIMESTAMPTZ(2));
    PG_RETURN_BOOL(true);
}
