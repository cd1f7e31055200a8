// The trees of the seals, over the records of one scope, while the records come
// in. Neighbouring seals' ids overlap, so several trees are open at a time; each is
// compared with its seal's root, and dropped, once it has as many leaves as the
// seal covers.
#pragma once

#include <map>
#include <string>

#include "findings.hpp"
#include "ledger_seals.hpp"
#include "merkle.hpp"
#include "records.hpp"

class SealTrees {
  public:
    SealTrees(size_t scope, const LedgerSeals &seals, Findings &findings)
        : scope_(scope), seals_(seals), findings_(findings) {}

    // The root of a tree with a record that is not what it should be is not either:
    // that would tell nothing new.
    void spoil(size_t seal) { open_[seal].spoilt = true; }

    void add(size_t seal, const Hash &record) {
        Open &open = open_[seal];
        open.tree.add(view(record));
        if (open.tree.size() < static_cast<uint64_t>(seals_[seal].covers[scope_])) return;
        if (!open.spoilt && seals_[seal].comparable) compare(seals_[seal].seal, open.tree.root());
        open_.erase(seal);
    }

  private:
    struct Open {
        merkle::Tree tree;
        bool spoilt = false;
    };

    void compare(const Seal &seal, const Hash &root) {
        if (root == seal.roots[scope_]) return;
        findings_.push_back({kRewritten,
                             {.scope = "seal", .seq = seal.number},
                             std::string("its ") + record::kScopes[scope_].name + " records give the root " +
                                 to_hex(root) + ", it says " + to_hex(seal.roots[scope_])});
    }

    size_t scope_;
    const LedgerSeals &seals_;
    Findings &findings_;
    std::map<size_t, Open> open_;  // by the seal's index
};
