// What a call does if its transaction commits, in the words of the model.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

using Id = std::int64_t;
using Microseconds = std::int64_t;  // since 1970

enum class Kind { posted = 1, pending, post, void_, reversal };

inline Microseconds now_us() {
    return std::chrono::duration_cast<std::chrono::microseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

constexpr Microseconds kSecond = 1000000;
constexpr Microseconds kNever = INT64_MAX;

// A row in the table of transfers. What resolves a hold names it alone; its accounts are the hold's.
struct Effect {
    Kind kind = Kind::posted;
    std::string source, destination;
    std::optional<std::int64_t> amount;  // minor units; none: the rest of the hold
    Id ref = 0;                          // the hold or transfer that it resolves or reverses
    Id id = 0;                           // 0: the client was not told
    std::string name;                    // under a key, or of a branch: whoever comes first makes it
    bool optional = false;               // may be missing, as far as the client knows
    bool shared = true;                  // other clients may resolve or reverse it
    bool final = false;                  // nothing of the hold is left after it
    Microseconds due = kNever;           // of a hold: not before then it may expire
};

// What at most one transaction may ever be told.
struct Claim {
    std::string what;
};

// A step of a TCC transaction. branch empty: of all; told empty: the client does not know.
struct Step {
    enum { begin, confirm, cancel } what = begin;
    std::string xid, branch, told;
    Microseconds due = kNever;  // of begin
};

// An account opened or closed.
struct Opened {
    std::string account;
};
struct Closed {
    std::string account;
};

using Deed = std::variant<Effect, Claim, Step, Opened, Closed>;
using Deeds = std::vector<Deed>;
