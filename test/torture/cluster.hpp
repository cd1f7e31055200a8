// Two servers, of which one is primary and the other its synchronous standby, and
// what can befall them.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "clock.hpp"
#include "pq.hpp"

inline void pause_ms(int milliseconds) {
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}

class Node {
  public:
    Node(std::string bindir, std::string data, int port, std::string environment)
        : bindir_(std::move(bindir)),
          data_(std::move(data)),
          port_(port),
          environment_(std::move(environment)) {}

    const std::string &data() const { return data_; }
    std::string port() const { return std::to_string(port_); }

    // The children of a server that was killed must go first; until then a new one refuses to start.
    void start() const {
        for (int attempt = 0; !control("-l " + data_ + ".log -o '-p " + port() + "' start", environment_);
             ++attempt) {
            if (attempt > 200) throw std::runtime_error("the server in " + data_ + " does not start");
            pause_ms(100);
        }
    }

    void stop(const std::string &mode) const { control("-m " + mode + " stop"); }
    void kill() const { ::kill(postmaster(), SIGKILL); }
    void promote() const {
        if (!control("promote")) throw std::runtime_error("the standby in " + data_ + " is not promoted");
    }

  private:
    pid_t postmaster() const {
        std::ifstream file(data_ + "/postmaster.pid");
        pid_t pid = 0;
        file >> pid;
        if (pid <= 1) throw std::runtime_error("no postmaster in " + data_);
        return pid;
    }

    bool control(const std::string &what, const std::string &environment = "") const {
        return std::system(
                   (environment + bindir_ + "/pg_ctl -w -t 300 -D " + data_ + " " + what + " >/dev/null 2>&1")
                       .c_str()) == 0;
    }

    std::string bindir_, data_;
    int port_;
    std::string environment_;
};

class Cluster {
  public:
    // The first server's data directory, data, is there; the second's will be beside it.
    Cluster(std::string bindir, std::string directory)
        : bindir_(std::move(bindir)),
          directory_(std::move(directory)),
          clock_(directory_),
          nodes_{Node(bindir_, directory_ + "/data", 5432, clock_.environment()),
                 Node(bindir_, directory_ + "/data2", 5433, clock_.environment())} {}

    // libpq finds whichever of the two takes writes, or doesn't.
    std::string conninfo(const std::string &database, const std::string &attributes) const {
        return "host=" + directory_ + "," + directory_ + " port=" + nodes_[0].port() + "," +
               nodes_[1].port() + " user=postgres connect_timeout=10 dbname=" + database +
               " target_session_attrs=" + attributes;
    }
    // The primary itself: the standby may not know of a new database yet, and refuses for good.
    std::string primary_conninfo(const std::string &database) const {
        return "host=" + directory_ + " port=" + primary().port() + " user=postgres dbname=" + database;
    }
    const std::string &directory() const { return directory_; }
    Clock &clock() { return clock_; }

    void start() const { primary().start(); }
    void stop() const {
        for (const Node &node : nodes_) node.stop("immediate");
    }

    void crash() const {
        primary().kill();
        primary().start();
    }
    void restart(const std::string &mode) const {
        primary().stop(mode);
        primary().start();
    }
    void crash_standby() const {
        standby().kill();
        standby().start();
    }

    // From one moment to the next the primary is gone, or stops, and the standby takes its place.
    void fail_over(const std::string &mode) {
        if (mode == "kill")
            primary().kill();
        else
            primary().stop(mode);
        standby().promote();
        primary_ = 1 - primary_;
    }

    // Makes the other server a standby of this one. What was the primary may be wound
    // back to where the histories parted; otherwise it is copied anew.
    std::string make_standby(bool rewind) const {
        run("CHECKPOINT");  // pg_rewind looks at the timeline in the control file
        standby().stop("immediate");
        const std::string from =
            "host=" + directory_ + " port=" + primary().port() + " user=postgres dbname=postgres";
        const bool rewound = rewind && wind_back(from);
        if (!rewound) {
            std::filesystem::remove_all(standby().data());
            if (!shell("pg_basebackup -R -X stream -c fast -D " + standby().data() + " -d '" + from + "'"))
                throw std::runtime_error("pg_basebackup failed");
        }
        // Promoted, it has nobody to wait for, whatever it was before.
        std::ofstream(standby().data() + "/postgresql.auto.conf", std::ios::app)
            << "synchronous_standby_names = ''\n";
        standby().start();
        wait_for("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'");
        run("ALTER SYSTEM SET synchronous_standby_names = '*'");
        run("SELECT pg_reload_conf()");
        wait_for("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'");
        return rewound ? "pg_rewind" : "pg_basebackup";
    }

    // Runs one of PostgreSQL's programs, or a command line that begins with it.
    bool shell(const std::string &command) const {
        return std::system((bindir_ + "/" + command + " >>" + directory_ + "/commands.log 2>&1").c_str()) ==
               0;
    }

    // A connection to the primary as soon as it takes one.
    pq::Connection connect(const std::string &database = "postgres") const {
        for (int attempt = 0;; ++attempt) try {
                return pq::Connection(primary_conninfo(database), "torture driver");
            } catch (const pq::Error &) {
                if (attempt > 600) throw;
                pause_ms(50);
            }
    }

  private:
    const Node &primary() const { return nodes_[static_cast<std::size_t>(primary_)]; }
    const Node &standby() const { return nodes_[static_cast<std::size_t>(1 - primary_)]; }

    // The last processes of a server that was killed may still be there.
    bool wind_back(const std::string &source) const {
        for (int attempt = 0; attempt < 20; ++attempt, pause_ms(250))
            if (shell("pg_rewind -R -D " + standby().data() + " --source-server='" + source + "'"))
                return true;
        return false;
    }

    void run(const std::string &sql) const { connect().exec(sql); }
    void wait_for(const std::string &sql) const {
        for (int attempt = 0; connect().exec(sql).number(0, 0) == 0; ++attempt) {
            if (attempt > 2000) throw std::runtime_error("the standby does not follow: " + sql);
            pause_ms(50);
        }
    }

    std::string bindir_, directory_;
    Clock clock_;
    std::array<Node, 2> nodes_;
    std::atomic<int> primary_ = 0;
};
