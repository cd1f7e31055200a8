// Merkle trees as in RFC 6962, section 2.1, over hashes of records.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "sha256.hpp"

namespace merkle {

inline Hash leaf(std::string_view data) {
    return sha256()({std::string_view("\0", 1), data});
}
inline Hash node(const Hash &left, const Hash &right) {
    return sha256()({"\1", view(left), view(right)});
}

// A tree that grows leaf by leaf and keeps no more than its right edge: the roots
// of the full trees that its leaves make up, the largest first. Their sizes are
// the powers of two in the number of leaves.
class Tree {
  public:
    void add(std::string_view data) {
        Hash hash = leaf(data);
        for (uint64_t full = size_; full & 1; full >>= 1) {
            hash = node(edge_.back(), hash);
            edge_.pop_back();
        }
        edge_.push_back(hash);
        ++size_;
    }

    uint64_t size() const { return size_; }

    Hash root() const {
        if (edge_.empty()) return sha256()({});
        Hash hash = edge_.back();
        for (size_t i = edge_.size() - 1; i-- > 0;) hash = node(edge_[i], hash);
        return hash;
    }

  private:
    std::vector<Hash> edge_;
    uint64_t size_ = 0;
};

// The root that a leaf's path leads to (RFC 9162, section 2.1.3.2), or nothing if
// a path from there cannot have this length.
inline std::optional<Hash> root_by_path(Hash hash, uint64_t index, uint64_t size,
                                        const std::vector<Hash> &path) {
    if (index >= size) return std::nullopt;
    uint64_t last = size - 1;
    for (const Hash &beside : path) {
        if (last == 0) return std::nullopt;
        if (index & 1 || index == last) {
            hash = node(beside, hash);
            for (; !(index & 1) && index != 0; last >>= 1) index >>= 1;
        } else {
            hash = node(hash, beside);
        }
        index >>= 1;
        last >>= 1;
    }
    return last == 0 ? std::optional(hash) : std::nullopt;
}

}  // namespace merkle
