// What must be so when nobody is working.
#pragma once

#include <random>
#include <string>

#include "copies.hpp"
#include "evidence.hpp"
#include "world.hpp"

// Waits for the sessions of the round to be gone, so that nothing changes under the checks.
inline void wait_for_quiet(Session &session) {
    while (
        session
            .exec("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'torture%' AND pid <> "
                  "pg_backend_pid()")
            .number(0, 0) > 0)
        pause_ms(10);
}

inline void finish_all_prepared(World &world, Session &session, std::mt19937 &random) {
    while (const auto transaction = world.model.take_prepared(random)) {
        const bool commit = random() % 2 == 0;
        session.exec((commit ? "COMMIT PREPARED '" : "ROLLBACK PREPARED '") + transaction->name + "'");
        world.model.tell(*transaction, commit ? Fate::committed : Fate::rolled_back);
    }
    // Those of unknown fate that were prepared after all.
    const pq::Result rest = session.exec("SELECT gid FROM pg_prepared_xacts");
    for (int row = 0; row < rest.rows(); ++row) session.exec("ROLLBACK PREPARED '" + rest.text(row, 0) + "'");
}

// An interrupted REINDEX CONCURRENTLY leaves an index that is good for nothing. To drop it
// waits for prepared transactions.
inline void drop_invalid_indexes(Session &session) {
    const pq::Result rows = session.exec(
        "SELECT 'DROP INDEX ' || indexrelid::regclass FROM pg_index JOIN pg_class AS c ON c.oid = indexrelid "
        "WHERE NOT "
        "indisvalid AND c.relnamespace = 'ledger_data'::regnamespace");
    for (int row = 0; row < rows.rows(); ++row) session.exec(rows.text(row, 0));
}

// Gives back the holds that nobody will resolve any more, so that value goes on moving.
inline void give_back_old_holds(World &world, Session &session) {
    constexpr std::size_t kOpenMax = 400;
    const std::set<Id> open = world.model.open_holds();
    std::size_t excess = open.size() > kOpenMax ? open.size() - kOpenMax : 0;
    if (excess == 0) return;
    const std::string name = "give-back-" + std::to_string(world.round);
    const auto transaction = world.model.begin(name);
    session.exec("BEGIN");
    session.exec("INSERT INTO mark VALUES ('" + name + "', pg_current_xact_id()::text::bigint)");
    for (const Id id : open) {
        if (excess-- == 0) break;
        const pq::Result given = session.exec(
            "SELECT ledger.void_hold(transfer) FROM ledger_data.hold WHERE transfer = $1 AND due_at = "
            "'infinity' AND state = "
            "1",
            {std::to_string(id)});
        if (given.rows() == 0) continue;
        Effect effect;
        effect.kind = Kind::void_;
        effect.ref = id;
        effect.id = given.number(0, 0);
        effect.final = true;
        transaction->deeds.emplace_back(effect);
    }
    session.exec("COMMIT");
    world.model.tell(*transaction, Fate::committed);
}

inline void check_audit_log(World &world, Session &session) {
    session.exec("SELECT ledger.audit_change(a.id) FROM ledger.audit_log AS a ORDER BY a.id DESC LIMIT 1");
    const std::string rows = world.clock_was_wrong ? " WHERE problem !~ '^(altered|missing|inserted)'" : "";
    world.ask(session, "check_audit",
              "SELECT concat_ws(', ', relation, problem) FROM ledger.check_audit()" + rows);
    world.ask(session, "audit",
              "SELECT 'note ' || COALESCE(n.id, l.id) || ' is not what the audit log says' FROM note AS n "
              "FULL JOIN "
              "(SELECT (key ->> 'id')::bigint AS id, count(*) FILTER (WHERE operation = 'INSERT') AS made, "
              "count(*) "
              "FILTER (WHERE operation = 'UPDATE') AS changed, count(*) FILTER (WHERE operation = 'DELETE') "
              "AS removed "
              "FROM ledger.audit_log WHERE key IS NOT NULL AND relation = 'public.note' GROUP BY 1) AS l ON "
              "l.id = n.id "
              "WHERE (made = 1 AND removed = (n.id IS NULL)::int AND (n.id IS NULL OR changed = n.revision)) "
              "IS NOT TRUE");
}

inline void check_all(World &world, Session &session, Evidence &evidence) {
    for (const Complaint &complaint : world.model.settle(session)) world.complain(complaint);
    world.ask(session, "invariants",
              "SELECT concat_ws(', ', invariant, subject, detail) FROM ledger.check_invariants()");
    evidence.check(world, session, "digest");
    check_audit_log(world, session);
    session.exec("SELECT ledger.seal()");
    evidence.take(world, session);
}

// When even the worker is still, nothing may be left in shared memory.
inline void check_idle(World &world, Session &session) {
    stop_worker(session);
    world.ask(session, "idle",
              "SELECT 'a slot in use: ' || s FROM ledger_data.slots() AS s WHERE users > 0 OR low <> high OR "
              "projected_low "
              "<> projected_high");
    world.ask(
        session, "idle",
        "SELECT 'left over: ' || s FROM ledger.stat AS s WHERE lanes_in_use > 0 OR prepared_effects > 0");
}

// The public functions that nobody has called with success.
inline std::set<std::string> never_called(World &world, Session &session) {
    const pq::Result rows = session.exec(
        "SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'ledger'::regnamespace AND prorettype <> "
        "'trigger'::regtype");
    std::set<std::string> never;
    for (int row = 0; row < rows.rows(); ++row)
        if (!world.history.calls().contains(rows.text(row, 0))) never.insert(rows.text(row, 0));
    return never;
}
