// Proofs: that a record is under a seal, and that seals follow on each other.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "findings.hpp"
#include "json.hpp"
#include "merkle.hpp"
#include "records.hpp"
#include "seal.hpp"

struct InclusionProof {
    size_t scope = 0;
    int64_t id = 0;
    std::string record;
    Hash previous{};
    int64_t index = 0;
    int64_t size = 0;
    std::vector<Hash> path;
    Seal seal;
};

inline size_t scope_by_name(const std::string &name) {
    for (size_t scope = 0; scope < record::kScopes.size(); ++scope)
        if (record::kScopes[scope].name == name) return scope;
    throw Malformed("scope is neither transfer nor audit");
}

inline InclusionProof read_inclusion_proof(const std::string &content) {
    return json::parse(content, [](const json::Value &object) {
        InclusionProof proof;
        proof.scope = scope_by_name(json::text(object, "scope"));
        proof.id = json::integer(object, "id");
        proof.record = json::bytes(object, "record");
        proof.previous = json::hash(object, "previous");
        proof.index = json::integer(object, "index");
        proof.size = json::integer(object, "size");
        for (const json::Value &hash : json::array(object, "path")) {
            if (!hash.is_string()) throw Malformed("path has what is no hash");
            proof.path.push_back(parse_hash(hash.get_ref<const std::string &>()));
        }
        proof.seal = read_seal(json::member(object, "seal"));
        return proof;
    });
}

inline std::vector<Seal> read_consistency_proof(const std::string &content) {
    return json::parse(content, [](const json::Value &object) {
        std::vector<Seal> seals;
        for (const json::Value &seal : json::array(object, "seals")) seals.push_back(read_seal(seal));
        if (seals.empty()) throw Malformed("a consistency proof without seals");
        return seals;
    });
}

// The record says of itself what the proof says of it.
inline bool names_record(const InclusionProof &proof) {
    std::string begin;
    record::Writer writer(begin);
    writer.begin(record::kScopes[proof.scope].number);
    writer.integer(proof.id);
    return proof.record.starts_with(begin);
}

inline void check(const InclusionProof &proof, Findings &findings) {
    const auto complain = [&](const char *problem, std::string detail) {
        findings.push_back(
            {problem, {.scope = "proof", .seq = proof.seal.number, .id = proof.id}, std::move(detail)});
    };
    if (!proof.seal.intact())
        return complain(kRewritten, "its seal's record gives the hash " + to_hex(proof.seal.computed) +
                                        ", it says " + to_hex(proof.seal.hash));
    if (!names_record(proof)) return complain(kAltered, "its record is not one of this scope and id");
    if (proof.size != proof.seal.counts[proof.scope])
        return complain(kAltered, "its seal covers " + std::to_string(proof.seal.counts[proof.scope]) +
                                      " records, it says " + std::to_string(proof.size));
    const Hash hash = sha256()({view(proof.previous), proof.record});
    const std::optional<Hash> root =
        merkle::root_by_path(merkle::leaf(view(hash)), static_cast<uint64_t>(proof.index),
                             static_cast<uint64_t>(proof.size), proof.path);
    if (!root)
        complain(kAltered, "its path is not one from leaf " + std::to_string(proof.index) + " of " +
                               std::to_string(proof.size));
    else if (*root != proof.seal.roots[proof.scope])
        complain(kAltered, "its path leads to the root " + to_hex(*root) + ", its seal has " +
                               to_hex(proof.seal.roots[proof.scope]));
}

inline void check(const std::vector<Seal> &seals, Findings &findings) {
    const Seal *before = nullptr;
    for (const Seal &seal : seals) {
        const auto complain = [&](const char *problem, std::string detail) {
            findings.push_back({problem, {.scope = "consistency", .seq = seal.number}, std::move(detail)});
        };
        if (!seal.intact()) {
            complain(kRewritten,
                     "its record gives the hash " + to_hex(seal.computed) + ", it says " + to_hex(seal.hash));
        } else if (before != nullptr && seal.number != before->number + 1) {
            complain(kMissing, "the seal before it is " + std::to_string(before->number));
        } else if (before != nullptr && seal.previous != before->hash && seal.previous != before->computed) {
            complain(kRewritten, "the seal before it has the hash " + to_hex(before->hash) + ", it names " +
                                     to_hex(seal.previous));
        }
        before = &seal;
    }
}
