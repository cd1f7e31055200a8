// What is found wrong, for people and for programs.
#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

// Where something is wrong; what does not apply is left out.
struct Where {
    std::string scope;  // transfer, audit, seal, balance, definition, digest, proof, consistency
    std::optional<int64_t> lane{};
    std::optional<int64_t> seq{};  // of a seal its number
    std::optional<int64_t> to{};   // the last seq, where several are meant
    std::optional<int64_t> id{};   // of a balance its account
};

struct Finding {
    const char *problem;
    Where where;
    std::string detail;
};

constexpr const char *kAltered = "altered";
constexpr const char *kMissing = "missing";
constexpr const char *kInserted = "inserted";
constexpr const char *kReordered = "reordered";
constexpr const char *kTruncated = "truncated";
constexpr const char *kRewritten = "rewritten";
constexpr const char *kMismatch = "mismatch";

using Findings = std::vector<Finding>;

inline std::string describe(const Finding &finding) {
    const Where &where = finding.where;
    std::string line = std::string(finding.problem) + ": " + where.scope;
    const auto add = [&line](const char *name, const std::optional<int64_t> &value) {
        if (value) line += name + std::to_string(*value);
    };
    add(" lane ", where.lane);
    add(where.lane ? " seq " : " ", where.seq);
    if (where.to != where.seq) add("..", where.to);
    add(" id ", where.id);
    return line + ": " + finding.detail;
}

inline nlohmann::ordered_json to_json(const Finding &finding) {
    nlohmann::ordered_json object = {{"problem", finding.problem}, {"scope", finding.where.scope}};
    const auto add = [&object](const char *name, const std::optional<int64_t> &value) {
        if (value) object[name] = *value;
    };
    add("lane", finding.where.lane);
    add("seq", finding.where.seq);
    add("to", finding.where.to);
    add("id", finding.where.id);
    object["detail"] = finding.detail;
    return object;
}
