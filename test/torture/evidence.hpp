// Digests and proofs that were taken, and must hold whatever happens after.
#pragma once

#include <sys/wait.h>

#include <fstream>
#include <string>
#include <vector>

#include "world.hpp"

class Evidence {
  public:
    // A digest counts once a commit after it was acknowledged: then its seal has reached the standby.
    void take(World &world, Session &session) {
        const pq::Result digest = session.exec("SELECT ledger.digest()");
        if (digest.is_null(0, 0)) return;
        const std::string text = digest.text(0, 0);
        session.exec("SELECT ledger.accept_message('digest', '" + std::to_string(++count_) + "')");
        if (session.unreplicated()) return;
        // The first, and the newest few.
        constexpr std::size_t kKept = 4;
        if (digests_.size() == kKept) digests_.erase(digests_.begin() + 1);
        digests_.push_back(text);
        consistency_ =
            session.exec("SELECT ledger.consistency_proof(($1::jsonb ->> 'seal')::bigint)", {digests_[0]})
                .text(0, 0);
        write(world, "consistency", consistency_);
    }

    void take_proof(World &world, Session &session, Id id) {
        inclusion_ = session.exec("SELECT ledger.inclusion_proof($1)", {std::to_string(id)}).text(0, 0);
        write(world, "inclusion", inclusion_);
    }

    // All of it against the database, by the database.
    void check(World &world, Session &session, const std::string &check) const {
        for (const std::string &digest : digests_) verify(world, session, check, digest);
        if (digests_.empty())
            world.ask(session, check,
                      "SELECT concat_ws(', ', scope, lane, seq, id, problem) FROM ledger.verify()");
    }

    // One of the digests, in the middle of work.
    void check_one(World &world, Session &session) const {
        if (!digests_.empty())
            verify(world, session, "digest", digests_[static_cast<std::size_t>(count_) % digests_.size()]);
    }

    // The same by the program that trusts nothing but the rows. Without a digest it says 3.
    void check_outside(World &world) const {
        std::string command =
            world.cluster.directory() + "/ledger_verify --no-progress -d '" + world.primary() + "'";
        for (std::size_t i = 0; i < digests_.size(); ++i)
            command += " --digest " + write(world, "digest" + std::to_string(i), digests_[i]);
        const std::string proofs =
            (inclusion_.empty() ? "" : " --proof " + file(world, "inclusion")) +
            (consistency_.empty() ? "" : " --consistency " + file(world, "consistency"));
        const std::string log = file(world, "ledger_verify.log");
        const int status = std::system((command + proofs + " >" + log + " 2>&1").c_str());
        if (WIFEXITED(status) && WEXITSTATUS(status) == (digests_.empty() ? 3 : 0)) return;
        std::ifstream told(log);
        for (std::string line; std::getline(told, line);) world.complain({"ledger_verify: " + line, {}});
    }

  private:
    static void verify(World &world, Session &session, const std::string &check, const std::string &digest) {
        world.ask(session, check,
                  "SELECT concat_ws(', ', scope, lane, seq, id, problem) FROM ledger.verify_digest('" +
                      digest + "')");
    }

    static std::string file(World &world, const std::string &name) {
        return world.cluster.directory() + "/" + name;
    }
    static std::string write(World &world, const std::string &name, const std::string &text) {
        std::ofstream(file(world, name)) << text;
        return file(world, name);
    }

    int count_ = 0;
    std::vector<std::string> digests_;
    std::string inclusion_, consistency_;
};
