// Merkle trees: the server's (core/merkle) and the client's (client/merkle.hpp) have
// one root, a leaf's path leads to it, and nothing else does.
#include "bytes.hpp"
#include "core/merkle.hpp"
#include "merkle.hpp"

namespace {

Hash client_hash(const ledger::Hash &hash) {
    Hash result;
    std::copy(hash.begin(), hash.end(), reinterpret_cast<unsigned char *>(result.data()));
    return result;
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int *, char ***) {
    REQUIRE(ledger::prepare_sha256());
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t bytes) {
    FuzzedDataProvider input(data, bytes);
    const auto size = input.ConsumeIntegralInRange<std::uint64_t>(0, 600);
    const auto index = input.ConsumeIntegralInRange<std::uint64_t>(0, size > 0 ? size - 1 : 0);
    const std::string salt = input.ConsumeBytesAsString(8);

    ledger::Tree tree;
    merkle::Tree other;
    Hash leaf = {};
    for (std::uint64_t i = 0; i < size; ++i) {
        const ledger::Hash record = ledger::sha256(salt + std::to_string(i));
        tree.add(record, i == index);
        other.add(view(client_hash(record)));
        if (i == index) leaf = merkle::leaf(view(client_hash(record)));
    }
    const Hash root = client_hash(tree.root());
    REQUIRE(root == other.root());
    if (size == 0) return 0;

    std::vector<Hash> path;
    for (int i = 0; i < tree.path_length(); ++i) path.push_back(client_hash(tree.path()[i]));
    REQUIRE(merkle::root_by_path(leaf, index, size, path) == root);

    const auto elsewhere = input.ConsumeIntegralInRange<std::uint64_t>(0, size);
    if (elsewhere != index) REQUIRE(merkle::root_by_path(leaf, elsewhere, size, path) != root);
    const auto at = input.ConsumeIntegralInRange<std::size_t>(0, path.size());
    const auto flip = input.ConsumeIntegralInRange<std::uint8_t>(1, 255);
    const auto byte = input.ConsumeIntegralInRange<std::size_t>(0, sizeof(Hash) - 1);
    (at < path.size() ? path[at] : leaf)[byte] ^= static_cast<char>(flip);
    REQUIRE(merkle::root_by_path(leaf, index, size, path) != root);
    // Any path, of any index and size, ends.
    merkle::root_by_path(leaf, input.ConsumeIntegral<std::uint64_t>(), input.ConsumeIntegral<std::uint64_t>(),
                         path);
    return 0;
}
