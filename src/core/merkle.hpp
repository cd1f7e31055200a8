// Trees of RFC 6962, section 2.1, built leaf by leaf in memory for one branch.
// Leaves are hashes of records.
#pragma once

#include "core/sha256.hpp"

namespace ledger {

Hash leaf_hash(const void *data, std::size_t size);
Hash leaf_hash(const Hash &record);
Hash node_hash(const Hash &left, const Hash &right);

inline constexpr int kTreeDepth = 64;

// The root over the leaves added, and the way from one of them up to it.
class Tree {
  public:
    // watch: this is the leaf whose path is wanted.
    void add(const Hash &record, bool watch = false) { add_leaf(leaf_hash(record), watch); }
    void add_leaf(const Hash &leaf, bool watch = false);

    std::int64_t size() const { return size_; }

    // Completes the tree: nothing is added afterwards.
    Hash root();

    // After root(): the hashes beside the way from the watched leaf up, in that order.
    const Hash *path() const { return path_; }
    int path_length() const { return path_length_; }

  private:
    // A perfect subtree; those on the stack shrink from left to right.
    struct Subtree {
        Hash hash;
        std::int64_t leaves;
        bool has_watched;
    };
    void merge();

    std::int64_t size_ = 0;
    int depth_ = 0;
    int path_length_ = 0;
    Subtree stack_[kTreeDepth];
    Hash path_[kTreeDepth];
};

}  // namespace ledger
