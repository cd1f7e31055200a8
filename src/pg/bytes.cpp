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

const char *hex_of(const void *data, std::size_t size) {
    auto *digits = static_cast<char *>(palloc(2 * size + 1));
    hex_encode(static_cast<const char *>(data), size, digits);
    digits[2 * size] = '\0';
    return digits;
}

bool from_hex(std::string_view digits, void *to, std::size_t size) {
    if (digits.size() != 2 * size) return false;
    const auto value = [](char c) {
        return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    };
    auto *bytes = static_cast<std::uint8_t *>(to);
    for (std::size_t i = 0; i < size; ++i) {
        const int high = value(digits[2 * i]), low = value(digits[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        bytes[i] = static_cast<std::uint8_t>(high << 4 | low);
    }
    return true;
}

}  // namespace ledger
