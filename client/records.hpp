// Records of transfers and of the audit trail: their columns, in an export and in the
// server's tables, and the bytes that stand for a row (docs/chain-format.md, Records).
#pragma once

#include <array>
#include <bit>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "copy.hpp"
#include "sha256.hpp"

namespace record {

// The first byte of a field.
enum class Type : char { null, integer, time, text, bytes };

// SQL for a timestamptz as microseconds, and for bytes as hexadecimal digits. Each function and
// operator takes exactly these types: where something has to be cast, one that is planted in
// pg_catalog can fit better.
inline std::string microseconds_of(const std::string &column) {
    return "(pg_catalog.extract('epoch'::text, " + column +
           ") OPERATOR(pg_catalog.*) '1000000'::numeric)::bigint";
}

inline std::string hex_of(const std::string &column) {
    return "pg_catalog.encode(" + column + ", 'hex'::text)";
}

struct Column {
    const char *name;
    Type type;
    const char *time_of = nullptr;  // the table's column, where it is a timestamptz

    // Over the table r.
    std::string sql() const {
        return time_of ? microseconds_of(std::string("r.") + time_of) : std::string("r.") + name;
    }
};

// A kind of records, which are chained, sealed and proven apart from the others.
struct Scope {
    char number;
    const char *name;
    const char *table;
    const char *file;  // in an export
    std::vector<Column> columns;
};

inline const std::array<Scope, 2> kScopes = {{
    {1,
     "transfer",
     "ledger_data.transfer",
     "transfers.copy",
     {{"id", Type::integer},
      {"lane", Type::integer},
      {"seq", Type::integer},
      {"kind", Type::integer},
      {"debit_account", Type::integer},
      {"credit_account", Type::integer},
      {"amount", Type::integer},
      {"ref", Type::integer},
      {"txid", Type::integer},
      {"created_us", Type::time, "created_at"},
      {"metadata", Type::text}}},
    {2,
     "audit",
     "ledger_data.audit",
     "audit.copy",
     {{"id", Type::integer},
      {"lane", Type::integer},
      {"seq", Type::integer},
      {"txid", Type::integer},
      {"at_us", Type::time, "at"},
      {"relation_oid", Type::integer},
      {"relation", Type::text},
      {"operation", Type::text},
      {"key", Type::text},
      {"old", Type::text},
      {"new", Type::text},
      {"actor", Type::text},
      {"acting_as", Type::text},
      {"application", Type::text},
      {"client", Type::text}}},
}};

constexpr char kVersion = 1;
constexpr char kSealScope = 3;
constexpr char kSignedScope = 4;

// Writes a record's bytes, one field after the other.
class Writer {
  public:
    explicit Writer(std::string &bytes) : bytes_(bytes) {}

    void begin(char scope) {
        bytes_ += kVersion;
        bytes_ += scope;
    }

    void null() { type(Type::null); }

    void integer(int64_t value, Type as = Type::integer) {
        type(as);
        big_endian(static_cast<uint64_t>(value));
    }

    void text(std::string_view value, Type as = Type::text) {
        type(as);
        big_endian(static_cast<uint32_t>(value.size()));
        bytes_ += value;
    }

    void bytes(std::string_view value) { text(value, Type::bytes); }

  private:
    void type(Type type) { bytes_ += static_cast<char>(type); }

    template <typename Unsigned>
    void big_endian(Unsigned value) {
        std::array<char, sizeof value> digits;
        for (size_t i = digits.size(); i-- > 0; value >>= 8) digits[i] = static_cast<char>(value);
        bytes_.append(digits.data(), digits.size());
    }

    std::string &bytes_;
};

template <typename Unsigned>
Unsigned read_big_endian(std::string_view bytes) {
    Unsigned value = 0;
    for (const char c : bytes.substr(0, sizeof value)) value = value << 8 | static_cast<unsigned char>(c);
    return value;
}

// A row of a scope. Its bytes stand behind room for the hash before, so
// that both are hashed at one stroke.
struct Row {
    int64_t id = 0;
    int64_t lane = 0;
    int64_t seq = 0;
    Hash hash{};
    std::string chained = std::string(sizeof(Hash), '\0');

    // What the row's hash is if it follows on a record with this hash.
    Hash hash_after(const Hash &previous) {
        std::memcpy(chained.data(), previous.data(), previous.size());
        return sha256()({chained});
    }

    // The same, had it this seq.
    Hash hash_after(const Hash &previous, int64_t other_seq) {
        constexpr size_t kSeqAt = sizeof(Hash) + 2 + 9 + 9 + 1;  // version and scope, id, lane, type
        std::string digits;
        Writer(digits).integer(other_seq);
        Row other = *this;
        other.chained.replace(kSeqAt, sizeof other_seq, digits, 1);
        return other.hash_after(previous);
    }
};

// More than any lane will ever have, and few enough to be added up.
constexpr int64_t kSeqMax = int64_t{1} << 48;

// Bits 6 to 15.
inline int64_t lane_of(int64_t id) {
    return id >> 6 & 1023;
}

inline void write_field(Writer &writer, Type type, const copy::Field &field) {
    if (!field) {
        writer.null();
    } else if (type == Type::text) {
        writer.text(*field);
    } else {
        writer.integer(parse_integer(*field), type);
    }
}

inline void read_row(const Scope &scope, const std::vector<copy::Field> &fields, Row &row) {
    if (fields.size() != scope.columns.size() + 1) throw Malformed("wrong number of columns");
    row.id = copy::integer(fields[0]);
    row.lane = copy::integer(fields[1]);
    row.seq = copy::integer(fields[2]);
    row.hash = parse_hash(copy::text(fields.back()));
    row.chained.resize(sizeof(Hash));
    Writer writer(row.chained);
    writer.begin(scope.number);
    for (size_t i = 0; i < scope.columns.size(); ++i) write_field(writer, scope.columns[i].type, fields[i]);
}

}  // namespace record
