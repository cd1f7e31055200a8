#include "engine/hold.hpp"

#include "engine/transaction.hpp"
#include "pg/table.hpp"
#include "worker/worker.hpp"

namespace ledger {

namespace {

// Overdue holds looked up at a time.
constexpr int kHoldsAtOnce = 256;

HeapTuple form_hold(TupleDesc shape, const HoldRow &row) {
    Datum values[HoldColumn::count] = {
        Int64GetDatum(static_cast<std::int64_t>(row.transfer)),
        Int64GetDatum(static_cast<std::int64_t>(row.debit_account)),
        Int64GetDatum(static_cast<std::int64_t>(row.credit_account)),
        Int64GetDatum(row.amount),
        Int64GetDatum(row.posted),
        TimestampTzGetDatum(row.due_at),
        Int16GetDatum(static_cast<std::int16_t>(row.state)),
        BoolGetDatum(row.is_branch),
    };
    bool nulls[HoldColumn::count] = {};
    return heap_form_tuple(shape, values, nulls);
}

void write_hold(Hold &hold) {
    with_table(storage().hold, RowExclusiveLock, [&](Relation table) {
        HeapTuple tuple = form_hold(RelationGetDescr(table), hold.row);
        CatalogTupleUpdate(table, &hold.tid, tuple);
        hold.tid = tuple->t_self;
    });
    CommandCounterIncrement();
}

bool read_hold(TransferId id, bool lock, bool wait, Hold &hold) {
    return with_latest_snapshot([&](Snapshot snapshot) {
        return with_table(storage().hold, RowExclusiveLock, [&](Relation table) {
            ScanKeyData key;
            key_bigint(key, HoldColumn::transfer, BTEqualStrategyNumber, static_cast<std::int64_t>(id));
            HeapTuple tuple = find_row(table, storage().hold_by_transfer, snapshot, &key, 1);
            if (tuple && lock) tuple = lock_row(table, tuple->t_self, wait);
            if (!tuple) return false;
            hold = {*row_of<HoldRow>(tuple), tuple->t_self};
            return true;
        });
    });
}

// A transfer that resolves the hold or a part of it. Its accounts are known by id alone.
Order resolution(const HoldRow &row, Kind kind, Minor amount) {
    Order order = {};
    order.source.id = row.debit_account;
    order.destination.id = row.credit_account;
    order.amount = amount;
    order.kind = kind;
    order.ref = static_cast<std::int64_t>(row.transfer);
    return order;
}

void take_resolution(Database &database, Order &order) {
    Refusal refusal;
    if (take(database, order, {}, {}, refusal)) return;
    refusal.subject = account_code(refusal.account.id);
    refusal.account = account_by_id(refusal.account.id);
    raise_refusal(refusal);
}

struct HoldIds {
    TransferId ids[kHoldsAtOnce];
    int count;
};

// Holds overdue now, in no certain order, at most room.
void find_overdue(const AccountId *account, TimestampTz now, int room, HoldIds &found) {
    found.count = 0;
    with_latest_snapshot([&](Snapshot snapshot) {
        with_table(storage().hold, AccessShareLock, [&](Relation table) {
            ScanKeyData keys[2];
            int count = 0;
            if (account)
                key_bigint(keys[count++], HoldColumn::debit_account, BTEqualStrategyNumber,
                           static_cast<std::int64_t>(*account));
            key_until(keys[count++], HoldColumn::due_at, now);
            scan_index(table, account ? storage().hold_by_account : storage().hold_by_due, snapshot, keys,
                       count, [&](HeapTuple tuple) {
                           const HoldRow &row = *row_of<HoldRow>(tuple);
                           if (is_overdue(row, now)) found.ids[found.count++] = row.transfer;
                           return found.count < room;
                       });
        });
    });
}

// False if others are at it, or have been.
bool expire(Database &database, TransferId id, TimestampTz now) {
    Hold hold;
    if (!lock_hold(id, false, hold) || !is_overdue(hold.row, now)) return false;
    Order orders[kResolutionMax];
    append(orders, resolve_hold(database, hold, 0, HoldState::expired, orders));
    return true;
}

}  // namespace

void append_hold(Order &order, TimestampTz due_at, bool is_branch) {
    append(&order, 1);
    const HoldRow row = {order.id, order.source.id, order.destination.id, order.amount,
                         0,        due_at,          HoldState::open,      is_branch};
    with_table(storage().hold, RowExclusiveLock,
               [&](Relation table) { CatalogTupleInsert(table, form_hold(RelationGetDescr(table), row)); });
    CommandCounterIncrement();
    call_worker_at(current_database(), due_at);
}

bool find_hold(TransferId id, Hold &hold) {
    return read_hold(id, false, false, hold);
}

bool lock_hold(TransferId id, bool wait, Hold &hold) {
    return read_hold(id, true, wait, hold);
}

int resolve_hold(Database &database, Hold &hold, Minor post, HoldState next, Order *orders) {
    int count = 0;
    const Minor rest = remaining(hold.row) - post;
    Assert(post >= 0 && rest >= 0);
    if (post > 0) {
        orders[count] = resolution(hold.row, Kind::post, post);
        take_resolution(database, orders[count++]);
    }
    if (rest > 0 && next != HoldState::open) {
        orders[count] = resolution(hold.row, Kind::void_, rest);
        take_resolution(database, orders[count++]);
    }
    hold.row.posted += post;
    hold.row.state = rest == 0 ? HoldState::posted : next;
    if (hold.row.state != HoldState::open) hold.row.due_at = DT_NOEND;
    write_hold(hold);
    return count;
}

void set_due(Hold &hold, TimestampTz due_at) {
    hold.row.due_at = due_at;
    write_hold(hold);
}

std::int64_t expire_overdue(Database &database, std::int64_t max, const AccountId *account) {
    const TimestampTz now = GetCurrentTimestamp();
    std::int64_t expired = 0;
    HoldIds found;
    do {
        CHECK_FOR_INTERRUPTS();
        find_overdue(account, now, static_cast<int>(Min(max - expired, std::int64_t{kHoldsAtOnce})), found);
        const std::int64_t before = expired;
        for (int i = 0; i < found.count; ++i) expired += expire(database, found.ids[i], now);
        if (expired == before) break;  // the rest is in others' hands
    } while (found.count == kHoldsAtOnce && expired < max);
    return expired;
}

}  // namespace ledger
