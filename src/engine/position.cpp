#include "engine/position.hpp"

#include "pg/numeric.hpp"

namespace ledger {

namespace {

// One side of the account's transfers from a horizon until another.
SideTotals sum_side(Relation transfer, Side side, Snapshot snapshot, AccountId account, Txid from, Txid until,
                    std::int64_t &count) {
    SideTotals sum = {};
    scan_tail_side(transfer, side, snapshot, account, from, [&](const TransferRow &row) {
        if (row.txid >= until) return false;
        const Weight weight = weight_of(row.kind);
        sum.posted += Wide{row.amount} * weight.posted;
        sum.pending += Wide{row.amount} * weight.pending;
        ++count;
        return true;
    });
    return sum;
}

void add_folded(SideTotals &sum, const FoldedSide &folded) {
    sum.posted += wide_from_numeric(folded.posted);
    sum.pending += wide_from_numeric(folded.pending);
}

}  // namespace

Folded read_folded(Snapshot snapshot, AccountId account) {
    return with_table(storage().balance, AccessShareLock, [&](Relation relation) {
        ScanKeyData key;
        key_bigint(key, BalanceColumn::account, BTEqualStrategyNumber, static_cast<std::int64_t>(account));
        Folded folded = {};
        ItemPointerSetInvalid(&folded.tid);
        HeapTuple tuple = find_row(relation, storage().balance_by_account, snapshot, &key, 1);
        const auto total = [&](AttrNumber column) {
            if (!tuple) return int64_to_numeric(0);
            bool is_null;
            return DatumGetNumericCopy(heap_getattr(tuple, column, RelationGetDescr(relation), &is_null));
        };
        if (tuple) {
            folded.horizon = row_of<BalanceRow>(tuple)->folded_xid;
            folded.tid = tuple->t_self;
        }
        folded.debits = {total(BalanceColumn::debits_posted), total(BalanceColumn::debits_pending)};
        folded.credits = {total(BalanceColumn::credits_posted), total(BalanceColumn::credits_pending)};
        return folded;
    });
}

Totals sum_transfers(Snapshot snapshot, AccountId account, Txid from, Txid until) {
    return with_table(storage().transfer, AccessShareLock, [&](Relation transfer) {
        Totals totals = {};
        totals.debits = sum_side(transfer, Side::debit, snapshot, account, from, until, totals.transfers);
        totals.credits = sum_side(transfer, Side::credit, snapshot, account, from, until, totals.transfers);
        return totals;
    });
}

Totals read_totals(Snapshot snapshot, AccountId account) {
    const Folded folded = read_folded(snapshot, account);
    Totals totals = sum_transfers(snapshot, account, folded.horizon, Txid{INT64_MAX});
    add_folded(totals.debits, folded.debits);
    add_folded(totals.credits, folded.credits);
    return totals;
}

}  // namespace ledger
