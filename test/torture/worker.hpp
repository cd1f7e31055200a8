// One connection's random life.
#pragma once

#include <atomic>
#include <climits>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>

#include "calls.hpp"
#include "world.hpp"

// anything: transactions of every kind. prepares: short ones on a few accounts, each
// prepared. finishes: ends prepared ones, and uses the same accounts in between.
enum class Manner { anything, prepares, finishes };

class Worker {
  public:
    Worker(World &world, int number, unsigned seed, Manner manner = Manner::anything)
        : world_(world),
          manner_(manner),
          who_((manner == Manner::anything   ? "w"
                : manner == Manner::prepares ? "p"
                                             : "f") +
               std::to_string(world.round) + "-" + std::to_string(number)),
          random_(seed),
          calls_(random_, world) {}

    // Until the round is over, or so many transactions were begun.
    void run(int transactions = INT_MAX) {
        while (world_.running && count_ < transactions) {
            try {
                if (!session_) connect();
                transaction();
            } catch (const ConnectionLost &) {
                session_.reset();
            } catch (const pq::Error &error) {
                complain_if_unexpected(error);
                session_.reset();
                std::this_thread::sleep_for(std::chrono::milliseconds(20));
            }
        }
    }

  private:
    // A lock may be held by a prepared transaction that only the end of the round will
    // finish. Some have little patience, also with the first statement after a crash.
    void connect() {
        session_.emplace(world_.history, world_.primary(), "torture", who_);
        const std::string tiny = std::to_string(1 + below(5));
        if (manner_ == Manner::anything && chance(10)) session_->exec("SET statement_timeout = " + tiny);
        session_->exec(std::string("SET lock_timeout = ") + (chance(5) ? "1" : "2000"));
        if (!chance(5)) return;
        for (const char *eager :
             {"parallel_setup_cost", "parallel_tuple_cost", "min_parallel_table_scan_size"})
            session_->exec(std::string("SET ") + eager + " = 0");  // parallel plans for the smallest read
    }

    unsigned below(unsigned n) { return calls_.below(n); }
    bool chance(unsigned percent) { return calls_.chance(percent); }

    void complain_if_unexpected(const pq::Error &error) {
        if (is_expected(error.sqlstate())) return;
        world_.complain({"answers: unexpected error " + error.sqlstate() + ": " + error.what(), {name_}});
    }

    // False if it was refused.
    bool execute(const std::string &sql) {
        try {
            session_->exec(sql);
            return true;
        } catch (const pq::Error &error) {
            complain_if_unexpected(error);
            return false;
        }
    }

    // Runs a call; what it did is added to the deeds.
    bool call(const Call &call, const std::string &sql, Deeds &deeds) {
        try {
            const pq::Result result = session_->exec(sql);
            Deeds done = call.deeds;
            call.learn(result, done);
            deeds.insert(deeds.end(), done.begin(), done.end());
            return true;
        } catch (const pq::Error &error) {
            complain_if_unexpected(error);
            return false;
        }
    }
    bool call_any(Deeds &deeds) {
        const Call next = manner_ == Manner::anything ? calls_.any(name_) : calls_.on_few(name_);
        return call(next, next.sql, deeds);
    }

    static std::string mark(const std::string &name) {
        return "INSERT INTO mark (name, xid) VALUES ('" + name + "', pg_current_xact_id()::text::bigint)";
    }

    void transaction() {
        name_ = who_ + "-" + std::to_string(++count_);
        session_->call_it(name_);
        if (chance(manner_ == Manner::anything ? 8 : manner_ == Manner::finishes ? 75 : 0))
            return finish_prepared();
        if (manner_ == Manner::anything && chance(35)) return single_statement();
        const auto transaction = world_.model.begin(name_);
        try {
            // Before COMMIT was sent, whatever is lost is rolled back.
            if (!begin() || !body(transaction->deeds) || chance(15)) {
                world_.model.tell(*transaction, Fate::rolled_back);
                execute("ROLLBACK");
                return;
            }
            if (chance(2)) throw ConnectionLost{};  // hangs up in the middle
        } catch (const ConnectionLost &) {
            world_.model.tell(*transaction, Fate::rolled_back);
            throw;
        }
        end(transaction);
    }

    void single_statement() {
        const auto transaction = world_.model.begin(name_);
        const Call next = chance(6) ? calls_.alone(name_) : calls_.any(name_);
        try {
            const bool done = call(next, "WITH m AS (" + mark(name_) + ") " + next.sql, transaction->deeds);
            tell(*transaction, done ? Fate::committed : Fate::rolled_back);
        } catch (const ConnectionLost &) {
            transaction->deeds = next.deeds;
            throw;
        }
    }

    bool begin() {
        static const char *const kLevels[] = {"READ COMMITTED", "READ COMMITTED", "READ COMMITTED",
                                              "REPEATABLE READ", "SERIALIZABLE"};
        static const char *const kTimeouts[] = {
            "SET LOCAL statement_timeout = 1", "SET LOCAL statement_timeout = 5",
            "SET LOCAL lock_timeout = 1", "SET LOCAL idle_in_transaction_session_timeout = 10"};
        if (!execute(std::string("BEGIN ISOLATION LEVEL ") + kLevels[below(5)]) || !execute(mark(name_)))
            return false;
        return !chance(6) || execute(kTimeouts[below(4)]);
    }

    // A few statements with savepoints; false if the transaction is aborted.
    bool body(Deeds &deeds) {
        if (manner_ == Manner::prepares) return call_any(deeds);
        for (unsigned i = 1 + below(5); i > 0; --i)
            if (chance(50) ? !nested("s", 40, deeds) : !call_any(deeds)) return false;
        if (chance(3)) std::this_thread::sleep_for(std::chrono::milliseconds(30));
        return true;
    }

    // A statement in a savepoint, perhaps another savepoint in it. A cancel may hit
    // any of these commands and abort the transaction.
    bool nested(const std::string &savepoint, unsigned deeper, Deeds &deeds) {
        const std::size_t before = deeds.size();
        if (!execute("SAVEPOINT " + savepoint)) return false;
        bool ok = call_any(deeds);
        if (ok && chance(deeper)) ok = nested(savepoint + "t", deeper / 2, deeds);
        const bool keep = ok && chance(50);
        if (!keep) deeds.erase(deeds.begin() + static_cast<std::ptrdiff_t>(before), deeds.end());
        return execute((keep ? "RELEASE " : "ROLLBACK TO ") + savepoint);
    }

    // An answer that did not wait for the standby promises nothing.
    void tell(Transaction &transaction, Fate fate) {
        if (!session_->unreplicated()) world_.model.tell(transaction, fate);
    }

    // COMMIT of an aborted transaction says ROLLBACK, without an error: none is aborted here.
    void end(const std::shared_ptr<Transaction> &transaction) {
        if (!chance(manner_ == Manner::prepares ? 100 : 12))
            return tell(*transaction, execute("COMMIT") ? Fate::committed : Fate::rolled_back);
        if (!execute("PREPARE TRANSACTION '" + name_ + "'"))
            tell(*transaction, Fate::rolled_back);  // such as after a change of limits
        else if (!session_->unreplicated())
            world_.model.tell_prepared(transaction);
    }

    void finish_prepared() {
        const auto transaction = world_.model.take_prepared(random_);
        if (!transaction) return;
        const bool commit = chance(60);
        world_.model.tell(*transaction, Fate::unknown);
        if (execute((commit ? "COMMIT PREPARED '" : "ROLLBACK PREPARED '") + transaction->name + "'"))
            tell(*transaction, commit ? Fate::committed : Fate::rolled_back);
        else if (session_->exec("SELECT FROM pg_prepared_xacts WHERE gid = $1", {transaction->name}).rows() >
                 0)
            world_.model.tell_prepared(transaction);
        // Otherwise it had been ended when it was cancelled: the mark will tell how.
    }

    World &world_;
    const Manner manner_;
    const std::string who_;
    std::mt19937 random_;
    Calls calls_;
    std::string name_;
    int count_ = 0;
    std::optional<Session> session_;
};
