#include "engine/post.hpp"

#include "engine/fold_queue.hpp"
#include "engine/hold.hpp"
#include "engine/lane.hpp"
#include "engine/settings.hpp"
#include "engine/size.hpp"
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
    Status over_limit;
    Code code;
    const Account &account;
    Taken taken;  // ok until it is asked
};

bool is_taken(const Leg &leg) {
    return leg.taken.grant == Grant::ok;
}

bool take_leg(Leg &leg, const Order &order) {
    leg.taken = take_side(leg.use, order.kind, leg.side, order.amount);
    return is_taken(leg);
}

// Takes both sides, or neither.
bool take_legs(Leg &source, Leg &destination, const Order &order) {
    const AccountShare before = source.use.share;
    if (!take_leg(source, order)) return false;
    if (take_leg(destination, order)) return true;
    put_back(source.use, before);
    return false;
}

void ask_leg(Leg &leg, const Order &order) {
    const AccountShare before = leg.use.share;
    if (take_leg(leg, order)) put_back(leg.use, before);
}

// What the side says to the order; ok also where its overdue holds suffice, which are looked up.
Status judge(Database &database, const Leg &leg, Minor amount, Overdue &overdue) {
    const Status status = is_taken(leg) ? Status::ok : status_of(leg.taken, leg.over_limit);
    if (!is_short(leg.taken) || amount <= leg.taken.left) return status;
    find_overdue(leg.use, leg.side, overdue);
    switch (relief_of(database, overdue, amount - leg.taken.left, amount - leg.taken.most)) {
        case Relief::enough:
            return Status::ok;
        case Relief::later:
            return Status::balance_in_flight;
        default:
            return status;
    }
}

bool expire_for(Database &database, const Leg &leg, Minor amount, const Overdue &overdue) {
    return is_short(leg.taken) && expire_enough(database, overdue, amount - leg.taken.left);
}

// Frees what an order lacks that could not be taken, if both sides can then have it. False with the
// refusal, and nothing was done.
bool free_overdue(Database &database, Leg &source, Leg &destination, const Order &order, Refusal &refusal) {
    Overdue of_source, of_destination;
    const auto refuse = [&](Status status, const Leg &leg) {
        refusal = {status,          leg.code, leg.account, order.amount, leg.taken.left,
                   leg.taken.state, nullptr,  nullptr,     nullptr};
        return false;
    };
    if (const Status status = judge(database, source, order.amount, of_source); status != Status::ok)
        return refuse(status, source);
    if (!is_taken(source)) ask_leg(destination, order);
    if (const Status status = judge(database, destination, order.amount, of_destination);
        status != Status::ok)
        return refuse(status, destination);
    const bool freed = expire_for(database, source, order.amount, of_source) ||
                       expire_for(database, destination, order.amount, of_destination);
    // Where others have been faster, they decide.
    return freed || refuse(Status::balance_in_flight, is_taken(source) ? destination : source);
}

// Orders are linked in the order of their ids, whenever their rows are written.
void link_order(Database &database, Order &order) {
    order.txid = txid_of(GetTopFullTransactionId());
    order.created_at = GetCurrentTimestamp();
    TransferRecord record = {
        {},        order.kind, order.source.id,           order.destination.id,   order.amount,
        order.ref, order.txid, unix_us(order.created_at), text_of(order.metadata)};
    if (record.metadata) check_size(record.metadata->size(), Sized::metadata);
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
    Leg source = {
        Side::debit, use_account(order.source.id), Status::insufficient_balance, source_code, order.source,
        {}};
    Leg destination = {Side::credit,
                       use_account(order.destination.id),
                       Status::ceiling_exceeded,
                       destination_code,
                       order.destination,
                       {}};
    while (!take_legs(source, destination, order)) {
        CHECK_FOR_INTERRUPTS();
        if (is_short(source.taken) && resolve_prepared(source.use)) continue;
        if (is_short(destination.taken) && resolve_prepared(destination.use)) continue;
        if (!free_overdue(database, source, destination, order, refusal)) {
            count_refusal(database);
            return false;
        }
    }
    link_order(database, order);
    count_transfer();
    fold_when_long(database, *source.use.slot, *destination.use.slot);
    return true;
}

// Only as much is freed on one side as the other lets through.
Minor amount_up_to(Database &database, const Order &order, Minor maximum) {
    AccountUse &source = use_account(order.source.id);
    AccountUse &destination = use_account(order.destination.id);
    if (can_give(source) < maximum) resolve_prepared(source);
    if (can_take(destination) < maximum) resolve_prepared(destination);
    const auto possible = [&] { return Min(Wide{maximum}, Min(can_give(source), can_take(destination))); };
    if (possible() < maximum) {
        Overdue of_source, of_destination;
        find_overdue(source, Side::debit, of_source);
        find_overdue(destination, Side::credit, of_destination);
        const Wide goal = Min(Wide{maximum}, Min(can_give(source) + of_source.amount,
                                                 can_take(destination) + of_destination.amount));
        if (goal > 0) {
            expire_enough(database, of_source, goal - can_give(source));
            expire_enough(database, of_destination, goal - can_take(destination));
        }
    }
    return static_cast<Minor>(Max(possible(), Wide{0}));
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
