// Copies of the ledger: a dump taken at any moment, restored, and a template. Each is
// consistent, holds what was proved before, and is a working ledger of its own.
#pragma once

#include <string>

#include "evidence.hpp"
#include "world.hpp"

constexpr const char *kCopy = "copy";

// A dump, and what was known when it was begun.
struct Dump {
    std::string file;
    Evidence known;
};

inline void check_copy(World &world, const Evidence &evidence, const char *how) {
    Session copy = world.session(kCopy);
    const auto is_sound = [&](const std::string &when) {
        world.ask(copy, std::string(how) + when,
                  "SELECT concat_ws(', ', invariant, subject, detail) FROM ledger.check_invariants()");
        evidence.check(world, copy, std::string(how) + when);
    };
    is_sound(", as it came");
    copy.exec("SELECT ledger.unfreeze_account(x) FROM unnest('{a0,a1,s0}'::text[]) AS x");
    copy.exec(
        "SELECT ledger.transfer('a0', 'a1', 1), ledger.add_stock('s0', 1), ledger.deduct_stock('s0', 1)");
    copy.exec("SELECT ledger.expire_holds(), ledger.fold(), ledger.seal()");
    is_sound(", in use");
    copy.close();
    world.session("postgres").exec(std::string("DROP DATABASE ") + kCopy + " WITH (FORCE)");
}

inline void check_dump(World &world, const Dump &dump) {
    world.session("postgres").exec(std::string("CREATE DATABASE ") + kCopy);
    if (!world.cluster.shell("pg_restore -e -d '" + world.cluster.primary_conninfo(kCopy) + "' " + dump.file))
        world.complain({"dump: pg_restore of " + dump.file + " failed; see commands.log", {}});
    else
        check_copy(world, dump.known, "dump");
    std::remove(dump.file.c_str());
}

// Not while prepared transactions are there: CREATE DATABASE would refuse.
inline void check_template(World &world, const Evidence &evidence) {
    Session session = world.session("postgres");
    for (int attempt = 0;; ++attempt) try {
            session.exec(std::string("CREATE DATABASE ") + kCopy + " TEMPLATE " + kDatabase);
            break;
        } catch (const pq::Error &error) {  // the worker is about to leave
            if (error.sqlstate() != "55006" || attempt > 50) throw;
        }
    check_copy(world, evidence, "template");
}
