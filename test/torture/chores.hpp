// What administrators, backups and cron jobs do to a ledger while it is in use.
#pragma once

#include <functional>
#include <random>
#include <string>
#include <vector>

#include "copies.hpp"
#include "evidence.hpp"
#include "world.hpp"

class Chores {
  public:
    Chores(World &world, Evidence &evidence, unsigned seed)
        : world_(world), evidence_(evidence), random_(seed) {}

    void run() {
        while (world_.running) {
            try {
                Session session(world_.history, world_.primary(), "torture chores", "chores");
                session.exec("SET lock_timeout = '500ms'");
                session.exec("SET statement_timeout = '5s'");
                while (world_.running) {
                    one(session);
                    pause_ms(static_cast<int>(below(20)));
                }
            } catch (const ConnectionLost &) {
                pause_ms(20);
            } catch (const pq::Error &error) {
                if (!is_expected(error.sqlstate()))
                    world_.complain({"chores: " + error.sqlstate() + " " + error.what(), {"chores"}});
                pause_ms(20);
            }
        }
    }

    // The dumps that are whole, to be restored when nobody works.
    const std::vector<Dump> &dumps() const { return dumps_; }

  private:
    unsigned below(unsigned n) { return static_cast<unsigned>(random_() % n); }
    std::string pick(const std::vector<std::string> &words) {
        return words[below(static_cast<unsigned>(words.size()))];
    }

    void one(Session &session) {
        switch (below(14)) {
            case 0:
            case 1:
                session.exec(maintenance());
                return;
            case 2:
            case 3:
                session.exec("ALTER SYSTEM SET " + setting());
                session.exec("SELECT pg_reload_conf()");
                return;
            case 4:
                session.exec(std::string("ALTER DATABASE ") + kDatabase + " " + database_setting());
                return;
            case 5:
                return grant(session);
            case 6:
                return change_clients(session);
            case 7:
                world_.ask(
                    session, "invariants",
                    "SELECT concat_ws(', ', invariant, subject, detail) FROM ledger.check_invariants()");
                return;
            case 8:
                if (below(2) == 0) return evidence_.check_one(world_, session);
                world_.ask(session, "verify",
                           "SELECT concat_ws(', ', scope, lane, seq, id, problem) FROM ledger.verify()");
                return;
            case 9:
                session.exec("SELECT ledger.seal()");
                return evidence_.take(world_, session);
            case 10:
                return evidence_.take_proof(world_, session, world_.model.recent_transfer(random_).id);
            case 11:
                session.exec(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'ledger "
                    "worker'");
                return;
            case 12:
                return another_ledger();
            default:
                return dump(session);
        }
    }

    std::string maintenance() {
        const std::string table = "ledger_data." + pick({"transfer", "hold", "balance", "request", "account",
                                                         "tcc", "tcc_branch", "audit", "seal"});
        switch (below(8)) {
            case 0:
                return "VACUUM (FREEZE) " + table;
            case 1:
                return "VACUUM FULL " + table;
            case 2:
                return "VACUUM (ANALYZE) " + table;
            case 3:
                return "REINDEX TABLE " + table;
            case 4:
                return "REINDEX TABLE CONCURRENTLY " + table;
            case 5:
                return "CLUSTER ledger_data.transfer USING transfer_pkey";
            case 6:
                return "SELECT pg_switch_wal()";
            default:
                return "CHECKPOINT";
        }
    }

    // Losing what was acknowledged is not among the choices of synchronous_commit; those
    // of ledger.slots, ledger.databases and ledger.node come with the next start.
    std::string setting() {
        return pick({"ledger.worker = off",
                     "ledger.worker = on",
                     "ledger.worker = on",
                     "ledger.fold_threshold = 1",
                     "ledger.fold_threshold = 200",
                     "ledger.fold_interval = 10",
                     "ledger.fold_interval = 500",
                     "ledger.purge_interval = 1",
                     "ledger.purge_interval = 60",
                     "ledger.seal_interval = 0",
                     "ledger.seal_interval = 1",
                     "ledger.key_ttl = '1 day'",
                     "ledger.key_ttl = '7 days'",
                     "ledger.signature_window = 10",
                     "ledger.signature_window = 60",
                     "ledger.signing_key_file = '" + world_.cluster.directory() + "/signing_key'",
                     "ledger.signing_key_file = ''",
                     "ledger.slots = 80",
                     "ledger.slots = 80",
                     "ledger.slots = 4096",
                     "ledger.databases = 4",
                     "ledger.databases = 16",
                     "ledger.node = 3",
                     "ledger.node = 63",
                     "synchronous_commit = remote_apply",
                     "synchronous_commit = on",
                     "wal_compression = on",
                     "wal_compression = off",
                     "max_wal_size = '64MB'",
                     "max_wal_size = '1GB'",
                     "autovacuum_naptime = '1s'",
                     "autovacuum_naptime = '1min'"});
    }

    std::string database_setting() {
        return pick({"SET enable_seqscan = off", "SET work_mem = '64kB'", "SET timezone = 'Asia/Shanghai'",
                     "SET datestyle = 'German'", "SET ledger.key_ttl = '2 days'",
                     "SET extra_float_digits = 0", "RESET ALL", "RESET ALL"});
    }

    void grant(Session &session) {
        session.exec("DO $$ BEGIN CREATE ROLE torture_app; EXCEPTION WHEN duplicate_object THEN END $$");
        session.exec("SELECT ledger.grant_access('torture_app', '" +
                     pick({"reader", "writer", "operator", "auditor"}) + "')");
        if (below(2) == 0) session.exec("SELECT ledger.revoke_access('torture_app')");
    }

    void change_clients(Session &session) {
        session.exec("SELECT ledger.remove_client(client) FROM ledger_data.client WHERE client = 'guest'");
        session.exec("SELECT ledger.add_client('guest')");
        session.exec("SELECT ledger.rotate_client('guest')");
        if (below(2) == 0) session.exec("SELECT ledger.remove_client('guest')");
    }

    // A database beside this one, with a ledger of its own, comes and goes; half of them
    // have the oid of one that was there before.
    void another_ledger() {
        Session session(world_.history, world_.cluster.primary_conninfo("postgres"), "torture chores",
                        "chores");
        session.exec("DROP DATABASE IF EXISTS neighbour WITH (FORCE)");
        session.exec(std::string("CREATE DATABASE neighbour") + (below(2) == 0 ? " OID = 4000000000" : ""));
        Session neighbour(world_.history, world_.cluster.primary_conninfo("neighbour"), "torture chores",
                          "chores");
        neighbour.exec("CREATE EXTENSION ledger");
        neighbour.exec("SELECT ledger.create_stock('s', 10), ledger.deduct_stock('s', 3), ledger.seal()");
        world_.ask(neighbour, "neighbour",
                   "SELECT 'sold 8 of 7' WHERE ledger.try_deduct_stock('s', 8) IS NOT NULL");
        world_.ask(neighbour, "neighbour", "SELECT invariant FROM ledger.check_invariants()");
        world_.ask(neighbour, "neighbour", "SELECT problem FROM ledger.verify()");
        if (below(2) == 0) {
            neighbour.exec("SET ledger.allow_drop = on");
            neighbour.exec("DROP EXTENSION ledger");
        }
        neighbour.close();
        session.exec("DROP DATABASE neighbour WITH (FORCE)");
    }

    // Of the primary or the standby; one that a fault breaks off is nothing. Without the
    // table whose triggers come and go: pg_dump reads triggers as they are now, and
    // other things as they were when it began.
    void dump(Session &session) {
        Dump dump{world_.cluster.directory() + "/dump" + std::to_string(dumps_.size()), evidence_};
        const bool of_standby = below(3) == 0;
        if (of_standby) wait_for_standby(session);
        const std::string from = of_standby ? world_.standby() : world_.primary();
        if (world_.cluster.shell("pg_dump -Fc -T memo -f " + dump.file + " -d '" + from + "'"))
            dumps_.push_back(dump);
    }

    // What is known here may not have been replayed there yet.
    void wait_for_standby(Session &session) {
        const std::string here = session.exec("SELECT pg_current_wal_lsn()").text(0, 0);
        Session standby(world_.history, world_.standby(), "torture chores", "chores");
        while (world_.running &&
               standby.exec("SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn", {here}).text(0, 0) == "f")
            pause_ms(10);
    }

    World &world_;
    Evidence &evidence_;
    std::mt19937 random_;
    std::vector<Dump> dumps_;
};
