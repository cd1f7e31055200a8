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

// The indexes by deadline have no hold without one: what is resolved stays out of them, so that
// they are as large as what is open (storage.cpp, check_indexes).
ItemPointerData put_hold(const HoldRow &row, ItemPointer replaced) {
    const ItemPointerData tid = with_table(storage().hold, RowExclusiveLock, [&](Relation table) {
        HeapTuple tuple = form_hold(RelationGetDescr(table), row);
        write_row(table, replaced, tuple, row.due_at != DT_NOEND);
        return tuple->t_self;
    });
    CommandCounterIncrement();
    return tid;
}

void write_hold(Hold &hold) {
    hold.tid = put_hold(hold.row, &hold.tid);
    const bool is_open = hold.row.state == HoldState::open;
    for (const AccountId account : {hold.row.debit_account, hold.row.credit_account}) {
        AccountUse &use = use_account(account);
        // A look may have met the row between its two versions.
        if (is_open && hold.row.due_at != DT_NOEND) note_due(use, hold.row.due_at);
        note_resolved(use);
    }
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

// Returns the amount given back; 0 if others are at it, or have been, or this transaction
// cannot move more.
Minor expire(Database &database, TransferId id, TimestampTz now) {
    Hold hold;
    if (!lock_hold(id, false, hold) || !is_overdue(hold.row, now)) return 0;
    Order order = resolution(hold.row, Kind::void_, remaining(hold.row));
    Refusal refusal;
    if (!take(database, order, {}, {}, refusal)) return 0;
    close_hold(hold, HoldState::expired);
    append(&order, 1);
    return order.amount;
}

// Calls visit(id) for overdue holds until it returns false.
template <typename Visit>
void scan_overdue(TimestampTz now, Visit visit) {
    ScanKeyData key;
    key_until(key, HoldColumn::due_at, now);
    with_table(storage().hold, RowExclusiveLock, [&](Relation table) {
        scan_index(table, storage().hold_by_due, SnapshotSelf, &key, 1,
                   [&](HeapTuple tuple) { return visit(row_of<HoldRow>(tuple)->transfer); });
    });
}

// Runs visit, which may make transfers, in a memory context that is emptied each time.
template <typename Visit>
auto with_scratch(MemoryContext scratch, Visit visit) {
    MemoryContext caller = MemoryContextSwitchTo(scratch);
    const auto result = visit();
    MemoryContextSwitchTo(caller);
    MemoryContextReset(scratch);
    return result;
}

// True if another session is resolving or locking the row, or may be: the page is not locked, so
// its words may not belong together, and a multixact cannot be asked.
bool is_in_others_hands(HeapTupleHeader tuple) {
    const volatile HeapTupleHeaderData &seen = *tuple;
    const std::uint16_t mask = seen.t_infomask;
    const TransactionId xmax = seen.t_choice.t_heap.t_xmax;
    if (seen.t_infomask != mask) return true;
    if (mask & HEAP_XMAX_INVALID) return false;
    if (mask & HEAP_XMAX_IS_MULTI) return true;
    return !TransactionIdIsCurrentTransactionId(xmax) && TransactionIdIsInProgress(xmax);
}

// A dirty snapshot shows what others are making or resolving, too: the first counts for
// when the next one is due, and so does the second, for it may be rolled back.
template <typename Visit>
void scan_open_holds(const AccountUse &use, Side side, Visit visit) {
    const bool is_debit = side == Side::debit;
    const Oid by_account = is_debit ? storage().hold_by_debit : storage().hold_by_credit;
    SnapshotData dirty;
    InitDirtySnapshot(dirty);
    ScanKeyData key;
    key_bigint(key, is_debit ? HoldColumn::debit_account : HoldColumn::credit_account, BTEqualStrategyNumber,
               static_cast<std::int64_t>(use.id));
    const bool has_index = OidIsValid(by_account);
    with_table(storage().hold, RowExclusiveLock, [&](Relation table) {
        scan_index(table, has_index ? by_account : storage().hold_by_due, &dirty, &key, has_index,
                   [&](HeapTuple tuple) {
                       const HoldRow &row = *row_of<HoldRow>(tuple);
                       if (row.due_at == DT_NOEND) return false;
                       if (!has_index && row.credit_account != use.id) return true;
                       const bool is_settled =
                           !TransactionIdIsValid(dirty.xmin) && !is_in_others_hands(tuple->t_data);
                       return visit(row, is_settled);
                   });
    });
}

// One side: until a hold is met that is not due, or more are due than a caller expires.
void find_overdue_side(const AccountUse &use, Side side, TimestampTz now, Overdue *found,
                       TimestampTz &next_due) {
    scan_open_holds(use, side, [&](const HoldRow &row, bool is_settled) {
        next_due = Min(next_due, row.due_at);
        if (row.due_at > now || !found) return false;
        if (!is_settled) return true;
        found->more = found->count == kExpiredByCaller;
        if (found->more) return false;
        found->ids[found->count++] = row.transfer;
        found->amount += remaining(row);
        return true;
    });
}

}  // namespace

void append_hold(Order &order, TimestampTz due_at, bool is_branch) {
    append(&order, 1);
    const HoldRow row = {order.id, order.source.id, order.destination.id, order.amount,
                         0,        due_at,          HoldState::open,      is_branch};
    put_hold(row, nullptr);
    for (const AccountId account : {row.debit_account, row.credit_account})
        note_due(use_account(account), due_at);
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

std::int64_t expire_overdue(Database &database, std::int64_t max) {
    const TimestampTz now = GetCurrentTimestamp();
    MemoryContext scratch =
        AllocSetContextCreate(CurrentMemoryContext, "ledger expiry", ALLOCSET_DEFAULT_SIZES);
    std::int64_t expired = 0;
    scan_overdue(now, [&](TransferId id) {
        expired += with_scratch(scratch, [&] { return expire(database, id, now) > 0; });
        return expired < max;
    });
    MemoryContextDelete(scratch);
    return expired;
}

// The slot is told when the next hold of either side is due, so that until then nobody looks.
void find_overdue(AccountUse &use, Side side, Overdue &found) {
    const TimestampTz now = GetCurrentTimestamp();
    found.count = 0;
    found.amount = 0;
    found.more = false;
    if (!may_have_overdue(use, now)) return;
    const std::uint32_t look = begin_look(use);
    TimestampTz next_due = DT_NOEND;
    find_overdue_side(use, side, now, &found, next_due);
    find_overdue_side(use, side == Side::debit ? Side::credit : Side::debit, now, nullptr, next_due);
    end_look(use, look, next_due);
}

bool expire_enough(Database &database, const Overdue &overdue, Wide amount) {
    const TimestampTz now = GetCurrentTimestamp();
    MemoryContext scratch =
        AllocSetContextCreate(CurrentMemoryContext, "ledger relief", ALLOCSET_DEFAULT_SIZES);
    Wide freed = 0;
    for (int i = 0; i < overdue.count && freed < amount; ++i) {
        CHECK_FOR_INTERRUPTS();
        freed += with_scratch(scratch, [&] { return expire(database, overdue.ids[i], now); });
    }
    MemoryContextDelete(scratch);
    return freed > 0;
}

Relief relief_of(Database &database, const Overdue &overdue, Wide certain, Wide at_best) {
    if (overdue.amount >= certain) return Relief::enough;
    if (overdue.amount >= at_best && overdue.count > 0) return Relief::later;
    if (!overdue.more) return Relief::none;
    call_worker_at(database, DT_NOBEGIN);
    return Relief::later;
}

int find_overdue(TransferId *ids, int max) {
    int count = 0;
    scan_overdue(GetCurrentTimestamp(), [&](TransferId id) {
        ids[count++] = id;
        return count < max;
    });
    return count;
}

bool expire_hold(Database &database, TransferId id) {
    return expire(database, id, GetCurrentTimestamp()) > 0;
}

}  // namespace ledger
