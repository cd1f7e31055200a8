// libpq in RAII: connections and results that release themselves, and errors
// as exceptions that carry their SQLSTATE.
#pragma once

#include <libpq-fe.h>

#include <cstdlib>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace pq {

class Error : public std::runtime_error {
  public:
    Error(const std::string &message, std::string sqlstate)
        : std::runtime_error(message), sqlstate_(std::move(sqlstate)) {}

    const std::string &sqlstate() const { return sqlstate_; }

  private:
    std::string sqlstate_;
};

class Result {
  public:
    explicit Result(PGresult *raw) : raw_(raw, &PQclear) {}

    bool ok() const {
        const ExecStatusType status = PQresultStatus(raw_.get());
        return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
    }

    bool copies_out() const { return PQresultStatus(raw_.get()) == PGRES_COPY_OUT; }

    std::string sqlstate() const {
        const char *state = PQresultErrorField(raw_.get(), PG_DIAG_SQLSTATE);
        return state ? state : "";
    }

    // Throws the server's complaint if it is one.
    const Result &require() const {
        if (!ok()) throw Error(PQresultErrorMessage(raw_.get()), sqlstate());
        return *this;
    }

    int rows() const { return PQntuples(raw_.get()); }
    int columns() const { return PQnfields(raw_.get()); }
    long affected() const { return std::atol(PQcmdTuples(raw_.get())); }
    std::string text(int row, int column) const { return PQgetvalue(raw_.get(), row, column); }
    bool is_null(int row, int column) const { return PQgetisnull(raw_.get(), row, column) == 1; }
    long number(int row, int column) const { return std::stol(text(row, column)); }

  private:
    std::unique_ptr<PGresult, decltype(&PQclear)> raw_;
};

// A text[] (or any other array) parameter.
inline std::string array(const std::vector<std::string> &elements) {
    std::string literal = "{";
    for (const std::string &element : elements) {
        if (literal.size() > 1) literal += ',';
        literal += '"';
        for (const char c : element) {
            if (c == '"' || c == '\\') literal += '\\';
            literal += c;
        }
        literal += '"';
    }
    return literal + '}';
}

// The rows of a COPY ... TO STDOUT as they come, each a line without its break.
class CopyOut {
  public:
    explicit CopyOut(PGconn *connection) : connection_(connection) {}

    bool next(std::string &line) {
        char *raw = nullptr;
        const int length = PQgetCopyData(connection_, &raw, 0);
        if (length < 0) return end(length);
        const std::unique_ptr<char, decltype(&PQfreemem)> buffer(raw, &PQfreemem);
        line.assign(raw, static_cast<std::size_t>(length));
        if (line.ends_with('\n')) line.pop_back();
        return true;
    }

  private:
    // COPY is over only when the server says so, which may be with an error.
    bool end(int state) {
        if (state == -2) throw Error(PQerrorMessage(connection_), "08006");
        for (PGresult *raw; (raw = PQgetResult(connection_)) != nullptr;) Result(raw).require();
        return false;
    }

    PGconn *connection_;
};

class Connection {
  public:
    using Params = std::vector<std::string>;

    // conninfo may be empty: then the PG* environment says where to go.
    Connection(const std::string &conninfo, const char *application) : raw_(nullptr, &PQfinish) {
        const char *keywords[] = {"fallback_application_name", "dbname", nullptr};
        const char *values[] = {application, conninfo.c_str(), nullptr};
        raw_.reset(PQconnectdbParams(keywords, values, 1));
        if (!alive()) throw Error(PQerrorMessage(raw_.get()), "08001");
        PQsetNoticeProcessor(
            raw_.get(), [](void *to, const char *text) { *static_cast<std::string *>(to) += text; },
            notice_.get());
    }

    bool alive() const { return PQstatus(raw_.get()) == CONNECTION_OK; }
    int socket() const { return PQsocket(raw_.get()); }
    int backend_pid() const { return PQbackendPID(raw_.get()); }

    Result exec(const std::string &sql, const Params &params = {}) {
        const auto values = pointers(params);
        Result result(PQexecParams(raw_.get(), sql.c_str(), static_cast<int>(values.size()), nullptr,
                                   values.data(), nullptr, nullptr, 0));
        result.require();
        return result;
    }

    // Several statements, without parameters.
    void script(const std::string &sql) { Result(PQexec(raw_.get(), sql.c_str())).require(); }

    // COPY ... TO STDOUT; read to its end before the connection is used again.
    CopyOut copy_out(const std::string &sql) {
        const Result result(PQexec(raw_.get(), sql.c_str()));
        if (!result.copies_out()) result.require();
        return CopyOut(raw_.get());
    }

    // The notices and warnings that came since it was last asked.
    std::string take_notice() { return std::exchange(*notice_, {}); }

    // Breaks the connection off, whatever it is doing.
    void close() { raw_.reset(); }

    void prepare(const char *name, const std::string &sql) {
        Result(PQprepare(raw_.get(), name, sql.c_str(), 0, nullptr)).require();
    }

    struct Call {
        const char *name;
        Params params;
    };

    Result exec_prepared(const Call &call) {
        const auto values = pointers(call.params);
        Result result(PQexecPrepared(raw_.get(), call.name, static_cast<int>(values.size()), values.data(),
                                     nullptr, nullptr, 0));
        result.require();
        return result;
    }

    // Several prepared statements in one round trip.
    std::vector<Result> exec_together(const std::vector<Call> &calls) {
        PQenterPipelineMode(raw_.get());
        for (const Call &call : calls) send_prepared(call.name, call.params);
        PQpipelineSync(raw_.get());
        std::vector<Result> results;
        while (results.size() < calls.size()) {
            if (PGresult *next = PQgetResult(raw_.get())) {
                results.emplace_back(next);
            } else if (!alive()) {
                throw Error(PQerrorMessage(raw_.get()), "08006");
            }
        }
        PQgetResult(raw_.get());           // the end of the last
        PQclear(PQgetResult(raw_.get()));  // the synchronization
        PQexitPipelineMode(raw_.get());
        for (const Result &result : results) result.require();
        return results;
    }

    // Sends without waiting for the answer; false where the connection is gone.
    // The socket stays in blocking mode: a request is far smaller than its buffer.
    bool send_prepared(const char *name, const Params &params) {
        answer_.reset();
        const auto values = pointers(params);
        return PQsendQueryPrepared(raw_.get(), name, static_cast<int>(values.size()), values.data(), nullptr,
                                   nullptr, 0) == 1;
    }

    // Takes in what the socket has; true once the request is over. That is
    // ReadyForQuery, not the result: the server commits only after it has sent
    // the result, so a result alone proves nothing if the connection breaks.
    bool finished() {
        PQconsumeInput(raw_.get());
        while (!PQisBusy(raw_.get())) {
            PGresult *next = PQgetResult(raw_.get());
            if (next == nullptr) return true;
            Result result(next);
            if (!answer_ || !result.ok()) answer_ = std::move(result);
        }
        return false;
    }

    // The answer of the finished request; none where the connection broke.
    std::optional<Result> take_answer() {
        if (!alive()) answer_.reset();
        return std::exchange(answer_, std::nullopt);
    }

  private:
    static std::vector<const char *> pointers(const Params &params) {
        std::vector<const char *> values;
        for (const std::string &param : params) values.push_back(param.c_str());
        return values;
    }

    std::unique_ptr<std::string> notice_ = std::make_unique<std::string>();  // stays where it is in a move
    std::unique_ptr<PGconn, decltype(&PQfinish)> raw_;
    std::optional<Result> answer_;
};

}  // namespace pq
