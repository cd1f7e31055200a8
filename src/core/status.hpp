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
    balance_out_of_range,
    value_too_large,
    unknown_hold,
    hold_already_posted,
    hold_already_voided,
    hold_expired,
    hold_amount_exceeded,
    hold_in_tcc,
    unknown_tcc_transaction,
    tcc_already_canceled,
    tcc_already_confirmed,
    tcc_branch_mismatch,
    tcc_timed_out,
    request_mismatch,
    unknown_request,
    invalid_token,
    request_not_in_progress,
    lease_lost,
    replayed_request,
    invalid_signature,
    request_of_another_role,
    append_only,
    ledger_not_empty,
    audit_protected,
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
    Condition{Status::balance_out_of_range, "LG013", "balance_out_of_range"},
    Condition{Status::value_too_large, "LG017", "value_too_large"},
    Condition{Status::unknown_hold, "LG101", "unknown_hold"},
    Condition{Status::hold_already_posted, "LG102", "hold_already_posted"},
    Condition{Status::hold_already_voided, "LG103", "hold_already_voided"},
    Condition{Status::hold_expired, "LG104", "hold_expired"},
    Condition{Status::hold_amount_exceeded, "LG105", "hold_amount_exceeded"},
    Condition{Status::hold_in_tcc, "LG106", "hold_in_tcc"},
    Condition{Status::unknown_tcc_transaction, "LG201", "unknown_tcc_transaction"},
    Condition{Status::tcc_already_canceled, "LG202", "tcc_already_canceled"},
    Condition{Status::tcc_already_confirmed, "LG203", "tcc_already_confirmed"},
    Condition{Status::tcc_branch_mismatch, "LG204", "tcc_branch_mismatch"},
    Condition{Status::tcc_timed_out, "LG205", "tcc_timed_out"},
    Condition{Status::request_mismatch, "LG301", "request_mismatch"},
    Condition{Status::unknown_request, "LG302", "unknown_request"},
    Condition{Status::invalid_token, "LG303", "invalid_token"},
    Condition{Status::request_not_in_progress, "LG304", "request_not_in_progress"},
    Condition{Status::lease_lost, "LG305", "lease_lost"},
    Condition{Status::replayed_request, "LG306", "replayed_request"},
    Condition{Status::invalid_signature, "LG307", "invalid_signature"},
    Condition{Status::request_of_another_role, "LG308", "request_of_another_role"},
    Condition{Status::append_only, "LG401", "append_only"},
    Condition{Status::ledger_not_empty, "LG402", "ledger_not_empty"},
    Condition{Status::audit_protected, "LG403", "audit_protected"},
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
