// The servers' clock goes wrong, and right again: by hours, several times, or by seventy
// years, once. Ids are times, so with a clock like that none can be made; when it is right
// again, all goes on.
#pragma once

#include <chrono>
#include <random>
#include <string>

#include "world.hpp"

class WrongClock {
  public:
    WrongClock(World &world, unsigned seed) : world_(world), random_(seed) {}

    void run() {
        const bool years = world_.times == Times::years_ahead;
        world_.clock_was_wrong = true;
        for (int i = years ? 1 : 3; i > 0 && world_.running; --i) {
            pause_ms(200);
            world_.cluster.clock().set_ahead(
                years ? std::chrono::seconds(std::chrono::years(70))
                      : std::chrono::seconds(std::chrono::minutes(20 + random_() % 240)));
            pause_ms(150 + static_cast<int>(random_() % 200));
            world_.cluster.clock().set_right();
            try {
                interrupt();
            } catch (const pq::Error &) {  // the server is down
            }
        }
        if (world_.running) write();
    }

  private:
    // PostgreSQL's own timeouts, the deadlock detector's among them, are hours away for
    // who began to wait under the wrong clock.
    void interrupt() {
        world_.cluster.connect().exec(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND state = "
            "'active' AND application_name <> 'torture driver' AND (application_name LIKE 'torture%' OR "
            "application_name LIKE 'pg_%')");
    }

    // Writes go on. Whatever hinders one of them for a moment does not hinder all.
    void write() {
        std::string told;
        for (int attempt = 0; attempt < 200 && world_.running; ++attempt, pause_ms(50)) {
            const std::string name = "clock" + std::to_string(world_.round) + "-" + std::to_string(attempt);
            const auto transaction = world_.model.begin(name);
            Effect effect;
            effect.source = "a0";
            effect.destination = "a1";
            effect.amount = 1;
            try {
                Session session(world_.history, world_.primary(), "torture clock", name);
                transaction->deeds = {effect};
                try {
                    session.exec("SET lock_timeout = '2s'");
                    session.exec("SELECT ledger.unfreeze_account(x) FROM unnest('{a0,a1}'::text[]) AS x");
                    session.exec("WITH m AS (INSERT INTO mark (name, xid) VALUES ('" + name +
                                 "', pg_current_xact_id()::text::bigint)) SELECT ledger.transfer('a0', "
                                 "'a1', 0.01)");
                } catch (const pq::Error &error) {
                    told = error.what();
                    if (!session.unreplicated()) world_.model.tell(*transaction, Fate::rolled_back);
                    continue;
                }
                if (!session.unreplicated()) world_.model.tell(*transaction, Fate::committed);
                return;
            } catch (const ConnectionLost &) {
            } catch (const pq::Error &) {
                world_.model.tell(*transaction, Fate::rolled_back);
            }
        }
        if (world_.running) world_.complain({"clock: it is right again, but no write succeeds: " + told, {}});
    }

    World &world_;
    std::mt19937 random_;
};

// Also the worker goes on, whatever it meant to do at which time. Once nobody works.
inline void check_worker_seals(World &world, Session &session) {
    constexpr int kSecondsMax = 90;
    session.exec("SELECT ledger.seal()");
    const std::string before = session.exec("SELECT count(*) FROM ledger_data.seal").text(0, 0);
    session.exec("ALTER SYSTEM SET ledger.worker = on");
    session.exec("ALTER SYSTEM SET ledger.seal_interval = 1");
    session.exec("SELECT pg_reload_conf()");
    const std::string name = "sealed" + std::to_string(world.round);
    const auto transaction = world.model.begin(name);
    Effect effect;
    effect.source = "a0";
    effect.destination = "a1";
    effect.amount = 1;
    transaction->deeds = {effect};
    session.exec("SELECT ledger.unfreeze_account(x) FROM unnest('{a0,a1}'::text[]) AS x");
    session.exec("WITH m AS (INSERT INTO mark (name, xid) VALUES ('" + name +
                 "', pg_current_xact_id()::text::bigint)) SELECT ledger.transfer('a0', 'a1', 0.01)");
    world.model.tell(*transaction, Fate::committed);
    for (int i = 0; i < kSecondsMax * 10; ++i, pause_ms(100))
        if (session.exec("SELECT count(*) FROM ledger_data.seal").text(0, 0) != before) return;
    world.complain({"clock: it is right again, but the worker has made no seal for " +
                        std::to_string(kSecondsMax) + " s",
                    {}});
}
