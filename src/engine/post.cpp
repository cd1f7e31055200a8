#include "engine/post.hpp"

#include "engine/fold_queue.hpp"
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
        case Grant::beyond_range:
            return Status::balance_out_of_range;
        case Grant::out_of_range:
            return Status::invalid_amount;
        default:
            return over_limit;
    }
}

bool is_short(const Taken &taken) {
    return taken.state == AccountState::open &&
           (taken.grant == Grant::refused || taken.grant == Grant::in_flight ||
            taken.grant == Grant::beyond_range);
}

// One side of an order.
struct Leg {
    Side side;
    AccountUse &use;
    bool relieved = false;  // its overdue holds were looked at
    bool may_be_later = false;
};

// Where the side is short: true if it may be tried again.
bool help(Database &database, Leg &leg, const Taken &taken, Minor amount) {
    if (!is_short(taken)) return false;
    if (resolve_prepared(leg.use)) return true;
    if (leg.relieved) return false;
    leg.relieved = true;
    const Relief relief = relieve(database, leg.use, leg.side, amount - taken.left);
    leg.may_be_later = relief == Relief::later;
    return relief == Relief::given;
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
    if (order.source.id == order.destination.id) {
        refusal = same_account(source_code);
        return false;
    }
    if (order.source.asset != order.destination.asset) {
        refusal = asset_mismatch(source_code, order.source, destination_code, order.destination);
        return false;
    }
    const auto refuse = [&](const Leg &leg, const Taken &taken, Status over_limit, Code code,
                            const Account &account) {
        count_refusal(database);
        const Status status = leg.may_be_later ? Status::balance_in_flight : status_of(taken, over_limit);
        refusal = {status, code, account, order.amount, taken.left, taken.state, nullptr, nullptr, nullptr};
        return false;
    };
    Leg source = {Side::debit, use_account(order.source.id)};
    Leg destination = {Side::credit, use_account(order.destination.id)};
    for (;;) {
        const AccountShare before = source.use.share;
        const Taken out = take_side(source.use, order.kind, Side::debit, order.amount);
        if (out.grant != Grant::ok) {
            if (help(database, source, out, order.amount)) continue;
            return refuse(source, out, Status::insufficient_balance, source_code, order.source);
        }
        const Taken in = take_side(destination.use, order.kind, Side::credit, order.amount);
        if (in.grant == Grant::ok) break;
        // Before the destination is helped: its holds may be of this source.
        put_back(source.use, before);
        if (help(database, destination, in, order.amount)) continue;
        return refuse(destination, in, Status::ceiling_exceeded, destination_code, order.destination);
    }
    link_order(database, order);
    count_transfer();
    fold_when_long(database, *source.use.slot, *destination.use.slot);
    return true;
}

Minor amount_up_to(Database &database, const Order &order, Minor maximum) {
    AccountUse &source = use_account(order.source.id);
    AccountUse &destination = use_account(order.destination.id);
    if (can_give(source) < maximum) resolve_prepared(source);
    if (can_take(destination) < maximum) resolve_prepared(destination);
    relieve(database, source, Side::debit, maximum - can_give(source), Need::any);
    relieve(database, destination, Side::credit, maximum - can_take(destination), Need::any);
    const Wide most = Min(can_give(source), can_take(destination));
    return static_cast<Minor>(Max(Min(Wide{maximum}, most), Wide{0}));
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
