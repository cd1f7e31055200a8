// What only some rounds go through, chosen by the seed: each kind in turn, each time in
// another order. Some go on beside the work, others begin when nobody works.
#pragma once

#include <algorithm>
#include <atomic>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "flood.hpp"
#include "impatience.hpp"
#include "old_oid.hpp"
#include "plant.hpp"
#include "queue.hpp"
#include "restores.hpp"
#include "worker.hpp"
#include "world.hpp"
#include "wrong_clock.hpp"

class Trials {
  public:
    Trials(World &world, Evidence &evidence, std::mt19937 &random)
        : world_(world), evidence_(evidence), random_(random) {}

    static bool is_one(const std::string &name) {
        return std::find(std::begin(kTrials), std::end(kTrials), name) != std::end(kTrials);
    }

    // The one that is named, or else the next.
    void choose(const std::string &name) {
        if (left_.empty()) left_.assign(std::begin(kTrials), std::end(kTrials));
        std::swap(left_[random_() % left_.size()], left_.back());
        trial_ = left_.back();
        left_.pop_back();
        if (!name.empty()) trial_ = name;
        if (!world_.plant.empty() && world_.round == 1) trial_ = plants().at(world_.plant).trial;
        world_.times = trial_ == "hours ahead"   ? Times::hours_ahead
                       : trial_ == "years ahead" ? Times::years_ahead
                                                 : Times::right;
        if (trial_ == "years ahead") world_.forgotten = world_.round;
        told_ = trial_;
    }

    // Beside the work; comes to its end by itself, or soon after the round's.
    void run() {
        running_ = true;
        try {
            const unsigned seed = static_cast<unsigned>(random_());
            thread_ = std::thread([this, seed] {
                if (trial_ == "locks") QueuedLocks(world_, seed).run();
                if (trial_ == "prepared") prepare_many(seed);
                if (trial_ == "flood") Flood(world_, seed).run();
                if (trial_ == "hours ahead" || trial_ == "years ahead") WrongClock(world_, seed).run();
                running_ = false;
            });
        } catch (...) {
            running_ = false;
            throw;
        }
    }
    bool is_running() const { return running_; }
    void join() {
        if (thread_.joinable()) thread_.join();
        world_.cluster.clock().set_right();
    }

    // A standby that takes over has a memory of its own, and so has a server that was started again.
    bool wants_no_fault() { return world_.times != Times::right && random_() % 2 == 0; }
    // A template has to be at rest.
    bool wants_none_prepared() const { return trial_ == "old oid"; }

    // When nobody works: before the checks of the round, and after them.
    void before_checks() {
        if (trial_ == "impatience") Impatience(world_, static_cast<unsigned>(random_())).run();
        if (world_.times == Times::right) return;
        Session session = world_.session();
        check_worker_seals(world_, session);
        session.close();
    }
    void after_checks() {
        if (trial_ == "restore")
            told_ += ", " + ConnectedRestore(world_, evidence_, static_cast<unsigned>(random_())).run();
        if (trial_ == "old oid") check_old_oid(world_, evidence_);
    }

    // What it was; counted.
    std::string told() {
        ++count_[told_];
        return told_;
    }
    const std::map<std::string, long> &count() const { return count_; }

  private:
    // Some hundred transactions that are prepared on a few accounts, while others end
    // them in any order and use the same accounts.
    void prepare_many(unsigned seed) {
        constexpr std::size_t kPreparedMax = 350;
        constexpr int kWorkers = 4, kFinishers = 2;
        std::mt19937 random(seed);
        const std::size_t there = world_.model.prepared();
        if (there >= kPreparedMax) return;
        const int each =
            static_cast<int>(std::min<std::size_t>(100 + random() % 200, kPreparedMax - there)) / kWorkers;
        std::vector<std::thread> preparing, finishing;
        const auto start = [&](std::vector<std::thread> &threads, int number, Manner manner,
                               int transactions) {
            threads.emplace_back([this, number, manner, transactions, own = static_cast<unsigned>(random())] {
                Worker(world_, number, own, manner).run(transactions);
            });
        };
        for (int i = 0; i < kWorkers; ++i) start(preparing, i, Manner::prepares, each);
        const bool at_once = random() % 2 == 0;
        const int turns = 50 + static_cast<int>(random() % 200);
        for (int i = 0; at_once && i < kFinishers; ++i) start(finishing, i, Manner::finishes, turns);
        for (std::thread &thread : preparing) thread.join();
        for (int i = 0; !at_once && i < kFinishers; ++i) start(finishing, i, Manner::finishes, turns);
        for (std::thread &thread : finishing) thread.join();
    }

    static constexpr const char *kTrials[] = {"none",        "locks",       "prepared",   "flood",
                                              "hours ahead", "years ahead", "impatience", "restore",
                                              "old oid",     "locks",       "restore"};

    World &world_;
    Evidence &evidence_;
    std::mt19937 &random_;
    std::vector<std::string> left_;
    std::string trial_, told_;
    std::map<std::string, long> count_;
    std::atomic<bool> running_ = false;
    std::thread thread_;
};
