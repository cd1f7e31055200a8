// What a round suffers: cancels and terminations all along, and one fault to end with.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "world.hpp"

// For so long, and longer while asked to.
inline void disturb(World &world, std::mt19937 &random, int milliseconds,
                    const std::function<bool()> &go_on) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds);
    pq::Connection database = world.cluster.connect();
    while (std::chrono::steady_clock::now() < end || go_on()) {
        pause_ms(5 + static_cast<int>(random() % 30));
        const char *how = random() % 3 ? "pg_cancel_backend" : "pg_terminate_backend";
        database.exec(
            std::string("SELECT ") + how +
            "(pid) FROM pg_stat_activity WHERE application_name = 'torture' ORDER BY random() LIMIT 1");
    }
}

class Faults {
  public:
    // Every kind in turn, each time in another order.
    std::string strike(World &world, std::mt19937 &random) {
        if (left_.empty())
            left_ = {"none", "crash", "backend", "restart", "immediate", "failover", "failover", "standby"};
        std::swap(left_[random() % left_.size()], left_.back());
        const std::string fault = left_.back();
        left_.pop_back();
        const std::string told = strike(world, random, fault);
        ++count_[told];
        return told;
    }

    const std::map<std::string, long> &count() const { return count_; }

  private:
    static std::string strike(World &world, std::mt19937 &random, const std::string &fault) {
        Cluster &cluster = world.cluster;
        if (fault == "crash") {
            cluster.crash();
            return "kill -9 of the postmaster";
        }
        if (fault == "backend") {
            kill_backend(cluster);
            return "kill -9 of a backend";
        }
        if (fault == "restart" || fault == "immediate") {
            cluster.restart(fault == "restart" ? "fast" : "immediate");
            return fault == "restart" ? "restart" : "immediate stop";
        }
        if (fault == "standby") {
            cluster.crash_standby();
            return "kill -9 of the standby";
        }
        if (fault == "failover") {
            static const char *const kModes[] = {"kill", "kill", "immediate", "fast"};
            const std::string mode = kModes[random() % 4];
            cluster.fail_over(mode);
            return "promotion after " + (mode == "kill" ? "kill -9" : mode + " stop");
        }
        return fault;
    }

    static void kill_backend(const Cluster &cluster) {
        const pq::Result victim = cluster.connect().exec(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'torture' ORDER BY random() LIMIT 1");
        if (victim.rows() > 0) kill(static_cast<pid_t>(victim.number(0, 0)), SIGKILL);
    }

    std::vector<std::string> left_;
    std::map<std::string, long> count_;
};
