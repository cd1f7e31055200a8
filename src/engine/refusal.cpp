#include "engine/refusal.hpp"

#include "pg/error.hpp"

extern "C" {
#include "mb/pg_wchar.h"
}

namespace ledger {

namespace {

constexpr int kShownBytesMax = 120;
constexpr int kAmountShownMax = 60;

struct Words {
    const char *message;
    const char *detail;
    const char *hint;
};

Refusal refusal_with(Status status, Code subject, const char *message, const char *detail, const char *hint) {
    Refusal refusal = {};
    refusal.status = status;
    refusal.subject = subject;
    refusal.message = message;
    refusal.detail = detail;
    refusal.hint = hint;
    return refusal;
}

Words short_words(const Refusal &r, const char *name, const char *amount, const char *available) {
    if (r.account.is_stock)
        return {psprintf("insufficient stock of \"%s\" for %s", name, amount),
                psprintf("Available: %s.", available), "Add stock with ledger.add_stock(), or ask for less."};
    return {psprintf("insufficient balance in account \"%s\" for %s", name, amount),
            psprintf("Available: %s.", available),
            "Credit the account first, move less, or lower its floor with ledger.alter_account()."};
}

Words words_of(const Refusal &r) {
    if (r.message) return {r.message, r.detail, r.hint};
    const char *name = shown(r.subject);
    const char *amount = with_asset(r.amount, r.account);
    const char *available = with_asset(r.available, r.account);
    switch (r.status) {
        case Status::insufficient_balance:
            return short_words(r, name, amount, available);
        case Status::balance_in_flight:
            return {psprintf("the balance of account \"%s\" for %s depends on transactions in flight", name,
                             amount),
                    psprintf("Certain whatever becomes of them: %s.", available), "Try again in a moment."};
        case Status::ceiling_exceeded:
            return {psprintf("ceiling of account \"%s\" exceeded by %s", name, amount),
                    psprintf("Room: %s.", available),
                    "Move less, or raise the ceiling with ledger.alter_account()."};
        case Status::account_not_open:
            if (r.state == AccountState::frozen)
                return {psprintf("account \"%s\" is frozen", name), psprintf("%s was to be moved.", amount),
                        "Unfreeze it with ledger.unfreeze_account()."};
            return {psprintf("account \"%s\" is closed", name), psprintf("%s was to be moved.", amount),
                    "A closed account cannot be used again; open another one."};
        case Status::balance_out_of_range:
            return {psprintf("the balance of account \"%s\" would be out of range after %s", name, amount),
                    psprintf("Every balance lies between -9223372036854775807 and 9223372036854775807 minor "
                             "units. Room: %s.",
                             available),
                    "Move less, or spread the amount over several accounts."};
        case Status::invalid_amount:
            return {psprintf("one transaction moves too much through account \"%s\"", name),
                    psprintf("%s more would pass the range of a balance, 9223372036854775807 minor units.",
                             amount),
                    "Split the work into several transactions."};
        default:
            return {condition(r.status).name, nullptr, nullptr};
    }
}

}  // namespace

const char *shown(Code code) {
    const int length = static_cast<int>(code.size());
    const int clipped = pg_mbcliplen(code.data(), length, kShownBytesMax);
    return psprintf("%.*s%s", clipped, code.data(), clipped < length ? "..." : "");
}

const char *with_asset(Wide amount, const Account &account) {
    char text[kAmountTextMax];
    const Wide bounded = Max(Min(amount, Wide{kBalanceMax}), -Wide{kBalanceMax});
    const char *digits = format_amount(static_cast<Minor>(bounded), account.scale, text);
    return account.is_stock ? pstrdup(digits) : psprintf("%s %s", digits, asset_code(account.asset));
}

Refusal null_argument(const char *what) {
    return refusal_with(Status::null_value_not_allowed, {}, psprintf("%s is null", what), nullptr,
                        "Give every argument a value.");
}

Refusal unknown_account(Code code) {
    return refusal_with(Status::unknown_account, code, psprintf("account \"%s\" does not exist", shown(code)),
                        nullptr, "Open it with ledger.open_account().");
}

Refusal unknown_stock(Code sku) {
    return refusal_with(Status::unknown_account, sku, psprintf("stock \"%s\" does not exist", shown(sku)),
                        nullptr, "Create it with ledger.create_stock().");
}

Refusal same_account(Code code) {
    return refusal_with(Status::invalid_parameter_value, code,
                        psprintf("account \"%s\" is both source and destination", shown(code)), nullptr,
                        "A transfer needs two accounts.");
}

Refusal asset_mismatch(Code source_code, const Account &source, Code destination_code,
                       const Account &destination) {
    return refusal_with(Status::asset_mismatch, source_code,
                        psprintf("accounts \"%s\" and \"%s\" have different assets", shown(source_code),
                                 shown(destination_code)),
                        psprintf("The source is in %s, the destination in %s.", asset_code(source.asset),
                                 asset_code(destination.asset)),
                        "To exchange, make two transfers through accounts of both assets.");
}

Refusal bad_amount(AmountError error, Numeric amount, int scale) {
    const Code text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(amount)));
    const char *digits =
        text.size() <= kAmountShownMax ? text.data() : psprintf("%.*s...", kAmountShownMax, text.data());
    switch (error) {
        case AmountError::too_many_decimals:
            return refusal_with(Status::invalid_amount, {},
                                psprintf("amount %s has more decimals than its asset", digits),
                                psprintf("The asset has %d decimal places.", scale),
                                "Round the amount yourself; the ledger never does.");
        case AmountError::out_of_range:
            return refusal_with(
                Status::invalid_amount, {}, psprintf("amount %s is out of range", digits),
                psprintf("An amount has at most 9223372036854775807 minor units; the asset has %d "
                         "decimal places.",
                         scale),
                "Move less, or use an asset with fewer decimal places.");
        default:
            return refusal_with(Status::invalid_amount, {},
                                psprintf("amount %s is not a finite number", digits), nullptr,
                                "Give a positive amount.");
    }
}

Refusal not_positive(const char *amount) {
    return refusal_with(Status::invalid_amount, {}, psprintf("amount %s is not positive", amount), nullptr,
                        "To move value the other way, exchange source and destination.");
}

Refusal bad_quantity(std::int64_t quantity) {
    return refusal_with(Status::invalid_amount, {},
                        psprintf("quantity %lld is not positive", static_cast<long long>(quantity)), nullptr,
                        "Give a quantity of at least 1.");
}

bool is_short_of(const Refusal &refusal, const Account &account) {
    return (refusal.status == Status::insufficient_balance || refusal.status == Status::balance_in_flight) &&
           refusal.account.id == account.id;
}

void raise_refusal(const Refusal &refusal, int ordinal) {
    const Words words = words_of(refusal);
    const char *message = ordinal > 0 ? psprintf("element %d: %s", ordinal, words.message) : words.message;
    raise(refusal.status, message, words.detail, words.hint);
}

}  // namespace ledger
