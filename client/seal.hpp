// A seal: the record, its bytes and its hash (docs/chain-format.md, Seals).
#pragma once

#include <array>
#include <string>
#include <vector>

#include "copy.hpp"
#include "json.hpp"
#include "records.hpp"
#include "sha256.hpp"

struct Seal {
    int64_t number = 0;
    int64_t sealed_us = 0;
    std::array<int64_t, 2> counts{};  // by scope, as in record::kScopes
    std::array<Hash, 2> roots{};
    int64_t from_id = 0;
    int64_t until_id = 0;
    Hash heads_hash{};
    Hash previous{};
    Hash hash{};      // as it is told
    Hash computed{};  // as it must be

    bool intact() const { return hash == computed; }

    void compute() {
        std::string bytes;
        record::Writer writer(bytes);
        writer.begin(record::kSealScope);
        writer.integer(number);
        writer.integer(sealed_us, record::Type::time);
        for (size_t scope = 0; scope < counts.size(); ++scope) {
            writer.integer(counts[scope]);
            writer.bytes(view(roots[scope]));
        }
        writer.integer(from_id);
        writer.integer(until_id);
        writer.bytes(view(heads_hash));
        writer.bytes(view(previous));
        computed = sha256()({bytes});
    }
};

// A number that a seal can have, and that can be counted on from.
inline int64_t seal_number(int64_t number) {
    if (number < 1 || number > record::kSeqMax) throw Malformed("a number that no seal has");
    return number;
}

// The columns of a seal in an export, over the table r.
inline std::string seal_columns() {
    using record::hex_of;
    return "r.number, " + record::microseconds_of("r.sealed_at") + ", r.transfers, " +
           hex_of("r.transfer_root") + ", r.audits, " + hex_of("r.audit_root") + ", r.from_id, r.until_id, " +
           hex_of("r.heads") + ", " + hex_of("r.previous") + ", " + hex_of("r.hash");
}

// A seal as an export has it, and the bytes of its heads.
inline Seal read_seal(const std::vector<copy::Field> &fields, std::string &heads) {
    if (fields.size() != 11) throw Malformed("wrong number of columns");
    const auto hash = [&](size_t column) { return parse_hash(copy::text(fields[column])); };
    Seal seal;
    seal.number = seal_number(copy::integer(fields[0]));
    seal.sealed_us = copy::integer(fields[1]);
    seal.counts = {copy::integer(fields[2]), copy::integer(fields[4])};
    seal.roots = {hash(3), hash(5)};
    seal.from_id = copy::integer(fields[6]);
    seal.until_id = copy::integer(fields[7]);
    heads = from_hex(copy::text(fields[8]));
    seal.heads_hash = sha256()({heads});
    seal.previous = hash(9);
    seal.hash = hash(10);
    seal.compute();
    return seal;
}

// A seal as proofs have it.
inline Seal read_seal(const json::Value &object) {
    Seal seal;
    seal.number = seal_number(json::integer(object, "number"));
    seal.sealed_us = json::integer(object, "sealed_us");
    seal.counts = {json::integer(object, "transfers"), json::integer(object, "audits")};
    seal.roots = {json::hash(object, "transfer_root"), json::hash(object, "audit_root")};
    seal.from_id = json::integer(object, "from_id");
    seal.until_id = json::integer(object, "until_id");
    seal.heads_hash = json::hash(object, "heads_hash");
    seal.previous = json::hash(object, "previous");
    seal.hash = json::hash(object, "hash");
    seal.compute();
    return seal;
}

// What a seal says of a lane: the last record it covers there.
struct Head {
    size_t scope = 0;
    int64_t lane = 0;
    int64_t seq = 0;
    Hash hash{};
};

// Takes heads apart; false if they are not written as they must be: ordered by
// scope and lane, each with a number that a record can have.
inline bool read_heads(std::string_view bytes, std::vector<Head> &heads) {
    constexpr size_t kSize = 1 + 2 + 8 + sizeof(Hash);
    heads.clear();
    for (; bytes.size() >= kSize; bytes.remove_prefix(kSize)) {
        Head head;
        head.scope = static_cast<unsigned char>(bytes[0]) - size_t{1};
        head.lane = record::read_big_endian<uint16_t>(bytes.substr(1));
        head.seq = static_cast<int64_t>(record::read_big_endian<uint64_t>(bytes.substr(3)));
        bytes.copy(head.hash.data(), head.hash.size(), 11);
        if (head.scope >= record::kScopes.size() || head.lane > 1023) return false;
        if (head.seq < 1 || head.seq > record::kSeqMax) return false;
        const auto place = [](const Head &each) {
            return each.scope * 1024 + static_cast<size_t>(each.lane);
        };
        if (!heads.empty() && place(heads.back()) >= place(head)) return false;
        heads.push_back(head);
    }
    return bytes.empty();
}
