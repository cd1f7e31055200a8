// Records of the chain and their hashes. The bytes are those of
// docs/chain-format.md, version 1, which other implementations follow too.
#pragma once

#include <optional>

#include "core/ids.hpp"
#include "core/sha256.hpp"
#include "core/types.hpp"

namespace ledger {

// Transfers and audit records are chained apart.
enum class Scope : int { transfer = 0, audit = 1 };
inline constexpr int kScopes = 2;

// Where a record stands: seq counts the lane's records of the scope from 1.
struct Place {
    std::int64_t id;
    LaneNumber lane;
    std::int64_t seq;
};

// The last record of a lane's chain; seq 0 and zero bytes before the first.
struct Head {
    std::int64_t seq;
    Hash hash;
};

// UTF-8; none for NULL.
using Text = std::optional<std::string_view>;

struct TransferRecord {
    static constexpr Scope kScope = Scope::transfer;
    Place place;
    Kind kind;
    AccountId debit_account;
    AccountId credit_account;
    Minor amount;
    std::int64_t ref;
    Txid txid;
    std::int64_t created_us;  // since 1970
    Text metadata;
};

struct AuditRecord {
    static constexpr Scope kScope = Scope::audit;
    Place place;
    Txid txid;
    std::int64_t at_us;  // since 1970
    std::uint32_t relation_oid;
    Text relation, operation, key, old_row, new_row, actor, acting_as, application, client;
};

struct SealRecord {
    std::int64_t number;
    std::int64_t sealed_us;  // since 1970
    std::array<std::int64_t, kScopes> counts;
    std::array<Hash, kScopes> roots;
    std::int64_t from_id;
    std::int64_t until_id;
    Hash heads;  // SHA-256 of them
    Hash previous;
};

// The hash that chains a record to the one before.
Hash hash_of(const Hash &previous, const TransferRecord &record);
Hash hash_of(const Hash &previous, const AuditRecord &record);

Hash hash_of(const SealRecord &record);

// Gives the record's bytes, in pieces, to take(context, data, size).
using TakeBytes = void (*)(void *context, const void *data, std::size_t size);
void encode(const TransferRecord &record, TakeBytes take, void *context);
void encode(const AuditRecord &record, TakeBytes take, void *context);

// What a digest's signature signs.
using SignedBytes = std::array<std::uint8_t, 48>;
SignedBytes signed_bytes(std::int64_t seal, const Hash &hash);

// A lane's head as it stands in a seal's heads.
inline constexpr int kHeadBytes = 43;
struct LaneHead {
    Scope scope;
    LaneNumber lane;
    Head head;
};
void put_head(std::uint8_t *bytes, const LaneHead &head);
LaneHead get_head(const std::uint8_t *bytes);

}  // namespace ledger
