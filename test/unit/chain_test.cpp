// core/record, core/merkle: the bytes that others must be able to make, and trees by RFC 6962.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/merkle.hpp"
#include "core/record.hpp"

using namespace ledger;

namespace {

std::string hex(const void *data, std::size_t size) {
    std::string digits;
    for (std::size_t i = 0; i < size; ++i) {
        char pair[3];
        std::snprintf(pair, sizeof pair, "%02x", static_cast<const std::uint8_t *>(data)[i]);
        digits += pair;
    }
    return digits;
}

std::string hex(const Hash &hash) {
    return hex(hash.data(), hash.size());
}

std::string bytes(const std::string &digits) {
    std::string result;
    for (std::size_t i = 0; i < digits.size(); i += 2)
        result += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
    return result;
}

template <typename Record>
std::string encoded(const Record &record) {
    std::string result;
    encode(
        record,
        [](void *to, const void *data, std::size_t size) {
            static_cast<std::string *>(to)->append(static_cast<const char *>(data), size);
        },
        &result);
    return result;
}

class Chain : public testing::Test {
  protected:
    static void SetUpTestSuite() { ASSERT_TRUE(prepare_sha256()); }
};

// The leaves and roots that Certificate Transparency's implementations are tested with.
const std::vector<std::string> kLeaves = {
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"};
const std::vector<std::string> kRoots = {"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                                         "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                                         "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
                                         "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
                                         "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                                         "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
                                         "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
                                         "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
                                         "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};

Hash leaf(int i) {
    const std::string data = bytes(kLeaves[static_cast<std::size_t>(i)]);
    return leaf_hash(data.data(), data.size());
}

TEST_F(Chain, TreesHaveThePublishedRoots) {
    for (int size = 0; size <= 8; ++size) {
        Tree tree;
        for (int i = 0; i < size; ++i) tree.add_leaf(leaf(i));
        EXPECT_EQ(hex(tree.root()), kRoots[static_cast<std::size_t>(size)]) << size << " leaves";
    }
}

// RFC 6962, section 2.1.1, read upwards.
Hash root_by_path(Hash hash, std::int64_t index, std::int64_t size, const Hash *path, int length) {
    int used = 0;
    for (std::int64_t last = size - 1; last > 0; index /= 2, last /= 2) {
        if (index % 2 == 1)
            hash = node_hash(path[used++], hash);
        else if (index < last)
            hash = node_hash(hash, path[used++]);
    }
    EXPECT_EQ(used, length);
    return hash;
}

TEST_F(Chain, EveryPathLeadsToTheRoot) {
    for (int size = 1; size <= 70; ++size)
        for (int watched = 0; watched < size; ++watched) {
            Tree tree;
            for (int i = 0; i < size; ++i) tree.add_leaf(leaf_hash(&i, sizeof i), i == watched);
            const Hash root = tree.root();
            ASSERT_EQ(root_by_path(leaf_hash(&watched, sizeof watched), watched, size, tree.path(),
                                   tree.path_length()),
                      root)
                << watched << " of " << size;
        }
}

TEST_F(Chain, AHashedLeafIsALeaf) {
    const Hash record = sha256("record");
    EXPECT_EQ(leaf_hash(record), leaf_hash(record.data(), record.size()));
}

TransferRecord transfer() {
    return {{66, LaneNumber{1}, 1}, Kind::posted, AccountId{2}, AccountId{3}, 500, 0, Txid{9}, -1, {}};
}

TEST_F(Chain, ATransferIsWrittenAsSpecified) {
    TransferRecord record = transfer();
    const std::string before_metadata =
        "0101"
        "010000000000000042"  // id
        "010000000000000001"  // lane
        "010000000000000001"  // seq
        "010000000000000001"  // kind
        "010000000000000002"
        "010000000000000003"
        "0100000000000001f4"
        "010000000000000000"
        "010000000000000009"
        "02ffffffffffffffff";
    EXPECT_EQ(hex(encoded(record).data(), encoded(record).size()), before_metadata + "00");
    record.metadata = "";
    EXPECT_EQ(hex(encoded(record).data(), encoded(record).size()), before_metadata + "0300000000");
    record.metadata = "{}";
    EXPECT_EQ(hex(encoded(record).data(), encoded(record).size()), before_metadata + "03000000027b7d");
}

TEST_F(Chain, ARecordsHashIsThatOfThePreviousAndItsBytes) {
    for (const std::size_t size : {0, 1, 300, 400, 500, 511, 512, 513, 1000, 100000}) {
        TransferRecord record = transfer();
        const std::string metadata(size, 'x');
        record.metadata = metadata;
        const Hash previous = sha256("before");
        const std::string all = std::string(previous.begin(), previous.end()) + encoded(record);
        EXPECT_EQ(hash_of(previous, record), sha256(all)) << size;
    }
}

// Where plain concatenation or separators would confuse two records.
TEST_F(Chain, DifferentRecordsHaveDifferentBytes) {
    AuditRecord one = {}, other = {};
    one.relation = "ab", one.operation = "c";
    other.relation = "a", other.operation = "bc";
    EXPECT_NE(encoded(one), encoded(other));
    one = other = {};
    one.key = "", other.old_row = "";
    EXPECT_NE(encoded(one), encoded(other));
    one = other = {};
    one.key = std::string_view("\0\0", 2), other.key = std::string_view("\0", 1);
    EXPECT_NE(encoded(one), encoded(other));
    one = other = {};
    one.application = "", other.application = {};
    EXPECT_NE(encoded(one), encoded(other));
}

TEST_F(Chain, HeadsAreReadAsTheyWereWritten) {
    std::uint8_t written[kHeadBytes];
    put_head(written, {Scope::audit, LaneNumber{1023}, {INT64_MAX, sha256("head")}});
    EXPECT_EQ(hex(written, 11), "0203ff7fffffffffffffff");
    const LaneHead read = get_head(written);
    EXPECT_EQ(read.scope, Scope::audit);
    EXPECT_EQ(read.lane, LaneNumber{1023});
    EXPECT_EQ(read.head.seq, INT64_MAX);
    EXPECT_EQ(read.head.hash, sha256("head"));
}

TEST_F(Chain, ASignedDigestIsTheSealsNumberAndHash) {
    const Hash hash = sha256("seal");
    const SignedBytes written = signed_bytes(42, hash);
    EXPECT_EQ(hex(written.data(), written.size()), "010401000000000000002a0400000020" + hex(hash));
}

}  // namespace
