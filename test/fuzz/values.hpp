// Random arguments as SQL expressions: values that make sense for a name, and the
// edges of a type. Expressions keep a finding short enough to be read and pasted:
// repeat('x', 1000000) instead of a million letters. No backslash stands in a
// literal, so that they mean the same whatever standard_conforming_strings is.
#pragma once

#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

class Values {
  public:
    explicit Values(unsigned seed) : random_(seed) {}

    unsigned below(unsigned bound) { return static_cast<unsigned>(random_() % bound); }
    bool chance(unsigned percent) { return below(100) < percent; }

    template <typename Range>
    const auto &pick(const Range &range) {
        return range[below(static_cast<unsigned>(range.size()))];
    }

    // Arrays that go with each other have one length.
    void begin_call() { length_ = pick(std::vector{1U, 1U, 2U, 3U, 5U, 10U, 200U}); }

    std::string sensible(const std::string &type, const std::string &name) {
        if (type == "text[]" || type == "numeric[]" || type == "bigint[]") return sensible_array(type, name);
        if (type == "text") return sensible_text(name);
        if (type == "numeric") return pick(std::vector<std::string>{"0.01", "1", "2.50", "10", "1.1"});
        if (type == "bigint") return sensible_bigint(name);
        if (type == "integer")
            return std::to_string(name == "scale" ? below(19) : name == "attempt" ? 1 : below(20) + 1);
        if (type == "boolean") return pick(std::vector<std::string>{"true", "false"});
        if (type == "jsonb")
            return name == "digest"
                       ? "fuzz.digest()"
                       : pick(std::vector<std::string>{"NULL", "'{}'", "'{\"a\": [1, 2.50, null]}'"});
        if (type == "interval")
            return pick(std::vector<std::string>{"'15 minutes'", "'1 day'", "'1 microsecond'", "NULL"});
        if (type == "timestamp with time zone")
            return pick(std::vector<std::string>{"clock_timestamp()", "now() - interval '1 minute'"});
        return edge(type);
    }

    std::string edge(const std::string &type) {
        if (type == "text") return edge_text();
        if (type == "bytea") return edge_bytea();
        if (type == "regclass") return pick(kRelations);
        if (type == "oid") return pick(kRelations) + "::regclass";
        if (type == "text[]" || type == "numeric[]" || type == "bigint[]" || type == "name[]")
            return edge_array(type.substr(0, type.size() - 2));
        if (type == "jsonb") return edge_json();
        const auto found = kEdges.find(type);
        if (found == kEdges.end()) throw std::runtime_error("no values for type " + type);
        return pick(found->second);
    }

  private:
    std::string numbered(const char *prefix, unsigned bound) {
        return "'" + std::string(prefix) + std::to_string(below(bound)) + "'";
    }

    std::string sensible_text(const std::string &name) {
        if (name == "sku") return chance(5) ? numbered("new", 1000) : numbered("s", 5);
        if (name == "key") return chance(70) ? "NULL" : chance(50) ? numbered("r", 10) : numbered("k", 100);
        if (name == "xid") return numbered("x", 20);
        if (name == "branch") return numbered("b", 4);
        if (name == "asset") return pick(std::vector<std::string>{"'USD'", "'JPY'", "'BTC'", "'STOCK'"});
        if (name == "scope" || name == "wanted")
            return pick(std::vector<std::string>{"'transfers'", "'audit'", "'default'", "NULL"});
        if (name == "level")
            return pick(std::vector<std::string>{"'reader'", "'writer'", "'operator'", "'auditor'"});
        if (name == "client") return chance(80) ? "'shop'" : numbered("client", 5);
        if (name == "secret") return chance(80) ? "repeat('s', 32)" : "NULL";
        if (name == "nonce" || name == "message_id") return numbered("nonce", 100000);
        if (name == "condition")
            return pick(std::vector<std::string>{"'unknown_account'", "'invalid_amount'"});
        if (name == "code") return chance(40) ? numbered("new", 1000) : account();
        if (name == "source" || name == "destination" || name == "account") return account();
        return numbered("text ", 3);
    }

    std::string account() {
        return chance(70) ? numbered("a", 10)
                          : pick(std::vector<std::string>{"'world'", "'frozen'", "'closed'", "'bounded'",
                                                          "'yen'", "'s0'", "'c0'"});
    }

    std::string sensible_bigint(const std::string &name) {
        const auto recent = [&](const char *kind, unsigned bound) {
            return "fuzz.recent('" + std::string(kind) + "', " + std::to_string(below(bound)) + ")";
        };
        if (name == "hold" || name == "reservation") return recent("hold", 30);
        if (name == "seal" || name == "number" || name == "first" || name == "last") return recent("seal", 3);
        if (name == "account" || name == "source" || name == "destination") return recent("account", 20);
        if (name == "id") return chance(50) ? recent("audit", 40) : recent("transfer", 60);
        if (name == "transfer_id" || name == "transfer" || name == "ref") return recent("transfer", 60);
        return std::to_string(below(5) + 1);
    }

    std::string sensible_array(const std::string &type, const std::string &name) {
        const std::string element = type.substr(0, type.size() - 2);
        const std::string singular = name.empty() ? name : name.substr(0, name.size() - 1);
        if (length_ > 10)
            return "array_fill(" + sensible(element, singular) + "::" + element + ", ARRAY[" +
                   std::to_string(length_) + "])";
        std::string elements;
        for (unsigned i = 0; i < length_; ++i) elements += (i > 0 ? ", " : "") + sensible(element, singular);
        return "ARRAY[" + elements + "]::" + type;
    }

    std::string edge_text() {
        return pick(std::vector<std::string>{"NULL",
                                             "''",
                                             "' '",
                                             "'a'",
                                             "'a0'",
                                             "repeat('x', 64)",
                                             "repeat('x', 65)",
                                             "repeat('x', 250)",
                                             "repeat('x', 255)",
                                             "repeat('x', 256)",
                                             "repeat('x', 10000)",
                                             "repeat('x', 1000000)",
                                             "repeat(chr(28450), 255)",
                                             "repeat(chr(128512), 255)",
                                             "repeat(chr(128512), 256)",
                                             "'e' || chr(769)",
                                             "chr(8203)",
                                             "chr(8238) || 'abc' || chr(8236)",
                                             "chr(1)",
                                             "chr(127)",
                                             "'a' || chr(10) || 'b'",
                                             "chr(9)",
                                             "chr(39) || chr(34)",
                                             "chr(92)",
                                             "repeat(chr(92) || chr(39), 100)",
                                             "'NULL'",
                                             "'%s%n%d'",
                                             "'$1'",
                                             "'stock:supply'",
                                             "'s0:sold'",
                                             "chr(1114111)",
                                             "'transfers'",
                                             "md5(random()::text)"});
    }

    std::string edge_bytea() {
        return pick(std::vector<std::string>{
            "NULL", "''::bytea", "sha256('x')", "decode('00', 'hex')", "decode(repeat('ff', 43), 'hex')",
            "decode('0100' || repeat('00', 41), 'hex')", "decode('02ffff' || repeat('7f', 40), 'hex')",
            "decode(repeat('00', 31), 'hex')", "convert_to(repeat('x', 1000000), 'UTF8')",
            "(SELECT ledger_data.live_heads())", "substr((SELECT ledger_data.live_heads()), 2)"});
    }

    std::string edge_array(const std::string &element) {
        const std::string type = element + "[]";
        const std::string one = "(" + edge(element) + ")::" + element;
        switch (below(9)) {
            case 0:
                return "NULL";
            case 1:
                return "'{}'::" + type;
            case 2:
                return "ARRAY[NULL]::" + type;
            case 3:
                return "ARRAY[" + one + "]";
            case 4:
                return "ARRAY[[" + one + ", NULL], [" + one + ", " + one + "]]";
            case 5:
                return "array_fill(" + one + ", ARRAY[2], ARRAY[-5])";
            case 6:
                return "array_fill(NULL::" + element + ", ARRAY[100000])";
            case 7:
                return "array_fill(" + sensible(element, "source") + "::" + element + ", ARRAY[" +
                       pick(std::vector<std::string>{"1000", "1000", "1000", "100000", "1000000"}) + "])";
            default:
                return "array_fill(" + sensible(element, "source") + "::" + element + ", ARRAY[2, 2, 2])";
        }
    }

    std::string edge_json() {
        static const std::vector<std::string> kScalars = {"'null'",
                                                          "'1'",
                                                          "'0'",
                                                          "'-1'",
                                                          "'1.0'",
                                                          "'1e100'",
                                                          "'1e-100'",
                                                          "'999999999999999999'",
                                                          "'9223372036854775808'",
                                                          "'\"1\"'",
                                                          "'\"\"'",
                                                          "'true'",
                                                          "'[]'",
                                                          "'{}'",
                                                          "'[1]'",
                                                          "'{\"a\": 1}'",
                                                          "to_jsonb(repeat('0', 64))",
                                                          "to_jsonb(repeat('f', 65))",
                                                          "to_jsonb(repeat('F', 64))",
                                                          "to_jsonb(chr(128512) || chr(1))"};
        if (chance(30))
            return "fuzz.digest(" +
                   pick(std::vector<std::string>{"'version'", "'seal'", "'hash'", "'signature'",
                                                 "'database'"}) +
                   ", " + (chance(20) ? "NULL" : pick(kScalars) + "::jsonb") + ")";
        if (chance(50)) return pick(kScalars) + "::jsonb";
        return pick(std::vector<std::string>{
            "NULL", "fuzz.nested(100)", "fuzz.nested(1000)", "fuzz.nested(10000)", "'{\"\": {\"\": []}}'",
            "jsonb_build_object('x', repeat('x', 1000000))", "jsonb_build_object(repeat('x', 10000), 1)",
            "jsonb_build_array(1e131071::numeric, 1e-16383::numeric, 'NaN'::numeric)",
            "(SELECT jsonb_agg(i) FROM generate_series(1, 100000) AS i)",
            "(SELECT jsonb_object_agg(i, i) FROM generate_series(1, 10000) AS i)"});
    }

    inline static const std::vector<std::string> kRelations = {
        "NULL",
        "'fuzz.plain'",
        "'fuzz.plain'",
        "'fuzz.plain'",
        "'fuzz.no_key'",
        "'fuzz.\"Odd \"\"name\"'",
        "'fuzz.parted'",
        "'fuzz.part'",
        "'fuzz.child'",
        "'fuzz.unlogged'",
        "'fuzz.a_view'",
        "'fuzz.a_matview'",
        "'fuzz.a_sequence'",
        "'fuzz.a_type'",
        "'fuzz.a_foreign'",
        "'fuzz.plain_pkey'",
        "'pg_catalog.pg_class'",
        "'pg_catalog.pg_authid'",
        "'information_schema.sql_features'",
        "'ledger_data.transfer'",
        "'ledger_data.audit'",
        "'ledger.accounts'",
        "(SELECT reltoastrelid FROM pg_catalog.pg_class WHERE oid = 'fuzz.plain'::regclass)",
        "0::oid",
        "4294967295::oid",
        "99999::oid",
        "'pg_temp.fuzz_temporary'"};

    inline static const std::map<std::string, std::vector<std::string>> kEdges = {
        {"numeric",
         {"NULL",
          "0",
          "-0.0",
          "-1",
          "1",
          "0.01",
          "0.001",
          "'NaN'",
          "'Infinity'",
          "'-Infinity'",
          "1e-16383",
          "1e131071",
          "repeat('9', 131072)::numeric",
          "('0.' || repeat('9', 16383))::numeric",
          "92233720368547758.07",
          "92233720368547758.08",
          "9223372036854775807",
          "9223372036854775808",
          "-9223372036854775808",
          "1e-18",
          "1e-19",
          "9.223372036854775807",
          "1.10",
          "1.1000000000000000000000000000"}},
        {"bigint",
         {"NULL", "0", "1", "-1", "2147483647", "4294967296", "281474976710656", "281474976710657",
          "9223372036854775807", "-9223372036854775808", "999999999999999999"}},
        {"integer", {"NULL", "0", "1", "-1", "18", "19", "1000", "2147483647", "'-2147483648'"}},
        {"boolean", {"NULL", "true", "false"}},
        {"interval",
         {"NULL", "'0'", "'1 microsecond'", "'-1 day'", "'100 years'", "'100 years 1 day'",
          "'178000000 years'", "'-178000000 years'", "make_interval(months => 2147483647)",
          "'-2147483648 months'", "'2147483647 days'", "'-2147483648 days'", "'-2562047788:00:54.775808'",
          "'2562047788:00:54.775807'", "'1 month -30 days'",
          "'2147483647 months 2147483647 days 2562047788:00:54.775807'", "'infinity'"}},
        {"timestamp with time zone",
         {"NULL", "now()", "'infinity'", "'-infinity'", "'4714-11-24 00:00:00+00 BC'",
          "'294276-12-31 23:59:59.999999+00'", "'epoch'", "'2000-01-01'", "'9999-12-31 23:59:59.999999+00'",
          "'10000-01-01'", "'0001-01-01 BC'"}},
        {"regrole",
         {"NULL", "'fuzz_reader'", "'fuzz_writer'", "'\"fuzz \"\"odd\"\"\"'", "'postgres'",
          "'pg_read_all_data'", "0::oid", "4294967295::oid", "99999::oid"}},
        {"name",
         {"NULL", "'name'", "'price'", "'id'", "''", "'no such'", "repeat('x', 63)", "'a column'",
          "chr(128512)", "'ctid'"}},
    };

    std::mt19937 random_;
    unsigned length_ = 1;
};
