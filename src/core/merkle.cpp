#include "core/merkle.hpp"

#include <cstring>

namespace ledger {

Hash leaf_hash(const void *data, std::size_t size) {
    constexpr std::uint8_t kLeaf = 0;
    begin_sha256();
    add_sha256(&kLeaf, 1);
    add_sha256(data, size);
    return end_sha256();
}

// The same for a leaf that is a hash, in one piece.
Hash leaf_hash(const Hash &record) {
    std::uint8_t bytes[1 + sizeof record] = {0};
    std::memcpy(bytes + 1, record.data(), sizeof record);
    begin_sha256();
    add_sha256(bytes, sizeof bytes);
    return end_sha256();
}

Hash node_hash(const Hash &left, const Hash &right) {
    std::uint8_t bytes[1 + sizeof left + sizeof right] = {1};
    std::memcpy(bytes + 1, left.data(), sizeof left);
    std::memcpy(bytes + 1 + sizeof left, right.data(), sizeof right);
    begin_sha256();
    add_sha256(bytes, sizeof bytes);
    return end_sha256();
}

// Joins the two rightmost subtrees.
void Tree::merge() {
    const Subtree &right = stack_[--depth_];
    Subtree &left = stack_[depth_ - 1];
    if (left.has_watched) path_[path_length_++] = right.hash;
    if (right.has_watched) path_[path_length_++] = left.hash;
    left = {node_hash(left.hash, right.hash), left.leaves + right.leaves,
            left.has_watched || right.has_watched};
}

void Tree::add_leaf(const Hash &leaf, bool watch) {
    stack_[depth_++] = {leaf, 1, watch};
    ++size_;
    while (depth_ > 1 && stack_[depth_ - 2].leaves == stack_[depth_ - 1].leaves) merge();
}

Hash Tree::root() {
    if (size_ == 0) return sha256({});
    while (depth_ > 1) merge();
    return stack_[0].hash;
}

}  // namespace ledger
