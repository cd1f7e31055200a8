// What must be in the database, from what the clients were told alone.
//
// Every transaction of a client begins with a row in the table mark, which has its
// name and its xid. So a look at the marks tells the fate of those whose client was
// not told; and the transfers with that xid must be what the client did, no less
// and no more. Only time may add to it: overdue holds are given back, by a worker or
// by whoever is short of balance, and TCC transactions go on to where they were
// decided to go. From this follow the balances of all accounts and the holds that
// are open, and those the database must have, to the minor unit.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "deed.hpp"
#include "look.hpp"
#include "session.hpp"

enum class Fate { unknown, committed, rolled_back, prepared };

struct Transaction {
    std::string name;
    Fate fate = Fate::unknown;
    Deeds deeds;
    Id begun_above = 0;  // its records have higher ids
};

// What is wrong, and the words to look for in the history.
struct Complaint {
    std::string text;
    std::set<std::string> about;
};
using Complaints = std::vector<Complaint>;

class Model {
  public:
    std::shared_ptr<Transaction> begin(const std::string &name) {
        const std::lock_guard guard(mutex_);
        ++begun_;
        return running_.emplace_back(
            std::make_shared<Transaction>(Transaction{name, {}, {}, std::min(highest_, id_at(now_us()))}));
    }

    // The client was told; its committed work may be reversed, posted or given back from now on.
    void tell(Transaction &transaction, Fate fate) {
        const std::lock_guard guard(mutex_);
        transaction.fate = fate;
        if (fate != Fate::committed) return;
        ++acknowledged_;
        for (const Deed &deed : transaction.deeds)
            if (const Effect *effect = std::get_if<Effect>(&deed);
                effect && effect->id != 0 && effect->shared) {
                if (effect->kind == Kind::posted && effect->amount) remember(transfers_, *effect);
                if (effect->kind == Kind::pending && effect->name.empty()) remember(holds_told_, *effect);
            }
    }

    void tell_prepared(const std::shared_ptr<Transaction> &transaction) {
        const std::lock_guard guard(mutex_);
        transaction->fate = Fate::prepared;
        prepared_.push_back(transaction);
    }

    // A prepared transaction for the caller to finish, chosen at random.
    std::shared_ptr<Transaction> take_prepared(std::mt19937 &random) {
        const std::lock_guard guard(mutex_);
        if (prepared_.empty()) return nullptr;
        std::swap(prepared_[random() % prepared_.size()], prepared_.back());
        auto taken = std::move(prepared_.back());
        prepared_.pop_back();
        return taken;
    }

    std::size_t prepared() {
        const std::lock_guard guard(mutex_);
        return prepared_.size();
    }

    // One of those told last; none yet: an empty effect.
    Effect recent_transfer(std::mt19937 &random) { return recent(transfers_, random); }
    Effect recent_hold(std::mt19937 &random) { return recent(holds_told_, random); }
    std::set<Id> open_holds() const {
        std::set<Id> open;
        for (const auto &[id, hold] : holds_)
            if (hold.branch.empty() && !hold.ended) open.insert(id);
        return open;
    }

    // Compares with the database, in one snapshot of it, while no client is working.
    Complaints settle(Session &database) {
        complaints_.clear();
        database.exec("BEGIN ISOLATION LEVEL REPEATABLE READ");
        match(look(database));
        check_holds();
        compare_balances(database);
        compare_holds(database);
        database.exec("COMMIT");
        return complaints_;
    }

    long begun() const { return begun_; }
    long acknowledged() const { return acknowledged_; }
    long transfers() const { return count_; }

  private:
    struct Hold {
        std::string source, destination;
        std::int64_t amount, posted = 0, voided = 0;
        Microseconds due;
        std::string branch;  // xid/branch
        bool ended = false;
        Microseconds voided_at = kNever;
    };

    struct Tcc {
        Microseconds due = kNever;
        std::set<std::string> confirmed, canceled;  // told so; "" stands for all
        bool confirm_asked = false, cancel_asked = false, confirming = false;
        std::set<Id> holds;
    };

    // A call whose transfer somebody else had made.
    struct ToldByName {
        std::string name;
        Id id;
        std::string transaction;
    };

    struct Position {
        std::int64_t posted = 0, held = 0, incoming = 0;
    };

    // --- what the clients know of each other ---

    static void remember(std::vector<Effect> &recent, const Effect &effect) {
        constexpr std::size_t kRememberedMax = 60;
        if (recent.size() >= kRememberedMax) recent.erase(recent.begin());
        recent.push_back(effect);
    }

    Effect recent(const std::vector<Effect> &effects, std::mt19937 &random) {
        const std::lock_guard guard(mutex_);
        return effects.empty() ? Effect{} : effects[random() % effects.size()];
    }

    // --- reading ---

    // Ids are times. A lane's clock may be ahead of another's, and what was prepared
    // long ago has old ones, so the look goes back to before the oldest still open. Ids
    // that a wrong clock made are ahead of all that come later; they are read again until
    // the time has come that they stand for.
    Id look_from() const {
        constexpr Id kTenSeconds = Id{10000} << 22;
        Id from = std::min(highest_, id_at(now_us()));
        for (const auto &transaction : running_) from = std::min(from, transaction->begun_above);
        return std::max<Id>(from - kTenSeconds, 0);
    }

    // Ids count milliseconds since 2025.
    static Id id_at(Microseconds now) {
        constexpr Microseconds kFirst = Microseconds{1735689600} * 1000000;
        return (now - kFirst) / 1000 << 22;
    }

    // The rows that were not seen before.
    Look look(Session &database) {
        const Id from = look_from();
        Look look = look_at(database, from);
        std::erase_if(look.rows, [&](const Row &row) { return !settled_.insert(row.id).second; });
        std::erase_if(settled_, [&](Id id) { return id <= from; });
        count_ += static_cast<long>(look.rows.size());
        if (!look.rows.empty()) highest_ = std::max(highest_, look.rows.back().id);
        if (look.count != count_)
            complain(
                std::to_string(look.count) + " transfers, of which " + std::to_string(count_) + " are known",
                {});
        return look;
    }

    // --- the fates, and what each transaction did ---

    void match(const Look &look) {
        std::map<Id, std::vector<Row>> rows;  // by txid
        for (const Row &row : look.rows) rows[row.txid].push_back(row);
        std::vector<Row> strays;
        std::set<std::string> names;
        std::vector<std::shared_ptr<Transaction>> still_running;
        for (const auto &transaction : running_) {
            names.insert(transaction->name);
            if (is_prepared(*transaction, look)) {
                still_running.push_back(transaction);
            } else if (is_there(*transaction, look)) {
                const Id txid = look.marks.at(transaction->name);
                do_deeds(*transaction, rows[txid], strays);
                rows.erase(txid);
            }
        }
        running_ = std::move(still_running);
        for (const auto &[name, txid] : look.marks)
            if (!names.contains(name)) complain("the mark " + name + " is nobody's", {name});
        for (const auto &[txid, of_nobody] : rows)
            strays.insert(strays.end(), of_nobody.begin(), of_nobody.end());
        // Neither ids nor txids say for certain that a hold came before what resolves it.
        for (const bool holds : {true, false})
            for (const Row &row : look.rows)
                if ((row.kind == Kind::pending) == holds) apply(row);
        for (const Row &row : strays) excuse(row);
    }

    bool is_prepared(const Transaction &transaction, const Look &look) {
        const bool is_known = transaction.fate == Fate::prepared;
        const bool is_there = look.prepared.contains(transaction.name);
        if (is_known && !is_there)
            complain("prepared transaction " + transaction.name + " is gone", {transaction.name});
        if (is_there && (transaction.fate == Fate::committed || transaction.fate == Fate::rolled_back))
            complain("transaction " + transaction.name + " is still prepared, but was said to have ended",
                     {transaction.name});
        return is_known || is_there;
    }

    bool is_there(const Transaction &transaction, const Look &look) {
        const bool is_there = look.marks.contains(transaction.name);
        if (transaction.fate == Fate::committed && !is_there)
            complain("acknowledged transaction " + transaction.name + " is not there", {transaction.name});
        if (transaction.fate == Fate::rolled_back && is_there)
            complain("transaction " + transaction.name + " was rolled back, but is there",
                     {transaction.name});
        return is_there;
    }

    // Finds the row of each effect; those left over go to the strays.
    void do_deeds(const Transaction &transaction, std::vector<Row> rows, std::vector<Row> &strays) {
        for (const Deed &deed : transaction.deeds)
            std::visit([&](const auto &done) { note(transaction, done); }, deed);
        // Ids first, then names, then what looks alike; what may be missing comes last.
        for (const int pass : {0, 1, 2, 3})
            for (const Deed &deed : transaction.deeds)
                if (const Effect *effect = std::get_if<Effect>(&deed); effect && pass == pass_of(*effect))
                    find_row(transaction, *effect, rows);
        for (Row &row : rows) {
            row.transaction = transaction.name;
            strays.push_back(row);
        }
    }

    static int pass_of(const Effect &effect) {
        return effect.id != 0 ? 0 : !effect.name.empty() ? 1 : !effect.optional ? 2 : 3;
    }

    static bool looks_like(const Effect &effect, const Row &row) {
        const bool is_resolution = effect.kind == Kind::post || effect.kind == Kind::void_;
        return row.kind == effect.kind && row.ref == effect.ref &&
               (!effect.amount || row.amount == *effect.amount) &&
               (is_resolution || (row.source == effect.source && row.destination == effect.destination));
    }

    void find_row(const Transaction &transaction, const Effect &effect, std::vector<Row> &rows) {
        const auto found = std::find_if(rows.begin(), rows.end(), [&](const Row &row) {
            if (effect.id != 0) return row.id == effect.id;
            if (!effect.name.empty()) return row.name == effect.name;
            return looks_like(effect, row);
        });
        if (found != rows.end()) {
            if (!looks_like(effect, *found))
                complain("transfer " + std::to_string(found->id) + " of transaction " + transaction.name +
                             " is another than was asked for",
                         {transaction.name, std::to_string(found->id)});
            if (effect.final) final_.insert(effect.ref);
            if (effect.kind == Kind::pending) due_[found->id] = effect.due;
            rows.erase(found);
        } else if (!effect.name.empty()) {
            if (!effect.optional) told_by_name_.push_back({effect.name, effect.id, transaction.name});
        } else if (!effect.optional) {
            complain("an effect of transaction " + transaction.name + " is not there: " + described(effect),
                     {transaction.name, effect.id != 0 ? std::to_string(effect.id) : transaction.name});
        }
    }

    static std::string described(const Effect &effect) {
        static const char *const kKinds[] = {"", "transfer", "hold", "post", "void", "reversal"};
        return std::string(kKinds[static_cast<int>(effect.kind)]) + " " + std::to_string(effect.id) + " " +
               effect.source + " > " + effect.destination + " " +
               (effect.amount ? std::to_string(*effect.amount) : "rest") +
               (effect.ref != 0 ? " of " + std::to_string(effect.ref) : "");
    }

    void note(const Transaction &, const Effect &) {}
    void note(const Transaction &transaction, const Claim &claim) {
        if (const auto [first, is_first] = claims_.emplace(claim.what, transaction.name); !is_first)
            complain(claim.what + " was told to " + first->second + " and to " + transaction.name,
                     {first->second, transaction.name});
    }
    void note(const Transaction &, const Step &step) {
        Tcc &tcc = tcc_[step.xid];
        if (step.what == Step::begin) tcc.due = std::min(tcc.due, step.due);
        if (step.what == Step::confirm) {
            tcc.confirm_asked = true;
            tcc.confirming |= step.told == "confirming";
            if (step.told == "confirmed") tcc.confirmed.insert(step.branch);
        }
        if (step.what == Step::cancel) {
            tcc.cancel_asked = true;
            if (step.told == "canceled") tcc.canceled.insert(step.branch);
        }
        touched_.insert(step.xid);
    }
    void note(const Transaction &, const Opened &opened) { positions_[opened.account]; }
    void note(const Transaction &, const Closed &closed) { closed_.insert(closed.account); }

    // --- what follows from the rows ---

    void apply(const Row &row) {
        Position &source = positions_[row.source], &destination = positions_[row.destination];
        const bool moves = row.kind != Kind::pending && row.kind != Kind::void_;
        const std::int64_t posted = moves ? row.amount : 0;
        const std::int64_t pending = row.kind == Kind::pending                           ? row.amount
                                     : row.kind == Kind::post || row.kind == Kind::void_ ? -row.amount
                                                                                         : 0;
        source.posted -= posted;
        source.held += pending;
        destination.posted += posted;
        destination.incoming += pending;
        if (row.kind == Kind::pending) add_hold(row);
        if (row.kind == Kind::post || row.kind == Kind::void_) resolve(row);
        if (!row.name.empty()) made_by_name_[row.name] = row.id;
    }

    void add_hold(const Row &row) {
        const bool is_branch = row.name.find('/') != std::string::npos;
        Hold hold{row.source,   row.destination,           row.amount, 0,     0,
                  due_[row.id], is_branch ? row.name : "", false,      kNever};
        if (is_branch) {
            const std::string xid = row.name.substr(0, row.name.find('/'));
            tcc_[xid].holds.insert(row.id);
            touched_.insert(xid);
        }
        holds_[row.id] = hold;
        due_.erase(row.id);
    }

    void resolve(const Row &row) {
        const auto found = holds_.find(row.ref);
        if (found == holds_.end() || found->second.source != row.source ||
            found->second.destination != row.destination)
            return complain("transfer " + std::to_string(row.id) +
                                " resolves no hold that is known: " + std::to_string(row.ref),
                            {std::to_string(row.id), std::to_string(row.ref)});
        Hold &hold = found->second;
        (row.kind == Kind::post ? hold.posted : hold.voided) += row.amount;
        if (row.kind == Kind::void_) hold.voided_at = row.at;
        hold.ended |= row.kind == Kind::void_ || hold.posted == hold.amount;
        changed_.insert(row.ref);
        if (!hold.branch.empty()) touched_.insert(hold.branch.substr(0, hold.branch.find('/')));
    }

    // What time did, not a client: an overdue hold given back, a branch that its transaction's end ended.
    void excuse(const Row &row) {
        const auto found = holds_.find(row.ref);
        const bool resolves = row.kind == Kind::post || row.kind == Kind::void_;
        if (resolves && found != holds_.end()) {
            const Hold &hold = found->second;
            if (!hold.branch.empty()) return;  // check_tcc() judges it
            if (row.kind == Kind::void_ && row.at >= hold.due) return;
        }
        const std::string who =
            row.transaction.empty() ? "nobody's transaction" : "transaction " + row.transaction;
        complain("transfer " + std::to_string(row.id) + " in " + who + " (kind " +
                     std::to_string(static_cast<int>(row.kind)) + ", " + row.source + " > " +
                     row.destination + " " + std::to_string(row.amount) + ", ref " + std::to_string(row.ref) +
                     ") is one that nobody asked for",
                 {std::to_string(row.id), row.ref == 0 ? row.transaction : std::to_string(row.ref)});
    }

    void check_holds() {
        for (const Id id : final_)
            if (const auto found = holds_.find(id); found != holds_.end()) {
                found->second.ended = true;
                changed_.insert(id);
            }
        final_.clear();
        for (const Id id : std::exchange(changed_, {})) {
            const Hold &hold = holds_[id];
            const std::int64_t gone = hold.posted + hold.voided;
            if (gone > hold.amount || (hold.ended && gone != hold.amount))
                complain("hold " + std::to_string(id) + " of " + std::to_string(hold.amount) + " posted " +
                             std::to_string(hold.posted) + " and gave back " + std::to_string(hold.voided),
                         {std::to_string(id)});
        }
        for (const auto &[name, id, transaction] : std::exchange(told_by_name_, {}))
            if (const auto made = made_by_name_.find(name);
                made == made_by_name_.end() || (id != 0 && made->second != id))
                complain("transaction " + transaction + " was told transfer " + std::to_string(id) +
                             " under " + name + ", which is another's or nobody's",
                         {transaction, name, std::to_string(id)});
        for (const std::string &xid : std::exchange(touched_, {})) check_tcc(xid, tcc_[xid]);
    }

    void check_tcc(const std::string &xid, const Tcc &tcc) {
        bool posted = false, voided = false;
        for (const Id id : tcc.holds) {
            const Hold &hold = holds_[id];
            const std::string branch = hold.branch.substr(hold.branch.find('/') + 1);
            const bool told_confirmed = tcc.confirmed.contains("") || tcc.confirmed.contains(branch);
            const bool told_canceled = tcc.canceled.contains("") || tcc.canceled.contains(branch);
            posted |= hold.posted > 0;
            voided |= hold.voided > 0;
            if ((hold.posted > 0 && hold.posted != hold.amount) || (hold.posted > 0 && !tcc.confirm_asked) ||
                (hold.voided > 0 && !tcc.cancel_asked && hold.voided_at < std::min(tcc.due, hold.due)) ||
                (told_confirmed && hold.posted != hold.amount) ||
                (told_canceled && hold.voided != hold.amount) || (tcc.confirming && hold.voided > 0))
                complain("branch " + hold.branch + " posted " + std::to_string(hold.posted) +
                             " and gave back " + std::to_string(hold.voided) + " of " +
                             std::to_string(hold.amount),
                         {xid, std::to_string(id)});
        }
        if (posted && voided) complain("TCC transaction " + xid + " was both confirmed and canceled", {xid});
    }

    // --- what the database says ---

    void compare_balances(Session &database) {
        const pq::Result rows = database.exec(
            "SELECT a.account, (a.posted * 10 ^ s.scale)::bigint, (a.held * 10 ^ s.scale)::bigint, "
            "(a.incoming * 10 ^ "
            "s.scale)::bigint, a.available IS NOT DISTINCT FROM a.posted - a.held - a.floor, a.state = "
            "'closed' FROM "
            "ledger.accounts AS a JOIN ledger_data.asset AS s ON s.code = a.asset");
        for (int i = 0; i < rows.rows(); ++i) {
            const std::string account = rows.text(i, 0);
            const auto found = positions_.find(account);
            if (found == positions_.end()) {
                complain("account " + account + " was opened by nobody", {account});
                continue;
            }
            const Position &position = found->second;
            if (position.posted != rows.number(i, 1) || position.held != rows.number(i, 2) ||
                position.incoming != rows.number(i, 3) || rows.text(i, 4) != "t")
                complain("account " + account + " has posted " + rows.text(i, 1) + ", held " +
                             rows.text(i, 2) + ", incoming " + rows.text(i, 3) + "; it should be " +
                             std::to_string(position.posted) + ", " + std::to_string(position.held) + ", " +
                             std::to_string(position.incoming),
                         {account});
            if ((rows.text(i, 5) == "t") != closed_.contains(account))
                complain("account " + account + (closed_.contains(account) ? " is not closed" : " is closed"),
                         {account});
        }
        if (rows.rows() != static_cast<int>(positions_.size()))
            complain(std::to_string(positions_.size()) + " accounts were opened, " +
                         std::to_string(rows.rows()) + " are there",
                     {});
    }

    void compare_holds(Session &database) {
        std::map<Id, std::int64_t> open;
        const pq::Result rows = database.exec(
            "SELECT h.id, (h.remaining * 10 ^ s.scale)::bigint FROM ledger.holds AS h JOIN ledger_data.asset "
            "AS s ON "
            "s.code = h.asset WHERE h.state IN ('open', 'overdue')");
        for (int i = 0; i < rows.rows(); ++i) open[rows.number(i, 0)] = rows.number(i, 1);
        for (const auto &[id, hold] : holds_) {
            const auto found = open.find(id);
            const std::int64_t left = hold.ended ? 0 : hold.amount - hold.posted;
            const std::int64_t there = found == open.end() ? 0 : found->second;
            if (left != there)
                complain("hold " + std::to_string(id) + " has " + std::to_string(there) +
                             " left; it should be " + std::to_string(left),
                         {std::to_string(id)});
            if (found != open.end()) open.erase(found);
        }
        for (const auto &[id, left] : open)
            complain("hold " + std::to_string(id) + " is nobody's", {std::to_string(id)});
    }

    void complain(const std::string &text, const std::set<std::string> &about) {
        complaints_.push_back({"model: " + text, about});
    }

    std::mutex mutex_;
    long begun_ = 0, acknowledged_ = 0, count_ = 0;
    std::vector<std::shared_ptr<Transaction>> running_, prepared_;
    std::vector<Effect> transfers_, holds_told_;
    Id highest_ = 0;
    std::unordered_set<Id> settled_;
    std::map<std::string, Position> positions_;
    std::set<std::string> closed_;
    std::map<Id, Hold> holds_;
    std::map<Id, Microseconds> due_;
    std::set<Id> final_, changed_;
    std::map<std::string, Tcc> tcc_;
    std::set<std::string> touched_;
    std::map<std::string, std::string> claims_;
    std::vector<ToldByName> told_by_name_;
    std::map<std::string, Id> made_by_name_;
    Complaints complaints_;
};
