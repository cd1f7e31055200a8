#include "engine/hold.hpp"

#include "engine/transaction.hpp"
#include "pg/table.hpp"
#include "worker/worker.hpp"

namespace ledger {

namespace {

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

// Where a version of the hold's row is; locking it finds the newest. A look with an
// MVCC snapshot would make SERIALIZABLE transactions fail that have nothing to do
// with each other. A look without one may meet the row just while it is replaced
// elsewhere, and find neither version: then the snapshot decides.
HeapTuple find_version(Relation table, TransferId id, Snapshot snapshot) {
    ScanKeyData key;
    key_bigint(key, HoldColumn::transfer, BTEqualStrategyNumber, static_cast<std::int64_t>(id));
    SnapshotData dirty;
    InitDirtySnapshot(dirty);
    HeapTuple found = nullptr;
    scan_index(table, storage().hold_by_transfer, &dirty, &key, 1, [&](HeapTuple tuple) {
        if (!TransactionIdIsValid(dirty.xmin)) found = heap_copytuple(tuple);
        return found == nullptr;
    });
    return found ? found : find_row(table, storage().hold_by_transfer, snapshot, &key, 1);
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

void close_hold(Hold &hold, HoldState state) {
    hold.row.state = state;
    hold.row.due_at = DT_NOEND;
    write_hold(hold);
}

// False if others are at it, or have been, or this transaction cannot move more.
bool expire(Database &database, TransferId id, TimestampTz now) {
    Hold hold;
    if (!lock_hold(id, false, hold) || !is_overdue(hold.row, now)) return false;
    Order order = resolution(hold.row, Kind::void_, remaining(hold.row));
    Refusal refusal;
    if (!take(database, order, {}, {}, refusal)) return false;
    close_hold(hold, HoldState::expired);
    append(&order, 1);
    return true;
}

// Calls visit(id) for overdue holds, of one account or of all, until it returns false.
template <typename Visit>
void scan_overdue(const AccountId *account, TimestampTz now, Visit visit) {
    const Oid index = account ? storage().hold_by_account : storage().hold_by_due;
    ScanKeyData keys[2];
    int count = 0;
    if (account)
        key_bigint(keys[count++], HoldColumn::debit_account, BTEqualStrategyNumber,
                   static_cast<std::int64_t>(*account));
    key_until(keys[count++], HoldColumn::due_at, now);
    with_table(storage().hold, RowExclusiveLock, [&](Relation table) {
        scan_index(table, index, SnapshotSelf, keys, count,
                   [&](HeapTuple tuple) { return visit(row_of<HoldRow>(tuple)->transfer); });
    });
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
    return with_latest_snapshot([&](Snapshot snapshot) {
        return with_table(storage().hold, AccessShareLock, [&](Relation table) {
            HeapTuple tuple = find_version(table, id, snapshot);
            if (tuple) hold = {copy_of_row<HoldRow>(tuple), tuple->t_self};
            return tuple != nullptr;
        });
    });
}

bool lock_hold(TransferId id, bool wait, Hold &hold) {
    return with_latest_snapshot([&](Snapshot snapshot) {
        return with_table(storage().hold, RowExclusiveLock, [&](Relation table) {
            HeapTuple tuple = find_version(table, id, snapshot);
            if (tuple) tuple = lock_row(table, tuple->t_self, wait);
            if (tuple) hold = {copy_of_row<HoldRow>(tuple), tuple->t_self};
            return tuple != nullptr;
        });
    });
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
    const HoldState state = rest == 0 ? HoldState::posted : next;
    if (state == HoldState::open)
        write_hold(hold);
    else
        close_hold(hold, state);
    return count;
}

void set_due(Hold &hold, TimestampTz due_at) {
    hold.row.due_at = due_at;
    write_hold(hold);
}

std::int64_t expire_overdue(Database &database, std::int64_t max, const AccountId *account) {
    const TimestampTz now = GetCurrentTimestamp();
    MemoryContext scratch =
        AllocSetContextCreate(CurrentMemoryContext, "ledger expiry", ALLOCSET_DEFAULT_SIZES);
    std::int64_t expired = 0;
    scan_overdue(account, now, [&](TransferId id) {
        MemoryContext caller = MemoryContextSwitchTo(scratch);
        expired += expire(database, id, now);
        MemoryContextSwitchTo(caller);
        MemoryContextReset(scratch);
        return expired < max;
    });
    MemoryContextDelete(scratch);
    return expired;
}

int find_overdue(TransferId *ids, int max) {
    int count = 0;
    scan_overdue(nullptr, GetCurrentTimestamp(), [&](TransferId id) {
        ids[count++] = id;
        return count < max;
    });
    return count;
}

bool expire_hold(Database &database, TransferId id) {
    return expire(database, id, GetCurrentTimestamp());
}

}  // namespace ledger
