// Random programs on a ledger by many connections, under everything that may befall a
// server, and after each round the question whether what was told is true (model.hpp).
// Meanwhile observers look at every snapshot they can get, of the primary and of its
// standby, and administrators do their work (chores.hpp). The seed decides the faults
// and the dice of every worker; where these lead depends on what each is told, and so
// on how they interleave: the same seed is the same kind of run, not the same run.
// Stops at the first failure.
#include <cstdio>
#include <optional>
#include <thread>

#include "checks.hpp"
#include "chores.hpp"
#include "cluster.hpp"
#include "faults.hpp"
#include "observer.hpp"
#include "plant.hpp"
#include "program.hpp"
#include "trials.hpp"
#include "watchdog.hpp"
#include "worker.hpp"

namespace {

constexpr const char *kHelp =
    "torture [--rounds N | --minutes N] [--connections N] [--round-ms N] [--seed N]\n"
    "        [--trial NAME] [--plant NAME] --bindir DIR --directory DIR\n";

struct Options {
    int rounds = 100;
    int minutes = 0;  // instead of rounds
    int connections = 12;
    int round_ms = 2000;
    unsigned seed = std::random_device{}();
    std::string trial;  // of every round, instead of one after the other
    std::string plant;
    std::string bindir, directory;  // the server's programs; where its data is
};

class Torture {
  public:
    explicit Torture(const Options &options)
        : options_(options),
          random_(options.seed),
          cluster_(options.bindir, options.directory),
          world_(cluster_) {
        world_.plant = options.plant;
    }

    bool run() {
        cluster_.start();
        set_up(world_);
        cluster_.make_standby(false);
        take_first_digest();
        for (bool last = false; !last;) {
            ++world_.round;
            last = is_last();
            if (!round(last)) return false;
        }
        const bool complete = report();
        cluster_.stop();
        return complete;
    }

    ~Torture() { cluster_.stop(); }

  private:
    // What every later state is held against.
    void take_first_digest() {
        Session session = world_.session();
        session.exec("SELECT ledger.seal()");
        evidence_.take(world_, session);
    }

    bool is_last() const {
        if (options_.minutes == 0) return world_.round == options_.rounds;
        return std::chrono::steady_clock::now() - began_ > std::chrono::minutes(options_.minutes);
    }

    bool round(bool last) {
        alarm(kRoundSecondsMax);
        trials_.choose(options_.trial);
        try {
            const std::vector<Dump> dumps = work();
            trials_.before_checks();
            Session session = world_.session();
            check(session, dumps, last);
        } catch (const pq::Error &error) {
            world_.complain({"driver: " + error.sqlstate() + " " + error.what(), {"driver"}});
        } catch (const ConnectionLost &) {
            world_.complain({"driver: the server closed the connection", {"driver"}});
        }
        return judge();
    }

    void check(Session &session, const std::vector<Dump> &dumps, bool last) {
        if (failed_over_) ++standbys_[cluster_.make_standby(random_() % 3 > 0)];
        // Some prepared transactions live on into the next round.
        const bool none_prepared = last || trials_.wants_none_prepared() || random_() % 3 == 0;
        if (none_prepared) {
            finish_all_prepared(world_, session, random_);
            drop_invalid_indexes(session);
        }
        give_back_old_holds(world_, session);
        check_all(world_, session, evidence_);
        if (failed_over_ || world_.round % 5 == 0 || last) evidence_.check_outside(world_);
        for (const Dump &dump : dumps) check_dump(world_, dump);
        dumps_ += dumps.size();
        if (last) check_idle(world_, session);
        session.close();
        trials_.after_checks();
        if (none_prepared && random_() % 3 == 0) {
            check_template(world_, evidence_);
            ++templates_;
        }
    }

    // Everybody works until a fault strikes, and has gone when this returns; the dumps
    // that were taken.
    std::vector<Dump> work() {
        const Watchdog watchdog(world_);
        Chores chores(world_, evidence_, static_cast<unsigned>(random_()));
        world_.running = true;
        std::vector<std::thread> threads;
        threads.emplace_back([&] { observe(world_, world_.primary(), "observer", world_.snapshots); });
        threads.emplace_back(
            [&] { observe(world_, world_.standby(), "standby observer", world_.standby_snapshots); });
        threads.emplace_back([&] { chores.run(); });
        for (int i = 0; i < options_.connections; ++i)
            threads.emplace_back(
                [&, i, seed = static_cast<unsigned>(random_())] { Worker(world_, i, seed).run(); });
        const auto end_work = [&] {
            world_.running = false;
            for (std::thread &thread : threads) thread.join();
            trials_.join();
        };
        try {
            trials_.run();
            disturb(world_, random_, options_.round_ms, [this] { return trial_goes_on(); });
            plant(world_);
            fault_ = trials_.wants_no_fault() ? "none" : faults_.strike(world_, random_);
            failed_over_ = fault_.starts_with("promotion");
        } catch (...) {
            end_work();
            throw;
        }
        end_work();
        Session session = world_.session();
        wait_for_quiet(session);
        return chores.dumps();
    }

    // Most have their time; others are struck by the fault of the round.
    bool trial_goes_on() {
        if (!trials_.is_running()) return false;
        if (!options_.plant.empty()) return true;
        return world_.round % 3 != 0;
    }

    // Prints the round, and what is wrong with it.
    bool judge() {
        const Complaints complaints = world_.take_complaints();
        std::printf(
            "round %d: %ld transactions, %ld acknowledged, %ld transfers, %ld and %ld snapshots; trial: "
            "%s; fault: %s%s\n",
            world_.round, world_.model.begun(), world_.model.acknowledged(), world_.model.transfers(),
            world_.snapshots.load(), world_.standby_snapshots.load(), trials_.told().c_str(), fault_.c_str(),
            complaints.empty() ? "" : "  FAILED");
        std::fflush(stdout);
        if (complaints.empty()) {
            world_.history.turn_over();
            return true;
        }
        constexpr std::size_t kComplaintsShown = 20, kLinesShown = 60;
        std::set<std::string> about;
        std::set<std::string> told;  // an observer sees the same again and again
        for (const Complaint &complaint : complaints) {
            if (told.size() == kComplaintsShown || !told.insert(complaint.text).second) continue;
            std::fprintf(stderr, "  %s\n", complaint.text.c_str());
            if (about.size() < 4) about.insert(complaint.about.begin(), complaint.about.end());
        }
        about.erase("");
        std::fprintf(stderr,
                     "%zu complaints. History of what they are about (seconds, transaction | sent | told):\n",
                     complaints.size());
        for (const std::string &line : world_.history.about(about, kLinesShown))
            std::fprintf(stderr, "  %.300s\n", line.c_str());
        return false;
    }

    // What was done, and whether no function was left out.
    bool report() {
        std::printf("\nfaults:\n");
        for (const auto &[fault, count] : faults_.count()) std::printf("  %5ld %s\n", count, fault.c_str());
        std::printf("trials:\n");
        for (const auto &[trial, count] : trials_.count()) std::printf("  %5ld %s\n", count, trial.c_str());
        for (const auto &[how, count] : standbys_)
            std::printf("  %5ld standby made by %s\n", count, how.c_str());
        std::printf("copies:\n  %5zu dumps restored\n  %5zu templates\n", dumps_, templates_);
        std::printf("functions called with success:\n");
        for (const auto &[name, count] : world_.history.calls())
            std::printf("  %8ld %s\n", count, name.c_str());
        Session session = world_.session();
        const std::set<std::string> never = never_called(world_, session);
        for (const std::string &name : never) std::printf("  %8d %s\n", 0, name.c_str());
        return never.empty() || world_.round < kLongRun;
    }

    static constexpr int kRoundSecondsMax = 900;  // who waits longer waits for ever
    static constexpr int kLongRun = 20;           // rounds in which every function must have had its turn

    const Options options_;
    std::mt19937 random_;
    Cluster cluster_;
    World world_;
    Evidence evidence_;
    Faults faults_;
    Trials trials_{world_, evidence_, random_};
    std::string fault_;
    bool failed_over_ = false;
    std::map<std::string, long> standbys_;
    std::size_t dumps_ = 0, templates_ = 0;
    const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

Options parse(int argc, char **argv) {
    Options options;
    take_options(
        "torture", kHelp, argc, argv,
        {{"rounds", [&](const char *value) { options.rounds = positive("rounds", value); }},
         {"minutes", [&](const char *value) { options.minutes = positive("minutes", value); }},
         {"connections", [&](const char *value) { options.connections = positive("connections", value); }},
         {"round-ms", [&](const char *value) { options.round_ms = positive("round-ms", value); }},
         {"seed", [&](const char *value) { options.seed = seed_from(value); }},
         {"trial", [&](const char *value) { options.trial = value; }},
         {"plant", [&](const char *value) { options.plant = value; }},
         {"bindir", [&](const char *value) { options.bindir = value; }},
         {"directory", [&](const char *value) { options.directory = value; }}});
    if (options.bindir.empty() || options.directory.empty())
        throw std::invalid_argument("--bindir and --directory are needed");
    if (!options.trial.empty() && !Trials::is_one(options.trial))
        throw std::invalid_argument("no trial is called " + options.trial);
    if (!options.plant.empty() && !plants().contains(options.plant)) {
        std::string names;
        for (const auto &[name, planted] : plants()) names += " " + name;
        throw std::invalid_argument("the plants are" + names);
    }
    return options;
}

}  // namespace

int main(int argc, char **argv) {
    std::signal(SIGALRM, [](int) {
        constexpr char kMessage[] = "torture: a round does not end\n";
        _exit(write(STDERR_FILENO, kMessage, sizeof kMessage - 1) > 0 ? 1 : 2);
    });
    return run_program("torture", [&] {
        const Options options = parse(argc, argv);
        std::printf("seed %u\n", options.seed);
        const bool sound = Torture(options).run();
        if (!sound)
            std::fprintf(stderr, "failed; again with --seed %u --connections %d --round-ms %d\n",
                         options.seed, options.connections, options.round_ms);
        return sound;
    });
}
