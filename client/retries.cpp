// Clients that cannot leave it alone: every request is sent one to five times,
// over many connections, some of which break in the middle. The database is then
// asked whether each request had one effect, and each client whether all the
// answers to a request were the same.
#include <poll.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "pq.hpp"
#include "program.hpp"
#include "progress.hpp"

namespace {

constexpr const char *kLeaseLost = "LG305";

constexpr const char *kHelp =
    R"(usage: retries [OPTION]...
Sends N requests, each one to five times and in any order, over C connections.
One request in four goes each of these ways:
  transfer   ledger.transfer under a key
  stock      ledger.try_deduct_stock under a key
  one        ledger.begin_request, the work and ledger.complete_request in one transaction
  several    the same in several transactions, with a short lease that one in fifty outlives
One statement in fifty loses its connection before it is answered; then the
request is sent again.
Exits with 1 unless every request had one effect (or none, where it was refused),
every answer to it was the same, and the ledger's invariants hold.

  --requests N      logical requests (10000)
  --connections C   connections (64)
  --units U         pieces in stock (as many as there are requests)
  --seed SEED       of the repetitions, their order and the accidents (1)
  --dbname CONNINFO a database name or conninfo string; otherwise PG* decides

It needs a superuser, or an owner of the database with the extension installed:
it creates the extension where missing, and its own schema retries anew.
)";

struct Options {
    int requests = 10000;
    int connections = 64;
    int units = 0;
    unsigned seed = 1;
    std::string conninfo;
};

// The ways of a request, in turn. $1 is its key. A statement answers NULL where
// another caller is at it: then it is sent again later.
constexpr std::array kWays = {
    "SELECT ledger.transfer('retries:purse', 'retries:till', 1, $1)::text",
    "SELECT coalesce(ledger.try_deduct_stock('retries:tea', 1, $1)::text, 'sold out')",
    "SELECT retries.in_one($1)",
    "SELECT retries.begin($1)",
};
constexpr int kSeveral = 3;
constexpr const char *kFinish = "SELECT retries.finish($1, $2::int)";

constexpr const char *kSchema = R"(
CREATE SCHEMA retries;
-- Nothing here keeps an effect from happening twice but the request.
CREATE TABLE retries.effect (id bigint GENERATED ALWAYS AS IDENTITY, key text NOT NULL);

CREATE FUNCTION retries.work(key text) RETURNS jsonb LANGUAGE sql AS
    'INSERT INTO retries.effect (key) VALUES (work.key) RETURNING to_jsonb(id)';

CREATE FUNCTION retries.in_one(key text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    request record;
BEGIN
    SELECT * INTO request FROM ledger.begin_request(key, scope => 'retries');
    IF request.state = 'new' THEN
        request.response := retries.work(key);
        PERFORM ledger.complete_request(key, request.response, 'retries', request.attempt);
    END IF;
    RETURN request.response;
END
$$;

-- The response, or 'attempt N' where this caller has it now, or NULL.
CREATE FUNCTION retries.begin(key text) RETURNS text LANGUAGE sql AS $$
    SELECT CASE state WHEN 'completed' THEN response::text WHEN 'new' THEN 'attempt ' || attempt END
    FROM ledger.begin_request(key, scope => 'retries', lease => '100 ms')
$$;

CREATE FUNCTION retries.finish(key text, attempt int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    response jsonb := retries.work(key);
BEGIN
    PERFORM ledger.complete_request(key, response, 'retries', attempt);
    RETURN response;
END
$$;
)";

void set_up(pq::Connection &database, const Options &options) {
    database.exec("CREATE EXTENSION IF NOT EXISTS ledger");
    database.exec("DROP SCHEMA IF EXISTS retries CASCADE");
    database.script(kSchema);
    database.script(R"(
        SELECT ledger.create_asset('RETRY');
        DO $$ BEGIN
            IF NOT EXISTS (SELECT FROM ledger.accounts WHERE account = 'retries:purse') THEN
                PERFORM ledger.open_account('retries:purse', 'RETRY', floor => NULL), ledger.open_account('retries:till', 'RETRY'),
                        ledger.create_stock('retries:tea');
            END IF;
        END $$)");
    database.exec(
        "SELECT CASE WHEN available < $1::bigint THEN ledger.add_stock(sku, $1::bigint - available::bigint)"
        " WHEN available > $1::bigint THEN ledger.deduct_stock(sku, available::bigint - $1::bigint) END"
        " FROM ledger.stock WHERE sku = 'retries:tea'",
        {std::to_string(options.units)});
}

// What is known of a request: its answer, and whether all its answers were that.
struct Request {
    std::string key;
    std::optional<std::string> answer;
    bool same = true;
};

class Senders {
  public:
    Senders(const Options &options, const std::string &run)
        : options_(options), requests_(options.requests), random_(options.seed) {
        for (int i = 0; i < options.requests; ++i) {
            requests_[i].key = run + "-" + std::to_string(i);
            const int times = std::uniform_int_distribution<>(1, 5)(random_);
            queue_.insert(queue_.end(), times, i);
        }
        std::shuffle(queue_.begin(), queue_.end(), random_);
        sendings_ = queue_.size();
        progress_.emplace("sendings", static_cast<long>(sendings_));
    }

    void run() {
        std::vector<std::thread> threads;
        for (int i = 0; i < options_.connections; ++i) threads.emplace_back([this, i] { send_all(i); });
        for (std::thread &thread : threads) thread.join();
        if (!failure_.empty()) throw std::runtime_error(failure_);
    }

    const std::vector<Request> &requests() const { return requests_; }
    std::size_t sendings() const { return sendings_; }
    int lost() const { return lost_; }
    int waited() const { return waited_; }
    int taken_over() const { return taken_over_; }

  private:
    using Lock = std::lock_guard<std::mutex>;
    using Accidents = std::mt19937;

    static bool accident(Accidents &accidents) {
        return std::uniform_int_distribution<>(1, 50)(accidents) == 1;
    }

    pq::Connection connect() const {
        pq::Connection connection(options_.conninfo, "retries");
        for (std::size_t way = 0; way < kWays.size(); ++way)
            connection.prepare(std::to_string(way).c_str(), kWays[way]);
        connection.prepare("finish", kFinish);
        return connection;
    }

    void send_all(int number) {
        try {
            Accidents accidents(options_.seed * 1000 + number);
            pq::Connection connection = connect();
            while (const std::optional<int> request = next()) {
                const std::optional<std::string> answer = send(connection, *request, accidents);
                if (!connection.alive()) connection = connect();
                settle(*request, answer);
            }
        } catch (const std::exception &error) {
            const Lock lock(mutex_);
            failure_ = error.what();
            queue_.clear();
        }
    }

    std::optional<int> next() {
        const Lock lock(mutex_);
        if (queue_.empty()) return std::nullopt;
        const int request = queue_.back();
        queue_.pop_back();
        return request;
    }

    // One sending of a request; its answer, if there was one.
    std::optional<std::string> send(pq::Connection &connection, int number, Accidents &accidents) {
        const std::string &key = requests_[number].key;
        const int way = number % static_cast<int>(kWays.size());
        std::optional<std::string> answer = ask(connection, std::to_string(way).c_str(), {key}, accidents);
        static const std::string kAttempt = "attempt ";
        if (way == kSeveral && answer && answer->starts_with(kAttempt)) {
            if (accident(accidents)) std::this_thread::sleep_for(std::chrono::milliseconds(700));
            answer = ask(connection, "finish", {key, answer->substr(kAttempt.size())}, accidents);
        }
        return answer;
    }

    std::optional<std::string> ask(pq::Connection &connection, const char *statement,
                                   const pq::Connection::Params &params, Accidents &accidents) {
        const bool sent = connection.send_prepared(statement, params);
        if (!sent || accident(accidents)) {
            connection.close();
            count(lost_);
            return std::nullopt;
        }
        pollfd socket = {connection.socket(), POLLIN, 0};
        while (!connection.finished()) poll(&socket, 1, 1000);
        const std::optional<pq::Result> result = connection.take_answer();
        if (!result) {
            count(lost_);
            return std::nullopt;
        }
        if (result->sqlstate() == kLeaseLost) {
            count(taken_over_);
            return std::nullopt;
        }
        if (result->require().is_null(0, 0)) {
            count(waited_);
            return std::nullopt;
        }
        return result->text(0, 0);
    }

    void count(int &what) {
        const Lock lock(mutex_);
        ++what;
    }

    // No answer: it is sent again, after the others.
    void settle(int number, const std::optional<std::string> &answer) {
        const Lock lock(mutex_);
        if (!answer) {
            queue_.insert(queue_.begin(), number);
            return;
        }
        Request &request = requests_[number];
        request.same = request.same && (!request.answer || *request.answer == *answer);
        request.answer = answer;
        progress_->advance();
    }

    const Options &options_;
    std::mutex mutex_;
    std::vector<Request> requests_;
    std::vector<int> queue_;
    std::mt19937 random_;
    std::optional<Progress> progress_;
    std::size_t sendings_ = 0;
    std::string failure_;
    int lost_ = 0;
    int waited_ = 0;
    int taken_over_ = 0;
};

bool check(bool good, const char *what) {
    if (!good) std::fprintf(stderr, "wrong: %s\n", what);
    return good;
}

// What the clients were told and what the database holds.
bool honest(pq::Connection &database, const Senders &senders, const pq::Result &before) {
    std::array<long, kWays.size()> wanted = {};
    long sold = 0;
    bool same = true;
    for (std::size_t i = 0; i < senders.requests().size(); ++i) {
        const Request &request = senders.requests()[i];
        same = same && request.same && request.answer;
        ++wanted[i % kWays.size()];
        sold += i % kWays.size() == 1 && request.answer != "sold out";
    }
    const pq::Result after = database.exec(
        "SELECT (SELECT posted::bigint FROM ledger.balance('retries:till')),"
        " (SELECT sold::bigint FROM ledger.stock WHERE sku = 'retries:tea'),"
        " (SELECT count(*) FROM retries.effect), (SELECT count(DISTINCT key) FROM retries.effect),"
        " (SELECT count(*) FROM ledger.check_invariants())");
    const long moved = after.number(0, 0) - before.number(0, 0);
    const long deducted = after.number(0, 1) - before.number(0, 1);
    std::printf("effects: %ld transfers, %ld pieces sold, %ld rows; %zu requests\n", moved, deducted,
                after.number(0, 2), senders.requests().size());
    bool good = check(same, "a request was answered differently");
    good = check(moved == wanted[0], "transfers") && good;
    good = check(deducted == sold, "pieces sold") && good;
    good = check(sold == std::min<long>(before.number(0, 2), wanted[1]), "pieces that could be sold") && good;
    good = check(after.number(0, 2) == wanted[2] + wanted[3], "rows") && good;
    good = check(after.number(0, 3) == wanted[2] + wanted[3], "a row for each request") && good;
    return check(after.number(0, 4) == 0, "invariants") && good;
}

bool run(const Options &options) {
    pq::Connection database(options.conninfo, "retries");
    set_up(database, options);
    const std::string run = database.exec("SELECT gen_random_uuid()").text(0, 0);
    const pq::Result before = database.exec(
        "SELECT t.posted::bigint, s.sold::bigint, s.available::bigint FROM ledger.balance('retries:till') AS "
        "t,"
        " ledger.stock AS s WHERE s.sku = 'retries:tea'");
    Senders senders(options, run);
    senders.run();
    std::printf(
        "%zu sendings of %d requests over %d connections; answers lost %d, told to wait %d, "
        "taken over %d\n",
        senders.sendings(), options.requests, options.connections, senders.lost(), senders.waited(),
        senders.taken_over());
    database.exec("SELECT pg_sleep(0.2)");
    while (
        database
            .exec(
                "SELECT FROM pg_stat_activity WHERE application_name = 'retries' AND pid <> pg_backend_pid()")
            .rows() > 0)
        database.exec("SELECT pg_sleep(0.05)");
    return honest(database, senders, before);
}

Options parse(int argc, char **argv) {
    Options options;
    const std::vector<Option> known = {
        {"requests", [&](const char *text) { options.requests = positive("requests", text); }},
        {"connections", [&](const char *text) { options.connections = positive("connections", text); }},
        {"units", [&](const char *text) { options.units = positive("units", text); }},
        {"seed", [&](const char *text) { options.seed = seed_from(text); }},
        {"dbname", [&](const char *text) { options.conninfo = text; }},
    };
    take_options("retries", kHelp, argc, argv, known);
    if (optind < argc) throw std::invalid_argument("see retries --help");
    if (options.units == 0) options.units = options.requests;
    return options;
}

}  // namespace

int main(int argc, char **argv) {
    return run_program("retries", [&] { return run(parse(argc, argv)); });
}
