// A database that is dropped and made again under its old oid, from a template: what the
// server's memory knows of the first must not be taken for the second's.
#pragma once

#include <string>

#include "copies.hpp"
#include "evidence.hpp"
#include "plant.hpp"
#include "world.hpp"

// Not while prepared transactions are there.
inline void check_old_oid(World &world, const Evidence &evidence) {
    Balances originals;
    {
        Session original = world.session();
        stop_worker(original);
        originals = balances(original);
    }
    const auto use = [&](Session &copy, const std::string &how) {
        try {
            compare(world, how, balances(copy), originals);
            sell_out(world, copy, how);
            if (world.plants("seals") && how == "old oid") plant(copy, world.plant);
            copy.exec("SELECT ledger.seal()");
            evidence.check(world, copy, how);
            world.ask(copy, how,
                      "SELECT concat_ws(', ', invariant, subject, detail) FROM ledger.check_invariants()");
            world.ask(copy, how,
                      "SELECT concat_ws(', ', scope, lane, seq, id, problem) FROM ledger.verify()");
        } catch (const pq::Error &error) {
            world.complain(
                {how + ": it cannot be used: " + error.sqlstate() + " " + error.what(), {"driver"}});
        }
    };
    make_from_template(world);
    Session first = world.session(kCopy);
    const std::string oid =
        first.exec("SELECT oid FROM pg_database WHERE datname = current_database()").text(0, 0);
    use(first, "new oid");
    drop_copy(world);  // with the session connected
    make_from_template(world, " OID = " + oid);
    Session second = world.session(kCopy);
    use(second, "old oid");
    second.close();
    drop_copy(world);
    Session original = world.session();
    start_worker(original);
}
