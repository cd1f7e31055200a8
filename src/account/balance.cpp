// SQL: ledger.balance (sql/balance.sql).
#include "engine/order.hpp"
#include "engine/position.hpp"
#include "pg/numeric.hpp"
#include "pg/result.hpp"

using namespace ledger;

LEDGER_FUNCTION(ledger_balance) {
    text *argument = text_argument(fcinfo, 0, "account");
    AccountRow account;
    if (!find_visible_account(code_of(argument), account)) raise_refusal(unknown_account(code_of(argument)));
    const Asset &asset = asset_of(GetActiveSnapshot(), account.asset);
    const Totals totals = read_totals(GetActiveSnapshot(), account.id);
    const Wide posted = totals.credits.posted - totals.debits.posted;
    const Wide available = posted - totals.debits.pending - account.floor;
    const auto natural = [&](Wide minor) { return NumericGetDatum(numeric_from_wide(minor, asset.scale)); };
    Datum values[] = {PointerGetDatum(argument),      CStringGetTextDatum(asset.code), natural(posted),
                      natural(totals.debits.pending), natural(totals.credits.pending), natural(available)};
    bool nulls[] = {false, false, false, false, false, account.floor == kFloorNone};
    return row_result(fcinfo, values, nulls);
}
