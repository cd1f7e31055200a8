// SQL: balances by the indexes against balances by the table of transfers (sql/chain.sql).
//
// A balance is read by two indexes of transfers and one of folded totals
// (engine/position.hpp). A transfer that one of them does not have is spent once more. So the
// table is added up here without any index, in the same snapshot.
#include "engine/order.hpp"
#include "engine/position.hpp"
#include "pg/numeric.hpp"
#include "pg/result.hpp"

namespace ledger {

namespace {

// An account's sums in the table. A hash table has one entry an account: about 100 bytes.
struct AccountTotals {
    AccountId account;
    Totals totals;
};

AccountTotals &totals_of(HTAB *accounts, AccountId account) {
    bool found;
    auto *entry = static_cast<AccountTotals *>(hash_search(accounts, &account, HASH_ENTER, &found));
    if (!found) entry->totals = {};
    return *entry;
}

void add(SideTotals &side, const TransferRow &row) {
    const Weight weight = weight_of(row.kind);
    side.posted += Wide{row.amount} * weight.posted;
    side.pending += Wide{row.amount} * weight.pending;
}

template <typename Visit>
void scan(Oid table_id, Snapshot snapshot, Visit visit) {
    with_table(table_id, AccessShareLock, [&](Relation table) { scan_table(table, snapshot, visit); });
}

// Of accounts and balances the table has no transfers of, too: an index may say otherwise.
HTAB *add_up(Snapshot snapshot) {
    HASHCTL shape = {};
    shape.keysize = sizeof(AccountId);
    shape.entrysize = sizeof(AccountTotals);
    shape.hcxt = CurrentMemoryContext;
    HTAB *accounts = hash_create("ledger balances", 1024, &shape, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
    scan(storage().account, snapshot,
         [&](HeapTuple tuple) { totals_of(accounts, row_of<AccountRow>(tuple)->id); });
    scan(storage().balance, snapshot,
         [&](HeapTuple tuple) { totals_of(accounts, row_of<BalanceRow>(tuple)->account); });
    scan(storage().transfer, snapshot, [&](HeapTuple tuple) {
        const TransferRow &row = *row_of<TransferRow>(tuple);
        add(totals_of(accounts, row.debit_account).totals.debits, row);
        add(totals_of(accounts, row.credit_account).totals.credits, row);
    });
    return accounts;
}

bool equal(const SideTotals &left, const SideTotals &right) {
    return left.posted == right.posted && left.pending == right.pending;
}

void put(ReturnSetInfo *result, AccountId account, const Totals &indexed, const Totals &stored) {
    const auto number = [](Wide value) { return NumericGetDatum(numeric_from_wide(value)); };
    Datum values[] = {Int64GetDatum(static_cast<std::int64_t>(account)),
                      number(indexed.debits.posted),
                      number(indexed.credits.posted),
                      number(indexed.debits.pending),
                      number(indexed.credits.pending),
                      number(stored.debits.posted),
                      number(stored.credits.posted),
                      number(stored.debits.pending),
                      number(stored.credits.pending)};
    bool nulls[lengthof(values)] = {};
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

void compare(HTAB *accounts, Snapshot snapshot, ReturnSetInfo *result) {
    MemoryContext scratch =
        AllocSetContextCreate(CurrentMemoryContext, "ledger balance", ALLOCSET_DEFAULT_SIZES);
    MemoryContext caller = MemoryContextSwitchTo(scratch);
    HASH_SEQ_STATUS all;
    hash_seq_init(&all, accounts);
    while (const auto *entry = static_cast<const AccountTotals *>(hash_seq_search(&all))) {
        CHECK_FOR_INTERRUPTS();
        const Totals indexed = read_totals(snapshot, entry->account);
        if (!equal(indexed.debits, entry->totals.debits) || !equal(indexed.credits, entry->totals.credits))
            put(result, entry->account, indexed, entry->totals);
        MemoryContextReset(scratch);
    }
    MemoryContextSwitchTo(caller);
    MemoryContextDelete(scratch);
}

}  // namespace

}  // namespace ledger

using namespace ledger;

LEDGER_FUNCTION(ledger_compare_balances) {
    InitMaterializedSRF(fcinfo, 0);
    Snapshot snapshot = GetActiveSnapshot();
    HTAB *accounts = add_up(snapshot);
    compare(accounts, snapshot, reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo));
    hash_destroy(accounts);
    return Datum{0};
}
