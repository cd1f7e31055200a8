#include "engine/post.hpp"

#include "engine/hold.hpp"
#include "engine/lane.hpp"
#include "engine/settings.hpp"
#include "engine/storage.hpp"
#include "engine/transaction.hpp"
#include "pg/bytes.hpp"
#include "pg/table.hpp"
#include "pg/time.hpp"
#include "worker/worker.hpp"

namespace ledger {

namespace {

Status status_of(const Taken &taken, Status over_limit) {
    if (taken.grant == Grant::ok) return Status::ok;
    if (taken.state != AccountState::open) return Status::account_not_open;
    switch (taken.grant) {
        case Grant::in_flight:
            return Status::balance_in_flight;
        case Grant::out_of_range:
            return Status::invalid_amount;
        default:
            return over_limit;
    }
}

bool is_short(const Taken &taken) {
    return taken.state == AccountState::open &&
           (taken.grant == Grant::refused || taken.grant == Grant::in_flight);
}

// Gives back what the account's overdue holds set aside; true if there were any.
bool release_overdue(Database &database, AccountUse &use) {
    return has_holds(use) && expire_overdue(database, INT64_MAX, &use.id) > 0;
}

// Orders are linked in the order of their ids, whenever their rows are written.
void link_order(Database &database, Order &order) {
    order.txid = txid_of(GetTopFullTransactionId());
    order.created_at = GetCurrentTimestamp();
    TransferRecord record = {
        {},        order.kind, order.source.id,           order.destination.id,   order.amount,
        order.ref, order.txid, unix_us(order.created_at), text_of(order.metadata)};
    order.hash = link(database, record, order.created_at);
    order.id = TransferId{record.place.id};
    order.lane = record.place.lane;
    order.seq = record.place.seq;
}

HeapTuple form_row(TupleDesc shape, const Order &order) {
    HashDatum hash;
    Datum values[TransferColumn::count] = {
        Int64GetDatum(static_cast<std::int64_t>(order.id)),
        Int64GetDatum(static_cast<std::int64_t>(order.source.id)),
        Int64GetDatum(static_cast<std::int64_t>(order.destination.id)),
        Int64GetDatum(order.amount),
        Int64GetDatum(order.ref),
        Int64GetDatum(static_cast<std::int64_t>(order.txid)),
        TimestampTzGetDatum(order.created_at),
        Int64GetDatum(order.seq),
        Int16GetDatum(static_cast<std::int16_t>(order.kind)),
        Int16GetDatum(static_cast<std::int16_t>(order.lane)),
        hash.set(order.hash),
        PointerGetDatum(order.metadata),
    };
    bool nulls[TransferColumn::count] = {};
    nulls[TransferColumn::metadata - 1] = order.metadata == nullptr;
    return heap_form_tuple(shape, values, nulls);
}

}  // namespace

Database &begin_posting(const char *function) {
    begin_writing(function);
    return writable_database();
}

bool take(Database &database, Order &order, Code source_code, Code destination_code, Refusal &refusal) {
    const auto refuse = [&](Status status, Code code, const Account &account, AccountState state,
                            Wide available) {
        pg_atomic_add_fetch_u64(&database.refusals, 1);
        refusal = {status, code, account, order.amount, available, state, nullptr, nullptr, nullptr};
        return false;
    };
    if (order.source.id == order.destination.id) {
        refusal = same_account(source_code);
        return false;
    }
    if (order.source.asset != order.destination.asset) {
        refusal = asset_mismatch(source_code, order.source, destination_code, order.destination);
        return false;
    }
    AccountUse &source = use_account(order.source.id);
    AccountUse &destination = use_account(order.destination.id);
    AccountShare before = source.share;
    Taken out = take_side(source, order.kind, Side::debit, order.amount);
    if (is_short(out) && release_overdue(database, source)) {
        before = source.share;  // what was released stays so
        out = take_side(source, order.kind, Side::debit, order.amount);
    }
    if (const Status status = status_of(out, Status::insufficient_balance); status != Status::ok)
        return refuse(status, source_code, order.source, out.state, out.left);
    const Taken in = take_side(destination, order.kind, Side::credit, order.amount);
    if (const Status status = status_of(in, Status::ceiling_exceeded); status != Status::ok) {
        put_back(source, before);
        return refuse(status, destination_code, order.destination, in.state, in.left);
    }
    link_order(database, order);
    count_transfer();
    fold_when_long(database, *source.slot, *destination.slot);
    return true;
}

Minor amount_up_to(Database &database, const Order &order, Minor maximum) {
    AccountUse &source = use_account(order.source.id);
    if (can_give(source) < maximum) release_overdue(database, source);
    const Wide give = can_give(source);
    const Wide take = can_take(use_account(order.destination.id));
    return static_cast<Minor>(Max(Min(Wide{maximum}, Min(give, take)), Wide{0}));
}

void append(Order *orders, int count) {
    if (count == 0) return;
    append_rows(storage().transfer, count,
                [&](TupleDesc shape, int i) { return form_row(shape, orders[i]); });
}

Wide spendable(const Account &account) {
    return can_give(use_account(account.id));
}

}  // namespace ledger
