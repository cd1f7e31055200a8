// A careless coordinator of TCC: tries, confirms and cancels over many connections,
// lost, repeated and out of order. The database is then asked whether every
// transaction ended the same way on all its branches, as its callers were told, and
// whether money, points and stock add up.
#include <poll.h>

#include <algorithm>
#include <array>
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

constexpr const char *kHelp =
    R"(usage: coordinator [OPTION]...
Runs N TCC transactions over C connections, each with a branch in stock, one in
money and one in points. Every call is made one to three times, some after
others that should have come later; one call in fifty loses its connection
before it is answered, and is made again. A transaction is confirmed if all its
tries were answered and all succeeded, as a whole or branch by branch; one in
four is canceled, one in eight abandoned to its timeout.
Exits with 1 unless every transaction ended confirmed or canceled on all its
branches, as its callers were told, no hold is left open, money, points and
stock add up, and the ledger's invariants hold.

  --transactions N  transactions (3000)
  --connections C   connections (64)
  --units U         pieces in stock (half as many as there are transactions)
  --seed SEED       of decisions, repetitions, their order and the accidents (1)
  --dbname CONNINFO a database name or conninfo string; otherwise PG* decides

It needs a superuser, or an owner of the database with the extension installed:
it creates the extension where missing.
)";

struct Options {
    int transactions = 3000;
    int connections = 64;
    int units = 0;
    unsigned seed = 1;
    std::string conninfo;
};

enum Step { kBegin, kStock, kBalance, kPoints, kDecide, kDecideStock, kDecideBalance, kDecidePoints, kSteps };

constexpr std::array kBranchNames = {"stock", "balance", "points"};

// Statements by name; $1 is the xid.
constexpr std::array<std::pair<const char *, const char *>, 8> kStatements = {{
    {"begin", "SELECT ledger.tcc_begin($1, $2::interval)"},
    {"stock", "SELECT ledger.tcc_freeze_stock($1, 'stock', 'coordinator:tea', 1)"},
    {"balance", "SELECT ledger.tcc_freeze($1, 'balance', 'coordinator:purse', 'coordinator:till', 2.50)"},
    {"points", "SELECT ledger.tcc_freeze($1, 'points', 'coordinator:points', 'coordinator:bank', 3)"},
    {"confirm", "SELECT ledger.tcc_confirm($1)"},
    {"cancel", "SELECT ledger.tcc_cancel($1)"},
    {"confirm branch", "SELECT ledger.tcc_confirm_branch($1, $2)"},
    {"cancel branch", "SELECT ledger.tcc_cancel_branch($1, $2)"},
}};

constexpr std::array kRefusals = {"LG001", "LG009", "LG201", "LG202", "LG203", "LG205"};

void set_up(pq::Connection &database, const Options &options) {
    database.exec("CREATE EXTENSION IF NOT EXISTS ledger");
    database.script(R"(
        SELECT ledger.create_asset('TCC', 2), ledger.create_asset('TCC-POINT');
        DO $$ BEGIN
            IF NOT EXISTS (SELECT FROM ledger.accounts WHERE account = 'coordinator:purse') THEN
                PERFORM ledger.open_account('coordinator:world', 'TCC', floor => NULL),
                        ledger.open_account('coordinator:purse', 'TCC'), ledger.open_account('coordinator:till', 'TCC'),
                        ledger.open_account('coordinator:points', 'TCC-POINT', floor => NULL),
                        ledger.open_account('coordinator:bank', 'TCC-POINT'), ledger.create_stock('coordinator:tea');
            END IF;
        END $$)");
    database.exec("SELECT ledger.transfer('coordinator:world', 'coordinator:purse', 2.50 * $1::int)",
                  {std::to_string(options.transactions)});
    database.exec(
        "SELECT CASE WHEN available < $1::bigint THEN ledger.add_stock(sku, $1::bigint - available::bigint)"
        " WHEN available > $1::bigint THEN ledger.deduct_stock(sku, available::bigint - $1::bigint) END"
        " FROM ledger.stock WHERE sku = 'coordinator:tea'",
        {std::to_string(options.units)});
}

// What is known of a transaction.
struct Transaction {
    std::string xid;
    bool by_branch = false;  // decided branch by branch, as an outside coordinator does
    bool wanted = true;      // to be confirmed, if it can be
    bool abandoned = false;  // nobody decides
    std::array<bool, 3> frozen = {};
    std::optional<bool> decision;  // confirm or cancel, from the first call that decides on
    bool told_confirmed = false;
    bool told_canceled = false;
};

struct Message {
    int transaction;
    Step step;
    double when;  // messages go in this order
};

class Callers {
  public:
    Callers(const Options &options, const std::string &run)
        : options_(options), transactions_(options.transactions), random_(options.seed) {
        for (int i = 0; i < options.transactions; ++i) plan(i, run);
        std::sort(queue_.begin(), queue_.end(), [](auto &a, auto &b) { return a.when > b.when; });
        progress_.emplace("calls", static_cast<long>(queue_.size()));
    }

    void run() {
        std::vector<std::thread> threads;
        for (int i = 0; i < options_.connections; ++i) threads.emplace_back([this, i] { call_all(i); });
        for (std::thread &thread : threads) thread.join();
        if (!failure_.empty()) throw std::runtime_error(failure_);
    }

    const std::vector<Transaction> &transactions() const { return transactions_; }
    int calls() const { return calls_; }
    int lost() const { return lost_; }
    int refused() const { return refused_; }

  private:
    using Lock = std::lock_guard<std::mutex>;
    using Accidents = std::mt19937;

    int below(int n) { return std::uniform_int_distribution<>(0, n - 1)(random_); }

    // A transaction's calls: in order but for some, which come much earlier or later.
    void plan(int i, const std::string &run) {
        Transaction &tx = transactions_[i];
        tx.xid = run + "-" + std::to_string(i);
        tx.wanted = below(4) != 0;
        tx.abandoned = below(8) == 0;
        tx.by_branch = below(3) == 0;
        for (int step = 0; step < kSteps; ++step) {
            const bool decides = step >= kDecide;
            if (decides && (tx.abandoned || tx.by_branch != (step > kDecide))) continue;
            const int times = 1 + below(3);
            for (int time = 0; time < times; ++time) {
                const double stray = below(10) == 0 ? below(400) - 200 : below(20);
                queue_.push_back({i, static_cast<Step>(step), i + 40.0 * std::min(step, 4) + stray});
            }
        }
    }

    pq::Connection connect() const {
        pq::Connection connection(options_.conninfo, "coordinator");
        for (const auto &[name, sql] : kStatements) connection.prepare(name, sql);
        return connection;
    }

    void call_all(int number) {
        try {
            Accidents accidents(options_.seed * 1000 + number);
            pq::Connection connection = connect();
            while (const std::optional<Message> message = next()) {
                const std::optional<std::string> answer = call(connection, *message, accidents);
                if (!connection.alive()) connection = connect();
                settle(*message, answer);
            }
        } catch (const std::exception &error) {
            const Lock lock(mutex_);
            failure_ = error.what();
            queue_.clear();
        }
    }

    std::optional<Message> next() {
        const Lock lock(mutex_);
        if (queue_.empty()) return std::nullopt;
        const Message message = queue_.back();
        queue_.pop_back();
        ++calls_;
        return message;
    }

    // What the coordinator decides, once and for all, when it is first asked to.
    bool decide(int number) {
        const Lock lock(mutex_);
        Transaction &tx = transactions_[number];
        if (!tx.decision)
            tx.decision = tx.wanted &&
                          std::all_of(tx.frozen.begin(), tx.frozen.end(), [](bool frozen) { return frozen; });
        return *tx.decision;
    }

    std::optional<std::string> call(pq::Connection &connection, const Message &message,
                                    Accidents &accidents) {
        const Transaction &tx = transactions_[message.transaction];
        const auto ask_for = [&](const char *statement, const pq::Connection::Params &params) {
            return ask(connection, statement, params, accidents);
        };
        switch (message.step) {
            case kBegin:
                return ask_for("begin", {tx.xid, tx.abandoned ? "1 s" : "1 min"});
            case kStock:
            case kBalance:
            case kPoints:
                return ask_for(kBranchNames[message.step - kStock], {tx.xid});
            case kDecide:
                return ask_for(decide(message.transaction) ? "confirm" : "cancel", {tx.xid});
            default:
                return ask_for(decide(message.transaction) ? "confirm branch" : "cancel branch",
                               {tx.xid, kBranchNames[message.step - kDecideStock]});
        }
    }

    std::optional<std::string> ask(pq::Connection &connection, const char *statement,
                                   const pq::Connection::Params &params, Accidents &accidents) {
        const bool sent = connection.send_prepared(statement, params);
        if (!sent || std::uniform_int_distribution<>(1, 50)(accidents) == 1) {
            connection.close();
            return std::nullopt;
        }
        pollfd socket = {connection.socket(), POLLIN, 0};
        while (!connection.finished()) poll(&socket, 1, 1000);
        const std::optional<pq::Result> result = connection.take_answer();
        if (!result) return std::nullopt;
        if (result->ok()) return result->text(0, 0);
        const std::string state = result->sqlstate();
        if (std::find(kRefusals.begin(), kRefusals.end(), state) == kRefusals.end()) result->require();
        return state;
    }

    // No answer: it is asked again, after some others.
    void settle(const Message &message, const std::optional<std::string> &answer) {
        const Lock lock(mutex_);
        if (!answer) {
            ++lost_;
            queue_.insert(queue_.begin() + static_cast<long>(queue_.size() / 2), message);
            return;
        }
        Transaction &tx = transactions_[message.transaction];
        const bool decides = message.step >= kDecide;
        if (*answer == "frozen") tx.frozen[static_cast<std::size_t>(message.step - kStock)] = true;
        if (decides && *answer == "confirmed") tx.told_confirmed = true;
        if (decides && *answer == "canceled") tx.told_canceled = true;
        refused_ += answer->starts_with("LG");
        progress_->advance();
    }

    const Options &options_;
    std::mutex mutex_;
    std::vector<Transaction> transactions_;
    std::vector<Message> queue_;
    std::mt19937 random_;
    std::optional<Progress> progress_;
    std::string failure_;
    int calls_ = 0;
    int lost_ = 0;
    int refused_ = 0;
};

bool check(bool good, const char *what) {
    if (!good) std::fprintf(stderr, "wrong: %s\n", what);
    return good;
}

// What there is to compare before and after: sold, moved, points, and what is held.
pq::Result sums(pq::Connection &database) {
    return database.exec(
        "SELECT (SELECT sold::bigint FROM ledger.stock WHERE sku = 'coordinator:tea'),"
        " (SELECT (posted * 100)::bigint FROM ledger.balance('coordinator:till')),"
        " (SELECT posted::bigint FROM ledger.balance('coordinator:bank')),"
        " (SELECT count(*) FROM ledger.holds WHERE state IN ('open', 'overdue') AND source LIKE "
        "'coordinator:%'),"
        " (SELECT count(*) FROM ledger.check_invariants())");
}

// Those nobody decided end by themselves: waits for it, at most a minute.
void await_the_end(pq::Connection &database, const std::string &run) {
    for (int i = 0; i < 600; ++i) {
        if (database
                .exec("SELECT count(*) FROM ledger.tcc_transactions WHERE starts_with(xid, $1) AND ended_at "
                      "IS NULL",
                      {run})
                .number(0, 0) == 0)
            return;
        database.exec("SELECT pg_sleep(0.1)");
    }
}

bool honest(pq::Connection &database, const Callers &callers, const std::string &run,
            const pq::Result &before) {
    await_the_end(database, run);
    const pq::Result ended = database.exec(
        "SELECT t.xid, t.state, count(b.*), count(*) FILTER (WHERE b.state = 'confirmed'),"
        " count(*) FILTER (WHERE b.state IN ('canceled', 'expired'))"
        " FROM ledger.tcc_transactions AS t LEFT JOIN ledger.tcc_branches AS b USING (xid)"
        " WHERE starts_with(t.xid, $1) GROUP BY t.xid, t.state",
        {run + "-"});
    long confirmed = 0, canceled = 0, timed_out = 0;
    bool whole = true, as_told = true;
    for (int row = 0; row < ended.rows(); ++row) {
        const std::size_t number = std::stoul(ended.text(row, 0).substr(run.size() + 1));
        const Transaction &tx = callers.transactions()[number];
        const std::string state = ended.text(row, 1);
        const bool is_confirmed = state == "confirmed";
        confirmed += is_confirmed;
        canceled += state == "canceled";
        timed_out += state == "timed_out";
        whole = whole && ended.number(row, is_confirmed ? 3 : 4) == ended.number(row, 2) &&
                (!is_confirmed || ended.number(row, 2) == 3);
        as_told = as_told && (is_confirmed ? !tx.told_canceled : !tx.told_confirmed);
    }
    const pq::Result after = sums(database);
    std::printf("ended: %ld confirmed, %ld canceled, %ld timed out, of %d\n", confirmed, canceled, timed_out,
                static_cast<int>(callers.transactions().size()));
    bool good =
        check(ended.rows() == static_cast<int>(callers.transactions().size()), "a transaction is unknown");
    good = check(confirmed + canceled + timed_out == ended.rows(), "a transaction has not ended") && good;
    good = check(whole, "a transaction ended differently on its branches") && good;
    good = check(as_told, "a transaction ended otherwise than was told") && good;
    good = check(confirmed > 0 && canceled > 0 && timed_out > 0, "some of each") && good;
    good = check(after.number(0, 0) - before.number(0, 0) == confirmed, "pieces sold") && good;
    good = check(after.number(0, 1) - before.number(0, 1) == 250 * confirmed, "money moved") && good;
    good = check(after.number(0, 2) - before.number(0, 2) == 3 * confirmed, "points moved") && good;
    good = check(after.number(0, 3) == 0, "a hold is open") && good;
    return check(after.number(0, 4) == 0, "invariants") && good;
}

bool run(const Options &options) {
    pq::Connection database(options.conninfo, "coordinator");
    set_up(database, options);
    const std::string run = database.exec("SELECT gen_random_uuid()").text(0, 0);
    const pq::Result before = sums(database);
    Callers callers(options, run);
    callers.run();
    std::printf("%d calls for %d transactions over %d connections; answers lost %d, refused %d\n",
                callers.calls(), options.transactions, options.connections, callers.lost(),
                callers.refused());
    return honest(database, callers, run, before);
}

Options parse(int argc, char **argv) {
    Options options;
    const std::vector<Option> known = {
        {"transactions", [&](const char *text) { options.transactions = positive("transactions", text); }},
        {"connections", [&](const char *text) { options.connections = positive("connections", text); }},
        {"units", [&](const char *text) { options.units = positive("units", text); }},
        {"seed", [&](const char *text) { options.seed = seed_from(text); }},
        {"dbname", [&](const char *text) { options.conninfo = text; }},
    };
    take_options("coordinator", kHelp, argc, argv, known);
    if (optind < argc) throw std::invalid_argument("see coordinator --help");
    if (options.units == 0) options.units = std::max(1, options.transactions / 2);
    return options;
}

}  // namespace

int main(int argc, char **argv) {
    return run_program("coordinator", [&] { return run(parse(argc, argv)); });
}
