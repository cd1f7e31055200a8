// Recomputes the chains and compares them with the seals.
#pragma once

#include "engine/chain.hpp"

namespace ledger {

// Something that is not as it was written.
struct Finding {
    const char *scope;  // transfers, audit or seals
    int lane;           // -1: none in particular
    std::int64_t seq;
    std::int64_t id;  // 0: none in particular
    const char *problem;
};

// Takes findings; in the current memory context of the caller of verify_....
using Report = void (*)(void *context, const Finding &finding);

// Which scopes are wanted.
using Scopes = std::array<bool, kScopes>;

// Checks seal number: that it fits the one before, and that the records it covers are
// those it was made of. Reads no others, so seals can be checked beside each other.
void verify_seal(std::int64_t number, const Scopes &scopes, Report report, void *context);

// Checks the records that the last seal, of this number, does not cover; number 0: there
// is no seal. With live, the lanes' heads (docs/chain-format.md, "Heads") as the running
// server knew them before the snapshot was taken, also that all of them are there, and no
// others.
void verify_tail(std::int64_t number, const Scopes &scopes, const std::string_view *live, Report report,
                 void *context);

}  // namespace ledger
