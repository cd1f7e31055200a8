// From codes to accounts. A backend remembers what can never change of an
// account (id, asset, scale), in a cache of fixed size; limits and state are the
// slot's business.
#pragma once

#include "engine/storage.hpp"

namespace ledger {

struct Account {
    AccountId id;
    AssetId asset;
    std::int32_t scale;
    bool is_stock;  // in the asset STOCK
};

// A code as bytes, not ended by a zero.
using Code = std::string_view;

inline Code code_of(const text *value) {
    return {VARDATA_ANY(value), static_cast<std::size_t>(VARSIZE_ANY_EXHDR(value))};
}

// Longest code, in bytes: 255 characters of at most 4.
inline constexpr std::size_t kCodeBytesMax = 255 * 4;

// False if no account has that code.
bool find_account(Code code, Account &account);

// The same for who only reads: in the snapshot that the caller reads in, which may be
// older than what find_account goes by, and in parallel workers.
bool find_visible_account(Code code, AccountRow &account);

// Never changes. Its code is a string of the backend's own, good until another asset is asked for.
struct Asset {
    AssetId id;
    std::int32_t scale;
    bool is_stock;
    char *code;
};

// The asset of an account that the snapshot shows, or ERROR XX001.
const Asset &asset_of(Snapshot snapshot, AssetId asset);

// For messages, in the current memory context; "?" if it is gone.
const char *asset_code(AssetId asset);
const char *account_code(AccountId account);

// The asset and scale of an account known by id, or ERROR XX001.
Account account_by_id(AccountId account);

}  // namespace ledger
