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
        : world_(world),
          random_(seed),
          pieces_(1000 + random_() % 3000),
          round_(std::to_string(world.round)),
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

    // The buyers have the overdue pieces to themselves, as long as no chore changes that.
    static void set_worker(Session &session, bool on) {
        session.exec(std::string("ALTER SYSTEM SET ledger.worker = ") + (on ? "on" : "off"));
        session.exec("SELECT pg_reload_conf()");
    }

    // All of the stock, piece by piece.
    void reserve() {
        Session session(world_.history, world_.primary(), "torture flood", "flood" + round_);
        const Shared transaction = world_.model.begin("flood" + round_);
        Deeds &deeds = transaction->deeds;
        try {
            set_worker(session, random_() % 3 == 0);
            session.exec("BEGIN");
            session.exec(mark(transaction->name));
            session.exec("SELECT ledger.create_stock('" + sku_ + "', " + std::to_string(pieces_) + ")");
            deeds = {Opened{sku_}, Opened{sku_ + ":sold"}, movement("stock:supply", sku_, pieces_)};
            Effect hold = movement(sku_, sku_ + ":sold", 1);
            hold.kind = Kind::pending;
            hold.shared = false;
            hold.due = now_us() + kSecond;
            const pq::Result ids =
                session.exec("SELECT ledger.reserve_stock('" + sku_ +
                             "', 1, '1 s') FROM generate_series(1, " + std::to_string(pieces_) + ")");
            all_due_ = now_us() + kSecond;
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

    // One more than is free, as soon as that can be had: it has to get back one that is overdue.
    std::int64_t take_one_more(Session &session) {
        for (; world_.running; pause_ms(2)) {
            const pq::Result taken = session.exec(
                "SELECT f.pieces + 1, ledger.try_deduct_stock('" + sku_ +
                "', f.pieces + 1) FROM (SELECT (b.posted - b.held)::bigint FROM ledger.balance('" + sku_ +
                "') AS b) AS f (pieces)");
            if (!taken.is_null(0, 1)) return taken.number(0, 0);
        }
        throw ConnectionLost{};
    }

    // Buys, and stays.
    void keep_open(const std::function<void()> &then) {
        Session session(world_.history, world_.primary(), "torture flood", "hostage-taker" + round_);
        const Shared transaction = world_.model.begin("hostage-taker" + round_);
        try {
            while (world_.running && now_us() < all_due_) pause_ms(2);
            session.exec("BEGIN");
            session.exec(mark(transaction->name));
            const std::int64_t taken = take_one_more(session);
            sold_ += taken;
            transaction->deeds = {movement(sku_, sku_ + ":sold", taken)};
            if (world_.plants("hostage"))
                world_.session().exec("SELECT ledger.freeze_account('" + sku_ + "')");
            then();
            // What was given back before may be sold first.
            for (int i = 0; i < kOpenMs / 10 && world_.running; ++i) {
                if (i == kOpenMs / 20) asked_ = bought_ = 0;
                pause_ms(10);
            }
            session.exec("SELECT 1");  // it is still open
        } catch (...) {
            world_.model.tell(*transaction, Fate::rolled_back);
            throw;
        }
        // What the worker had given back before was taken with it: perhaps nothing is left to be sold.
        constexpr long kEnough = 10;
        const bool sold_out = sold_ + kQuantityMax > pieces_;
        if (world_.running && asked_ >= kEnough && bought_ == 0 && !sold_out)
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
        set_worker(session, true);
    }

    // Disturbed like any other.
    void buy(int number, std::mt19937 random) {
        const std::string who = "buyer" + round_ + "-" + std::to_string(number);
        for (int count = 0; world_.running && !over_;) {
            try {
                Session session(world_.history, world_.primary(), "torture", who);
                session.exec("SET lock_timeout = '2s'");
                while (world_.running && !over_) buy(session, who + "-" + std::to_string(++count), random);
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
        const std::int64_t quantity = random() % 50 == 0 ? 150 : 1 + random() % kQuantityMax;
        const Shared transaction = world_.model.begin(name);
        Effect sold = movement(sku_, sku_ + ":sold", quantity);
        sold.optional = true;
        transaction->deeds = {sold};
        try {
            const pq::Result answer =
                session.exec("WITH m AS (" + mark(name) + ") SELECT ledger.try_deduct_stock('" + sku_ +
                             "', " + std::to_string(quantity) + ")");
            ++asked_;
            if (answer.is_null(0, 0))
                transaction->deeds.clear();
            else
                std::get<Effect>(transaction->deeds[0]).optional = false, ++bought_, sold_ += quantity;
            tell(world_, session, *transaction, Fate::committed);
        } catch (const pq::Error &error) {
            complain_if_unexpected(error);
            ++asked_;
            tell(world_, session, *transaction, Fate::rolled_back);
        }
        pause_ms(static_cast<int>(random() % 10));
    }

    static constexpr int kOpenMs = 1200;
    static constexpr int kQuantityMax = 3;

    World &world_;
    std::mt19937 random_;
    const std::int64_t pieces_;
    const std::string round_, sku_;
    Microseconds all_due_ = 0;
    std::atomic<long> asked_ = 0, bought_ = 0;
    std::atomic<std::int64_t> sold_ = 0;  // pieces, at most: what was rolled back counts, too
    std::atomic<bool> over_ = false;
};
