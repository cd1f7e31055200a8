// An export as ledger_verify reads it (client/chain.hpp, ledger_seals.hpp): that of
// test/vectors, with edits. What is found intact, held against the newest digest,
// must have every record that is sealed, and none that was not there before.
#include <algorithm>
#include <sstream>

#include "bytes.hpp"
#include "chain.hpp"
#include "digest.hpp"
#include "witness.hpp"

namespace {

const std::string kExport = "test/vectors/export/";
constexpr std::array kFiles = {"seals.copy", "transfers.copy", "audit.copy"};

using Files = std::array<std::string, 3>;

const Files &original() {
    static const Files files = [] {
        Files result;
        for (std::size_t i = 0; i < result.size(); ++i) result[i] = json::read_file(kExport + kFiles[i]);
        return result;
    }();
    return files;
}

const Digest &newest_digest() {
    static const Digest digest = read_digest("digest_3.json", json::read_file("test/vectors/digest_3.json"));
    return digest;
}

std::vector<std::string> lines_of(const std::string &file) {
    std::istringstream input(file);
    std::vector<std::string> lines;
    for (std::string line; std::getline(input, line);) lines.push_back(line);
    return lines;
}

// A record as it is understood: its bytes and its hash.
std::vector<std::string> records_of(const std::string &file, std::size_t scope) {
    std::vector<std::string> records;
    std::vector<copy::Field> fields;
    record::Row row;
    for (std::string line : lines_of(file)) {
        copy::split(line, fields);
        record::read_row(record::kScopes[scope], fields, row);
        records.push_back(row.chained.substr(sizeof(Hash)) + to_hex(row.hash));
    }
    return records;
}

// The number of records sealed, in each scope, if nothing is wrong.
std::optional<std::array<std::int64_t, 2>> verify(const Files &files) {
    Findings findings;
    LedgerSeals seals(findings);
    try {
        for (std::string line : lines_of(files[0])) seals.take(line);
        for (std::size_t scope = 0; scope < 2; ++scope) {
            const auto chain = std::make_unique<Chain>(record::kScopes[scope], scope, seals, findings);
            for (std::string line : lines_of(files[scope + 1])) chain->take(line);
            chain->finish();
        }
    } catch (const Malformed &) {
        return std::nullopt;
    }
    compare(Witness{"digest", "the digest", newest_digest().seal, newest_digest().hash}, seals, findings);
    for (const Finding &finding : findings) REQUIRE(!describe(finding).empty() && !to_json(finding).empty());
    if (!findings.empty()) return std::nullopt;
    return std::array{seals.covered(0), seals.covered(1)};
}

void edit_lines(FuzzedDataProvider &input, std::string &file) {
    std::vector<std::string> lines = lines_of(file);
    if (lines.empty()) return;
    const auto one = lines.begin() + input.ConsumeIntegralInRange<long>(0, std::ssize(lines) - 1);
    const auto other = lines.begin() + input.ConsumeIntegralInRange<long>(0, std::ssize(lines) - 1);
    switch (input.ConsumeIntegralInRange(0, 2)) {
        case 0:
            lines.erase(std::min(one, other), std::max(one, other) + 1);
            break;
        case 1:
            lines.insert(one, std::string(*other));
            break;
        default:
            std::swap(*one, *other);
    }
    file.clear();
    for (const std::string &line : lines) file += line + '\n';
}

// Changes a digit into another, replaces bytes, or takes lines away, doubles them,
// changes their places.
void edit(FuzzedDataProvider &input, std::string &file) {
    if (file.empty()) return;
    const auto at = input.ConsumeIntegralInRange<std::size_t>(0, file.size() - 1);
    switch (input.ConsumeIntegralInRange(0, 3)) {
        case 0:
        case 1:
            file[at] ^= static_cast<char>(input.ConsumeIntegralInRange(1, 7));
            break;
        case 2:
            file.replace(at, input.ConsumeIntegralInRange<std::size_t>(0, 3),
                         input.ConsumeRandomLengthString(20));
            break;
        default:
            edit_lines(input, file);
    }
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int *, char ***) {
    REQUIRE(verify(original()));
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    FuzzedDataProvider input(data, size);
    Files files = original();
    for (int edits = input.ConsumeBool() ? 1 : input.ConsumeIntegralInRange(1, 4); edits > 0; --edits)
        edit(input, files[input.ConsumeIntegralInRange<std::size_t>(0, 2)]);
    const auto sealed = verify(files);
    if (!sealed) return 0;
    for (std::size_t scope = 0; scope < 2; ++scope) {
        const auto before = records_of(original()[scope + 1], scope);
        const auto after = records_of(files[scope + 1], scope);
        REQUIRE(static_cast<std::int64_t>(after.size()) >= (*sealed)[scope]);
        auto from = before.begin();
        for (const std::string &record : after) {
            from = std::find(from, before.end(), record);
            REQUIRE(from != before.end());
            ++from;
        }
    }
    return 0;
}
