// SQL: the internals that plpgsql functions call (sql/account.sql).
#include "engine/order.hpp"
#include "engine/lane.hpp"
#include "pg/error.hpp"
#include "pg/numeric.hpp"

using namespace ledger;

LEDGER_FUNCTION(ledger_next_id) {
    PG_RETURN_INT64(next_id(begin_posting("ledger_data.next_id()")));
}

LEDGER_FUNCTION(ledger_account_id) {
    const Code code = code_of(text_argument(fcinfo, 0, "account"));
    AccountRow account;
    if (!find_visible_account(code, account)) raise_refusal(unknown_account(code));
    PG_RETURN_INT64(static_cast<std::int64_t>(account.id));
}

LEDGER_FUNCTION(ledger_minor_units) {
    const Numeric amount = PG_GETARG_NUMERIC(0);
    const int scale = PG_GETARG_INT32(1);
    if (scale < 0 || scale > kScaleMax)
        raise(Status::invalid_parameter_value, psprintf("a scale of %d is out of range", scale), nullptr,
              "A scale is 0 to 18.");
    Minor minor;
    const AmountError error = minor_from_numeric(amount, scale, minor);
    if (error != AmountError::none) raise_refusal(bad_amount(error, amount, scale));
    PG_RETURN_INT64(minor);
}

LEDGER_FUNCTION(ledger_refuse) {
    const auto text_or_null = [&](int number) -> const char * {
        return PG_ARGISNULL(number) ? nullptr : text_to_cstring(PG_GETARG_TEXT_PP(number));
    };
    const char *name = text_to_cstring(text_argument(fcinfo, 0, "condition"));
    const Status status = status_by_name(name);
    if (status == Status::ok)
        raise(Status::invalid_parameter_value, psprintf("the ledger has no condition \"%s\"", name), nullptr,
              "They are in docs/reference.md.");
    raise(status, text_to_cstring(text_argument(fcinfo, 1, "message")), text_or_null(2), text_or_null(3));
}
