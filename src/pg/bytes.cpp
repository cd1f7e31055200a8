#include "pg/bytes.hpp"

namespace ledger {

std::string_view bytes_of(Datum datum) {
    const auto *value = reinterpret_cast<const varlena *>(PG_DETOAST_DATUM_PACKED(datum));
    return {VARDATA_ANY(value), static_cast<std::size_t>(VARSIZE_ANY_EXHDR(value))};
}

bool hash_in(Datum datum, Hash &hash) {
    const std::string_view bytes = bytes_of(datum);
    if (bytes.size() != hash.size()) return false;
    memcpy(hash.data(), bytes.data(), hash.size());
    return true;
}

// Where the database's encoding is UTF-8, or none, this is the same text.
Text utf8_of(std::string_view text) {
    if (GetDatabaseEncoding() == PG_SQL_ASCII) return text;
    const int size = static_cast<int>(text.size());
    char *converted = pg_server_to_any(text.data(), size, PG_UTF8);
    if (converted == text.data()) return text;
    return std::string_view(converted);
}

void require_utf8() {
    if (GetDatabaseEncoding() != PG_MULE_INTERNAL) return;
    ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
            errmsg("encoding \"%s\" is not supported by the ledger", GetDatabaseEncodingName()),
            errdetail("Records are hashed in UTF-8, and PostgreSQL has no conversion from this encoding."),
            errhint("Use a database with another encoding: CREATE DATABASE ... TEMPLATE template0 ENCODING "
                    "'UTF8'."));
}

Text text_of(const char *string) {
    if (!string) return {};
    return utf8_of(string);
}

Text text_of(const Jsonb *json) {
    if (!json) return {};
    return utf8_of(JsonbToCString(nullptr, const_cast<JsonbContainer *>(&json->root), VARSIZE(json)));
}

Text column_bytes(HeapTuple tuple, AttrNumber column, TupleDesc shape) {
    bool is_null;
    const Datum datum = heap_getattr(tuple, column, shape, &is_null);
    if (is_null) return {};
    return bytes_of(datum);
}

}  // namespace ledger
