// core/record, core/merkle against test/vectors, which another implementation made.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "core/merkle.hpp"
#include "core/record.hpp"

using namespace ledger;
using nlohmann::json;

namespace {

json read(const char *name) {
    std::ifstream file(std::string("test/vectors/") + name);
    return json::parse(file);
}

std::string unhex(const std::string &digits) {
    std::string bytes;
    for (std::size_t i = 0; i < digits.size(); i += 2)
        bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
    return bytes;
}

Hash hash_in(const json &digits) {
    const std::string bytes = unhex(digits.get<std::string>());
    Hash hash = {};
    if (bytes.size() == hash.size()) std::copy(bytes.begin(), bytes.end(), hash.begin());
    return hash;
}

// Views of the fields' own strings.
Text text(const json &fields, const char *name) {
    const json &value = fields.at(name);
    if (value.is_null()) return {};
    return std::string_view(value.get_ref<const std::string &>());
}

Place place(const json &fields) {
    return {fields.at("id"), LaneNumber{fields.at("lane").get<int>()}, fields.at("seq")};
}

TransferRecord transfer(const json &f) {
    return {place(f),
            Kind{f.at("kind").get<std::int16_t>()},
            AccountId{f.at("debit_account").get<std::int64_t>()},
            AccountId{f.at("credit_account").get<std::int64_t>()},
            f.at("amount"),
            f.at("ref"),
            Txid{f.at("txid").get<std::int64_t>()},
            f.at("created_us"),
            text(f, "metadata")};
}

AuditRecord audit(const json &f) {
    return {place(f),
            Txid{f.at("txid").get<std::int64_t>()},
            f.at("at_us"),
            f.at("relation_oid").get<std::uint32_t>(),
            text(f, "relation"),
            text(f, "operation"),
            text(f, "key"),
            text(f, "old"),
            text(f, "new"),
            text(f, "actor"),
            text(f, "acting_as"),
            text(f, "application"),
            text(f, "client")};
}

SealRecord seal(const json &f) {
    return {f.at("number"),
            f.at("sealed_us"),
            {f.at("transfers"), f.at("audits")},
            {hash_in(f.at("transfer_root")), hash_in(f.at("audit_root"))},
            f.at("from_id"),
            f.at("until_id"),
            hash_in(f.at("heads_hash")),
            hash_in(f.at("previous"))};
}

template <typename Record>
std::string encoded(const Record &record) {
    std::string bytes;
    encode(
        record,
        [](void *to, const void *data, std::size_t size) {
            static_cast<std::string *>(to)->append(static_cast<const char *>(data), size);
        },
        &bytes);
    return bytes;
}

class Vectors : public testing::Test {
  protected:
    static void SetUpTestSuite() { ASSERT_TRUE(prepare_sha256()); }
};

TEST_F(Vectors, RecordsHaveTheirBytesAndHashes) {
    const json vectors = read("records.json");
    ASSERT_GT(vectors.size(), 10u);
    for (const json &vector : vectors) {
        SCOPED_TRACE(vector.at("what").get<std::string>());
        const json &fields = vector.at("fields");
        const std::string bytes = unhex(vector.at("bytes"));
        if (vector.at("scope") == "signed") {
            const SignedBytes made = signed_bytes(fields.at("number"), hash_in(fields.at("hash")));
            EXPECT_EQ(std::string(made.begin(), made.end()), bytes);
            continue;
        }
        const Hash expected = hash_in(vector.at("hash"));
        if (vector.at("scope") == "seal") {
            EXPECT_EQ(hash_of(seal(fields)), expected);
            continue;
        }
        const Hash previous = hash_in(vector.at("previous"));
        if (vector.at("scope") == "transfer") {
            EXPECT_EQ(encoded(transfer(fields)), bytes);
            EXPECT_EQ(hash_of(previous, transfer(fields)), expected);
        } else {
            EXPECT_EQ(encoded(audit(fields)), bytes);
            EXPECT_EQ(hash_of(previous, audit(fields)), expected);
        }
    }
}

TEST_F(Vectors, TreesHaveTheirPaths) {
    const json vectors = read("trees.json");
    for (const json &vector : vectors.at("paths")) {
        const std::int64_t index = vector.at("index"), size = vector.at("size");
        SCOPED_TRACE(std::to_string(index) + " of " + std::to_string(size));
        Tree tree;
        for (std::int64_t i = 0; i < size; ++i) {
            const std::string leaf = unhex(vectors.at("leaves").at(static_cast<std::size_t>(i)));
            tree.add_leaf(leaf_hash(leaf.data(), leaf.size()), i == index);
        }
        EXPECT_EQ(tree.root(), hash_in(vectors.at("roots").at(static_cast<std::size_t>(size))));
        const json &path = vector.at("path");
        ASSERT_EQ(static_cast<std::size_t>(tree.path_length()), path.size());
        for (std::size_t i = 0; i < path.size(); ++i) EXPECT_EQ(tree.path()[i], hash_in(path.at(i)));
    }
}

}  // namespace
