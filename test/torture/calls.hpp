// Random calls of the public functions, each with what it does in the model's words.
#pragma once

#include <algorithm>
#include <functional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "world.hpp"

struct Call {
    std::string sql;
    Deeds deeds;
    // Learns from the answer; before it, the deeds say what may have been done.
    std::function<void(const pq::Result &, Deeds &)> learn = [](const pq::Result &, Deeds &) {};
};

class Calls {
  public:
    Calls(std::mt19937 &random, World &world)
        : random_(random),
          model_(world.model),
          round_(world.round),
          times_(world.times),
          forgotten_(world.forgotten) {}

    // One that may stand anywhere in a transaction. name is the transaction's.
    Call any(const std::string &name) {
        name_ = name;
        if (times_ == Times::years_ahead) return timeless();
        const unsigned dice = below(100);
        if (dice < 34) return movement();
        if (dice < 54) return of_holds();
        if (dice < 68) return of_tcc();
        if (dice < 80) return of_stock();
        if (dice < 88) return of_requests();
        if (dice < 93) return of_accounts();
        if (dice < 97) return read();
        return audited();
    }

    // One that keeps others waiting, or must be alone.
    Call alone(const std::string &name) {
        name_ = name;
        switch (below(5)) {
            case 0:
            case 1:
                return {"SELECT ledger.fold(" + number(1 + below(20)) + ")", {}};
            case 2:
                return {"SELECT ledger.seal()", {}};
            case 3:
                return {"SELECT ledger.purge_requests(100)", {}};
            default:
                return chance(50) ? Call{"SELECT ledger.enable_audit('memo')", {}}
                                  : Call{"SELECT ledger.disable_audit('memo')", {}};
        }
    }

    // One on a few accounts.
    Call on_few(const std::string &name) {
        name_ = name;
        const std::string one = "a" + number(10 + below(3)), other = "a" + number(13 + below(2));
        const std::int64_t amount = 1 + below(50);
        Effect effect = movement_of(one, other, amount);
        switch (below(8)) {
            case 0:
            case 1:
            case 2:
                std::swap(effect.source, effect.destination);
                break;
            case 3:
                effect.source = "a0";
                break;
            case 4:
                return post();
            case 5:
                return deduction("s0", 1);
            default:
                break;
        }
        const std::string arguments =
            quoted(effect.source) + ", " + quoted(effect.destination) + ", " + natural("a", amount);
        if (chance(70)) return {"SELECT ledger.transfer(" + arguments + ")", {effect}, ids()};
        effect.kind = Kind::pending;
        return {"SELECT ledger.hold(" + arguments + ")", {effect}, ids()};
    }

    unsigned below(unsigned n) { return static_cast<unsigned>(random_() % n); }
    bool chance(unsigned percent) { return below(100) < percent; }

  private:
    // While the clock may be years ahead: nothing that runs out, and nothing under a key.
    Call timeless() {
        const unsigned dice = below(100);
        if (dice < 50) return movement();
        if (dice < 60) return hold();
        if (dice < 66) return post();
        if (dice < 72) return give_back();
        if (dice < 92) return of_stock();
        if (dice < 96) return read();
        return audited();
    }

    using Learn = std::function<void(const pq::Result &, Deeds &)>;

    // --- words ---

    static std::string number(std::int64_t n) { return std::to_string(n); }
    static std::string quoted(const std::string &text) { return "'" + text + "'"; }

    // Two accounts of one asset, now and then not.
    std::pair<std::string, std::string> accounts() {
        const bool points = chance(8);
        const auto one = [&] {
            if (points != chance(1)) return "p" + number(below(kPoints));
            return "a" + number(below(chance(80) ? kHotAccounts : kAccounts));
        };
        std::pair<std::string, std::string> two{one(), one()};
        if (chance(15)) two.first = points ? "p0" : "a" + number(below(2));  // where value comes from
        return two;
    }
    std::string account() { return accounts().first; }
    std::string sku() { return "s" + number(below(kSkus)); }

    // Minor units, and the natural ones of the source's asset.
    std::int64_t minor() { return 1 + below(5000); }
    static std::string natural(const std::string &account, std::int64_t minor) {
        if (account[0] != 'a') return number(minor);
        const std::string cents = number(minor % 100);
        return number(minor / 100) + (cents.size() == 1 ? ".0" : ".") + cents;
    }

    std::string tag() { return "'{\"by\": \"" + name_ + "\"}'"; }
    static std::string text_array(const std::vector<std::string> &elements) {
        std::string list;
        for (const std::string &element : elements) list += (list.empty() ? "" : ",") + quoted(element);
        return "ARRAY[" + list + "]";
    }

    static Effect movement_of(const std::string &source, const std::string &destination,
                              std::int64_t amount) {
        Effect effect;
        effect.source = source;
        effect.destination = destination;
        effect.amount = amount;
        return effect;
    }

    // Column 0 of each row is the id of each effect; NULL: it was not made.
    static Learn ids() {
        return [](const pq::Result &result, Deeds &deeds) {
            Deeds made;
            for (int row = 0; row < result.rows(); ++row) {
                if (result.is_null(row, 0)) continue;
                Effect &effect = std::get<Effect>(deeds[static_cast<std::size_t>(row)]);
                effect.id = result.number(row, 0);
                effect.optional = false;
                made.push_back(effect);
            }
            deeds = made;
        };
    }

    // All was made, unless the answer is NULL.
    static Learn all_or_null() {
        return [](const pq::Result &result, Deeds &deeds) {
            if (result.is_null(0, 0)) deeds.clear();
            for (Deed &deed : deeds) std::get<Effect>(deed).optional = false;
        };
    }

    // A claim that only one answer makes.
    static Learn claim_if(const std::string &answer, const std::string &what) {
        return [answer, what](const pq::Result &result, Deeds &deeds) {
            if (result.text(0, 0) == answer) deeds.emplace_back(Claim{what});
        };
    }

    // --- transfers ---

    Call movement() {
        const auto [source, destination] = accounts();
        const std::int64_t amount = minor();
        const std::string arguments =
            "(" + quoted(source) + ", " + quoted(destination) + ", " + natural(source, amount);
        Effect effect = movement_of(source, destination, amount);
        switch (below(12)) {
            case 0:
            case 1:
            case 2:
            case 3:
                return {
                    "SELECT ledger.transfer" + arguments + ", metadata => " + tag() + ")", {effect}, ids()};
            case 4:
            case 5:
                effect.optional = true;
                return {"SELECT ledger.try_transfer" + arguments + ")", {effect}, ids()};
            case 6:
                return up_to(source, destination, arguments);
            case 7:
            case 8:
                return batch();
            case 9:
                return reversal();
            default:
                return times_ == Times::years_ahead ? batch() : keyed();
        }
    }

    Call up_to(const std::string &source, const std::string &destination, const std::string &arguments) {
        Effect effect = movement_of(source, destination, 0);
        effect.amount.reset();
        effect.optional = true;
        const std::int64_t units = source[0] == 'a' ? 100 : 1;
        return {"SELECT transfer_id, (amount * " + number(units) + ")::bigint FROM ledger.transfer_up_to" +
                    arguments + ")",
                {effect},
                [](const pq::Result &result, Deeds &deeds) {
                    if (result.is_null(0, 0)) return deeds.clear();
                    Effect &made = std::get<Effect>(deeds[0]);
                    made.id = result.number(0, 0);
                    made.amount = result.number(0, 1);
                    made.optional = false;
                }};
    }

    Call batch() {
        const bool atomic = chance(50), under_keys = times_ != Times::years_ahead && chance(30);
        std::vector<std::string> sources, destinations, keys;
        std::string amounts;
        Deeds deeds;
        for (unsigned i = 2 + below(6); i > 0; --i) {
            const unsigned n = below(400);
            auto [source, destination] = accounts();
            std::int64_t amount = minor();
            if (under_keys) {
                source = "a" + number(n % kHotAccounts);
                destination = "a" + number((n + 1) % kHotAccounts);
                amount = 1 + n;
                keys.push_back("b" + number(round_) + "-" + number(n));
            }
            Effect effect = movement_of(source, destination, amount);
            effect.optional = !atomic;
            if (under_keys) effect.name = keys.back();
            deeds.emplace_back(effect);
            sources.push_back(source);
            destinations.push_back(destination);
            amounts += (amounts.empty() ? "" : ",") + natural(source, amount);
        }
        return {"SELECT transfer_id, status FROM ledger.transfer_batch(" + text_array(sources) + ", " +
                    text_array(destinations) + ", ARRAY[" + amounts + "]" +
                    (under_keys ? ", " + text_array(keys) : "") + ", atomic => " +
                    (atomic ? "true" : "false") + ") ORDER BY ordinal",
                deeds, ids()};
    }

    Call reversal() {
        const Effect original = model_.recent_transfer(random_);
        Effect effect = movement_of(original.destination, original.source, original.amount.value_or(0));
        effect.kind = Kind::reversal;
        effect.ref = original.id;
        return {
            "SELECT ledger.reverse_transfer(" + number(original.id) + ", reason => " + quoted(name_) + ")",
            {effect},
            ids()};
    }

    // One of a few keys, each with arguments of its own: whoever comes first makes it.
    Call keyed() {
        const std::int64_t n = below(60);
        const std::string key = "k" + number(round_) + "-" + number(n);
        Effect effect =
            movement_of("a" + number(n % kHotAccounts), "a" + number((n + 5) % kHotAccounts), n + 1);
        effect.name = key;
        const std::string arguments =
            quoted(effect.source) + ", " + quoted(effect.destination) + ", " + natural("a", n + 1);
        switch (n % 4) {
            case 0:
                effect.kind = Kind::pending;
                return {"SELECT ledger.hold(" + arguments + ", key => " + quoted(key) + ")", {effect}, ids()};
            case 1:
                effect.source = "stock:supply";
                effect.destination = "s" + number(n % kSkus);
                return {"SELECT ledger.add_stock(" + quoted(effect.destination) + ", " + number(n + 1) +
                            ", key => " + quoted(key) + ")",
                        {effect},
                        all_or_null()};
            default:
                return {
                    "SELECT ledger.transfer(" + arguments + ", key => " + quoted(key) + ")", {effect}, ids()};
        }
    }

    // --- holds ---

    Call of_holds() {
        switch (below(10)) {
            case 0:
            case 1:
            case 2:
                return hold();
            case 3:
            case 4:
                return reservation();
            case 5:
            case 6:
                return post();
            case 7:
            case 8:
                return give_back();
            default:
                return {"SELECT ledger.expire_holds(" + number(1 + below(20)) + ")", {}};
        }
    }

    // Half of them with a time to live, which ends in the round.
    std::pair<std::string, Microseconds> ttl() {
        if (times_ == Times::years_ahead || chance(50)) return {"NULL", kNever};
        const Microseconds milliseconds = 1 + below(400);
        return {"'" + number(milliseconds) + " ms'", now_us() + milliseconds * 1000};
    }

    Call hold() {
        const auto [source, destination] = accounts();
        const std::int64_t amount = minor();
        const auto [ttl_text, due] = ttl();
        Effect effect = movement_of(source, destination, amount);
        effect.kind = Kind::pending;
        effect.due = due;
        return {"SELECT ledger.hold(" + quoted(source) + ", " + quoted(destination) + ", " +
                    natural(source, amount) + ", " + ttl_text + ")",
                {effect},
                ids()};
    }

    Effect reserved(const std::string &sku, std::int64_t quantity, Microseconds due) {
        Effect effect = movement_of(sku, sku + ":sold", quantity);
        effect.kind = Kind::pending;
        effect.due = due;
        return effect;
    }

    Call reservation() {
        const auto [ttl_text, due] = ttl();
        const std::string one = sku(), other = sku();
        if (chance(50))
            return {"SELECT ledger.reserve_stock(" + quoted(one) + ", 2, " + ttl_text + ")",
                    {reserved(one, 2, due)},
                    ids()};
        return {"SELECT reservation FROM ledger.reserve_stocks(" + text_array({one, other}) + ", '{1,1}', " +
                    ttl_text + ")",
                {reserved(one, 1, due), reserved(other, 1, due)},
                ids()};
    }

    static Effect resolution(Kind kind, Id hold) {
        Effect effect;
        effect.kind = kind;
        effect.ref = hold;
        return effect;
    }

    Call post() {
        const Effect hold = model_.recent_hold(random_);
        Effect effect = resolution(Kind::post, hold.id);
        if (hold.source.starts_with('s')) {
            effect.final = true;
            return {"SELECT ledger.confirm_reservation(" + number(hold.id) + ")", {effect}, resolved()};
        }
        const bool part = chance(50);
        effect.final = chance(60);
        if (part) effect.amount = 1 + below(static_cast<unsigned>(hold.amount.value_or(1)));
        const std::string sql = "SELECT ledger.post_hold(" + number(hold.id) + ", " +
                                (part ? natural(hold.source, *effect.amount) : "NULL") + ", final => " +
                                (effect.final ? "true" : "false") + ")";
        Deeds deeds{effect};
        if (part && effect.final) {
            deeds.emplace_back(resolution(Kind::void_, hold.id));
            std::get<Effect>(deeds.back()).optional = true;  // nothing may be left
        }
        return {sql, deeds, resolved()};
    }

    static Learn resolved() {
        return [](const pq::Result &result, Deeds &deeds) {
            std::get<Effect>(deeds[0]).id = result.number(0, 0);
        };
    }

    Call give_back() {
        const Effect hold = model_.recent_hold(random_);
        Effect effect = resolution(Kind::void_, hold.id);
        effect.final = true;
        const std::string function = hold.source.starts_with('s') ? "release_reservation" : "void_hold";
        return {"SELECT ledger." + function + "(" + number(hold.id) + ")", {effect}, ids()};
    }

    // --- TCC: a few transactions of this round, now and then one of the rounds before ---

    Call of_tcc() {
        const int round = chance(90) ? round_ : std::max(round_ - static_cast<int>(below(3)), forgotten_ + 1);
        const std::int64_t n = below(30);
        Step step;
        step.xid = "t" + number(round) + "-" + number(n);
        const std::int64_t b = below(4);
        const std::string xid = quoted(step.xid), branch = "b" + number(b);
        switch (below(14)) {
            case 0:
            case 1:
            case 2: {
                const bool short_lived = n % 2 == 0;
                step.due = now_us() + (short_lived ? kSecond * 3 / 10 : 24 * 60 * 60 * kSecond);
                return {"SELECT ledger.tcc_begin(" + xid + ", " + (short_lived ? "'300 ms')" : "'1 day')"),
                        {step}};
            }
            case 3:
            case 4:
            case 5:
            case 6:
            case 7:
                return tried(step.xid, branch, n, b);
            case 8:
            case 9:
                step.what = Step::confirm;
                return {"SELECT ledger.tcc_confirm(" + xid + ")", {step}, told()};
            case 10:
                step.what = Step::cancel;
                return {"SELECT ledger.tcc_cancel(" + xid + ")", {step}, told()};
            case 11:
                step.what = Step::confirm;
                step.branch = branch;
                return {
                    "SELECT ledger.tcc_confirm_branch(" + xid + ", " + quoted(branch) + ")", {step}, told()};
            case 12:
                step.what = Step::cancel;
                step.branch = branch;
                return {
                    "SELECT ledger.tcc_cancel_branch(" + xid + ", " + quoted(branch) + ")", {step}, told()};
            default:
                return {"SELECT ledger.tcc_expire(" + number(1 + below(20)) + ")", {}};
        }
    }

    static Learn told() {
        return
            [](const pq::Result &result, Deeds &deeds) { std::get<Step>(deeds[0]).told = result.text(0, 0); };
    }

    // What is tried depends on the names alone, but now and then.
    Call tried(const std::string &xid, const std::string &branch, std::int64_t n, std::int64_t b) {
        const bool stock = b == 3;
        Effect effect = stock ? reserved("s" + number(n % kSkus), 1, kNever)
                              : movement_of("a" + number((n + b) % kHotAccounts),
                                            "a" + number((n + b + 7) % kHotAccounts),
                                            100 + n * 4 + b + (chance(3) ? 1 : 0));
        effect.kind = Kind::pending;
        effect.name = xid + "/" + branch;
        const std::string names = quoted(xid) + ", " + quoted(branch) + ", " + quoted(effect.source) + ", ";
        if (stock) return {"SELECT ledger.tcc_freeze_stock(" + names + "1)", {effect}};
        return {"SELECT ledger.tcc_freeze(" + names + quoted(effect.destination) + ", " +
                    natural("a", *effect.amount) + ")",
                {effect}};
    }

    // --- stock ---

    Call deduction(const std::string &sku, std::int64_t quantity) {
        Effect sold = movement_of(sku, sku + ":sold", quantity);
        sold.optional = true;
        return {"SELECT ledger.try_deduct_stock(" + quoted(sku) + ", " + number(quantity) + ")",
                {sold},
                all_or_null()};
    }

    Call of_stock() {
        const std::string one = sku(), other = sku();
        const std::int64_t quantity = 1 + below(5);
        const std::string arguments = "(" + quoted(one) + ", " + number(quantity) + ")";
        Effect sold = movement_of(one, one + ":sold", quantity);
        switch (below(8)) {
            case 0:
            case 1:
                return deduction(one, quantity);
            case 2:
            case 3:
                return {"SELECT ledger.deduct_stock" + arguments, {sold}, all_or_null()};
            case 4:
                return {
                    "SELECT remaining FROM ledger.deduct_stocks(" + text_array({one, other}) + ", '{1,2}')",
                    {movement_of(one, one + ":sold", 1), movement_of(other, other + ":sold", 2)}};
            case 5:
                return {"SELECT ledger.restore_stock" + arguments,
                        {movement_of(one + ":sold", one, quantity)},
                        all_or_null()};
            default:
                return {"SELECT ledger.add_stock" + arguments,
                        {movement_of("stock:supply", one, quantity)},
                        all_or_null()};
        }
    }

    // --- requests ---

    Call of_requests() {
        const std::string key = "r" + number(round_) + "-" + number(below(30));
        switch (below(9)) {
            case 0:
            case 1:
                return begun(key);
            case 2:
            case 3:
                return {"SELECT ledger.complete_request(" + quoted(key) + ", '{\"by\": \"" + name_ + "\"}')",
                        {Claim{"the completion of request " + key}}};
            case 4:
                return {"SELECT ledger.fail_request(" + quoted(key) + ", '{}')", {}};
            case 5:
                return {
                    "SELECT state FROM ledger.begin_request((SELECT ledger.issue_request_token()), "
                    "require_token => true)",
                    {}};
            case 6:
                return {"SELECT ledger.accept_message('c', " + quoted(key) + ")",
                        {},
                        claim_if("t", "the first sight of message " + key)};
            case 7:
                return signed_request();
            default:
                return {"SELECT state FROM ledger.begin_request('short-" + number(below(20)) +
                            "', lease => '20 ms', ttl => '50 ms')",
                        {}};
        }
    }

    // Leases run out in the round; each attempt is one caller's.
    Call begun(const std::string &key) {
        return {"SELECT state, attempt FROM ledger.begin_request(" + quoted(key) + ", lease => '100 ms')",
                {},
                [key](const pq::Result &result, Deeds &deeds) {
                    if (result.text(0, 0) == "new")
                        deeds.emplace_back(Claim{"attempt " + result.text(0, 1) + " at request " + key});
                }};
    }

    // A nonce may be used again when its time is up, which a wrong clock says too early.
    Call signed_request() {
        const std::string nonce = "n" + number(round_) + "-" + number(below(40));
        return {"SELECT ledger.verify_signed_request('till', 'pay', x.at, " + quoted(nonce) +
                    ", ledger.sign_request('till', 'pay', x.at, " + quoted(nonce) +
                    ", repeat('s', 32))) FROM (SELECT clock_timestamp()) AS x (at)",
                times_ == Times::right ? Deeds{Claim{"the use of nonce " + nonce}} : Deeds{}};
    }

    // --- accounts ---

    Call of_accounts() {
        const std::string one = account();
        switch (below(12)) {
            case 0:
            case 1:
                return {"SELECT ledger.alter_account(" + quoted(one) + ", floor => " +
                            (chance(50) ? "-" : "") + natural(one, minor()) + ")",
                        {}};
            case 2:
            case 3:
                return {"SELECT ledger.freeze_account(" + quoted(one) + ")", {}};
            case 4:
                return {"SELECT ledger.open_account(" + quoted(name_) + ", 'USD')", {Opened{name_}}};
            case 5: {
                const std::string sku = "x-" + name_;
                return {"SELECT ledger.create_stock(" + quoted(sku) + ", 3)",
                        {Opened{sku}, Opened{sku + ":sold"}, movement_of("stock:supply", sku, 3)}};
            }
            case 6:
                return {"SELECT ledger.close_account(CASE WHEN o > 0 THEN " + quoted(name_) +
                            " END) FROM ledger.open_account(" + quoted(name_) + ", 'USD') AS o",
                        {Opened{name_}, Closed{name_}}};
            case 7:
                return {"SELECT ledger.create_asset('USD', 2)", {}};
            default:
                return {"SELECT ledger.unfreeze_account('a' || i) FROM generate_series(0, " +
                            number(kAccounts - 1) + ") AS i WHERE i % 7 = " + number(below(7)),
                        {}};
        }
    }

    // --- reads: an exact balance by four ways ---

    Call read() {
        const std::string one = quoted(account());
        switch (below(3)) {
            case 0:
                return {"SELECT 1 / (b.posted = ledger.balance_at(" + one +
                            ", 'infinity'))::int FROM ledger.balance(" + one + ") AS b",
                        {}};
            case 1:
                return {"SELECT 1 / (b.posted = COALESCE((SELECT s.balance FROM ledger.statement(" + one +
                            ") AS s ORDER BY s.created_at DESC, s.transfer_id DESC LIMIT 1), 0))::int FROM "
                            "ledger.balance(" +
                            one + ") AS b",
                        {}};
            default:
                return {
                    "SELECT 1 / (b.posted = a.posted AND b.held = a.held AND b.incoming = a.incoming)::int "
                    "FROM "
                    "ledger.balance(" +
                        one + ") AS b JOIN ledger.accounts AS a USING (account)",
                    {}};
        }
    }

    // --- changes of a table with audit triggers ---

    Call audited() {
        const std::string id = number(1 + below(2000));
        switch (below(4)) {
            case 0:
                return {"UPDATE note SET revision = revision + 1 WHERE id = " + id, {}};
            case 1:
                return {"DELETE FROM note WHERE id = " + id, {}};
            case 2:
                return {
                    "INSERT INTO memo SELECT i FROM generate_series(1, " + number(1 + below(5)) + ") AS i",
                    {}};
            default:
                return {"INSERT INTO note (said) SELECT 'note ' || i FROM generate_series(1, " +
                            number(1 + below(5)) + ") AS i",
                        {}};
        }
    }

    std::mt19937 &random_;
    Model &model_;
    const int round_;
    const Times times_;
    const int forgotten_;
    std::string name_;
};
