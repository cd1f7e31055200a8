// The ledger's conditions: design section 2, "Errors". SQLSTATE class LG.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace ledger {

enum class Status : std::uint8_t {
    ok,
    insufficient_balance,
    unknown_account,
    account_exists,
    account_not_open,
    ceiling_exceeded,
    invalid_amount,
    asset_mismatch,
    unknown_asset,
    balance_in_flight,
    unknown_transfer,
    transfer_already_reversed,
    account_not_empty,
    request_mismatch,
    unknown_request,
    invalid_token,
    request_not_in_progress,
    lease_lost,
    replayed_request,
    invalid_signature,
    append_only,
    not_preloaded,
    out_of_slots,
    null_value_not_allowed,   // PostgreSQL's own, for a missing argument
    invalid_parameter_value,  // PostgreSQL's own, for source = destination
};

struct Condition {
    Status status;
    char sqlstate[6];
    const char *name;
};

inline constexpr std::array kConditions = {
    Condition{Status::ok, "00000", "ok"},
    Condition{Status::insufficient_balance, "LG001", "insufficient_balance"},
    Condition{Status::unknown_account, "LG002", "unknown_account"},
    Condition{Status::account_exists, "LG003", "account_exists"},
    Condition{Status::account_not_open, "LG004", "account_not_open"},
    Condition{Status::ceiling_exceeded, "LG005", "ceiling_exceeded"},
    Condition{Status::invalid_amount, "LG006", "invalid_amount"},
    Condition{Status::asset_mismatch, "LG007", "asset_mismatch"},
    Condition{Status::unknown_asset, "LG008", "unknown_asset"},
    Condition{Status::balance_in_flight, "LG009", "balance_in_flight"},
    Condition{Status::unknown_transfer, "LG010", "unknown_transfer"},
    Condition{Status::transfer_already_reversed, "LG011", "transfer_already_reversed"},
    Condition{Status::account_not_empty, "LG012", "account_not_empty"},
    Condition{Status::request_mismatch, "LG301", "request_mismatch"},
    Condition{Status::unknown_request, "LG302", "unknown_request"},
    Condition{Status::invalid_token, "LG303", "invalid_token"},
    Condition{Status::request_not_in_progress, "LG304", "request_not_in_progress"},
    Condition{Status::lease_lost, "LG305", "lease_lost"},
    Condition{Status::replayed_request, "LG306", "replayed_request"},
    Condition{Status::invalid_signature, "LG307", "invalid_signature"},
    Condition{Status::append_only, "LG401", "append_only"},
    Condition{Status::not_preloaded, "LG901", "not_preloaded"},
    Condition{Status::out_of_slots, "LG902", "out_of_slots"},
    Condition{Status::null_value_not_allowed, "22004", "null_value_not_allowed"},
    Condition{Status::invalid_parameter_value, "22023", "invalid_parameter_value"},
};

constexpr const Condition &condition(Status status) {
    return kConditions[static_cast<std::size_t>(status)];
}

constexpr Status status_by_name(std::string_view name) {
    for (const Condition &each : kConditions)
        if (name == each.name) return each.status;
    return Status::ok;
}

}  // namespace ledger
