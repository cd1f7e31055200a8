// Records: the server's bytes (core/record) are those that the client makes of a
// line of COPY (client/records.hpp), so are the hashes; and two records have the
// same bytes only if they are the same.
#include <tuple>

#include "bytes.hpp"
#include "core/record.hpp"
#include "records.hpp"

namespace {

using Fields = std::vector<std::optional<std::string>>;

ledger::Text view_of(const std::optional<std::string> &text) {
    return text ? ledger::Text(*text) : std::nullopt;
}

// What a record is made of, column by column as in its view, without the hash.
struct Drawn {
    std::vector<std::int64_t> integers;
    Fields texts;
    bool operator==(const Drawn &) const = default;
};

Drawn draw(FuzzedDataProvider &input, std::size_t integers, std::size_t texts) {
    Drawn drawn;
    for (std::size_t i = 0; i < integers; ++i)
        drawn.integers.push_back(input.ConsumeIntegral<std::int64_t>());
    for (std::size_t i = 0; i < texts; ++i)
        drawn.texts.push_back(input.ConsumeBool() ? std::optional(input.ConsumeRandomLengthString(2000))
                                                  : std::nullopt);
    return drawn;
}

// Those numbers that are narrower in the tables.
void narrow(Drawn &drawn, bool is_transfer) {
    drawn.integers[1] &= 1023;
    if (is_transfer) drawn.integers[3] = static_cast<std::int16_t>(drawn.integers[3]);
    if (!is_transfer) drawn.integers[5] = static_cast<std::uint32_t>(drawn.integers[5]);
}

ledger::Place place_of(const Drawn &d) {
    return {d.integers[0], ledger::LaneNumber{static_cast<int>(d.integers[1])}, d.integers[2]};
}

ledger::TransferRecord transfer_of(const Drawn &d) {
    return {place_of(d),
            ledger::Kind{static_cast<std::int16_t>(d.integers[3])},
            ledger::AccountId{d.integers[4]},
            ledger::AccountId{d.integers[5]},
            d.integers[6],
            d.integers[7],
            ledger::Txid{d.integers[8]},
            d.integers[9],
            view_of(d.texts[0])};
}

ledger::AuditRecord audit_of(const Drawn &d) {
    ledger::AuditRecord record = {};
    record.place = place_of(d);
    record.txid = ledger::Txid{d.integers[3]};
    record.at_us = d.integers[4];
    record.relation_oid = static_cast<std::uint32_t>(d.integers[5]);
    ledger::Text *texts[] = {&record.relation,  &record.operation,   &record.key,
                             &record.old_row,   &record.new_row,     &record.actor,
                             &record.acting_as, &record.application, &record.client};
    for (std::size_t i = 0; i < d.texts.size(); ++i) *texts[i] = view_of(d.texts[i]);
    return record;
}

template <typename Record>
std::string encoded(const Record &record) {
    std::string bytes;
    ledger::encode(
        record,
        [](void *to, const void *data, std::size_t size) {
            static_cast<std::string *>(to)->append(static_cast<const char *>(data), size);
        },
        &bytes);
    return bytes;
}

// The line that COPY would write of the view, with this hash.
std::string line_of(const Drawn &drawn, const std::string &hash) {
    std::string line;
    for (const std::int64_t number : drawn.integers) line += std::to_string(number) + '\t';
    for (const auto &text : drawn.texts) line += (text ? copied(*text) : "\\N") + '\t';
    return line + hash;
}

template <typename Record>
void compare(const Record &record, const Drawn &drawn, std::size_t scope) {
    const std::string bytes = encoded(record);
    const ledger::Hash previous = ledger::sha256("previous");
    const ledger::Hash hash = ledger::hash_of(previous, record);
    REQUIRE(hash == ledger::sha256(std::string(previous.begin(), previous.end()) + bytes));

    std::string line = line_of(drawn, to_hex({reinterpret_cast<const char *>(hash.data()), hash.size()}));
    std::vector<copy::Field> fields;
    copy::split(line, fields);
    record::Row row;
    record::read_row(record::kScopes[scope], fields, row);
    REQUIRE(row.chained.substr(sizeof(Hash)) == bytes);
    Hash before;
    std::memcpy(before.data(), previous.data(), before.size());
    REQUIRE(row.hash_after(before) == row.hash);
    REQUIRE(std::memcmp(row.hash.data(), hash.data(), hash.size()) == 0);
    REQUIRE(row.hash_after(before, row.seq) == row.hash);
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int *, char ***) {
    REQUIRE(ledger::prepare_sha256());
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    FuzzedDataProvider input(data, size);
    const bool is_transfer = input.ConsumeBool();
    const std::size_t integers = is_transfer ? 10 : 6, texts = is_transfer ? 1 : 9;
    Drawn one = draw(input, integers, texts);
    // The other differs in one place, or anywhere.
    Drawn other = input.ConsumeBool() ? draw(input, integers, texts) : one;
    const auto at = input.ConsumeIntegralInRange<std::size_t>(0, integers + texts - 1);
    if (at < integers)
        other.integers[at] = input.ConsumeIntegral<std::int64_t>();
    else
        other.texts[at - integers] =
            input.ConsumeBool() ? std::optional(input.ConsumeRandomLengthString(2000)) : std::nullopt;
    narrow(one, is_transfer);
    narrow(other, is_transfer);
    if (is_transfer) {
        compare(transfer_of(one), one, 0);
        REQUIRE((encoded(transfer_of(one)) == encoded(transfer_of(other))) == (one == other));
    } else {
        compare(audit_of(one), one, 1);
        REQUIRE((encoded(audit_of(one)) == encoded(audit_of(other))) == (one == other));
    }
    return 0;
}
