// Looks for an account past its limits, or an asset out of balance, in every snapshot
// it gets: of the primary, and of the standby.
#pragma once

#include <atomic>
#include <string>

#include "world.hpp"

inline void observe(World &world, const std::string &conninfo, const char *name,
                    std::atomic<long> &snapshots) {
    while (world.running) {
        try {
            Session session(world.history, conninfo, "torture observer", name);
            while (world.running) {
                world.ask(session, "snapshot",
                          "WITH a AS MATERIALIZED (SELECT * FROM ledger.accounts) "
                          "SELECT account || ' ' || posted || ' held ' || held || ' incoming ' || incoming "
                          "|| ' not in ' || "
                          "COALESCE(floor::text, '-') || ' to ' || COALESCE(ceiling::text, '-') FROM a WHERE "
                          "posted - held < "
                          "floor OR posted + incoming > ceiling UNION ALL SELECT asset || ' sums to ' || "
                          "sum(posted) FROM a "
                          "GROUP BY asset HAVING sum(posted) <> 0 OR sum(held) <> sum(incoming)");
                ++snapshots;
                pause_ms(10);
            }
        } catch (const ConnectionLost &) {
            pause_ms(20);
        } catch (const pq::Error &error) {
            if (!is_expected(error.sqlstate()))
                world.complain({"snapshot: " + error.sqlstate() + " " + error.what(), {name}});
            pause_ms(20);
        }
    }
}
