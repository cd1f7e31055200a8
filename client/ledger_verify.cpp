// Recomputes a ledger's hash chain from the outside: every record, lane, tree and
// seal, and holds digests and proofs against them. It shares no code with the
// server and trusts nothing but the rows that the server sends; docs/chain-format.md
// says how everything is hashed. Whether the rows are those that the server works with,
// a digest and a physical backup can show.

#include <algorithm>
#include <array>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "balances.hpp"
#include "chain.hpp"
#include "digest.hpp"
#include "findings.hpp"
#include "ledger_seals.hpp"
#include "program.hpp"
#include "progress.hpp"
#include "proof.hpp"
#include "record_source.hpp"
#include "witness.hpp"

namespace {

constexpr const char *kVersion = "0.3";
constexpr int kFound = 1;
constexpr int kCouldNotVerify = 2;
constexpr int kNoDigest = 3;

constexpr const char *kHelp =
    R"(usage: ledger_verify [OPTION]...
Recomputes the hash of every record and seal of a ledger and tells what is wrong.
Of a server it reads the tables, and compares balances and definitions, too.

  -d, --dbname CONNINFO  a database name or conninfo string; otherwise PG* decides
  --export DIR           reads transfers.copy, audit.copy and seals.copy instead
  --digest FILE          a digest that was kept; the ledger must still fit it
                         (may be given more than once)
  --public-key FILE      Ed25519 key in PEM that each digest must be signed with
  --proof FILE           an inclusion proof: that its record is under its seal,
                         and its seal under the digests
  --consistency FILE     a consistency proof, from one seal to another
  --json                 prints one JSON object
  --no-progress          no progress bar, even on a terminal
  --version
  -h, --help

With --proof or --consistency a ledger is read only where -d or --export names
it. Exit status: 0 intact, 1 something is wrong, 2 it could not be verified,
3 consistent in itself, but no digest was given to compare with.
)";

struct Options {
    std::optional<std::string> conninfo;
    std::optional<std::string> directory;
    std::vector<std::string> digests;
    std::optional<std::string> public_key;
    std::optional<std::string> proof;
    std::optional<std::string> consistency;
    bool json = false;
    bool progress = true;

    bool reads_ledger() const { return conninfo || directory || !(proof || consistency); }
};

// Everything that is verified in one go, and what came of it.
struct Verification {
    std::vector<Digest> digests;
    std::optional<PublicKey> public_key;
    std::optional<InclusionProof> proof;
    std::vector<Seal> consistency;

    Findings findings;
    LedgerSeals seals{findings};
    std::array<int64_t, 2> counts{};
    Balances balances;
    bool read_server = false;

    // The newest seal that a digest is of; 0: there is no digest.
    int64_t digest_of() const {
        int64_t newest = 0;
        for (const Digest &digest : digests) newest = std::max(newest, digest.seal);
        return newest;
    }
};

// Errors in a file are told with its name.
template <typename Read>
auto read_named(const std::string &path, Read read) {
    try {
        return read(json::read_file(path));
    } catch (const Malformed &error) {
        throw Malformed(path + ": " + error.what());
    }
}

void read_evidence(const Options &options, Verification &verification) {
    for (const std::string &path : options.digests)
        verification.digests.push_back(
            read_named(path, [&](const std::string &content) { return read_digest(path, content); }));
    if (options.public_key) verification.public_key = PublicKey::from_pem(*options.public_key);
    if (options.proof) verification.proof = read_named(*options.proof, read_inclusion_proof);
    if (options.consistency)
        verification.consistency = read_named(*options.consistency, read_consistency_proof);
}

std::unique_ptr<RecordSource> open_source(const Options &options) {
    if (options.directory) return std::make_unique<Export>(*options.directory);
    return std::make_unique<Server>(options.conninfo.value_or(""));
}

void verify_ledger(const Options &options, Verification &verification) {
    const std::unique_ptr<RecordSource> source = open_source(options);
    LedgerSeals &seals = verification.seals;
    source->check_definitions(verification.findings);
    source->read_seals([&](std::string &line) { seals.take(line); });
    // How much there is to do is known from the seals: what is not sealed yet is little.
    std::optional<Progress> progress;
    const int64_t total = seals.covered(0) + seals.covered(1);
    if (options.progress && isatty(STDERR_FILENO) == 1 && total > 0) progress.emplace("verifying", total);
    for (size_t scope = 0; scope < record::kScopes.size(); ++scope) {
        const auto chain =
            std::make_unique<Chain>(record::kScopes[scope], scope, seals, verification.findings);
        source->read_records(record::kScopes[scope], [&](std::string &line) {
            chain->take(line);
            if (scope == 0 && source->is_server()) verification.balances.add(chain->fields());
            if (progress) progress->advance();
        });
        chain->finish();
        verification.counts[scope] = chain->count();
    }
    if (!source->is_server()) return;
    verification.read_server = true;
    source->read_balances(
        [&](std::string &line) { verification.balances.compare(line, verification.findings); });
    verification.balances.finish(verification.findings);
}

std::vector<Witness> witnesses(const Verification &verification) {
    std::vector<Witness> all;
    for (const Digest &digest : verification.digests)
        all.push_back({"digest", digest.file, digest.seal, digest.hash});
    if (verification.proof)
        all.push_back(
            {"proof", "the proof", verification.proof->seal.number, verification.proof->seal.computed});
    for (const Seal &seal : verification.consistency)
        all.push_back({"consistency", "the consistency proof", seal.number, seal.computed});
    return all;
}

// Without a ledger, all must fit the seals that a consistency proof links; without
// that too, the proof's seal.
std::vector<Seal> proven_seals(const Verification &verification) {
    if (!verification.consistency.empty()) return verification.consistency;
    return {verification.proof->seal};
}

void verify(const Options &options, Verification &verification) {
    Findings &findings = verification.findings;
    read_evidence(options, verification);
    if (options.reads_ledger()) verify_ledger(options, verification);
    if (verification.proof) check(*verification.proof, findings);
    check(verification.consistency, findings);
    for (const Digest &digest : verification.digests) check(digest, verification.public_key, findings);
    for (const Witness &witness : witnesses(verification)) {
        if (options.reads_ledger()) {
            compare(witness, verification.seals, findings);
        } else {
            compare(witness, proven_seals(verification), findings);
        }
    }
}

// --- telling ---------------------------------------------------------------

struct Verdict {
    const char *words;
    int status;
};
constexpr Verdict kIntact{"intact", EXIT_SUCCESS};
constexpr Verdict kNotIntact{"not intact", kFound};
constexpr Verdict kNotVerified{"not verified", kCouldNotVerify};
constexpr Verdict kConsistent{"consistent", kNoDigest};

Verdict verdict_of(const Verification &verification) {
    if (!verification.findings.empty()) return kNotIntact;
    return verification.digests.empty() ? kConsistent : kIntact;
}

std::string counted(int64_t count, const char *what) {
    return std::to_string(count) + ' ' + what + (count == 1 ? "" : "s");
}

void print_text(const Options &options, const Verification &verification, const Verdict &verdict) {
    const int64_t findings = static_cast<int64_t>(verification.findings.size());
    const auto sealed = [&](size_t scope) {
        return " (" + std::to_string(verification.seals.covered(scope)) + " sealed), ";
    };
    for (const Finding &finding : verification.findings) std::cout << describe(finding) << '\n';
    const LedgerSeals &seals = verification.seals;
    const int64_t proved = verification.digest_of();
    if (options.reads_ledger() && verdict.status != kCouldNotVerify)
        std::cout << counted(verification.counts[0], "transfer") << sealed(0)
                  << counted(verification.counts[1], "audit record") << sealed(1)
                  << counted(static_cast<int64_t>(seals.size()), "seal")
                  << (verification.read_server ? ", " + counted(verification.balances.count(), "balance")
                                               : "")
                  << '\n';
    if (proved == 0)
        std::cout << "no digest was given: nothing shows that this is not rewritten as a whole\n";
    else if (options.reads_ledger() && !seals.empty() && proved < seals.last().number)
        std::cout << "the newest digest is of seal " << proved
                  << ": nothing shows that later records are not rewritten\n";
    std::cout << verdict.words << (findings > 0 ? ": " + counted(findings, "finding") : "") << '\n';
}

void print_json(const Verification &verification, const Verdict &verdict, const std::string &error) {
    nlohmann::ordered_json findings = nlohmann::ordered_json::array();
    for (const Finding &finding : verification.findings) findings.push_back(to_json(finding));
    nlohmann::ordered_json object = {
        {"version", 1},
        {"verdict", verdict.words},
        {"counts",
         {{"transfers", verification.counts[0]},
          {"transfers_sealed", verification.seals.covered(0)},
          {"audits", verification.counts[1]},
          {"audits_sealed", verification.seals.covered(1)},
          {"seals", verification.seals.size()},
          {"balances", verification.balances.count()},
          {"digests", verification.digests.size()},
          {"digest_of_seal", verification.digest_of()}}},
        {"findings", std::move(findings)},
    };
    if (!error.empty()) object["error"] = error;
    std::cout << object.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n';
}

void print(const Options &options, const Verification &verification, const Verdict &verdict,
           const std::string &error = "") {
    if (options.json) {
        print_json(verification, verdict, error);
    } else {
        print_text(options, verification, verdict);
    }
    if (!std::cout.flush()) throw std::runtime_error("cannot write the report");
}

// An error ends the verification, but what was found before it is told.
int run(const Options &options) {
    const auto verification = std::make_unique<Verification>();
    try {
        verify(options, *verification);
    } catch (const std::exception &error) {
        print(options, *verification, kNotVerified, error.what());
        throw;
    }
    const Verdict verdict = verdict_of(*verification);
    print(options, *verification, verdict);
    return verdict.status;
}

Options parse(int argc, char **argv) {
    Options options;
    const auto print_version = [](const char *) {
        std::printf("ledger_verify %s\n", kVersion);
        std::exit(EXIT_SUCCESS);
    };
    const std::vector<Option> known = {
        {"dbname", [&](const char *text) { options.conninfo = text; }},
        {"export", [&](const char *text) { options.directory = text; }},
        {"digest", [&](const char *text) { options.digests.emplace_back(text); }},
        {"public-key", [&](const char *text) { options.public_key = text; }},
        {"proof", [&](const char *text) { options.proof = text; }},
        {"consistency", [&](const char *text) { options.consistency = text; }},
        {"json", [&](const char *) { options.json = true; }, true},
        {"no-progress", [&](const char *) { options.progress = false; }, true},
        {"version", print_version, true},
    };
    take_options("ledger_verify", kHelp, argc, argv, known);
    if (optind != argc) throw std::invalid_argument("it takes options only; see ledger_verify --help");
    if (options.conninfo && options.directory)
        throw std::invalid_argument("--dbname and --export are two sources, it reads one");
    if (options.public_key && options.digests.empty())
        throw std::invalid_argument("--public-key is for a --digest");
    return options;
}

}  // namespace

int main(int argc, char **argv) {
    return run_program(
        "ledger_verify", [&] { return run(parse(argc, argv)); }, kCouldNotVerify);
}
