// What all threads of a run share, and the ledger they work on.
#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <vector>

#include "cluster.hpp"
#include "history.hpp"
#include "model.hpp"
#include "session.hpp"

constexpr const char *kDatabase = "torture";

// Complains of each account past its limits, and of each asset out of balance.
constexpr const char *kPastLimits =
    "WITH a AS MATERIALIZED (SELECT * FROM ledger.accounts) SELECT account || ' ' || posted || ' held ' || "
    "held || ' incoming ' || incoming || ' not in ' || COALESCE(floor::text, '-') || ' to ' || "
    "COALESCE(ceiling::text, '-') FROM a WHERE posted - held < floor OR posted + incoming > ceiling UNION "
    "ALL SELECT asset || ' sums to ' || sum(posted) FROM a GROUP BY asset HAVING sum(posted) <> 0 OR "
    "sum(held) <> sum(incoming)";

constexpr unsigned kHotAccounts = 24;
constexpr unsigned kAccounts = 100;
constexpr unsigned kPoints = 6;
constexpr unsigned kSkus = 6;
constexpr unsigned kSpares = 60;  // q0 and so on: no committed transaction uses them; q0 and q1 have no floor

// How far the servers' clock may be from the right one in a round.
enum class Times { right, hours_ahead, years_ahead };

struct World {
    explicit World(Cluster &servers) : cluster(servers), history(servers.directory() + "/history") {}

    Cluster &cluster;
    History history;
    Model model;
    int round = 0;
    std::string plant;           // the fault to plant in the first round; none: empty
    Times times = Times::right;  // in this round
    int forgotten = 0;           // the last round in which every key and TCC transaction ran out
    std::atomic<bool> running = false;
    bool clock_was_wrong = false;  // the times of audit records then say nothing of their order
    std::atomic<long> snapshots = 0, standby_snapshots = 0;

    std::string primary() const { return cluster.conninfo(kDatabase, "read-write"); }
    std::string standby() const { return cluster.conninfo(kDatabase, "standby"); }

    // A session of the driver's own, as soon as the server takes one.
    Session session(const std::string &database = kDatabase) {
        cluster.connect(database);
        return Session(history, cluster.primary_conninfo(database), "torture driver", "driver");
    }

    bool plants(const std::string &name) const { return round == 1 && plant == name; }

    // Runs a query of complaints, in one column.
    void ask(Session &session, const std::string &check, const std::string &sql) {
        const pq::Result rows = session.exec(sql);
        for (int row = 0; row < rows.rows(); ++row) complain({check + ": " + rows.text(row, 0), {}});
    }

    void complain(const Complaint &complaint) {
        const std::lock_guard guard(mutex_);
        complaints_.push_back(complaint);
    }
    Complaints take_complaints() {
        const std::lock_guard guard(mutex_);
        return std::exchange(complaints_, {});
    }

  private:
    std::mutex mutex_;
    Complaints complaints_;
};

// a0 and a1 have no floor, a2 to a5 a credit line, a6 to a9 a ceiling; so has p0 no floor.
inline void set_up(World &world) {
    world.session("postgres").exec(std::string("CREATE DATABASE ") + kDatabase);
    Session database = world.session();
    const auto transaction = world.model.begin("set-up");
    const auto open = [&](const std::string &account, const std::string &asset, const std::string &floor,
                          const std::string &ceiling) {
        database.exec("SELECT ledger.open_account('" + account + "', '" + asset + "', " + floor + ", " +
                      ceiling + ")");
        transaction->deeds.emplace_back(Opened{account});
    };
    database.exec("CREATE EXTENSION ledger");
    database.exec("CREATE TABLE mark (name text PRIMARY KEY, xid bigint NOT NULL)");
    database.exec("CREATE TABLE memo (id bigint)");
    database.exec(
        "CREATE TABLE note (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, said text, revision int NOT "
        "NULL "
        "DEFAULT 0)");
    database.exec("SELECT ledger.enable_audit('note')");
    database.exec("SELECT ledger.create_asset('USD', 2), ledger.create_asset('POINT', 0)");
    database.exec("SELECT ledger.add_client('till', repeat('s', 32))");
    database.exec("BEGIN");
    database.exec("INSERT INTO mark VALUES ('set-up', pg_current_xact_id()::text::bigint)");
    for (unsigned i = 0; i < kAccounts; ++i)
        open("a" + std::to_string(i), "USD",
             i < 2   ? "NULL"
             : i < 6 ? "-100"
                     : "0",
             i >= 6 && i < 10 ? "80" : "NULL");
    for (unsigned i = 0; i < kSpares; ++i) open("q" + std::to_string(i), "USD", i < 2 ? "NULL" : "0", "NULL");
    for (unsigned i = 0; i < kPoints; ++i)
        open("p" + std::to_string(i), "POINT", i == 0 ? "NULL" : "0", "NULL");
    transaction->deeds.emplace_back(Opened{"stock:supply"});
    for (unsigned i = 0; i < kSkus; ++i) {
        const std::string sku = "s" + std::to_string(i);
        database.exec("SELECT ledger.create_stock('" + sku + "', 200)");
        transaction->deeds.emplace_back(Opened{sku});
        transaction->deeds.emplace_back(Opened{sku + ":sold"});
        Effect first;
        first.source = "stock:supply";
        first.destination = sku;
        first.amount = 200;
        transaction->deeds.emplace_back(first);
    }
    database.exec("COMMIT");
    world.model.tell(*transaction, Fate::committed);
}
