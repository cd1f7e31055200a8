// Digests and proofs as ledger_verify reads them, from any bytes. Nobody can make up
// what a hash or a signature is of: so what is accepted must say the same as one of
// test/vectors, however it is written.
#include <algorithm>
#include <functional>
#include <random>
#include <set>

#include "bytes.hpp"
#include "digest.hpp"
#include "proof.hpp"

namespace {

const std::string kVectors = "test/vectors/";

struct Known {
    std::vector<InclusionProof> proofs;
    std::set<Hash> seals;
    Digest signed_digest;
    std::optional<PublicKey> key;
};

const Known &known() {
    static const Known known = [] {
        Known result{{},
                     {},
                     read_digest("", json::read_file(kVectors + "digest_signed.json")),
                     PublicKey::from_pem(kVectors + "public_key.pem")};
        for (const char *name : {"inclusion_transfer.json", "inclusion_audit.json"}) {
            result.proofs.push_back(read_inclusion_proof(json::read_file(kVectors + name)));
            result.seals.insert(result.proofs.back().seal.hash);
        }
        for (const Seal &seal : read_consistency_proof(json::read_file(kVectors + "consistency.json")))
            result.seals.insert(seal.hash);
        return result;
    }();
    return known;
}

// What the reader makes of the content, or nothing if it is malformed.
template <typename Read>
auto read(Read read, const std::string &content) -> std::optional<decltype(read(content))> {
    try {
        return read(content);
    } catch (const Malformed &) {
        return std::nullopt;
    }
}

bool same(const InclusionProof &a, const InclusionProof &b) {
    return a.scope == b.scope && a.id == b.id && a.record == b.record && a.previous == b.previous &&
           a.index == b.index && a.size == b.size && a.path == b.path && a.seal.hash == b.seal.hash;
}

void check_inclusion(const std::string &content) {
    const auto proof = read(read_inclusion_proof, content);
    Findings findings;
    if (proof) check(*proof, findings);
    if (!proof || !findings.empty()) return;
    bool is_known = false;
    for (const InclusionProof &each : known().proofs) is_known |= same(*proof, each);
    REQUIRE(is_known);
}

void check_consistency(const std::string &content) {
    const auto seals = read(read_consistency_proof, content);
    Findings findings;
    if (seals) check(*seals, findings);
    if (!seals || !findings.empty()) return;
    for (const Seal &seal : *seals) REQUIRE(known().seals.contains(seal.hash));
}

void check_digest(const std::string &content) {
    const auto digest = read([](const std::string &text) { return read_digest("", text); }, content);
    if (!digest) return;
    Findings findings;
    check(*digest, std::nullopt, findings);  // by its own key: no more than no crash
    if (!signature_problem(*digest, known().key).empty()) return;
    REQUIRE(digest->seal == known().signed_digest.seal && digest->hash == known().signed_digest.hash);
}

void check(const std::string &content) {
    check_inclusion(content);
    check_consistency(content);
    check_digest(content);
}

const std::vector<std::string> &vectors() {
    static const std::vector<std::string> contents = [] {
        std::vector<std::string> result;
        for (const char *name :
             {"inclusion_transfer.json", "inclusion_audit.json", "consistency.json", "digest_signed.json"})
            result.push_back(json::read_file(kVectors + name));
        return result;
    }();
    return contents;
}

// A vector with one byte changed, for each byte of a stretch; a digit mostly into a
// digit. Chosen by the input's hash: its own bytes are mostly JSON, and much alike.
void check_edited(std::size_t seed) {
    constexpr std::size_t kStretch = 32;
    std::mt19937_64 random(seed);
    std::string content = vectors()[random() % vectors().size()];
    const auto flip = static_cast<char>(1 + random() % (random() % 2 == 0 ? 7 : 127));
    const std::size_t from = random() % content.size();
    for (std::size_t at = from; at < std::min(from + kStretch, content.size()); ++at) {
        content[at] ^= flip;
        check(content);
        content[at] ^= flip;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    const std::string content(reinterpret_cast<const char *>(data), size);
    check(content);
    check_edited(std::hash<std::string>()(content));
    return 0;
}
