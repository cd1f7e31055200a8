// A flash sale: many buyers, few units, one SKU, over a pool of connections.
// The same sale runs through ledger.try_deduct_stock and through the usual
// conditional UPDATE, and the database is then asked whether it was honest.
//
// One thread: libpq's requests are sent without waiting and collected by poll.
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <random>
#include <string>
#include <vector>

#include "pq.hpp"
#include "program.hpp"
#include "progress.hpp"

namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::duration<double, std::milli>;

constexpr const char *kUniqueViolation = "23505";
constexpr const char *kBalanceInFlight = "LG009";

constexpr const char *kHelp =
    R"(usage: flash_sale [OPTION]...
Sells U units of one SKU to N buyers, one transaction a buyer, by two methods:
  ledger   ledger.try_deduct_stock, and the order row where it bought
  update   UPDATE ... SET stock = stock - 1 WHERE stock >= 1, and the order row
Each is one prepared statement in one round trip. Exits with 1 unless exactly
min(N, U) are sold, what the database holds agrees, and its invariants hold.

  --buyers N        buyers, each with one attempt at a time (10000)
  --connections C   connections that serve them (64)
  --units U         units in stock (1000)
  --sku SKU         what is sold ('85123A', WHITE HANGING HEART T-LIGHT HOLDER)
  --method METHOD   ledger, update or both (both)
  --chaos           in the ledger's sale, terminate backends and drop connections
                    in the middle of requests; buyers whose answer was lost look
                    for their order and buy again if there is none
  --seed SEED       of the chaos (1)
  --dbname CONNINFO a database name or conninfo string; otherwise PG* decides

It needs a superuser, or an owner of the database with the extension installed:
it creates the extension where missing, and its own schema flash_sale anew.
)";

struct Options {
    int buyers = 10000;
    int connections = 64;
    int units = 1000;
    std::string sku = "85123A";
    std::string method = "both";
    bool chaos = false;
    unsigned seed = 1;
    std::string conninfo;
};

// How to sell one unit: $1 is the SKU, $2 the buyer. The statement affects one
// row, the order, where the buyer got the unit, and none where it is sold out.
struct Method {
    const char *name;
    const char *buy;
    const char *orders;  // the table of orders
    const char *left;    // $1 is the SKU
};

constexpr Method kLedger = {
    "ledger",
    "WITH deduction AS (SELECT ledger.try_deduct_stock($1, 1) AS remaining) "
    "INSERT INTO flash_sale.ledger_order (buyer, sku) "
    "SELECT $2::int, $1 FROM deduction WHERE remaining IS NOT NULL",
    "flash_sale.ledger_order",
    "SELECT available FROM ledger.stock WHERE sku = $1",
};

constexpr Method kUpdate = {
    "update",
    "WITH deduction AS (UPDATE flash_sale.item SET stock = stock - 1 "
    "WHERE sku = $1 AND stock >= 1 RETURNING stock) "
    "INSERT INTO flash_sale.update_order (buyer, sku) SELECT $2::int, $1 FROM deduction",
    "flash_sale.update_order",
    "SELECT stock FROM flash_sale.item WHERE sku = $1",
};

// Both sales begin with the same stock, into order tables of the same shape.
void stock_up(pq::Connection &database, const Options &options) {
    const std::string units = std::to_string(options.units);
    database.exec("DROP SCHEMA IF EXISTS flash_sale CASCADE");
    database.exec("CREATE SCHEMA flash_sale");
    database.exec("CREATE TABLE flash_sale.item (sku text PRIMARY KEY, stock bigint NOT NULL)");
    for (const Method *method : {&kUpdate, &kLedger}) {
        database.exec("CREATE TABLE " + std::string(method->orders) +
                      " (buyer int PRIMARY KEY, sku text NOT NULL,"
                      " ordered_at timestamptz NOT NULL DEFAULT now())");
    }
    database.exec("INSERT INTO flash_sale.item VALUES ($1, $2::bigint)", {options.sku, units});
    if (options.method == "update") return;

    database.exec("CREATE EXTENSION IF NOT EXISTS ledger");
    if (database.exec(kLedger.left, {options.sku}).rows() == 0) {
        database.exec("SELECT ledger.create_stock($1)", {options.sku});
    }
    // An earlier sale may have left the SKU with another quantity.
    database.exec(
        "SELECT CASE WHEN available > $2::bigint THEN ledger.deduct_stock(sku, (available - "
        "$2::bigint)::bigint)"
        " WHEN available < $2::bigint THEN ledger.add_stock(sku, ($2::bigint - available)::bigint) END"
        " FROM ledger.stock WHERE sku = $1",
        {options.sku, units});
}

struct Outcome {
    int sold = 0;
    int refused = 0;
    int lost_answers = 0;
    int retries_in_flight = 0;
    Milliseconds elapsed{};
    Milliseconds sold_out_after{};
    std::vector<double> latencies_ms;  // sorted

    double buyers_per_second() const { return (sold + refused) / elapsed.count() * 1000; }

    double percentile(double share) const {
        if (latencies_ms.empty()) return 0;
        const auto last = static_cast<double>(latencies_ms.size() - 1);
        return latencies_ms[static_cast<size_t>(share * last)];
    }
};

class Sale {
  public:
    Sale(const Options &options, const Method &method, bool chaos)
        : options_(options),
          method_(method),
          chaos_(chaos),
          random_(options.seed),
          side_(options.conninfo, "flash_sale"),
          progress_(std::string("sale by ") + method.name, options.buyers) {
        for (int i = 0; i < std::min(options.connections, options.buyers); ++i) {
            clients_.push_back({connect()});
        }
        for (int buyer = 1; buyer <= options.buyers; ++buyer) queue_.push_back(buyer);
    }

    Outcome run() {
        start_ = Clock::now();
        do {
            serve();
        } while (chaos_ && call_back_refused());
        outcome_.elapsed = Clock::now() - start_;
        outcome_.refused = static_cast<int>(refused_.size());
        std::sort(outcome_.latencies_ms.begin(), outcome_.latencies_ms.end());
        return outcome_;
    }

  private:
    enum class Step { idle, buying, looking };

    struct Client {
        pq::Connection connection;
        Step step = Step::idle;
        int buyer = 0;
        Clock::time_point since{};
    };

    pq::Connection connect() const {
        pq::Connection connection(options_.conninfo, "flash_sale");
        connection.prepare("buy", method_.buy);
        connection.prepare("look", "SELECT FROM " + std::string(method_.orders) + " WHERE buyer = $1::int");
        return connection;
    }

    // Until everybody in the queue has bought or been refused.
    void serve() {
        for (;;) {
            for (Client &client : clients_) {
                if (client.step == Step::idle && !queue_.empty()) admit(client);
            }
            if (!await_answers()) return;
            for (Client &client : clients_) {
                if (client.step != Step::idle && client.connection.finished()) answer(client);
            }
        }
    }

    void admit(Client &client) {
        client.buyer = queue_.front();
        queue_.pop_front();
        client.since = Clock::now();
        ask(client, Step::buying);
    }

    void ask(Client &client, Step step) {
        client.step = step;
        const std::string buyer = std::to_string(client.buyer);
        const bool sent = step == Step::buying ? client.connection.send_prepared("buy", {options_.sku, buyer})
                                               : client.connection.send_prepared("look", {buyer});
        if (!sent) return lose(client);
        if (chaos_ && step == Step::buying) disturb(client);
    }

    // One request in fifty meets with an accident.
    void disturb(Client &client) {
        switch (std::uniform_int_distribution<>(1, 100)(random_)) {
            case 1:
                return terminate(client.connection.backend_pid());
            case 2:
                return lose(client);
        }
    }

    void terminate(int backend) {
        side_.exec("SELECT pg_terminate_backend($1::int)", {std::to_string(backend)});
    }

    // Blocks until a busy client has something; false where none is busy.
    bool await_answers() {
        std::vector<pollfd> sockets;
        for (const Client &client : clients_) {
            if (client.step != Step::idle) sockets.push_back({client.connection.socket(), POLLIN, 0});
        }
        if (sockets.empty()) return false;
        poll(sockets.data(), sockets.size(), 1000);
        return true;
    }

    void answer(Client &client) {
        const std::optional<pq::Result> result = client.connection.take_answer();
        if (!result) return lose(client);
        if (!result->ok()) return complaint(client, *result);
        if (client.step == Step::looking) {
            return result->rows() > 0 ? settle(client, true) : ask(client, Step::buying);
        }
        settle(client, result->affected() == 1);
    }

    void complaint(Client &client, const pq::Result &result) {
        if (result.sqlstate() == kUniqueViolation) {
            // The purchase whose answer was lost has gone through after all, and
            // this one, the second, has been rolled back.
            settle(client, true);
        } else if (result.sqlstate() == kBalanceInFlight) {
            ++outcome_.retries_in_flight;
            queue_.push_back(client.buyer);
            client.step = Step::idle;
        } else {
            result.require();
        }
    }

    // The connection is gone and nobody knows whether its request committed.
    void lose(Client &client) {
        ++outcome_.lost_answers;
        lost_backends_.push_back(std::to_string(client.connection.backend_pid()));
        client.connection = connect();
        ask(client, Step::looking);
    }

    void settle(Client &client, bool bought) {
        const Clock::time_point now = Clock::now();
        client.step = Step::idle;
        outcome_.latencies_ms.push_back(Milliseconds(now - client.since).count());
        if (bought) {
            ++outcome_.sold;
            outcome_.sold_out_after = now - start_;
        } else {
            refused_.push_back(std::to_string(client.buyer));
        }
        if (outcome_.sold + static_cast<int>(refused_.size()) > settled_) {
            ++settled_;
            progress_.advance();
        }
    }

    // A transaction that died after a buyer was refused has given its unit back:
    // the refused may try again. True while that is so.
    bool call_back_refused() {
        await_lost_backends();
        recognise_orders();
        if (side_.exec(method_.left, {options_.sku}).number(0, 0) == 0) return false;
        for (const std::string &buyer : refused_) queue_.push_back(std::stoi(buyer));
        refused_.clear();
        return !queue_.empty();
    }

    // A server process notices a dropped connection only when its work is done.
    void await_lost_backends() {
        const pq::Connection::Params lost = {pq::array(lost_backends_)};
        while (side_.exec("SELECT FROM pg_stat_activity WHERE pid = ANY ($1::int[])", lost).rows() > 0) {
            usleep(10000);
        }
    }

    // Who was refused may own an order by a request whose answer was lost.
    void recognise_orders() {
        const pq::Result without =
            side_.exec("SELECT unnest($1::int[]) EXCEPT SELECT buyer FROM " + std::string(method_.orders),
                       {pq::array(refused_)});
        outcome_.sold += static_cast<int>(refused_.size()) - without.rows();
        refused_.clear();
        for (int row = 0; row < without.rows(); ++row) refused_.push_back(without.text(row, 0));
    }

    const Options &options_;
    const Method &method_;
    const bool chaos_;
    std::mt19937 random_;
    pq::Connection side_;
    Progress progress_;
    std::vector<Client> clients_;
    std::deque<int> queue_;
    std::vector<std::string> refused_;
    std::vector<std::string> lost_backends_;
    Outcome outcome_;
    int settled_ = 0;  // buyers with a first answer, for the progress bar
    Clock::time_point start_;
};

void report(const Method &method, const Outcome &outcome, long left) {
    std::printf("%-7s sold %d, left %ld, refused %d; %.3f s, %.0f buyers/s, the last unit after %.3f s\n",
                method.name, outcome.sold, left, outcome.refused, outcome.elapsed.count() / 1000,
                outcome.buyers_per_second(), outcome.sold_out_after.count() / 1000);
    std::printf("        latency ms: p50 %.2f, p95 %.2f, p99 %.2f, max %.2f\n", outcome.percentile(0.50),
                outcome.percentile(0.95), outcome.percentile(0.99), outcome.percentile(1.0));
    if (outcome.lost_answers + outcome.retries_in_flight > 0) {
        std::printf("        answers lost: %d; retries while units were in flight: %d\n",
                    outcome.lost_answers, outcome.retries_in_flight);
    }
}

// What the program counted, and what the database holds, must both be exact.
bool honest(pq::Connection &database, const Options &options, const Method &method, const Outcome &outcome,
            long left) {
    const int sellable = std::min(options.buyers, options.units);
    const long orders = database.exec("SELECT count(*) FROM " + std::string(method.orders)).number(0, 0);
    const bool exact = outcome.sold == sellable && outcome.refused == options.buyers - sellable &&
                       orders == sellable && left == options.units - sellable;
    if (!exact) {
        std::fprintf(stderr, "%s: %d should have been sold; counted %d, order rows %ld, left %ld\n",
                     method.name, sellable, outcome.sold, orders, left);
    }
    return exact;
}

bool invariants_hold(pq::Connection &database) {
    const pq::Result broken =
        database.exec("SELECT invariant, subject, detail FROM ledger.check_invariants()");
    for (int row = 0; row < broken.rows(); ++row) {
        std::fprintf(stderr, "invariant broken: %s, %s: %s\n", broken.text(row, 0).c_str(),
                     broken.text(row, 1).c_str(), broken.text(row, 2).c_str());
    }
    return broken.rows() == 0;
}

bool run(const Options &options) {
    pq::Connection database(options.conninfo, "flash_sale");
    stock_up(database, options);
    std::printf("flash sale of %d x %s to %d buyers over %d connections\n", options.units,
                options.sku.c_str(), options.buyers, options.connections);

    bool good = true;
    std::vector<double> rates;
    for (const Method *method : {&kUpdate, &kLedger}) {
        if (options.method != "both" && options.method != method->name) continue;
        const Outcome outcome = Sale(options, *method, options.chaos && method == &kLedger).run();
        const long left = database.exec(method->left, {options.sku}).number(0, 0);
        report(*method, outcome, left);
        good = honest(database, options, *method, outcome, left) && good;
        rates.push_back(outcome.buyers_per_second());
    }
    if (rates.size() == 2)
        std::printf("ledger / update: %.2f times the buyers a second\n", rates[1] / rates[0]);
    return (options.method == "update" || invariants_hold(database)) && good;
}

Options parse(int argc, char **argv) {
    Options options;
    const std::vector<Option> known = {
        {"buyers", [&](const char *text) { options.buyers = positive("buyers", text); }},
        {"connections", [&](const char *text) { options.connections = positive("connections", text); }},
        {"units", [&](const char *text) { options.units = positive("units", text); }},
        {"sku", [&](const char *text) { options.sku = text; }},
        {"method", [&](const char *text) { options.method = text; }},
        {"chaos", [&](const char *) { options.chaos = true; }, true},
        {"seed", [&](const char *text) { options.seed = seed_from(text); }},
        {"dbname", [&](const char *text) { options.conninfo = text; }},
    };
    take_options("flash_sale", kHelp, argc, argv, known);
    if (options.method != "ledger" && options.method != "update" && options.method != "both") {
        throw std::invalid_argument("--method is ledger, update or both");
    }
    if (optind < argc) throw std::invalid_argument("see flash_sale --help");
    return options;
}

}  // namespace

int main(int argc, char **argv) {
    return run_program("flash_sale", [&] { return run(parse(argc, argv)); });
}
