// Thousands of reservations that run out together, while buyers buy. One buyer takes a
// piece and keeps its transaction open: what is left is there for the others.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "world.hpp"

class Flood {
  public:
    Flood(World &world, unsigned seed)
        : world_(world), random_(seed), pieces_(1000 + random_() % 3000), round_(std::to_string(world.round)),
          sku_("sf" + round_) {}

    void run() {
        constexpr int kBuyers = 4;
        std::vector<std::thread> buyers;
        const auto let_buyers_in = [&] {
            for (int i = 0; i < kBuyers; ++i)
                buyers.emplace_back([this, i, seed = random_()] { buy(i, std::mt19937(seed)); });
        };
        try {
            reserve();
            const bool early = random_() % 3 == 0;
            if (early) let_buyers_in();
            keep_open([&] {
                if (!early) let_buyers_in();
            });
        } catch (const ConnectionLost &) {
        } catch (const pq::Error &error) {
            complain_if_unexpected(error);
        }
        over_ = true;
        for (std::thread &buyer : buyers) buyer.join();
    }

  private:
    using Shared = std::shared_ptr<Transaction>;

    void complain_if_unexpected(const pq::Error &error) {
        if (!is_expected(error.sqlstate()))
            world_.complain({"flood: " + error.sqlstate() + " " + error.what(), {sku_}});
    }

    static std::string mark(const std::string &name) {
        return "INSERT INTO mark (name, xid) VALUES ('" + name + "', pg_current_xact_id()::text::bigint)";
    }

    static void tell(World &world, const Session &session, Transaction &transaction, Fate fate) {
        if (!session.unreplicated()) world.model.tell(transaction, fate);
    }

    // All of the stock, piece by piece.
    void reserve() {
        Session session(world_.history, world_.primary(), "torture flood", "flood" + round_);
        const Shared transaction = world_.model.begin("flood" + round_);
        Deeds &deeds = transaction->deeds;
        try {
            session.exec("BEGIN");
            session.exec(mark(transaction->name));
            session.exec("SELECT ledger.create_stock('" + sku_ + "', " + std::to_string(pieces_) + ")");
            deeds = {Opened{sku_}, Opened{sku_ + ":sold"}, movement("stock:supply", sku_, pieces_)};
            Effect hold = movement(sku_, sku_ + ":sold", 1);
            hold.kind = Kind::pending;
            hold.due = now_us() + kSecond;
            const pq::Result ids = session.exec("SELECT ledger.reserve_stock('" + sku_ +
                                                "', 1, '1 s') FROM generate_series(1, " +
                                                std::to_string(pieces_) + ")");
            for (int row = 0; row < ids.rows(); ++row) {
                hold.id = ids.number(row, 0);
                deeds.emplace_back(hold);
            }
        } catch (...) {
            world_.model.tell(*transaction, Fate::rolled_back);
            throw;
        }
        try {
            session.exec("COMMIT");
        } catch (const pq::Error &) {
            tell(world_, session, *transaction, Fate::rolled_back);
            throw;
        }
        tell(world_, session, *transaction, Fate::committed);
    }

    static Effect movement(const std::string &source, const std::string &destination, std::int64_t amount) {
        Effect effect;
        effect.source = source;
        effect.destination = destination;
        effect.amount = amount;
        return effect;
    }

    // Buys one piece as soon as there is one, and stays.
    void keep_open(const std::function<void()> &then) {
        Session session(world_.history, world_.primary(), "torture flood", "hostage-taker" + round_);
        const Shared transaction = world_.model.begin("hostage-taker" + round_);
        try {
            session.exec("BEGIN");
            session.exec(mark(transaction->name));
            while (session.exec("SELECT ledger.try_deduct_stock('" + sku_ + "', 1)").is_null(0, 0)) {
                if (!world_.running) throw ConnectionLost{};
                pause_ms(2);
            }
            transaction->deeds = {movement(sku_, sku_ + ":sold", 1)};
            if (world_.plants("hostage"))
                world_.session().exec("SELECT ledger.freeze_account('" + sku_ + "')");
            asked_ = bought_ = 0;
            then();
            for (int i = 0; i < kOpenMs / 10 && world_.running; ++i) pause_ms(10);
            session.exec("SELECT 1");  // it is still open
        } catch (...) {
            world_.model.tell(*transaction, Fate::rolled_back);
            throw;
        }
        constexpr long kEnough = 20;
        if (world_.running && asked_ >= kEnough && bought_ == 0)
            world_.complain({"flood: " + std::to_string(asked_) + " buyers of " + sku_ +
                                 " got nothing while one that took one of " + std::to_string(pieces_) +
                                 " overdue pieces stayed open",
                             {sku_}});
        const bool commit = random_() % 2 == 0;
        try {
            session.exec(commit ? "COMMIT" : "ROLLBACK");
        } catch (const pq::Error &) {
            tell(world_, session, *transaction, Fate::rolled_back);
            throw;
        }
        tell(world_, session, *transaction, commit ? Fate::committed : Fate::rolled_back);
    }

    // Disturbed like any other.
    void buy(int number, std::mt19937 random) {
        const std::string who = "buyer" + round_ + "-" + std::to_string(number);
        for (int count = 0; world_.running && !over_;) {
            try {
                Session session(world_.history, world_.primary(), "torture", who);
                session.exec("SET lock_timeout = '2s'");
                while (world_.running && !over_)
                    buy(session, who + "-" + std::to_string(++count), random);
            } catch (const ConnectionLost &) {
                pause_ms(20);
            } catch (const pq::Error &error) {
                complain_if_unexpected(error);
                pause_ms(20);
            }
        }
    }

    // Now and then more than is got back for one caller at once.
    void buy(Session &session, const std::string &name, std::mt19937 &random) {
        const std::int64_t quantity = random() % 50 == 0 ? 150 : 1 + random() % 3;
        const Shared transaction = world_.model.begin(name);
        Effect sold = movement(sku_, sku_ + ":sold", quantity);
        sold.optional = true;
        transaction->deeds = {sold};
        try {
            const pq::Result answer = session.exec("WITH m AS (" + mark(name) + ") SELECT ledger.try_deduct_stock('" +
                                                   sku_ + "', " + std::to_string(quantity) + ")");
            ++asked_;
            if (answer.is_null(0, 0))
                transaction->deeds.clear();
            else
                std::get<Effect>(transaction->deeds[0]).optional = false, ++bought_;
            tell(world_, session, *transaction, Fate::committed);
        } catch (const pq::Error &error) {
            complain_if_unexpected(error);
            ++asked_;
            tell(world_, session, *transaction, Fate::rolled_back);
        }
        pause_ms(static_cast<int>(random() % 10));
    }

    static constexpr int kOpenMs = 800;

    World &world_;
    std::mt19937 random_;
    const std::int64_t pieces_;
    const std::string round_, sku_;
    std::atomic<long> asked_ = 0, bought_ = 0;
    std::atomic<bool> over_ = false;
};
