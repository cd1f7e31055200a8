// Where a ledger's records are read from: a server, or the files of an export.
#pragma once

#include <fstream>
#include <functional>
#include <memory>
#include <string>

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

// One snapshot for all views. Nothing that the server is set to may change what
// it sends: not the encoding, which SQL_ASCII has none of, nor a time limit.
class Server : public RecordSource {
  public:
    explicit Server(const std::string &conninfo) : connection_(conninfo, "ledger_verify") {
        connection_.script("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
        connection_.script("SET LOCAL statement_timeout = 0");
        connection_.exec(
            "SELECT pg_catalog.set_config('client_encoding', CASE pg_catalog.current_setting("
            "'server_encoding') WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END, true)");
    }

    void read_seals(const TakeLine &take) override {
        read(kSealColumns, "ledger.seal_records", "number", take);
    }

    void read_records(const record::Scope &scope, const TakeLine &take) override {
        std::string columns;
        for (const record::Column &column : scope.columns) columns += std::string(column.name) + ", ";
        read(columns + "hash", scope.view, "id", take);
    }

  private:
    void read(const std::string &columns, const std::string &view, const char *order, const TakeLine &take) {
        pq::CopyOut rows = connection_.copy_out("COPY (SELECT " + columns + " FROM " + view + " ORDER BY " +
                                                order + ") TO STDOUT");
        take_lines(
            view, [&rows](std::string &line) { return rows.next(line); }, take);
    }

    pq::Connection connection_;
};
