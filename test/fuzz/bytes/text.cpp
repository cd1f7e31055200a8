// Lines of COPY, records of CSV, hexadecimal and decimal numbers, from any bytes:
// what is read is written and read again as the same.
#include <sstream>

#include "bytes.hpp"
#include "copy.hpp"
#include "csv.hpp"
#include "decimal.hpp"
#include "seal.hpp"

namespace {

using Owned = std::vector<std::optional<std::string>>;

std::optional<Owned> split(std::string line) {
    try {
        std::vector<copy::Field> fields;
        copy::split(line, fields);
        return Owned(fields.begin(), fields.end());
    } catch (const Malformed &) {
        return std::nullopt;
    }
}

void check_copy(const std::string &text) {
    const auto fields = split(text);
    if (!fields) return;
    std::string line;
    for (const auto &field : *fields)
        line += (&field == fields->data() ? "" : "\t") + (field ? copied(*field) : "\\N");
    REQUIRE(split(line) == fields);
}

std::vector<std::vector<std::string>> csv_records(const std::string &text, char delimiter) {
    std::istringstream input(text);
    csv::Reader reader(input, delimiter);
    std::vector<std::vector<std::string>> records;
    for (csv::Record record; reader.next(record);) records.push_back(record.fields);
    return records;
}

void check_csv(const std::string &text, char delimiter) {
    const auto records = csv_records(text, delimiter);
    std::string written;
    for (const auto &fields : records) {
        for (std::size_t i = 0; i < fields.size(); ++i) {
            written += i > 0 ? std::string(1, delimiter) + '"' : "\"";
            for (const char c : fields[i]) written += c == '"' ? "\"\"" : std::string(1, c);
            written += '"';
        }
        written += '\n';
    }
    REQUIRE(csv_records(written, delimiter) == records);
}

void check_numbers(const std::string &text) {
    if (const auto value = parse_decimal(text)) REQUIRE(parse_decimal(format_decimal(*value)) == value);
    REQUIRE(from_hex(to_hex(text)) == text);
    try {
        std::string lower = text;
        for (char &c : lower)
            if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
        REQUIRE(to_hex(from_hex(text)) == lower);
    } catch (const Malformed &) {
    }
    try {
        const std::int64_t number = parse_integer(text);
        REQUIRE(parse_integer(std::to_string(number)) == number);
    } catch (const Malformed &) {
    }
}

void check_heads(const std::string &bytes) {
    std::vector<Head> heads;
    if (!read_heads(bytes, heads)) return;
    REQUIRE(heads.size() * 43 == bytes.size());
    for (const Head &head : heads)
        REQUIRE(head.scope < 2 && head.lane >= 0 && head.lane < 1024 && head.seq > 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    const std::string text(reinterpret_cast<const char *>(data), size);
    check_copy(text);
    check_csv(text, ',');
    check_csv(text, ';');
    check_numbers(text);
    check_heads(text);
    return 0;
}
