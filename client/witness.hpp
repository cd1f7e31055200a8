// Seals as they were seen elsewhere, in digests and proofs, held against those that
// there are.
#pragma once

#include <string>
#include <vector>

#include "findings.hpp"
#include "ledger_seals.hpp"
#include "seal.hpp"

struct Witness {
    const char *scope;
    std::string name;
    int64_t seal;
    Hash hash;
};

inline void complain(const char *problem, const Witness &witness, const std::string &detail,
                     Findings &findings) {
    findings.push_back({problem, {.scope = witness.scope, .seq = witness.seal}, witness.name + detail});
}

inline void compare(const Witness &witness, const Hash &hash, Findings &findings) {
    if (hash == witness.hash) return;
    complain(kRewritten, witness,
             " has the hash " + to_hex(witness.hash) + ", the seal's record gives " + to_hex(hash), findings);
}

inline void compare(const Witness &witness, const LedgerSeals &seals, Findings &findings) {
    const int64_t last = seals.empty() ? 0 : seals.last().number;
    if (const Seal *seal = seals.find(witness.seal))
        compare(witness, seal->computed, findings);
    else if (witness.seal > last)
        complain(kTruncated, witness,
                 " has seen this seal, the ledger's end at number " + std::to_string(last), findings);
    else
        complain(kMissing, witness, " has seen this seal, the ledger does not have it", findings);
}

// Where there is no ledger: against the seals of a proof.
inline void compare(const Witness &witness, const std::vector<Seal> &seals, Findings &findings) {
    bool seen = false;
    for (const Seal &seal : seals) {
        if (seal.number != witness.seal) continue;
        seen = true;
        compare(witness, seal.computed, findings);
    }
    if (!seen)
        throw std::runtime_error(witness.name + " is of seal " + std::to_string(witness.seal) +
                                 ": a consistency proof that includes it is needed");
}
