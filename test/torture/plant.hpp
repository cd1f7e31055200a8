// Faults planted by hand, to see that the checks can fail: what a broken ledger might
// do, done to its tables by a superuser whom no trigger stops.
#pragma once

#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "world.hpp"

struct Plant {
    std::vector<std::string> sql;  // none: the trial itself knows what to do
    std::string trial = "none";    // that the round needs
    bool in_copy = false;          // planted by the trial, where it checks a copy
};

inline const std::map<std::string, Plant> &plants() {
    static const std::string kLast = "(SELECT max(id) FROM ledger_data.transfer WHERE kind = 1)";
    static const std::string kExpired =
        "CREATE TEMP TABLE h AS SELECT h.transfer FROM ledger_data.hold AS h JOIN ledger_data.transfer AS t "
        "ON "
        "t.ref = h.transfer AND t.kind = 4 JOIN ledger_data.account AS a ON a.id = t.debit_account WHERE "
        "h.state = 4 AND a.code ~ '^sf' ORDER BY h.transfer LIMIT 1";
    static const std::map<std::string, Plant> kPlants = {
        {"lost", {{"DELETE FROM ledger_data.transfer WHERE id = " + kLast}}},
        {"double",
         {{"INSERT INTO ledger_data.transfer SELECT id + 1000000000, debit_account, credit_account, amount, "
           "ref, txid, "
           "created_at, seq + 1000, kind, lane, hash, metadata FROM ledger_data.transfer WHERE id = " +
           kLast}}},
        {"amount", {{"UPDATE ledger_data.transfer SET amount = amount + 1 WHERE id = " + kLast}}},
        {"floor", {{"UPDATE ledger_data.account SET floor = 1000000000 WHERE code = 'a10'"}}},
        {"balance",
         {{"SELECT ledger.fold()",
           "UPDATE ledger_data.balance SET credits_posted = credits_posted + 1 WHERE account = (SELECT id "
           "FROM "
           "ledger_data.account WHERE code = 'a2')"}}},
        {"hold",
         {{"CREATE TEMP TABLE h AS SELECT transfer FROM ledger_data.hold WHERE state = 3 AND NOT is_branch "
           "ORDER BY transfer "
           "DESC LIMIT 1",
           "DELETE FROM ledger_data.transfer WHERE kind = 4 AND ref = (SELECT transfer FROM h)",
           "UPDATE ledger_data.hold SET state = 1 WHERE transfer = (SELECT transfer FROM h)"}}},
        {"digest", {{"DELETE FROM ledger_data.seal"}}},  // a chain without seals is whole in itself
        {"record",
         {{"UPDATE ledger_data.transfer SET metadata = '{}' WHERE id = (SELECT min(id) FROM "
           "ledger_data.transfer)"}}},
        {"audit", {{"DELETE FROM ledger_data.audit WHERE id = (SELECT max(id) FROM ledger_data.audit)"}}},
        {"key",
         {{"UPDATE ledger_data.request SET transfer = 1 WHERE transfer = (SELECT max(transfer) FROM "
           "ledger_data.request WHERE "
           "kind = 2)"}}},
        // An expired hold that says so, without the transfer that gave it back; one given back twice.
        {"void",
         {{kExpired, "DELETE FROM ledger_data.transfer WHERE kind = 4 AND ref = (SELECT transfer FROM h)"},
          "flood"}},
        {"twice",
         {{kExpired,
           "INSERT INTO ledger_data.transfer SELECT id + 1000000000, debit_account, credit_account, amount, "
           "ref, txid, created_at, seq + 1000, kind, lane, hash, metadata FROM ledger_data.transfer WHERE "
           "kind = 4 AND ref = (SELECT transfer FROM h)"},
          "flood"}},
        // What the server's memory knows of an idle account that it has loaded is more than there is.
        {"slot",
         {{"SELECT ledger.add_stock('s0', 20), ledger.fold()",
           "UPDATE ledger_data.balance SET debits_posted = debits_posted + 10 WHERE account = (SELECT id "
           "FROM "
           "ledger_data.account WHERE code = 's0')",
           "UPDATE ledger_data.balance SET credits_posted = credits_posted + 10 WHERE account = (SELECT id "
           "FROM ledger_data.account WHERE code = 'stock:supply')"},
          "restore",
          true}},
        {"seals", {{"DELETE FROM ledger_data.seal"}, "old oid", true}},
        {"hostage", {{}, "flood"}},  // the only seller of what is free keeps the others out
        {"mute", {{}, "impatience"}},
        {"sleeper", {{}}},  // a session that waits too long
    };
    return kPlants;
}

inline void plant(Session &session, const std::string &name) {
    session.exec("SET session_replication_role = replica");
    for (const std::string &sql : plants().at(name).sql)
        if (session.exec(sql).affected() == 0) throw std::runtime_error("nothing to plant " + name + " in");
    session.exec("RESET session_replication_role");
}

// The one that is chosen, if its time and place are the ledger itself, at the end of the first round.
inline void plant(World &world) {
    if (world.plant.empty() || world.round != 1 || plants().at(world.plant).in_copy) return;
    if (world.plant == "sleeper") try {
            Session(world.history, world.primary(), "torture sleeper", "sleeper")
                .exec("SELECT pg_sleep(100)");
        } catch (const ConnectionLost &) {  // the watchdog has ended it
        }
    Session session = world.session();
    plant(session, world.plant);
    pause_ms(700);  // for the observers
}
