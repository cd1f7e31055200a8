// SQL: alter_account, freeze_account, unfreeze_account, close_account (sql/account.sql).
//
// The row in ledger_data.account and the slot change together: the slot at once
// where the new limits are stricter, at commit where they are looser.
#include "engine/hold.hpp"
#include "engine/size.hpp"
#include "engine/storage.hpp"
#include "engine/transaction.hpp"
#include "pg/error.hpp"
#include "pg/numeric.hpp"
#include "pg/table.hpp"
#include "request/call.hpp"

namespace ledger {

namespace {

// Keeps other changes of the account out until the transaction ends. Only those
// who change limits take this lock, never who moves value.
void lock_against_changes(AccountId account) {
    const auto id = static_cast<std::uint64_t>(account);
    LockDatabaseObject(storage().account, static_cast<Oid>(id), static_cast<std::uint16_t>(id >> 32),
                       ShareUpdateExclusiveLock);
}

void write_account(AccountId account, const Limits &limits, Jsonb *metadata) {
    with_table(storage().account, RowExclusiveLock, [&](Relation relation) {
        ScanKeyData key;
        key_bigint(key, AccountColumn::id, BTEqualStrategyNumber, static_cast<std::int64_t>(account));
        HeapTuple row = with_latest_snapshot([&](Snapshot snapshot) {
            return find_row(relation, storage().account_by_id, snapshot, &key, 1);
        });
        Datum values[AccountColumn::count] = {};
        bool nulls[AccountColumn::count] = {};
        bool replaces[AccountColumn::count] = {};
        const auto replace = [&](AttrNumber column, Datum value) {
            values[column - 1] = value;
            replaces[column - 1] = true;
        };
        replace(AccountColumn::floor, Int64GetDatum(limits.floor));
        replace(AccountColumn::ceiling, Int64GetDatum(limits.ceiling));
        replace(AccountColumn::state, Int16GetDatum(static_cast<std::int16_t>(limits.state)));
        if (metadata) replace(AccountColumn::metadata, PointerGetDatum(metadata));
        HeapTuple changed = heap_modify_tuple(row, RelationGetDescr(relation), values, nulls, replaces);
        CatalogTupleUpdate(relation, &row->t_self, changed);
    });
    CommandCounterIncrement();
}

[[noreturn]] void raise_change(LimitChange change, Code code, const Account &account, const Limits &wanted) {
    const char *name = shown(code);
    switch (change) {
        case LimitChange::below_floor:
            raise(Status::insufficient_balance,
                  psprintf("the balance of account \"%s\" is below the floor of %s", name,
                           with_asset(wanted.floor, account)),
                  nullptr, "Credit the account first, or choose a lower floor.");
        case LimitChange::above_ceiling:
            raise(Status::ceiling_exceeded,
                  psprintf("the balance of account \"%s\" is above the ceiling of %s", name,
                           with_asset(wanted.ceiling, account)),
                  nullptr, "Debit the account first, or choose a higher ceiling.");
        case LimitChange::not_empty:
            raise(Status::account_not_empty, psprintf("account \"%s\" cannot be closed with a balance", name),
                  nullptr, "Move its balance away first, for example with ledger.transfer_up_to().");
        default:
            raise(Status::balance_in_flight,
                  psprintf("the balance of account \"%s\" depends on transactions in flight", name), nullptr,
                  "Try again in a moment.");
    }
}

[[noreturn]] void raise_closed(Code code) {
    raise(Status::account_not_open, psprintf("account \"%s\" is closed", shown(code)), nullptr,
          "A closed account cannot be used again; open another one.");
}

// Changes the limits, if need be once ended prepared transactions and overdue holds are out of the way.
LimitChange change_with_relief(AccountUse &use, const Limits &wanted) {
    if (change_limits(use, wanted) == LimitChange::ok) return LimitChange::ok;
    resolve_prepared(use);
    Database &database = writable_database();
    const Excess excess = excess_over(use, wanted);
    Overdue of_debit, of_credit;
    find_overdue(use, Side::debit, of_debit);
    find_overdue(use, Side::credit, of_credit);
    const Relief debit = relief_of(database, of_debit, excess.debit, excess.debit_at_best);
    const Relief credit = relief_of(database, of_credit, excess.credit, excess.credit_at_best);
    if (debit == Relief::none || credit == Relief::none) return change_limits(use, wanted);
    if (debit == Relief::later || credit == Relief::later) return LimitChange::in_flight;
    expire_enough(database, of_debit, excess.debit);
    expire_enough(database, of_credit, excess.credit);
    return change_limits(use, wanted);
}

// Finds the account, locks it against other changes, and lets change(limits)
// say what it shall be.
template <typename Change>
void change_account(FunctionCallInfo fcinfo, Jsonb *metadata, Change change) {
    const Code code = code_of(text_argument(fcinfo, 0, "code"));
    Account account;
    if (!find_account(code, account)) raise_refusal(unknown_account(code));
    AccountUse &use = use_account(account.id);
    lock_against_changes(account.id);
    Limits wanted = limits_in_force(use);
    const bool was_closed = wanted.state == AccountState::closed;
    change(account, wanted);
    if (was_closed && wanted.state != AccountState::closed) raise_closed(code);
    const LimitChange result = change_with_relief(use, wanted);
    if (result != LimitChange::ok) raise_change(result, code, account, wanted);
    write_account(account.id, wanted, metadata);
}

// A change of state, (code, key): once for the key.
void change_state(FunctionCallInfo fcinfo, const char *function, AccountState state) {
    begin_posting(function);
    const Call call = call_under(key_argument(fcinfo, 1), function, [&](JsonObject &arguments) {
        put_text(arguments, "code", fcinfo->args[0]);
    });
    if (recall(call).answer) return;
    change_account(fcinfo, nullptr, [&](const Account &, Limits &limits) { limits.state = state; });
    remember(call, nullptr);
}

// The limit an argument asks for: NULL is unbounded, NaN (the default) leaves it.
Minor limit_argument(FunctionCallInfo fcinfo, int number, const Account &account, Minor present,
                     Minor unbounded) {
    if (PG_ARGISNULL(number)) return unbounded;
    const Numeric value = PG_GETARG_NUMERIC(number);
    if (numeric_is_nan(value)) return present;
    Minor limit;
    const AmountError error = minor_from_numeric(value, account.scale, limit);
    if (error != AmountError::none) raise_refusal(bad_amount(error, value, account.scale));
    return limit;
}

}  // namespace

}  // namespace ledger

using namespace ledger;

LEDGER_FUNCTION(ledger_alter_account) {
    const char *function = "ledger.alter_account()";
    begin_posting(function);
    const Call call = call_under(key_argument(fcinfo, 4), function, [&](JsonObject &arguments) {
        put_text(arguments, "code", fcinfo->args[0]);
        put_numeric(arguments, "floor", fcinfo->args[1]);
        put_numeric(arguments, "ceiling", fcinfo->args[2]);
        put_metadata(arguments, fcinfo, 3);
    });
    if (recall(call).answer) PG_RETURN_VOID();
    Jsonb *metadata = metadata_argument(fcinfo, 3);
    if (metadata) check_text_size(metadata, Sized::metadata);
    change_account(fcinfo, metadata, [&](const Account &account, Limits &limits) {
        limits.floor = limit_argument(fcinfo, 1, account, limits.floor, kFloorNone);
        limits.ceiling = limit_argument(fcinfo, 2, account, limits.ceiling, kCeilingNone);
        if (limits.floor > limits.ceiling)
            raise(Status::invalid_parameter_value, "the floor is above the ceiling",
                  psprintf("Floor %s, ceiling %s.", with_asset(limits.floor, account),
                           with_asset(limits.ceiling, account)),
                  "Change both in one call.");
    });
    remember(call, nullptr);
    PG_RETURN_VOID();
}

LEDGER_FUNCTION(ledger_freeze_account) {
    change_state(fcinfo, "ledger.freeze_account()", AccountState::frozen);
    PG_RETURN_VOID();
}

LEDGER_FUNCTION(ledger_unfreeze_account) {
    change_state(fcinfo, "ledger.unfreeze_account()", AccountState::open);
    PG_RETURN_VOID();
}

LEDGER_FUNCTION(ledger_close_account) {
    change_state(fcinfo, "ledger.close_account()", AccountState::closed);
    PG_RETURN_VOID();
}
