// Locks of PostgreSQL's own lock table on names that need not exist yet: one for
// each of 2^48 hashes beside a relation. Deadlocks are found, and an abort lets go.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "common/hashfn.h"
}

namespace ledger {

inline std::uint64_t hash_text(const text *value, std::uint64_t seed) {
    return hash_bytes_extended(reinterpret_cast<const unsigned char *>(VARDATA_ANY(value)),
                               static_cast<int>(VARSIZE_ANY_EXHDR(value)), seed);
}

inline LOCKTAG hash_tag(Oid relation, std::uint64_t hash) {
    LOCKTAG tag;
    SET_LOCKTAG_OBJECT(tag, MyDatabaseId, relation, static_cast<std::uint32_t>(hash >> 32),
                       static_cast<std::uint16_t>(hash));
    return tag;
}

inline void lock_hash(Oid relation, std::uint64_t hash) {
    const LOCKTAG tag = hash_tag(relation, hash);
    LockAcquire(&tag, ExclusiveLock, false, false);
}

// False if another transaction has it.
inline bool try_lock_hash(Oid relation, std::uint64_t hash) {
    const LOCKTAG tag = hash_tag(relation, hash);
    return LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

inline void unlock_hash(Oid relation, std::uint64_t hash) {
    const LOCKTAG tag = hash_tag(relation, hash);
    LockRelease(&tag, ExclusiveLock, false);
}

}  // namespace ledger
