// Faults planted by hand, to see that the checks can fail: what a broken ledger might
// do, done to its tables by a superuser whom no trigger stops.
#pragma once

#include <map>
#include <stdexcept>
#include <string>

#include "world.hpp"

inline const std::map<std::string, std::vector<std::string>> &plants() {
    static const std::string kLast = "(SELECT max(id) FROM ledger_data.transfer WHERE kind = 1)";
    static const std::map<std::string, std::vector<std::string>> kPlants = {
        {"lost", {"DELETE FROM ledger_data.transfer WHERE id = " + kLast}},
        {"double",
         {"INSERT INTO ledger_data.transfer SELECT id + 1000000000, debit_account, credit_account, amount, "
          "ref, txid, "
          "created_at, seq + 1000, kind, lane, hash, metadata FROM ledger_data.transfer WHERE id = " +
          kLast}},
        {"amount", {"UPDATE ledger_data.transfer SET amount = amount + 1 WHERE id = " + kLast}},
        {"floor", {"UPDATE ledger_data.account SET floor = 1000000000 WHERE code = 'a10'"}},
        {"balance",
         {"SELECT ledger.fold()",
          "UPDATE ledger_data.balance SET credits_posted = credits_posted + 1 WHERE account = (SELECT id "
          "FROM "
          "ledger_data.account WHERE code = 'a2')"}},
        {"hold",
         {"CREATE TEMP TABLE h AS SELECT transfer FROM ledger_data.hold WHERE state = 3 AND NOT is_branch "
          "ORDER BY transfer "
          "DESC LIMIT 1",
          "DELETE FROM ledger_data.transfer WHERE kind = 4 AND ref = (SELECT transfer FROM h)",
          "UPDATE ledger_data.hold SET state = 1 WHERE transfer = (SELECT transfer FROM h)"}},
        {"digest", {"DELETE FROM ledger_data.seal"}},  // a chain without seals is whole in itself
        {"record",
         {"UPDATE ledger_data.transfer SET metadata = '{}' WHERE id = (SELECT min(id) FROM "
          "ledger_data.transfer)"}},
        {"audit", {"DELETE FROM ledger_data.audit WHERE id = (SELECT max(id) FROM ledger_data.audit)"}},
        {"key",
         {"UPDATE ledger_data.request SET transfer = 1 WHERE transfer = (SELECT max(transfer) FROM "
          "ledger_data.request WHERE "
          "kind = 2)"}},
    };
    return kPlants;
}

inline void plant(World &world, const std::string &name) {
    Session session = world.session();
    session.exec("SET session_replication_role = replica");
    for (const std::string &sql : plants().at(name))
        if (session.exec(sql).affected() == 0) throw std::runtime_error("nothing to plant " + name + " in");
    pause_ms(700);  // for the observers
}
