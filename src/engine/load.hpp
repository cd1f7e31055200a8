// Reading an account's state from the tables.
#pragma once

#include "engine/slot.hpp"
#include "engine/storage.hpp"
#include "pg/table.hpp"

namespace ledger {

// Calls visit(const TransferRow &) for each transfer of the account on one side
// from the horizon on that the snapshot shows, in order of txid, until it returns false.
template <typename Visit>
void scan_tail_side(Relation transfer, Side side, Snapshot snapshot, AccountId account, Txid horizon,
                    Visit visit) {
    const bool is_debit = side == Side::debit;
    ScanKeyData keys[2];
    key_bigint(keys[0], is_debit ? TransferColumn::debit_account : TransferColumn::credit_account,
               BTEqualStrategyNumber, static_cast<std::int64_t>(account));
    key_bigint(keys[1], TransferColumn::txid, BTGreaterEqualStrategyNumber,
               static_cast<std::int64_t>(horizon));
    scan_index(transfer, is_debit ? storage().transfer_by_debit : storage().transfer_by_credit, snapshot,
               keys, 2, [&](HeapTuple tuple) { return visit(*row_of<TransferRow>(tuple)); });
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

// Fills a slot that nobody uses yet with what the tables say of its account.
// Transactions in progress can then only be prepared ones from before the last
// start; their effects are registered with the slot.
void load_account(Slot *slot);

}  // namespace ledger
