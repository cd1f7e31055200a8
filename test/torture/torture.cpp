// Random work on a ledger by many connections, under cancels, terminations,
// dropped connections and kill -9, and after each round the question whether
// what was told is true: every transfer acknowledged is there, once; nothing
// rolled back is; a transaction of unknown fate is there as a whole or not at
// all; the invariants hold. Meanwhile an observer looks at every snapshot it can
// get for an account past its limits. Prints its seed; stops at the first failure.
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "pq.hpp"

namespace {

using namespace std::chrono_literals;
using Ids = std::vector<std::string>;

struct Options {
    int rounds = 100;
    int connections = 16;
    int round_ms = 900;
    unsigned seed = std::random_device{}();
    std::string data;    // the server's data directory
    std::string pg_ctl;  // how to start it again
};

constexpr int kAccounts = 30;
constexpr int kSkus = 6;
constexpr unsigned kKeys = 2000;

enum class Fate { committed, rolled_back, unknown };

// What the clients were told, over all rounds.
class Record {
  public:
    std::string digest;  // the newest that was taken while nobody was working

    void add(Fate fate, const Ids &ids) {
        const std::lock_guard guard(mutex_);
        ++transactions_;
        if (fate == Fate::unknown) {
            if (!ids.empty()) unknown_.push_back(ids);
            return;
        }
        Ids &known = fate == Fate::committed ? committed_ : rolled_back_;
        known.insert(known.end(), ids.begin(), ids.end());
    }

    void add_prepared(const std::string &gid, const Ids &ids) {
        const std::lock_guard guard(mutex_);
        prepared_.emplace_back(gid, ids);
    }

    // A prepared transaction for the caller to finish, chosen at random.
    std::optional<std::pair<std::string, Ids>> take_prepared(std::mt19937 &random) {
        const std::lock_guard guard(mutex_);
        if (prepared_.empty()) return std::nullopt;
        std::swap(prepared_[random() % prepared_.size()], prepared_.back());
        auto taken = std::move(prepared_.back());
        prepared_.pop_back();
        return taken;
    }

    // Compares with the database; what is settled needs no second look. Returns complaints.
    std::vector<std::string> check(pq::Connection &database) {
        std::vector<std::string> complaints;
        const auto expect = [&](const char *what, const Ids &ids, long expected) {
            const long found =
                database
                    .exec("SELECT count(*) FROM ledger_data.transfer WHERE id = ANY ($1::bigint[])",
                          {pq::array(ids)})
                    .number(0, 0);
            if (found != expected)
                complaints.push_back(std::string(what) + ": " + std::to_string(found) + " of " +
                                     std::to_string(ids.size()) + " found");
        };
        expect("acknowledged transfers", committed_, static_cast<long>(committed_.size()));
        expect("transfers rolled back", rolled_back_, 0);
        for (const Ids &ids : unknown_) {
            const long found =
                database
                    .exec("SELECT count(*) FROM ledger_data.transfer WHERE id = ANY ($1::bigint[])",
                          {pq::array(ids)})
                    .number(0, 0);
            if (found != 0 && found != static_cast<long>(ids.size()))
                complaints.push_back("half of a transaction: " + std::to_string(found) + " of " +
                                     std::to_string(ids.size()) + " transfers");
        }
        acknowledged_ += static_cast<long>(committed_.size());
        committed_.clear();
        rolled_back_.clear();
        unknown_.clear();
        return complaints;
    }

    long transactions() const { return transactions_; }
    long acknowledged() const { return acknowledged_; }

  private:
    std::mutex mutex_;
    long transactions_ = 0;
    long acknowledged_ = 0;
    Ids committed_, rolled_back_;
    std::vector<Ids> unknown_;
    std::vector<std::pair<std::string, Ids>> prepared_;
};

// Refusals, aborts and losses that random work and faults bring about. Anything else is a finding.
bool expected_error(const std::string &sqlstate) {
    static const std::vector<std::string> kExpected = {
        "LG001", "LG004", "LG005", "LG009", "LG011", "22023", "0A000",  // refusals
        "LG101", "LG102", "LG103", "LG104", "LG105", "LG106",           // holds
        "LG201", "LG202", "LG203", "LG204", "LG205", "LG302", "LG304", "LG305", "40001", "40P01", "55P03",
        "57014", "57P01", "57P02", "57P03", "08001", "08006", "25P02", "25P01", "42704", "55000", ""};
    return std::find(kExpected.begin(), kExpected.end(), sqlstate) != kExpected.end();
}

struct ConnectionLost {};

// One connection's random life.
class Worker {
  public:
    Worker(int number, unsigned seed, Record &record, std::atomic<bool> &running, std::atomic<bool> &failed)
        : number_(number), random_(seed), record_(record), running_(running), failed_(failed) {}

    void run() {
        while (running_) {
            try {
                if (!connection_) connect();
                transaction();
            } catch (const ConnectionLost &) {
                connection_.reset();
            } catch (const pq::Error &error) {
                complain_if_unexpected(error);
                connection_.reset();
                std::this_thread::sleep_for(20ms);
            }
        }
    }

  private:
    // A lock may be held by a prepared transaction that only the end of the round will finish.
    void connect() {
        connection_.emplace("", "torture");
        connection_->exec("SET lock_timeout = '2s'");
    }

    unsigned below(unsigned n) { return static_cast<unsigned>(random_() % n); }
    bool chance(unsigned percent) { return below(100) < percent; }
    std::string account() { return "'a" + std::to_string(below(kAccounts)) + "'"; }
    std::string sku() { return "'s" + std::to_string(below(kSkus)) + "'"; }
    std::string amount() { return std::to_string(1 + below(5000)) + "::numeric / 100"; }

    void complain_if_unexpected(const pq::Error &error) {
        if (expected_error(error.sqlstate())) return;
        std::fprintf(stderr, "unexpected error %s: %s\n", error.sqlstate().c_str(), error.what());
        failed_ = true;
    }

    // Runs one statement; appends the ids of transfers it returns. False if it
    // was refused; throws ConnectionLost if the connection is gone.
    bool execute(const std::string &sql, Ids *ids = nullptr) {
        try {
            const pq::Result result = connection_->exec(sql);
            for (int row = 0; ids && row < result.rows(); ++row)
                if (const std::string id = result.text(row, 0); id.size() > 15) ids->push_back(id);
            return true;
        } catch (const pq::Error &error) {
            if (!connection_->alive()) throw ConnectionLost{};
            complain_if_unexpected(error);
            return false;
        }
    }

    // One of a few keys, each with arguments of its own, which the metadata name
    // so that two effects of one key can be found. Its id may be another
    // transaction's, so it is not told.
    std::string keyed_transfer() {
        const unsigned n = below(kKeys);
        const std::string key = "k" + std::to_string(n);
        return "SELECT ledger.transfer('a" + std::to_string(n % kAccounts) + "', 'a" +
               std::to_string((n + 1) % kAccounts) + "', " + std::to_string(n % 50 + 1) +
               "::numeric / 100, '" + key + "', '{\"key\": \"" + key + "\"}') > 0";
    }

    // A hold not resolved yet, as far as is known.
    std::string open_hold() {
        return " FROM (SELECT transfer AS id FROM ledger_data.hold WHERE state = 1 ORDER BY transfer DESC "
               "OFFSET " +
               std::to_string(below(20)) + " LIMIT 1) AS t";
    }

    std::string hold_statement() {
        const std::string ttl = chance(50) ? "'" + std::to_string(1 + below(400)) + " ms'" : "NULL";
        switch (below(6)) {
            case 0:
            case 1:
                return "SELECT ledger.hold(" + account() + ", " + account() + ", " + amount() + ", " + ttl +
                       ")";
            case 2:
                return "SELECT reservation FROM ledger.reserve_stocks(ARRAY[" + sku() + "," + sku() +
                       "], '{1,1}', " + ttl + ")";
            case 3:
                return std::string("SELECT ledger.post_hold(id, ") + (chance(50) ? "NULL" : "1") +
                       ", final => " + (chance(50) ? "true)" : "false)") + open_hold();
            case 4:
                return "SELECT ledger.void_hold(id)" + open_hold();
            default:
                return "SELECT ledger.expire_holds(10)";
        }
    }

    std::string tcc_statement() {
        const std::string xid = "'t" + std::to_string(below(300)) + "'";
        const std::string branch = "'b" + std::to_string(below(3)) + "'";
        switch (below(10)) {
            case 0:
            case 1:
                return "SELECT ledger.tcc_begin(" + xid + ", " + (chance(50) ? "'300 ms')" : "'1 day')");
            case 2:
            case 3:
            case 4:
                return "SELECT ledger.tcc_freeze(" + xid + ", " + branch + ", " + account() + ", " +
                       account() + ", 1)";
            case 5:
                return "SELECT ledger.tcc_freeze_stock(" + xid + ", " + branch + ", " + sku() + ", 1)";
            case 6:
                return "SELECT ledger.tcc_confirm(" + xid + ")";
            case 7:
                return "SELECT ledger.tcc_cancel(" + xid + ")";
            case 8:
                return "SELECT ledger.tcc_" + std::string(chance(50) ? "confirm" : "cancel") + "_branch(" +
                       xid + ", " + branch + ")";
            default:
                return "SELECT ledger.tcc_expire(10)";
        }
    }

    // Changes of a table with audit triggers.
    std::string audited_statement() {
        const std::string id = std::to_string(1 + below(2000));
        switch (below(4)) {
            case 0:
                return "UPDATE note SET revision = revision + 1 WHERE id = " + id;
            case 1:
                return "DELETE FROM note WHERE id = " + id;
            default:
                return "INSERT INTO note (said) SELECT 'note ' || i FROM generate_series(1, " +
                       std::to_string(1 + below(5)) + ") AS i";
        }
    }

    std::string statement() {
        if (chance(20)) return hold_statement();
        if (chance(15)) return tcc_statement();
        if (chance(8)) return audited_statement();
        switch (below(24)) {
            case 0:
            case 1:
            case 2:
            case 3:
            case 4:
                return "SELECT ledger.transfer(" + account() + ", " + account() + ", " + amount() + ")";
            case 5:
            case 6:
                return "SELECT ledger.try_transfer(" + account() + ", " + account() + ", " + amount() + ")";
            case 7:
                return "SELECT transfer_id FROM ledger.transfer_up_to(" + account() + ", " + account() +
                       ", " + amount() + ")";
            case 8:
            case 9:
                return "SELECT transfer_id FROM ledger.transfer_batch(ARRAY[" + account() + "," + account() +
                       "," + account() + "], ARRAY[" + account() + "," + account() + "," + account() +
                       "], ARRAY[1.50,2,0.75], atomic => " + (chance(50) ? "true)" : "false)");
            case 10:
            case 11:
                return "SELECT ledger.try_deduct_stock(" + sku() + ", " + std::to_string(1 + below(5)) + ")";
            case 12:
                return "SELECT remaining FROM ledger.deduct_stocks(ARRAY[" + sku() + "," + sku() +
                       "], '{1,2}')";
            case 13:
                return "SELECT ledger.restore_stock(" + sku() + ", 1)";
            case 14:
                return "SELECT ledger.add_stock(" + sku() + ", " + std::to_string(1 + below(3)) + ")";
            case 15:
                return "SELECT ledger.reverse_transfer(id) FROM (SELECT id FROM ledger_data.transfer WHERE "
                       "kind = 1 "
                       "ORDER BY id DESC LIMIT 1) AS t";
            case 16:
                return "SELECT ledger.alter_account(" + account() + ", floor => " + (chance(50) ? "-" : "") +
                       amount() + ")";
            case 18:
            case 19:
                return keyed_transfer();
            case 20:
                return "SELECT state FROM ledger.begin_request('r" + std::to_string(below(200)) +
                       "', lease => '50 ms', ttl => '100 ms')";
            case 21:
                return "SELECT ledger.complete_request('r" + std::to_string(below(200)) + "')";
            case 22:
                return "SELECT ledger.purge_requests(100)";
            case 17:
                return "SELECT ledger.freeze_account(" + account() + ")";
            default:
                return "SELECT ledger.unfreeze_account('a' || i) FROM generate_series(0, " +
                       std::to_string(kAccounts - 1) + ") AS i WHERE i % 7 = " + std::to_string(below(7));
        }
    }

    void transaction() {
        if (chance(8)) return finish_prepared();
        if (chance(30)) return single_statement();
        Ids kept, gone;
        try {
            execute(chance(70) ? "BEGIN" : "BEGIN ISOLATION LEVEL REPEATABLE READ");
            if (!body(kept, gone)) {
                execute("ROLLBACK");
                gone.insert(gone.end(), kept.begin(), kept.end());
                return record_.add(Fate::rolled_back, gone);
            }
            if (chance(2)) throw ConnectionLost{};  // hangs up in the middle
        } catch (const ConnectionLost &) {          // before COMMIT was sent: certainly rolled back
            gone.insert(gone.end(), kept.begin(), kept.end());
            record_.add(Fate::rolled_back, gone);
            throw;
        }
        end(kept, gone);
    }

    void single_statement() {
        Ids ids;
        try {
            // Folding and sealing keep others who would waiting, so not in a longer transaction.
            const std::string sql = chance(5)   ? "SELECT ledger.fold(20)"
                                    : chance(3) ? "SELECT ledger.seal()"
                                                : statement();
            if (execute(sql, &ids)) record_.add(Fate::committed, ids);
        } catch (const ConnectionLost &) {
            record_.add(Fate::unknown, {});  // its ids were never told
            throw;
        }
    }

    // A few statements with savepoints; false if the transaction is aborted. What it
    // then made is in kept: the caller rolls it back.
    bool body(Ids &kept, Ids &gone) {
        for (unsigned i = 1 + below(5); i > 0; --i)
            if (chance(50) ? !nested("s", 40, kept, gone) : !execute(statement(), &kept)) return false;
        return true;
    }

    // A statement in a savepoint, perhaps another savepoint in it. A cancel may hit
    // any of these commands and abort the transaction.
    bool nested(const std::string &name, unsigned deeper, Ids &kept, Ids &gone) {
        Ids inner;
        const bool begun = execute("SAVEPOINT " + name);
        bool ok = begun && execute(statement(), &inner);
        if (ok && chance(deeper)) ok = nested(name + "t", 0, inner, gone);
        const bool keep = ok && chance(50);
        const bool ended = begun && execute((keep ? "RELEASE " : "ROLLBACK TO ") + name);
        Ids &where = keep || !ended ? kept : gone;
        where.insert(where.end(), inner.begin(), inner.end());
        return ended;
    }

    void end(const Ids &kept, const Ids &gone) {
        record_.add(Fate::rolled_back, gone);
        const unsigned dice = below(100);
        if (dice < 20) {
            try {
                execute("ROLLBACK");
            } catch (const ConnectionLost &) {
                record_.add(Fate::rolled_back, kept);
                throw;
            }
            return record_.add(Fate::rolled_back, kept);
        }
        if (dice < 32) return prepare(kept);
        try {
            // COMMIT of an aborted transaction says ROLLBACK, without an error: none is aborted here.
            record_.add(execute("COMMIT") ? Fate::committed : Fate::rolled_back, kept);
        } catch (const ConnectionLost &) {
            record_.add(Fate::unknown, kept);
            throw;
        }
    }

    void prepare(const Ids &kept) {
        const std::string gid = "torture-" + std::to_string(number_) + "-" + std::to_string(random_());
        try {
            if (execute("PREPARE TRANSACTION '" + gid + "'"))
                record_.add_prepared(gid, kept);
            else
                record_.add(Fate::rolled_back, kept);  // such as after a change of limits
        } catch (const ConnectionLost &) {
            record_.add(Fate::unknown, kept);
            throw;
        }
    }

    void finish_prepared() {
        const auto prepared = record_.take_prepared(random_);
        if (!prepared) return;
        const bool commit = chance(60);
        try {
            const bool done =
                execute((commit ? "COMMIT PREPARED '" : "ROLLBACK PREPARED '") + prepared->first + "'");
            if (done)
                record_.add(commit ? Fate::committed : Fate::rolled_back, prepared->second);
            else
                record_.add_prepared(prepared->first, prepared->second);  // cancelled: still prepared
        } catch (const ConnectionLost &) {
            record_.add(Fate::unknown, prepared->second);
            throw;
        }
    }

    int number_;
    std::mt19937 random_;
    Record &record_;
    std::atomic<bool> &running_;
    std::atomic<bool> &failed_;
    std::optional<pq::Connection> connection_;
};

// Looks for an account past its limits, or an asset out of balance, in every snapshot it gets.
void observe(std::atomic<bool> &running, std::atomic<bool> &failed, std::atomic<long> &snapshots) {
    while (running) {
        try {
            pq::Connection connection("", "torture observer");
            while (running) {
                const pq::Result wrong = connection.exec(
                    "WITH a AS MATERIALIZED (SELECT * FROM ledger.accounts) "
                    "SELECT account || ' ' || posted || ' held ' || held || ' incoming ' || incoming || ' "
                    "not in ' || coalesce(floor::text, '-') || ' to ' "
                    "|| "
                    "coalesce(ceiling::text, '-') FROM a WHERE posted - held < floor OR posted + incoming > "
                    "ceiling "
                    "UNION ALL SELECT asset || ' sums to ' || sum(posted) FROM a GROUP BY asset HAVING "
                    "sum(posted) <> 0 OR sum(held) <> sum(incoming)");
                ++snapshots;
                if (wrong.rows() == 0) continue;
                std::fprintf(stderr, "seen in a snapshot: %s\n", wrong.text(0, 0).c_str());
                failed = true;
            }
        } catch (const pq::Error &error) {
            if (!expected_error(error.sqlstate())) {
                std::fprintf(stderr, "observer: %s %s\n", error.sqlstate().c_str(), error.what());
                failed = true;
            }
            std::this_thread::sleep_for(20ms);
        }
    }
}

class Server {
  public:
    explicit Server(const Options &options) : options_(options) {}

    // Ends the postmaster with kill -9 or stops it, and starts it again.
    void crash() {
        kill(postmaster(), SIGKILL);
        start();
    }
    void stop(const char *mode) {
        control(std::string("-m ") + mode + " stop");
        start();
    }

    // A connection as soon as the server takes one.
    static pq::Connection connect() {
        for (int attempt = 0;; ++attempt) try {
                return pq::Connection("", "torture driver");
            } catch (const pq::Error &) {
                if (attempt > 600) throw;
                std::this_thread::sleep_for(50ms);
            }
    }

  private:
    pid_t postmaster() const {
        std::ifstream file(options_.data + "/postmaster.pid");
        pid_t pid = 0;
        file >> pid;
        if (pid <= 1) throw std::runtime_error("no postmaster in " + options_.data);
        return pid;
    }

    bool control(const std::string &what) const {
        const std::string command = options_.pg_ctl + " -D " + options_.data + " -l " + options_.data +
                                    "/../log -w " + what + " >/dev/null 2>&1";
        return std::system(command.c_str()) == 0;
    }

    // The old children must go first; until then the new server refuses to start.
    void start() const {
        for (int attempt = 0; !control("start"); ++attempt) {
            if (attempt > 200) throw std::runtime_error("the server does not start again");
            std::this_thread::sleep_for(100ms);
        }
    }

    const Options &options_;
};

void set_up(pq::Connection &database) {
    database.exec("CREATE EXTENSION ledger");
    database.exec("SELECT ledger.create_asset('USD', 2)");
    // a0 and a1 have no floor, a2 to a5 a credit line, a6 to a9 a ceiling.
    database.exec(
        "SELECT ledger.open_account('a' || i, 'USD', CASE WHEN i < 2 THEN NULL WHEN i < 6 THEN -100 ELSE 0 "
        "END, "
        "CASE WHEN i BETWEEN 6 AND 9 THEN 80 END) FROM generate_series(0, " +
        std::to_string(kAccounts - 1) + ") AS i");
    database.exec("SELECT ledger.create_stock('s' || i, 20) FROM generate_series(0, " +
                  std::to_string(kSkus - 1) + ") AS i");
    database.exec(
        "CREATE TABLE note (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, said text, revision int NOT "
        "NULL "
        "DEFAULT 0)");
    database.exec("SELECT ledger.enable_audit('note')");
}

// Cancels and terminations while the workers work.
void disturb(std::mt19937 &random, std::chrono::milliseconds length) {
    const auto end = std::chrono::steady_clock::now() + length;
    pq::Connection database = Server::connect();
    while (std::chrono::steady_clock::now() < end) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5 + random() % 30));
        const char *how = random() % 3 ? "pg_cancel_backend" : "pg_terminate_backend";
        try {
            database.exec(
                std::string("SELECT ") + how +
                "(pid) FROM pg_stat_activity WHERE application_name = 'torture' ORDER BY random() LIMIT 1");
            if (random() % 40 == 0) database.exec("VACUUM ledger_data.balance, ledger_data.account");
            if (random() % 40 == 0) database.exec("CHECKPOINT");
        } catch (const pq::Error &) {
            return;
        }
    }
}

// One fault to end a round with; its name for the report.
const char *strike(Server &server, std::mt19937 &random) {
    switch (random() % 8) {
        case 0:
        case 1:
            server.crash();
            return "kill -9 of the postmaster";
        case 2: {
            pq::Connection database = Server::connect();
            const pq::Result victim = database.exec(
                "SELECT pid FROM pg_stat_activity WHERE application_name = 'torture' ORDER BY random() LIMIT "
                "1");
            if (victim.rows() > 0) kill(static_cast<pid_t>(victim.number(0, 0)), SIGKILL);
            return "kill -9 of a backend";
        }
        case 3:
            server.stop("fast");
            return "restart";
        case 4:
            server.stop("immediate");
            return "immediate stop";
        default:
            return "none";
    }
}

// A worker may be expiring something at any time.
void stop_workers(pq::Connection &database) {
    database.exec("ALTER SYSTEM SET ledger.worker = off");
    database.exec("SELECT pg_reload_conf()");
    while (database.exec("SELECT FROM pg_stat_activity WHERE backend_type = 'ledger worker'").rows() > 0)
        std::this_thread::sleep_for(10ms);
}

// What must be so when nobody is working. Prints what is not.
bool sound(pq::Connection &database, Record &record, bool last) {
    std::vector<std::string> complaints = record.check(database);
    const auto each = [&](const std::string &sql) {
        const pq::Result rows = database.exec(sql);
        for (int row = 0; row < rows.rows(); ++row) complaints.push_back(rows.text(row, 0));
    };
    each("SELECT concat_ws(', ', invariant, subject, detail) FROM ledger.check_invariants()");
    // What was proved before the faults still is.
    const std::string &digest = record.digest;
    each(digest.empty()
             ? "SELECT concat_ws(', ', scope, lane, seq, id, problem) FROM ledger.verify()"
             : "SELECT concat_ws(', ', scope, lane, seq, id, problem) FROM ledger.verify_digest('" + digest +
                   "')");
    each(
        "SELECT 'not what the audit log says: note ' || COALESCE(n.id, l.id) FROM note AS n FULL JOIN "
        "(SELECT "
        "(key ->> 'id')::bigint AS id, count(*) FILTER (WHERE operation = 'INSERT') AS made, count(*) FILTER "
        "(WHERE operation = 'UPDATE') AS changed, count(*) FILTER (WHERE operation = 'DELETE') AS removed "
        "FROM ledger.audit_log WHERE key IS NOT NULL GROUP BY 1) AS l ON l.id = n.id WHERE (made = 1 AND "
        "removed = (n.id IS NULL)::int AND (n.id IS NULL OR changed = n.revision)) IS NOT TRUE");
    database.exec("SELECT ledger.seal()");
    record.digest = database.exec("SELECT ledger.digest()").text(0, 0);
    each(
        "SELECT 'twice under key ' || (metadata->>'key') FROM ledger_data.transfer WHERE metadata ? 'key' "
        "GROUP BY metadata->>'key' HAVING count(*) > 1");
    each(
        "SELECT 'a key without its transfer: ' || key FROM ledger_data.request AS r WHERE kind = 2 AND NOT "
        "EXISTS "
        "(SELECT FROM ledger_data.transfer AS t WHERE t.id = r.transfer AND t.metadata->>'key' = r.key)");
    if (last) {
        stop_workers(database);
        each(
            "SELECT 'a slot in use: ' || s FROM ledger_data.slots() AS s WHERE users > 0 OR low <> high OR "
            "projected_low <> projected_high");
        each(
            "SELECT 'left over: ' || s FROM ledger.stat AS s WHERE lanes_in_use > 0 OR prepared_effects > 0");
    }
    for (const std::string &complaint : complaints) std::fprintf(stderr, "  %s\n", complaint.c_str());
    return complaints.empty();
}

// Waits for the sessions of the round to be gone, so that nothing changes under the checks.
void wait_for_quiet(pq::Connection &database) {
    while (database
               .exec("SELECT count(*) FROM pg_stat_activity WHERE application_name IN ('torture', 'torture "
                     "observer')")
               .number(0, 0) > 0)
        std::this_thread::sleep_for(10ms);
}

void finish_all_prepared(pq::Connection &database, Record &record, std::mt19937 &random) {
    while (const auto prepared = record.take_prepared(random)) {
        const bool commit = random() % 2 == 0;
        database.exec((commit ? "COMMIT PREPARED '" : "ROLLBACK PREPARED '") + prepared->first + "'");
        record.add(commit ? Fate::committed : Fate::rolled_back, prepared->second);
    }
    // Those of unknown fate that were prepared after all.
    const pq::Result rest = database.exec("SELECT gid FROM pg_prepared_xacts");
    for (int row = 0; row < rest.rows(); ++row)
        database.exec("ROLLBACK PREPARED '" + rest.text(row, 0) + "'");
}

int torture(const Options &options) {
    std::mt19937 random(options.seed);
    Server server(options);
    Record record;
    std::atomic<bool> failed = false;
    std::atomic<long> snapshots = 0;
    {
        pq::Connection database = Server::connect();
        set_up(database);
    }
    for (int round = 1; round <= options.rounds; ++round) {
        std::atomic<bool> running = true;
        std::vector<std::thread> threads;
        threads.emplace_back([&] { observe(running, failed, snapshots); });
        for (int i = 0; i < options.connections; ++i)
            threads.emplace_back([&, i, seed = static_cast<unsigned>(random())] {
                Worker(i, seed, record, running, failed).run();
            });
        disturb(random, std::chrono::milliseconds(options.round_ms));
        const char *fault = strike(server, random);
        running = false;
        for (std::thread &thread : threads) thread.join();

        pq::Connection database = Server::connect();
        wait_for_quiet(database);
        // Some prepared transactions live on into the next round.
        const bool last = round == options.rounds;
        if (last || random() % 3 == 0) finish_all_prepared(database, record, random);
        const bool ok = sound(database, record, last) && !failed;
        std::printf("round %d: %ld transactions, %ld transfers acknowledged, %ld snapshots; fault: %s%s\n",
                    round, record.transactions(), record.acknowledged(), snapshots.load(), fault,
                    ok ? "" : "  FAILED");
        std::fflush(stdout);
        if (!ok) return 1;
    }
    return 0;
}

Options parse(int argc, char **argv) {
    Options options;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string name = argv[i], value = argv[i + 1];
        if (name == "--rounds")
            options.rounds = std::stoi(value);
        else if (name == "--connections")
            options.connections = std::stoi(value);
        else if (name == "--round-ms")
            options.round_ms = std::stoi(value);
        else if (name == "--seed")
            options.seed = static_cast<unsigned>(std::stoul(value));
        else if (name == "--data")
            options.data = value;
        else if (name == "--pg-ctl")
            options.pg_ctl = value;
        else
            throw std::runtime_error("unknown option " + name);
    }
    if (options.data.empty() || options.pg_ctl.empty())
        throw std::runtime_error("--data and --pg-ctl are needed");
    return options;
}

}  // namespace

int main(int argc, char **argv) try {
    const Options options = parse(argc, argv);
    std::printf("seed %u\n", options.seed);
    const int status = torture(options);
    if (status != 0) std::fprintf(stderr, "failed with --seed %u\n", options.seed);
    return status;
} catch (const std::exception &error) {
    std::fprintf(stderr, "torture: %s\n", error.what());
    return 1;
}
