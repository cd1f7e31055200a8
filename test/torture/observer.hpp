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
                world.ask(session, "snapshot", kPastLimits);
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
