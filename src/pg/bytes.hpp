// Between PostgreSQL's values and the chain's: hashes as bytea, texts in UTF-8.
#pragma once

#include "core/record.hpp"
#include "pg/postgres.hpp"

namespace ledger {

// A hash as a bytea datum, that lives as long as this does.
struct alignas(8) HashDatum {
    char bytes[VARHDRSZ + sizeof(Hash)];

    Datum set(const Hash &hash) {
        SET_VARSIZE(bytes, sizeof bytes);
        memcpy(bytes + VARHDRSZ, hash.data(), hash.size());
        return PointerGetDatum(bytes);
    }
};

// The bytes of a bytea or text datum that is not toasted.
std::string_view bytes_of(Datum datum);

// False if the bytea is not as long as a hash.
bool hash_in(Datum datum, Hash &hash);

// As records have it: in UTF-8, in the current memory context or where it was; none for null.
Text text_of(const Jsonb *json);
Text text_of(const char *string);
Text utf8_of(std::string_view text);

// Refuses a database of the only encoding that PostgreSQL does not convert to UTF-8.
void require_utf8();

// The column of a row as bytes, detoasted; none for NULL.
Text column_bytes(HeapTuple tuple, AttrNumber column, TupleDesc shape);

}  // namespace ledger
