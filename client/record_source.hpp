// Where a ledger's records are read from: a server, or the files of an export.
#pragma once

#include <fstream>
#include <functional>
#include <memory>
#include <string>

#include "definitions.hpp"
#include "findings.hpp"
#include "pq.hpp"
#include "records.hpp"
#include "seal.hpp"

// A line of COPY's text format; whoever takes it may change it.
using TakeLine = std::function<void(std::string &line)>;

class RecordSource {
  public:
    RecordSource() = default;
    RecordSource(const RecordSource &) = delete;
    RecordSource &operator=(const RecordSource &) = delete;
    virtual ~RecordSource() = default;

    virtual void read_seals(const TakeLine &take) = 0;
    virtual void read_records(const record::Scope &scope, const TakeLine &take) = 0;

    // What only a server has: definitions of tables, functions and views, and balances.
    virtual bool is_server() const { return false; }
    virtual void check_definitions(Findings &) {}
    virtual void read_balances(const TakeLine &) {}
};

// Takes line after line; one that cannot be read is told with its place.
template <typename Next>
void take_lines(const std::string &name, Next next, const TakeLine &take) {
    long number = 0;
    try {
        for (std::string line; ++number, next(line);) take(line);
    } catch (const Malformed &error) {
        throw Malformed(name + ":" + std::to_string(number) + ": " + error.what());
    }
}

class Export : public RecordSource {
  public:
    explicit Export(std::string directory) : directory_(std::move(directory)) {}

    void read_seals(const TakeLine &take) override { read("seals.copy", take); }
    void read_records(const record::Scope &scope, const TakeLine &take) override { read(scope.file, take); }

  private:
    void read(const char *name, const TakeLine &take) {
        const std::string path = directory_ + "/" + name;
        std::ifstream file(path, std::ios::binary);
        if (!file) throw std::runtime_error("cannot open " + path);
        const auto next = [&file](std::string &line) {
            if (!std::getline(file, line)) return false;
            if (file.eof()) throw Malformed("the file ends in the middle of a line");
            return true;
        };
        take_lines(path, next, take);
        if (file.bad() || !file.eof()) throw std::runtime_error("cannot read " + path);
    }

    std::string directory_;
};

// One snapshot for all tables, which are read themselves: a view may show something else.
// No setting of the server, the database or the role may change the rows. The SQL calls functions
// and operators with exactly the types they take, so that none that is planted fits better.
class Server : public RecordSource {
  public:
    explicit Server(const std::string &conninfo) : connection_(conninfo, "ledger_verify") {
        connection_.script("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
        for (const char *setting : kSettings) connection_.script(std::string("SET LOCAL ") + setting);
        // SQL_ASCII is no encoding: its texts come as they are.
        connection_.exec(
            "SELECT set_config('client_encoding'::text, CASE current_setting('server_encoding'::text) "
            "WHEN 'SQL_ASCII' THEN 'SQL_ASCII'::text ELSE 'UTF8'::text END, true)");
        connection_.exec(
            "SELECT set_config(name, '0'::text, true) FROM pg_settings WHERE name = 'transaction_timeout'");
    }

    bool is_server() const override { return true; }

    void check_definitions(Findings &findings) override { Definitions(connection_, findings).check(); }

    void read_seals(const TakeLine &take) override {
        read(seal_columns(), "ledger_data.seal", "number", take);
    }

    void read_records(const record::Scope &scope, const TakeLine &take) override {
        std::string columns;
        for (const record::Column &column : scope.columns) columns += column.sql() + ", ";
        read(columns + record::hex_of("r.hash"), scope.table, "id", take);
    }

    // As everybody reads balances, by ledger.balance(). In version 0.1 the planner decides how.
    void read_balances(const TakeLine &take) override {
        connection_.script("SET LOCAL enable_indexscan = on");
        query("ledger.balance()",
              "SELECT a.id, s.scale, b.posted, b.held, b.incoming FROM ONLY ledger_data.account AS a "
              "JOIN ONLY ledger_data.asset AS s ON s.id = a.asset CROSS JOIN LATERAL ledger.balance(a.code) "
              "AS b",
              take);
    }

  private:
    // Rows that an index does not have are read, too, so none is used: rows are sorted.
    static constexpr const char *kSettings[] = {
        "statement_timeout = 0",
        "search_path = pg_catalog, pg_temp",
        "row_security = off",
        "lock_timeout = 0",
        "idle_in_transaction_session_timeout = 0",
        "standard_conforming_strings = on",
        "quote_all_identifiers = off",
        "transform_null_equals = off",
        "enable_seqscan = on",
        "enable_sort = on",
        "enable_indexscan = off",
        "enable_indexonlyscan = off",
        "enable_bitmapscan = off",
        "enable_tidscan = off",
    };

    void read(const std::string &columns, const std::string &table, const char *order, const TakeLine &take) {
        query(table, "SELECT " + columns + " FROM ONLY " + table + " AS r ORDER BY r." + order, take);
    }

    void query(const std::string &name, const std::string &select, const TakeLine &take) {
        pq::CopyOut rows = connection_.copy_out("COPY (" + select + ") TO STDOUT");
        take_lines(
            name, [&rows](std::string &line) { return rows.next(line); }, take);
    }

    pq::Connection connection_;
};
