// Sells one hot SKU by one of several methods: N clients, each a thread with
// connections of its own, each sale as many round trips as the method takes.
// pgbench cannot speak to Redis nor retry, so all methods are measured by this.

#include "pq.hpp"
#include "program.hpp"

#include <hiredis/hiredis.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <latch>
#include <map>
#include <mutex>
#include <random>
#include <thread>

namespace {

using Clock = std::chrono::steady_clock;

constexpr const char *kHelp = R"(sell: clients that sell one hot SKU, for the benchmarks

  --method NAME    see kMethods in sell.cpp
  --clients N      each a thread (default 8)
  --seconds N      how long (default 1)
  --log FILE       where to write every sale's time: client, number, microseconds
  --redis SOCKET   Redis, for the method redis
  -d, --dbname CONNINFO

It prints what pgbench prints of the transactions and their rate.
)";

constexpr const char *kSku = "1001";
constexpr long kStock = 1000000000000;

struct Options {
    std::string method = "ledger";
    int clients = 8;
    int seconds = 1;
    std::string log = "sell.log";
    std::string redis;
    std::string conninfo;
};

// One client's view of the shop. A method sells one unit or throws.
class Client {
  public:
    Client(const Options &options, unsigned number)
        : database_(options.conninfo, "sell"), random_(number), redis_(nullptr, &redisFree) {
        if (!options.redis.empty()) connect_redis(options.redis);
    }

    void prepare(const char *name, const std::string &sql) { database_.prepare(name, sql); }

    // Whatever it takes is in one statement.
    void sell_at_once() {
        if (database_.exec_prepared({"sell", {kSku}}).affected() != 1)
            throw std::runtime_error("nothing was sold");
    }

    // The row is locked while the client decides: one round trip.
    void sell_pessimistically() {
        const auto seen = database_.exec_together({{"begin", {}}, {"look", {kSku}}});
        if (seen[1].number(0, 0) < 1) throw std::runtime_error("sold out");
        database_.exec_together({{"deduct", {kSku}}, {"order", {kSku}}, {"commit", {}}});
    }

    // Nothing is locked while the client decides; who finds another version, or
    // somebody else at it, looks again, a little later each time. Who waited for
    // the other instead would only find another version: a fifth of the sales.
    void sell_optimistically() {
        for (int attempt = 1;; ++attempt) {
            const pq::Result seen = database_.exec_prepared({"look", {kSku}});
            if (seen.number(0, 0) < 1) throw std::runtime_error("sold out");
            if (database_.exec_prepared({"sell", {kSku, seen.text(0, 1)}}).affected() == 1) return;
            ++retries_;
            back_off(attempt);
        }
    }

    // Two systems: a unit from Redis, then the order; the unit goes back if the order fails.
    void sell_in_two_systems() {
        if (redis("EVALSHA %s 1 stock:%s 1", script_.c_str(), kSku) < 0) throw std::runtime_error("sold out");
        try {
            database_.exec_prepared({"order", {kSku}});
        } catch (...) {
            redis("INCRBY stock:%s 1", kSku);
            throw;
        }
    }

    // A number, or a status where the reply is one.
    template <typename... Arguments>
    long long redis(const char *command, Arguments... arguments) {
        const Reply reply = ask_redis(command, arguments...);
        return reply->type == REDIS_REPLY_STRING ? std::atoll(reply->str) : reply->integer;
    }

    long retries() const { return retries_; }

  private:
    struct Free {
        void operator()(redisReply *reply) const { freeReplyObject(reply); }
    };
    using Reply = std::unique_ptr<redisReply, Free>;

    void connect_redis(const std::string &path) {
        redis_.reset(redisConnectUnix(path.c_str()));
        if (!redis_ || redis_->err) throw std::runtime_error("no Redis at " + path);
        script_ = ask_redis("SCRIPT LOAD %s",
                            "if tonumber(redis.call('GET', KEYS[1])) < tonumber(ARGV[1]) then return -1 end "
                            "return redis.call('DECRBY', KEYS[1], ARGV[1])")
                      ->str;
    }

    template <typename... Arguments>
    Reply ask_redis(const char *command, Arguments... arguments) {
        Reply reply(static_cast<redisReply *>(redisCommand(redis_.get(), command, arguments...)));
        if (!reply) throw std::runtime_error(redis_->errstr);
        if (reply->type == REDIS_REPLY_ERROR) throw std::runtime_error(reply->str);
        return reply;
    }

    // Up to 1 ms, 2 ms, ... 64 ms, at random; less and more did worse.
    void back_off(int attempt) {
        const int most_us = 1000 << std::min(attempt - 1, 6);
        std::this_thread::sleep_for(
            std::chrono::microseconds(std::uniform_int_distribution<>(0, most_us)(random_)));
    }

    pq::Connection database_;
    std::mt19937 random_;
    std::unique_ptr<redisContext, decltype(&redisFree)> redis_;
    std::string script_;
    long retries_ = 0;
};

struct Method {
    std::vector<std::pair<const char *, const char *>> statements;
    void (Client::*sell)();
};

constexpr const char *kOrder =
    "INSERT INTO orders (id, stock, quantity, created_at) VALUES (nextval('orders_id'), $1, 1, now())";

constexpr const char *kUpdate =
    "WITH deducted AS (UPDATE stock SET quantity = quantity - 1 WHERE id = $1 AND quantity >= 1 RETURNING "
    "id) "
    "INSERT INTO orders (id, stock, quantity, created_at) "
    "SELECT nextval('orders_id'), id, 1, now() FROM deducted";

// The tables and functions that they need are made by the files of these names in hot/.
const std::map<std::string, Method> kMethods = {
    {"ledger", {{{"sell", "SELECT ledger.deduct_stock($1, 1)"}}, &Client::sell_at_once}},
    {"ledger_order",
     {{{"sell",
        "WITH deducted AS (SELECT ledger.deduct_stock($1, 1) AS remaining) "
        "INSERT INTO orders (id, stock, quantity, created_at) "
        "SELECT nextval('orders_id'), $1::bigint, 1, now() FROM deducted WHERE remaining >= 0"}},
      &Client::sell_at_once}},
    {"insert",
     {{{"sell",
        "INSERT INTO transfer (id, debit_account, credit_account, amount, ref, txid, created_at, seq, kind, "
        "lane, hash) VALUES (nextval('transfer_id'), $1, 1002, 1, 0, pg_current_xact_id(), now(), 1, 1, 0, "
        "'\\x9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08')"}},
      &Client::sell_at_once}},
    {"update", {{{"sell", kUpdate}}, &Client::sell_at_once}},
    {"audited", {{{"sell", kUpdate}}, &Client::sell_at_once}},
    {"pessimistic",
     {{{"begin", "BEGIN"},
       {"look", "SELECT quantity FROM stock WHERE id = $1 FOR UPDATE"},
       {"deduct", "UPDATE stock SET quantity = quantity - 1 WHERE id = $1"},
       {"order", kOrder},
       {"commit", "COMMIT"}},
      &Client::sell_pessimistically}},
    {"optimistic",
     {{{"look", "SELECT quantity, version FROM stock WHERE id = $1"},
       {"sell",
        "WITH deducted AS (UPDATE stock SET quantity = quantity - 1, version = version + 1 "
        "WHERE id = (SELECT id FROM stock WHERE id = $1 AND version = $2 FOR NO KEY UPDATE SKIP LOCKED) "
        "RETURNING id) INSERT INTO orders (id, stock, quantity, created_at) "
        "SELECT nextval('orders_id'), id, 1, now() FROM deducted"}},
      &Client::sell_optimistically}},
    {"redis", {{{"order", kOrder}}, &Client::sell_in_two_systems}},
};

// Sales of all clients: each sells until the time is up.
class Market {
  public:
    explicit Market(const Options &options)
        : options_(options), method_(kMethods.at(options.method)), ready_(options.clients + 1) {}

    bool run() {
        if (!options_.redis.empty()) Client(options_, 0).redis("SET stock:%s %lld", kSku, kStock);
        times_us_.resize(static_cast<size_t>(options_.clients));
        std::vector<std::thread> threads;
        for (int number = 0; number < options_.clients; ++number)
            threads.emplace_back([this, number] { serve(number); });
        ready_.arrive_and_wait();
        const Clock::time_point start = Clock::now();
        for (std::thread &thread : threads) thread.join();
        report(std::chrono::duration<double>(Clock::now() - start).count());
        return complaint_.empty() && exact_in_redis();
    }

  private:
    void serve(int number) try {
        std::optional<Client> client;
        try {
            client.emplace(options_, static_cast<unsigned>(number));
            for (const auto &[name, sql] : method_.statements) client->prepare(name, sql);
        } catch (...) {
            ready_.count_down();
            throw;
        }
        ready_.arrive_and_wait();
        const Clock::time_point end = Clock::now() + std::chrono::seconds(options_.seconds);
        std::vector<long> &times_us = times_us_[static_cast<size_t>(number)];
        for (Clock::time_point since = Clock::now(), now; since < end; since = now) {
            ((*client).*method_.sell)();
            now = Clock::now();
            times_us.push_back(std::chrono::duration_cast<std::chrono::microseconds>(now - since).count());
        }
        const std::lock_guard guard(mutex_);
        retries_ += client->retries();
    } catch (const std::exception &error) {
        const std::lock_guard guard(mutex_);
        complaint_ = error.what();
    }

    void report(double seconds) {
        std::ofstream log(options_.log);
        for (size_t client = 0; client < times_us_.size(); ++client) {
            for (size_t sale = 0; sale < times_us_[client].size(); ++sale)
                log << client << ' ' << sale << ' ' << times_us_[client][sale] << '\n';
            sales_ += static_cast<long>(times_us_[client].size());
        }
        std::printf("number of transactions actually processed: %ld\nnumber of retries: %ld\ntps = %.6f\n",
                    sales_, retries_, static_cast<double>(sales_) / seconds);
        if (!complaint_.empty()) std::fprintf(stderr, "sell: %s\n", complaint_.c_str());
    }

    // What is left in Redis and what was sold must come to what there was.
    bool exact_in_redis() {
        if (options_.redis.empty()) return true;
        const long long left = Client(options_, 0).redis("GET stock:%s", kSku);
        if (left + sales_ == kStock) return true;
        std::fprintf(stderr, "sell: Redis has %lld left, but %ld were sold\n", left, sales_);
        return false;
    }

    const Options &options_;
    const Method &method_;
    std::latch ready_;
    std::mutex mutex_;
    std::vector<std::vector<long>> times_us_;
    long sales_ = 0;
    long retries_ = 0;
    std::string complaint_;
};

Options parse(int argc, char **argv) {
    Options options;
    const std::vector<Option> known = {
        {"method", [&](const char *text) { options.method = text; }},
        {"clients", [&](const char *text) { options.clients = positive("clients", text); }},
        {"seconds", [&](const char *text) { options.seconds = positive("seconds", text); }},
        {"log", [&](const char *text) { options.log = text; }},
        {"redis", [&](const char *text) { options.redis = text; }},
        {"dbname", [&](const char *text) { options.conninfo = text; }},
    };
    take_options("sell", kHelp, argc, argv, known);
    if (!kMethods.contains(options.method)) throw std::invalid_argument("unknown --method " + options.method);
    return options;
}

}  // namespace

int main(int argc, char **argv) {
    return run_program("sell", [&] {
        const Options options = parse(argc, argv);
        return Market(options).run();
    });
}
