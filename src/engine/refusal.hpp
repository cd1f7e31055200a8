// Refusals: why an order was not taken, and the words for it. In a batch a
// refusal may be no more than a status, so the words are made only when raised.
#pragma once

#include "core/amount.hpp"
#include "core/status.hpp"
#include "engine/directory.hpp"

namespace ledger {

struct Refusal {
    Status status;
    Code subject;  // the account's code as the caller gave it, if the status is about one
    Account account;
    Minor amount;    // that was asked for
    Wide available;  // that the account could give (or take)
    AccountState state;
    const char *message;  // where the status alone does not say what is wrong
    const char *detail;
    const char *hint;
};

// Found before the escrow is asked.
Refusal null_argument(const char *what);
Refusal unknown_account(Code code);
Refusal unknown_stock(Code sku);
Refusal same_account(Code code);
Refusal asset_mismatch(Code source_code, const Account &source, Code destination_code,
                       const Account &destination);
Refusal bad_amount(AmountError error, Numeric amount, int scale);
Refusal not_positive(const char *amount);
Refusal bad_quantity(std::int64_t quantity);

// True if the account could not cover the amount now, in flight or for good.
bool is_short_of(const Refusal &refusal, const Account &account);

// Raises the refusal as an error; ordinal > 0 names the element of a batch.
[[noreturn]] void raise_refusal(const Refusal &refusal, int ordinal = 0);

// A code fit to be shown, in the current memory context.
const char *shown(Code code);

// An amount with its asset ("12.34 USD"), in the current memory context.
const char *with_asset(Wide amount, const Account &account);

}  // namespace ledger
