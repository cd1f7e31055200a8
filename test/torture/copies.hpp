// Copies of the ledger: a dump taken at any moment, restored, and a template. Each is
// consistent, holds what was proved before, and is a working ledger of its own.
#pragma once

#include <array>
#include <map>
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

// A copy as CREATE DATABASE makes it, with what options. Not while prepared transactions
// are there: it would refuse.
inline void make_from_template(World &world, const std::string &options = "") {
    Session session = world.session("postgres");
    for (int attempt = 0;; ++attempt) try {
            session.exec(std::string("CREATE DATABASE ") + kCopy + " TEMPLATE " + kDatabase + options);
            break;
        } catch (const pq::Error &error) {  // the worker is about to leave
            if (error.sqlstate() != "55006" || attempt > 50) throw;
        }
}

inline void check_template(World &world, const Evidence &evidence) {
    make_from_template(world);
    check_copy(world, evidence, "template");
}

inline void drop_copy(World &world) {
    world.session("postgres").exec(std::string("DROP DATABASE IF EXISTS ") + kCopy + " WITH (FORCE)");
}

// Of each account, in minor units: posted, held, incoming.
using Balances = std::map<std::string, std::array<std::int64_t, 3>>;

inline Balances balances(Session &session) {
    const pq::Result rows = session.exec(
        "SELECT a.account, (a.posted * 10 ^ s.scale)::bigint, (a.held * 10 ^ s.scale)::bigint, (a.incoming * "
        "10 ^ s.scale)::bigint FROM ledger.accounts AS a JOIN ledger_data.asset AS s ON s.code = a.asset");
    Balances balances;
    for (int row = 0; row < rows.rows(); ++row)
        balances[rows.text(row, 0)] = {rows.number(row, 1), rows.number(row, 2), rows.number(row, 3)};
    return balances;
}

inline void compare(World &world, const std::string &how, const Balances &are, const Balances &should_be) {
    const auto told = [](const Balances &balances, const std::string &account) {
        const auto found = balances.find(account);
        if (found == balances.end()) return std::string("nothing");
        const auto &[posted, held, incoming] = found->second;
        return std::to_string(posted) + ", " + std::to_string(held) + ", " + std::to_string(incoming);
    };
    for (const Balances *all : {&are, &should_be})
        for (const auto &[account, balance] : *all)
            if (told(are, account) != told(should_be, account))
                world.complain({how + ": account " + account + " has " + told(are, account) +
                                    "; it should have " + told(should_be, account),
                                {account}});
}

// Until a copy is checked nothing changes in it by itself.
inline void stop_worker(Session &session) {
    session.exec("ALTER SYSTEM SET ledger.worker = off");
    session.exec("SELECT pg_reload_conf()");
    while (session.exec("SELECT FROM pg_stat_activity WHERE backend_type = 'ledger worker'").rows() > 0)
        pause_ms(10);
}
inline void start_worker(Session &session) {
    session.exec("ALTER SYSTEM SET ledger.worker = on");
    session.exec("SELECT pg_reload_conf()");
}

// Takes whatever there is, of stock and of accounts with a floor: not a piece more is sold.
inline void sell_out(World &world, Session &copy, const std::string &how) {
    // A few at a time: there may be as few as 80 slots.
    while (
        copy.exec("SELECT ledger.unfreeze_account(code) FROM ledger_data.account WHERE state = 1 AND code ~ "
                  "'^[as][0-9]+$' LIMIT 20")
            .rows() > 0) {
    }
    while (copy.exec("SELECT ledger.tcc_expire(5)").number(0, 0) > 0) {
    }
    while (copy.exec("SELECT ledger.expire_holds(20)").number(0, 0) > 0) {
    }
    for (unsigned i = 0; i < kSkus; ++i) {
        const std::string sku = "s" + std::to_string(i);
        const std::int64_t there =
            copy.exec("SELECT (posted - held)::bigint FROM ledger.accounts WHERE account = $1", {sku})
                .number(0, 0);
        const auto left_after = [&](std::int64_t quantity) {
            const pq::Result left =
                copy.exec("SELECT ledger.try_deduct_stock($1, $2)", {sku, std::to_string(quantity)});
            return left.is_null(0, 0) ? "nothing sold" : left.text(0, 0);
        };
        const std::string more = left_after(there + 1);
        if (more != "nothing sold")
            world.complain(
                {how + ": sold " + std::to_string(there + 1) + " of " + sku + ", which is more than there is",
                 {sku}});
        else if (const std::string left = there > 0 ? left_after(there) : "0"; left != "0")
            world.complain(
                {how + ": of " + std::to_string(there) + " of " + sku + " sold, left: " + left, {sku}});
    }
    copy.exec(
        "SELECT amount FROM generate_series(10, 40) AS i, ledger.transfer_up_to('a' || i, 'a0', 1000000)");
    world.ask(copy, how, kPastLimits);
}
