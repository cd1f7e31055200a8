// A connection whose statements are noted, and what may go wrong with it.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "history.hpp"
#include "pq.hpp"

// The connection is gone; what it was doing may or may not have been done.
struct ConnectionLost {};

// Refusals, aborts and losses that random work and faults bring about. Anything else is a finding.
inline bool is_expected(const std::string &sqlstate) {
    static const std::vector<std::string> kExpected = {
        "LG001", "LG003", "LG004", "LG005", "LG007", "LG009", "LG010", "LG011", "LG012",  // refusals
        "LG101", "LG102", "LG103", "LG104", "LG105", "LG106",                             // holds
        "LG201", "LG202", "LG203", "LG204", "LG205",                                      // TCC
        "LG302", "LG304", "LG305", "LG306",                                               // requests
        "LG902",                                                                          // slots
        "22023", "42704", "42710", "55000", "0A000",                                      // SQL's own
        "40001", "40P01", "55P03", "57014", "25P02", "25P01",                             // aborts
        "25P03", "57P01", "57P02", "57P03", "57P05", "08001", "08006", "53300", ""};      // losses
    return std::find(kExpected.begin(), kExpected.end(), sqlstate) != kExpected.end();
}

class Session {
  public:
    Session(History &history, const std::string &conninfo, const char *application, std::string who)
        : history_(history), connection_(conninfo, application), who_(std::move(who)) {}

    // Throws pq::Error for what the server refuses, ConnectionLost if it is gone.
    pq::Result exec(const std::string &sql, const pq::Connection::Params &params = {}) {
        connection_.take_notice();
        unreplicated_ = false;
        try {
            pq::Result result = connection_.exec(sql, params);
            const std::string notice = connection_.take_notice();
            unreplicated_ = notice.find("synchronous replication") != std::string::npos;
            history_.note(who_, sql, told(result) + (unreplicated_ ? " (" + one_line(notice) + ")" : ""));
            history_.count(sql);
            return result;
        } catch (const pq::Error &error) {
            history_.note(who_, sql, "! " + error.sqlstate() + " " + one_line(error.what()));
            if (!connection_.alive()) throw ConnectionLost{};
            throw;
        }
    }

    // Whether the last command was cancelled while it waited for the standby: what it
    // committed is here, and nobody promised that it is there.
    bool unreplicated() const { return unreplicated_; }

    void close() { connection_.close(); }
    int backend_pid() const { return connection_.backend_pid(); }
    void call_it(std::string who) { who_ = std::move(who); }

  private:
    static std::string one_line(std::string text) {
        std::replace(text.begin(), text.end(), '\n', ' ');
        return text;
    }

    static std::string told(const pq::Result &result) {
        constexpr int kShownMax = 5;
        std::string text;
        for (int row = 0; row < std::min(result.rows(), kShownMax); ++row) {
            text += row > 0 ? "; " : "";
            for (int column = 0; column < result.columns(); ++column)
                text += (column > 0 ? ", " : "") +
                        (result.is_null(row, column) ? "NULL" : result.text(row, column).substr(0, 80));
        }
        return text + (result.rows() > kShownMax ? " ..." : "");
    }

    History &history_;
    pq::Connection connection_;
    std::string who_;
    bool unreplicated_ = false;
};
