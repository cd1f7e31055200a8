// After a crash the first to come have little patience: whoever recovers what memory
// knew is cancelled again and again. All the same somebody's write succeeds in the end.
#pragma once

#include <atomic>
#include <chrono>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "world.hpp"

class Impatience {
  public:
    Impatience(World &world, unsigned seed)
        : world_(world), random_(seed), timeout_(std::to_string(3 + random_() % 10)) {}

    void run() {
        make_work();
        world_.cluster.crash();
        std::optional<Session> lock;
        if (world_.plants("mute")) {
            lock.emplace(world_.session());
            // Nobody else would end these, whose locks are in the way.
            const pq::Result prepared =
                lock->exec("SELECT format('ROLLBACK PREPARED %L', gid) FROM pg_prepared_xacts");
            for (int row = 0; row < prepared.rows(); ++row) lock->exec(prepared.text(row, 0));
            lock->exec("BEGIN");
            lock->exec("LOCK TABLE ledger_data.transfer");
        }
        constexpr int kSessions = 6;
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        std::vector<std::thread> threads;
        for (int i = 0; i < kSessions; ++i)
            threads.emplace_back([this, i, end] {
                for (int count = 0; !written_ && std::chrono::steady_clock::now() < end;) live(i, count, end);
            });
        for (std::thread &thread : threads) thread.join();
        if (!written_)
            world_.complain({"impatience: after a crash no write succeeded in 20 s, " +
                                 std::to_string(tried_) + " were tried with a statement_timeout of " +
                                 timeout_ + " ms",
                             {}});
    }

  private:
    static Effect movement() {
        Effect effect;
        effect.source = "a0";
        effect.destination = "a1";
        effect.amount = 1;
        return effect;
    }

    static std::string mark(const std::string &name) {
        return "INSERT INTO mark (name, xid) VALUES ('" + name + "', pg_current_xact_id()::text::bigint)";
    }

    // Much that no seal covers, which is what has to be recovered.
    void make_work() {
        constexpr int kTransfers = 4000;
        Session session = world_.session();
        session.exec("ALTER SYSTEM SET ledger.worker = off");
        session.exec("SELECT pg_reload_conf()");
        session.exec("SELECT ledger.unfreeze_account(x) FROM unnest('{a0,a1}'::text[]) AS x");
        const auto transaction = world_.model.begin("work" + std::to_string(world_.round));
        session.exec("BEGIN");
        session.exec(mark(transaction->name));
        const pq::Result ids =
            session.exec("SELECT ledger.transfer('a0', 'a1', 0.01) FROM generate_series(1, " +
                         std::to_string(kTransfers) + ")");
        session.exec("COMMIT");
        for (int row = 0; row < ids.rows(); ++row) {
            Effect effect = movement();
            effect.id = ids.number(row, 0);
            transaction->deeds.emplace_back(effect);
        }
        if (!session.unreplicated()) world_.model.tell(*transaction, Fate::committed);
    }

    void live(int number, int &count, std::chrono::steady_clock::time_point end) {
        const std::string who = "impatient" + std::to_string(world_.round) + "-" + std::to_string(number);
        try {
            Session session(world_.history, world_.primary(), "torture impatient", who);
            session.exec("SET statement_timeout = " + timeout_);
            while (!written_ && std::chrono::steady_clock::now() < end) {
                const auto transaction = world_.model.begin(who + "-" + std::to_string(++count));
                transaction->deeds = {movement()};
                ++tried_;
                try {
                    session.exec("WITH m AS (" + mark(transaction->name) +
                                 ") SELECT ledger.transfer('a0', 'a1', 0.01)");
                    written_ = true;
                    if (!session.unreplicated()) world_.model.tell(*transaction, Fate::committed);
                } catch (const pq::Error &error) {
                    if (!is_expected(error.sqlstate()))
                        world_.complain({"impatience: " + error.sqlstate() + " " + error.what(), {who}});
                    if (!session.unreplicated()) world_.model.tell(*transaction, Fate::rolled_back);
                }
            }
        } catch (const ConnectionLost &) {
            pause_ms(20);
        } catch (const pq::Error &) {  // not up yet
            pause_ms(20);
        }
    }

    World &world_;
    std::mt19937 random_;
    const std::string timeout_;
    std::atomic<bool> written_ = false;
    std::atomic<long> tried_ = 0;
};
