// The definitions that a version of the extension ships, read from the script that creates it.
#pragma once

#include <array>
#include <cctype>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "shipped_sql.hpp"

class Shipped {
  public:
    struct View {
        std::set<std::string> reads;  // tables, views and functions of the ledger
        std::string clauses;
    };

    explicit Shipped(std::string_view script) {
        each(script, "\nCREATE FUNCTION ", [this](std::string_view rest) {
            functions.emplace(rest.substr(0, rest.find('(')), body_of(rest));
        });
        each(script, "\nCREATE VIEW ", [this](std::string_view rest) {
            const std::string text = without_comments(rest.substr(0, rest.find(";\n")));
            const std::string name = text.substr(0, text.find_first_of(" \n"));
            const std::string query = text.substr(name.size());
            views.emplace(name, View{names_in(query), clauses_of(query)});
        });
        each(script, "\nCREATE TRIGGER guard BEFORE ", [this](std::string_view rest) {
            const std::string_view events = rest.substr(0, rest.find(" ON "));
            rest.remove_prefix(events.size() + 4);
            guards.emplace(rest.substr(0, rest.find_first_of(" \n")), type_of(events));
        });
    }

    // Null where there is no such version.
    static const char *script_of(const std::string &version) {
        for (const auto &[name, script] : kShippedSql)
            if (version == name) return script;
        return nullptr;
    }

    // Whether a query hides or changes rows can be seen in these clauses, which PostgreSQL
    // writes back as they were written. "WHERE 2, CASE 1".
    static std::string clauses_of(std::string_view query) {
        constexpr std::array kClauses = {"WHERE",    "CASE",  "UNION",  "EXCEPT",     "INTERSECT",
                                         "DISTINCT", "LIMIT", "HAVING", "TABLESAMPLE"};
        std::map<std::string_view, int> counts;
        for (size_t at = 0; at < query.size();) {
            const size_t begin = at;
            while (at < query.size() && is_word(query[at])) ++at;
            if (at > begin) ++counts[query.substr(begin, at - begin)];
            if (at == begin) ++at;
        }
        std::string clauses;
        for (const char *clause : kClauses)
            if (const auto found = counts.find(clause); found != counts.end())
                clauses +=
                    (clauses.empty() ? "" : ", ") + std::string(clause) + ' ' + std::to_string(found->second);
        return clauses;
    }

    std::multimap<std::string, std::string> functions;  // by name: source, or library and symbol
    std::map<std::string, View> views;
    std::map<std::string, int> guards;  // by table: pg_trigger.tgtype

  private:
    template <typename Take>
    static void each(std::string_view text, std::string_view begin, Take take) {
        for (size_t at = text.find(begin); at != text.npos; at = text.find(begin, at + 1))
            take(text.substr(at + begin.size()));
    }

    static bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

    static std::string body_of(std::string_view rest) {
        constexpr std::string_view kSource = "AS $$", kSymbol = "AS 'MODULE_PATHNAME', '";
        const size_t source = rest.find(kSource), symbol = rest.find(kSymbol);
        if (source < symbol) {
            rest.remove_prefix(source + kSource.size());
            return std::string(rest.substr(0, rest.find("$$")));
        }
        rest.remove_prefix(symbol + kSymbol.size());
        return "$libdir/ledger " + std::string(rest.substr(0, rest.find('\'')));
    }

    static std::string without_comments(std::string_view text) {
        std::string rest;
        for (size_t at = 0; at < text.size();) {
            const size_t comment = text.find("--", at);
            rest += text.substr(at, comment == text.npos ? text.npos : comment - at);
            at = comment == text.npos ? text.size() : text.find('\n', comment);
        }
        return rest;
    }

    static std::set<std::string> names_in(std::string_view query) {
        std::set<std::string> names;
        for (const std::string_view schema : {"ledger.", "ledger_data."})
            each(query, schema, [&](std::string_view rest) {
                const char before = rest.data()[-static_cast<std::ptrdiff_t>(schema.size()) - 1];
                if (is_word(before) || before == '.') return;
                size_t end = 0;
                while (end < rest.size() && is_word(rest[end])) ++end;
                names.insert(std::string(schema) + std::string(rest.substr(0, end)));
            });
        return names;
    }

    static int type_of(std::string_view events) {
        constexpr std::array<std::pair<const char *, int>, 4> kEvents = {
            {{"INSERT", 4}, {"DELETE", 8}, {"UPDATE", 16}, {"TRUNCATE", 32}}};
        int type = 2;  // BEFORE, for each statement
        for (const auto &[event, bit] : kEvents)
            if (events.find(event) != events.npos) type |= bit;
        return type;
    }
};
