// What an account's rows come to in a snapshot: its folded row, and the transfers past
// the horizon of that. By the indexes, whatever statistics say; no shared memory is used.
#pragma once

#include "core/kind.hpp"
#include "engine/storage.hpp"
#include "pg/table.hpp"

namespace ledger {

// Calls visit(const TransferRow &) for each transfer of the account on one side
// from the horizon on that the snapshot shows, in order of txid or backward, until it returns
// false.
template <typename Visit>
void scan_tail_side(Relation transfer, Side side, Snapshot snapshot, AccountId account, Txid horizon,
                    Visit visit, ScanDirection direction = ForwardScanDirection) {
    const bool is_debit = side == Side::debit;
    ScanKeyData keys[2];
    key_bigint(keys[0], is_debit ? TransferColumn::debit_account : TransferColumn::credit_account,
               BTEqualStrategyNumber, static_cast<std::int64_t>(account));
    key_bigint(keys[1], TransferColumn::txid, BTGreaterEqualStrategyNumber,
               static_cast<std::int64_t>(horizon));
    scan_index_in(direction, transfer, is_debit ? storage().transfer_by_debit : storage().transfer_by_credit,
                  snapshot, keys, 2, [&](HeapTuple tuple) { return visit(*row_of<TransferRow>(tuple)); });
}

// The account's folded row: its horizon and totals; zeros where there is none.
// tid is where the row is, invalid where there is none.
struct FoldedSide {
    Numeric posted;
    Numeric pending;
};
struct Folded {
    Txid horizon;
    FoldedSide debits;
    FoldedSide credits;
    ItemPointerData tid;
};
Folded read_folded(Snapshot snapshot, AccountId account);

// What one side's transfers come to. Wide: lifetime turnover may pass a Minor.
struct SideTotals {
    Wide posted;
    Wide pending;
};
struct Totals {
    SideTotals debits;
    SideTotals credits;
    std::int64_t transfers;
};

// The account's transfers that the snapshot shows, from a horizon until another.
Totals sum_transfers(Snapshot snapshot, AccountId account, Txid from, Txid until);

// All of the account's transfers that the snapshot shows, folded or not; transfers counts
// those that are not.
Totals read_totals(Snapshot snapshot, AccountId account);

}  // namespace ledger
