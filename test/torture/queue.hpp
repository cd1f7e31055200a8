// Exclusive locks that queue behind an open transaction, while others use accounts that
// are not loaded yet, and the open transaction then uses one of them, too:
//
//   writer  BEGIN; a transfer                      has its locks on the tables
//   locker  VACUUM FULL, LOCK TABLE and the like   waits for the writer
//   loader  a transfer of an account not loaded    waits for the locker
//   writer  a transfer of that account             waits for the loader, or for nobody
//
// Either somebody is refused because of a deadlock, or all come to an end; nobody waits
// where no detector looks. All of it is rolled back, so the model need not know of it.
#pragma once

#include <atomic>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "watchdog.hpp"
#include "world.hpp"

class QueuedLocks {
  public:
    QueuedLocks(World &world, unsigned seed) : world_(world), random_(seed) {}

    void run() {
        constexpr int kCycles = 4;
        for (int i = 0; i < kCycles && world_.running; ++i) {
            try {
                cycle();
            } catch (const ConnectionLost &) {
                pause_ms(50);
            } catch (const pq::Error &error) {
                if (!is_expected(error.sqlstate()))
                    world_.complain({"queued locks: " + error.sqlstate() + " " + error.what(), {"writer"}});
                pause_ms(50);
            }
        }
    }

  private:
    // A session that is given statements to run by itself, until one fails.
    class Actor {
      public:
        Actor(World &world, const char *name)
            : world_(world), session_(world.history, world.primary(), "torture queue", name) {}
        ~Actor() {
            if (thread_.joinable()) thread_.join();
        }
        Actor(const Actor &) = delete;
        Actor &operator=(const Actor &) = delete;

        void start(const std::vector<std::string> &statements) {
            wait();
            done_ = false;
            thread_ = std::thread([this, statements] {
                try {
                    for (const std::string &sql : statements) session_.exec(sql);
                } catch (const ConnectionLost &) {
                } catch (const pq::Error &error) {
                    if (!is_expected(error.sqlstate()))
                        world_.complain(
                            {"queued locks: " + error.sqlstate() + " " + error.what(), {"writer"}});
                }
                done_ = true;
            });
        }
        void wait() {
            if (thread_.joinable()) thread_.join();
        }
        bool done() const { return done_; }
        std::string pid() const { return std::to_string(session_.backend_pid()); }
        Session &session() { return session_; }

      private:
        World &world_;
        Session session_;
        std::atomic<bool> done_ = true;
        std::thread thread_;
    };

    std::string pick(const std::vector<std::string> &words) { return words[random_() % words.size()]; }

    std::vector<std::string> exclusive() {
        const std::string table =
            "ledger_data." + pick({"transfer", "transfer", "transfer", "balance", "hold", "account"});
        switch (random_() % 4) {
            case 0:
                return {"BEGIN", "LOCK TABLE " + table + " IN ACCESS EXCLUSIVE MODE", "ROLLBACK"};
            case 1:
                return {"REINDEX TABLE " + table};
            case 2:
                return {"CLUSTER ledger_data.transfer USING transfer_pkey"};
            default:
                return {"VACUUM FULL " + table};
        }
    }

    void cycle() {
        pq::Connection database(world_.primary(), "torture driver");
        const pq::Result spare = database.exec(
            "SELECT code FROM ledger_data.account AS a WHERE code ~ '^q([2-9]|..)$' AND NOT EXISTS (SELECT "
            "FROM "
            "ledger_data.slots() AS s WHERE s.account = a.id) ORDER BY random() LIMIT 1");
        if (spare.rows() == 0) return;
        const std::string cold = spare.text(0, 0);
        const auto transfer = [](const std::string &source, const std::string &destination) {
            return "SELECT ledger.transfer('" + source + "', '" + destination + "', 0.01)";
        };
        Actor writer(world_, "writer"), loader(world_, "loader"), locker(world_, "locker");
        // Whatever ends this function, the threads come to an end.
        const std::shared_ptr<void> end(nullptr, [&](void *) { finish({&locker, &loader, &writer}); });
        // A session that is new would already wait where it looks the tables up.
        for (const std::string &sql : {std::string("BEGIN"), transfer("q1", "q0"), std::string("ROLLBACK")})
            loader.session().exec(sql);
        writer.session().exec("BEGIN");
        writer.session().exec(transfer("q0", "q1"));
        locker.start(exclusive());
        pause_ms(50 + static_cast<int>(random_() % 200));
        loader.start({"BEGIN", transfer("q1", cold), "ROLLBACK"});
        pause_ms(50 + static_cast<int>(random_() % 200));
        writer.start({transfer("q0", cold)});
        wait_for_writer(database, writer, locker);
    }

    // Behind a prepared transaction the locker might wait to the end of the round.
    void wait_for_writer(pq::Connection &database, const Actor &writer, const Actor &locker) {
        const auto began = std::chrono::steady_clock::now();
        for (; !writer.done(); pause_ms(50)) {
            const auto waited = std::chrono::steady_clock::now() - began;
            if (waited < std::chrono::seconds(2)) continue;
            const Watchdog::Wait wait = Watchdog::wait_of(database, std::stol(writer.pid()));
            if (wait.for_prepared)
                database.exec("SELECT pg_cancel_backend($1::int)", {locker.pid()});
            else if (waited > kLongest)
                return world_.complain(
                    {"queued locks: the writer " + wait.told, {"writer", "locker", "loader"}});
        }
    }

    // The writer rolls back, the locker has its turn, the loader goes on; those that don't are ended.
    void finish(const std::vector<Actor *> &actors) {
        for (int attempt = 0; attempt < 100; ++attempt, pause_ms(20)) {
            bool all = true;
            for (Actor *actor : actors) all &= actor->done();
            if (all) return;
            if (attempt == 20 || attempt % 50 == 49) try {
                    pq::Connection database(world_.primary(), "torture driver");
                    for (Actor *actor : actors)
                        if (!actor->done())
                            database.exec(std::string("SELECT ") +
                                              (attempt == 20 ? "pg_cancel_backend" : "pg_terminate_backend") +
                                              "($1::int)",
                                          {actor->pid()});
                } catch (const pq::Error &) {  // the server is down: so are they
                }
            if (attempt == 0 && actors.back()->done()) try {
                    actors.back()->session().exec("ROLLBACK");
                } catch (...) {
                }
        }
    }

    // A deadlock that is seen takes a second; and the watchdog shall not come first.
    static constexpr std::chrono::seconds kLongest{15};

    World &world_;
    std::mt19937 random_;
};
