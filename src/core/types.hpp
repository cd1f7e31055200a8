// The ledger's vocabulary as types. No PostgreSQL header here or anywhere in
// core/: these rules are compiled, tested and fuzzed as a plain program.
#pragma once

#include <cstdint>

namespace ledger {

enum class AccountId : std::int64_t {};
enum class AssetId : std::int64_t {};
enum class TransferId : std::int64_t {};

// A transaction as the tables name it: the top-level xid8 plus the installation's base.
enum class Txid : std::int64_t {};

// A possession of the tables by this server: every time that the tables are taken over,
// given up, rolled back or made anew, those that follow have another number. What shared
// memory knows of accounts belongs to one possession. 0 is none.
enum class Possession : std::uint64_t {};

// An amount or balance in minor units of its asset (cents at scale 2).
using Minor = std::int64_t;

// Sums of very many Minors do not overflow this. Aligned like a Minor, because
// palloc aligns to 8 bytes and a plain __int128 wants 16.
__extension__ typedef __int128 Wide __attribute__((aligned(8)));

// Every balance lies within [-kBalanceMax, kBalanceMax]; as limits the two ends mean "unbounded".
inline constexpr Minor kBalanceMax = INT64_MAX;
inline constexpr Minor kFloorNone = -kBalanceMax;
inline constexpr Minor kCeilingNone = kBalanceMax;

inline constexpr int kScaleMax = 18;

enum class AccountState : std::int16_t { open = 0, frozen = 1, closed = 2 };

// What a transfer is. pending: a hold, that sets its amount aside. post and void
// (a keyword) resolve a hold or a part of it: moved after all, or given back.
enum class Kind : std::int16_t { posted = 1, pending = 2, post = 3, void_ = 4, reversal = 5 };

// A hold is resolved once: open to one of the others.
enum class HoldState : std::int16_t { open = 1, posted = 2, voided = 3, expired = 4 };

// A TCC transaction. confirming and canceling: decided, not done on every branch.
enum class TccState : std::int16_t {
    trying = 1,
    confirming = 2,
    confirmed = 3,
    canceling = 4,
    canceled = 5,
    timed_out = 6  // canceled because its time was up
};

// What a row of the registry of idempotent requests stands for: a request between
// begin_request and complete_request, a call of a function under a key, a message
// of an inbox, a nonce of a signed request.
enum class RequestKind : std::int16_t { request = 1, call = 2, message = 3, nonce = 4 };

// issued: a token not used yet. failed may be tried again, rejected may not.
enum class RequestState : std::int16_t {
    issued = 0,
    in_progress = 1,
    completed = 2,
    failed = 3,
    rejected = 4
};

struct Limits {
    Minor floor;
    Minor ceiling;
    AccountState state;
};

}  // namespace ledger
