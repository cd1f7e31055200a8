// A dump restored into a database to which applications are connected already. They
// write while the tables fill, and roll back or fail. A restore either comes to its end,
// and then the ledger is as it was dumped, or an application's first write was committed
// before, and then it is refused (LG401).
#pragma once

#include <atomic>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "copies.hpp"
#include "evidence.hpp"
#include "plant.hpp"
#include "world.hpp"

class ConnectedRestore {
  public:
    ConnectedRestore(World &world, const Evidence &evidence, unsigned seed)
        : world_(world), evidence_(evidence), random_(seed), file_(world.cluster.directory() + "/restored") {}

    // Returns the way it was restored.
    std::string run() {
        static const char *const kWays[] = {"plain", "parallel", "sections"};
        way_ = kWays[random_() % 3];
        Session session = world_.session();
        stop_worker(session);
        const Balances dumped = dump(session);
        bool commits = random_() % 3 == 0;
        constexpr int kAttempts = 5;
        for (int attempt = 1;; ++attempt) {
            const Outcome outcome = restore(commits);
            if (outcome == Outcome::done) {
                check(dumped);
                break;
            }
            if (outcome == Outcome::refused && committed_ == 0)
                complain("refused (LG401), but no application has committed a write");
            // A deadlock with an application is the restore's bad luck.
            if (outcome == Outcome::failed && attempt == kAttempts)
                complain("pg_restore or psql failed; see commands.log");
            drop_copy(world_);
            if (outcome == Outcome::failed && attempt == kAttempts) break;
            commits = false;
        }
        drop_copy(world_);
        start_worker(session);
        return way_;
    }

  private:
    enum class Outcome { done, refused, failed };

    void complain(const std::string &what) {
        world_.complain({"restore, " + way_ + ": " + what, {"application"}});
    }

    // The dump and the balances are of one snapshot.
    Balances dump(Session &session) {
        session.exec("BEGIN ISOLATION LEVEL REPEATABLE READ");
        const std::string snapshot = session.exec("SELECT pg_export_snapshot()").text(0, 0);
        Balances dumped = balances(session);
        if (!world_.cluster.shell("pg_dump -Fc -T memo --snapshot=" + snapshot + " -f " + file_ + " -d '" +
                                  world_.cluster.primary_conninfo(kDatabase) + "'"))
            complain("pg_dump failed; see commands.log");
        session.exec("COMMIT");
        return dumped;
    }

    Outcome restore(bool commits) {
        world_.session("postgres").exec(std::string("CREATE DATABASE ") + kCopy);
        committed_ = 0;
        going_ = true;
        constexpr int kApplications = 4;
        std::vector<std::thread> applications;
        for (int i = 0; i < kApplications; ++i)
            applications.emplace_back(
                [this, i, commits, seed = random_()] { use(i, commits, std::mt19937(seed)); });
        pause_ms(50);
        const bool done = restore_dump();
        pause_ms(50);
        going_ = false;
        for (std::thread &application : applications) application.join();
        if (done) return Outcome::done;
        return log_says("cannot be inserted by hand") ? Outcome::refused : Outcome::failed;
    }

    bool restore_dump() {
        const std::string copy = " -d '" + world_.cluster.primary_conninfo(kCopy) + "' ";
        if (way_ == "parallel") return logged("pg_restore -e -j 4" + copy + file_);
        if (way_ == "plain")
            return logged("pg_restore -f " + file_ + ".sql " + file_) &&
                   logged("psql -X -q -v ON_ERROR_STOP=1" + copy + "-f " + file_ + ".sql -o /dev/null");
        for (const char *section : {"pre-data", "data", "post-data"}) {
            if (!logged("pg_restore -e --section=" + std::string(section) + copy + file_)) return false;
            pause_ms(20);
        }
        return true;
    }

    // What it says is kept apart, for the question why it failed.
    bool logged(const std::string &command) { return world_.cluster.shell(command + " 2>" + file_ + ".log"); }
    bool log_says(const std::string &words) {
        std::ifstream log(file_ + ".log");
        std::ofstream all(world_.cluster.directory() + "/commands.log", std::ios::app);
        bool found = false;
        for (std::string line; std::getline(log, line); all << line << '\n')
            found |= line.find(words) != std::string::npos;
        return found;
    }

    // An application that does not know that it has to wait. Nearly all that it tries is
    // refused: there are no functions, no tables, no rows, or not all.
    void use(int number, bool commits, std::mt19937 random) {
        const std::string who = "application" + std::to_string(number);
        while (going_) try {
                Session session(world_.history, world_.cluster.primary_conninfo(kCopy), "torture application",
                                who);
                session.exec("SET lock_timeout = '200ms'");
                while (going_) {
                    pause_ms(static_cast<int>(random() % 10));
                    try {
                        use(session, commits && random() % 8 == 0, random);
                    } catch (const pq::Error &) {
                        try {
                            session.exec("ROLLBACK");
                        } catch (const pq::Error &) {
                        }
                    }
                }
            } catch (const ConnectionLost &) {
                complain("the server closed a connection");
            } catch (const pq::Error &) {
                pause_ms(20);
            }
    }

    void use(Session &session, bool commit, std::mt19937 &random) {
        static const char *const kWrites[] = {
            "SELECT ledger.deduct_stock('s0', 1)",           "SELECT ledger.try_deduct_stock('s1', 1)",
            "SELECT ledger.transfer('a0', 'a10', 0.01)",     "SELECT ledger.hold('a0', 'a11', 0.01)",
            "SELECT ledger.reserve_stock('s2', 1, '1 day')", "SELECT ledger.add_stock('s3', 1)",
            "SELECT ledger.transfer_up_to('a12', 'a0', 1)",  "SELECT ledger.try_deduct_stock('s4', 1)"};
        const std::string write = kWrites[random() % 8];
        if (commit) {
            session.exec("SELECT ledger.transfer('a0', 'a1', 0.01)");
            ++committed_;
        } else if (random() % 3 == 0) {
            session.exec(write + ", 1 / 0");
        } else {
            session.exec("BEGIN");
            if (random() % 4 == 0)
                session.exec("SET LOCAL statement_timeout = " + std::to_string(1 + random() % 5));
            session.exec(write);
            if (random() % 2 == 0) session.exec(kWrites[random() % 8]);
            pause_ms(static_cast<int>(random() % 30));
            session.exec("ROLLBACK");
        }
    }

    void check(const Balances &dumped) {
        const std::string how = "restore, " + way_;
        Session copy = world_.session(kCopy);
        Balances should_be = dumped;
        should_be["a0"][0] -= committed_;
        should_be["a1"][0] += committed_;
        compare(world_, how, balances(copy), should_be);
        const auto is_sound = [&] {
            world_.ask(copy, how,
                       "SELECT concat_ws(', ', invariant, subject, detail) FROM ledger.check_invariants()");
            world_.ask(copy, how,
                       "SELECT concat_ws(', ', scope, lane, seq, id, problem) FROM ledger.verify()");
            evidence_.check(world_, copy, how);
        };
        is_sound();
        try {
            if (world_.plants("slot")) plant(copy, world_.plant);
            sell_out(world_, copy, how);
            copy.exec("SELECT ledger.fold(), ledger.seal()");
        } catch (const pq::Error &error) {
            complain("it cannot be used: " + error.sqlstate() + " " + error.what());
        }
        is_sound();
        copy.close();
    }

    World &world_;
    const Evidence &evidence_;
    std::mt19937 random_;
    std::string file_, way_;
    std::atomic<bool> going_ = false;
    std::atomic<long> committed_ = 0;
};
