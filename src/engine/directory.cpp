#include "engine/directory.hpp"

#include "pg/table.hpp"

extern "C" {
#include "common/hashfn.h"
}

namespace ledger {

namespace {

// Direct-mapped: a code has one place, and the newest there wins.
constexpr std::uint32_t kPlaces = 1 << 14;

struct Remembered {
    Account account;
    std::uint32_t length;
    char code[FLEXIBLE_ARRAY_MEMBER];
};

Remembered **places = nullptr;
std::uint32_t epoch = 0;  // of the storage that what is remembered belongs to

void forget_if_stale() {
    if (!places) {
        places = static_cast<Remembered **>(
            MemoryContextAllocZero(TopMemoryContext, kPlaces * sizeof(Remembered *)));
    } else if (epoch != storage().epoch) {
        for (std::uint32_t i = 0; i < kPlaces; ++i)
            if (Remembered *old = places[i]) {
                places[i] = nullptr;
                pfree(old);
            }
    }
    epoch = storage().epoch;
}

Remembered *&place_of(Code code) {
    const auto *bytes = reinterpret_cast<const unsigned char *>(code.data());
    return places[hash_bytes(bytes, static_cast<int>(code.size())) % kPlaces];
}

void remember(Code code, const Account &account) {
    Remembered *&place = place_of(code);
    auto *fresh = static_cast<Remembered *>(
        MemoryContextAlloc(TopMemoryContext, offsetof(Remembered, code) + code.size()));
    fresh->account = account;
    fresh->length = static_cast<std::uint32_t>(code.size());
    memcpy(fresh->code, code.data(), code.size());
    if (place) pfree(place);
    place = fresh;
}

HeapTuple asset_row(Snapshot snapshot, AssetId asset) {
    return with_table(storage().asset, AccessShareLock, [&](Relation relation) {
        ScanKeyData key;
        key_bigint(key, AssetColumn::id, BTEqualStrategyNumber, static_cast<std::int64_t>(asset));
        return find_row(relation, storage().asset_by_id, snapshot, &key, 1);
    });
}

const char *code_in(HeapTuple row, Oid table, AttrNumber column) {
    return with_table(table, AccessShareLock, [&](Relation relation) {
        bool is_null;
        const Datum code = heap_getattr(row, column, RelationGetDescr(relation), &is_null);
        return static_cast<const char *>(TextDatumGetCString(code));
    });
}

// The last one seen is kept: its id is never used again. Null if it is not there.
const Asset *find_asset(Snapshot snapshot, AssetId asset) {
    static Asset last = {};
    if (last.id == asset) return &last;
    HeapTuple row = asset_row(snapshot, asset);
    if (!row) return nullptr;
    char *code = MemoryContextStrdup(TopMemoryContext, code_in(row, storage().asset, AssetColumn::code));
    if (last.code) pfree(last.code);
    last = {asset, row_of<AssetRow>(row)->scale, strcmp(code, "STOCK") == 0, code};
    return &last;
}

Account account_in(Snapshot snapshot, const AccountRow &row) {
    const Asset &asset = asset_of(snapshot, row.asset);
    return {row.id, asset.id, asset.scale, asset.is_stock};
}

bool can_be_code(Code code) {
    return !code.empty() && code.size() <= kCodeBytesMax;
}

HeapTuple account_row(Snapshot snapshot, Code code) {
    return with_table(storage().account, AccessShareLock, [&](Relation relation) {
        ScanKeyData key;
        key_text(key, AccountColumn::code,
                 cstring_to_text_with_len(code.data(), static_cast<int>(code.size())));
        return find_row(relation, storage().account_by_code, snapshot, &key, 1);
    });
}

// Reads the account and its asset; what this transaction made itself may yet be
// rolled back and is not remembered.
bool read_account(Snapshot snapshot, Code code, Account &account) {
    HeapTuple tuple = account_row(snapshot, code);
    if (!tuple) return false;
    account = account_in(snapshot, *row_of<AccountRow>(tuple));
    if (!TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data))) remember(code, account);
    return true;
}

HeapTuple account_row(Snapshot snapshot, AccountId account) {
    return with_table(storage().account, AccessShareLock, [&](Relation relation) {
        ScanKeyData key;
        key_bigint(key, AccountColumn::id, BTEqualStrategyNumber, static_cast<std::int64_t>(account));
        return find_row(relation, storage().account_by_id, snapshot, &key, 1);
    });
}

}  // namespace

bool find_account(Code code, Account &account) {
    if (!can_be_code(code)) return false;
    forget_if_stale();
    if (const Remembered *known = place_of(code); known && Code{known->code, known->length} == code) {
        account = known->account;
        return true;
    }
    return with_latest_snapshot([&](Snapshot snapshot) { return read_account(snapshot, code, account); });
}

bool find_visible_account(Code code, AccountRow &account) {
    HeapTuple tuple = can_be_code(code) ? account_row(GetActiveSnapshot(), code) : nullptr;
    if (tuple) account = copy_of_row<AccountRow>(tuple);
    return tuple != nullptr;
}

const Asset &asset_of(Snapshot snapshot, AssetId asset) {
    if (const Asset *known = find_asset(snapshot, asset)) return *known;
    ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
            errmsg("asset %lld does not exist", static_cast<long long>(asset)),
            errhint("Run SELECT * FROM ledger.check_invariants()."));
    pg_unreachable();
}

const char *asset_code(AssetId asset) {
    return with_latest_snapshot([&](Snapshot snapshot) -> const char * {
        const Asset *known = find_asset(snapshot, asset);
        return known ? pstrdup(known->code) : "?";
    });
}

const char *account_code(AccountId account) {
    return with_latest_snapshot([&](Snapshot snapshot) {
        HeapTuple row = account_row(snapshot, account);
        return row ? code_in(row, storage().account, AccountColumn::code) : "?";
    });
}

Account account_by_id(AccountId account) {
    return with_latest_snapshot([&](Snapshot snapshot) {
        HeapTuple row = account_row(snapshot, account);
        if (!row)
            ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
                    errmsg("account %lld does not exist", static_cast<long long>(account)),
                    errhint("Run SELECT * FROM ledger.check_invariants()."));
        return account_in(snapshot, *row_of<AccountRow>(row));
    });
}

}  // namespace ledger
