// Nobody waits for long: complains of a session that is at one statement for longer,
// and ends it, so that the round can end. Not of one that waits for a prepared
// transaction, which only the end of the round may finish; that one is cancelled.
#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <string>
#include <thread>

#include "world.hpp"

class Watchdog {
  public:
    explicit Watchdog(World &world) : world_(world), thread_([this] { run(); }) {}
    ~Watchdog() {
        stopped_ = true;
        thread_.join();
    }
    Watchdog(const Watchdog &) = delete;
    Watchdog &operator=(const Watchdog &) = delete;

    static constexpr std::chrono::seconds kLongest{30};

    // What a session waits for, and whether a prepared transaction is in the way.
    struct Wait {
        std::string told;
        bool for_prepared;
    };
    static Wait wait_of(pq::Connection &database, long pid) {
        const pq::Result row = database.exec(
            "WITH RECURSIVE b (pid) AS (SELECT $1::int UNION SELECT unnest(pg_blocking_pids(b.pid)) FROM b "
            "WHERE b.pid <> 0) SELECT (SELECT bool_or(pid = 0) FROM b), (SELECT concat_ws(' ', "
            "'waits for', wait_event_type, wait_event, 'behind', pg_blocking_pids(pid), 'in', query) FROM "
            "pg_stat_activity WHERE pid = $1::int)",
            {std::to_string(pid)});
        return {row.text(0, 1).substr(0, 200), row.text(0, 0) == "t"};
    }

  private:
    struct Seen {
        std::string statement;
        std::chrono::steady_clock::time_point since;
    };

    void run() {
        while (!stopped_) {
            try {
                pq::Connection database(world_.primary(), "watchdog");
                for (; !stopped_; pause_ms(200)) look(database);
            } catch (const pq::Error &) {  // the server is down, or not yet up
                seen_.clear();
                pause_ms(200);
            }
        }
    }

    // The server's clock may be wrong; the time at which a statement began is but its name here.
    void look(pq::Connection &database) {
        const pq::Result rows = database.exec(
            "SELECT pid, application_name, concat_ws(' ', pid, backend_start, query_start) FROM "
            "pg_stat_activity WHERE application_name LIKE 'torture%' AND application_name <> 'torture "
            "driver' AND state = 'active' AND wait_event IS DISTINCT FROM 'SyncRep'");
        const auto now = std::chrono::steady_clock::now();
        std::map<long, Seen> seen;
        for (int row = 0; row < rows.rows(); ++row) {
            const long pid = rows.number(row, 0);
            const auto before = seen_.find(pid);
            seen[pid] = before != seen_.end() && before->second.statement == rows.text(row, 2)
                            ? before->second
                            : Seen{rows.text(row, 2), now};
            if (now - seen[pid].since < kLongest) continue;
            const Wait wait = wait_of(database, pid);
            if (!wait.for_prepared)
                world_.complain({"watchdog: a session (" + rows.text(row, 1) + ") was at it for " +
                                     std::to_string(kLongest.count()) + " s and " + wait.told,
                                 {}});
            database.exec(std::string("SELECT ") +
                              (wait.for_prepared ? "pg_cancel_backend" : "pg_terminate_backend") +
                              "($1::int)",
                          {std::to_string(pid)});
            seen.erase(pid);
        }
        seen_ = std::move(seen);
    }

    World &world_;
    std::map<long, Seen> seen_;
    std::atomic<bool> stopped_ = false;
    std::thread thread_;  // the last: it uses the others
};
