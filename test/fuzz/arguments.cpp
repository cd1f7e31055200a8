// Calls every function of the ledger with random arguments, sensible ones and the
// edges of their types, in every kind of transaction, as every kind of role, under
// settings that change how values are written and names are found. Whatever comes
// must be a result or an error that says what is wrong: no crash, no internal
// error, no hang, nothing written by a READ ONLY transaction, nothing for a role
// without access; and afterwards the ledger must be whole. The functions and their
// arguments are read from the catalog. Prints its seed, and of each finding the
// statements that led to it, to be pasted into psql.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "pq.hpp"
#include "program.hpp"
#include "values.hpp"

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

struct Options {
    int seconds = 60;
    unsigned seed = std::random_device{}();
    unsigned from = 0;      // the first program
    unsigned programs = 0;  // 0: as many as there is time for
    bool prints = false;
};

constexpr const char *kHelp =
    R"(usage: fuzz_arguments [OPTION]...
Fuzzes the ledger's functions in the database that PG* names, which fixture.sql has filled.

  --seconds N   how long (60)
  --seed N      of the programs; printed at the start
  --from N      begin with this program
  --programs N  end after so many programs
  --print       print each program before it runs
  -h, --help
)";

struct Argument {
    std::string name;
    std::string type;
    bool has_default;
};

struct Function {
    std::string name;  // with its schema
    std::vector<Argument> arguments;
    bool is_internal;  // of ledger_data: what it writes breaks the ledger if it is kept
    long calls = 0;
    long successes = 0;
};

// The input arguments of every function there is.
std::vector<Function> read_functions(pq::Connection &database) {
    const pq::Result rows = database.exec(
        "SELECT p.oid::regproc, p.pronamespace = 'ledger_data'::regnamespace, a.name, a.type::regtype, "
        "       a.ordinal > p.pronargs - p.pronargdefaults "
        "FROM pg_proc AS p LEFT JOIN LATERAL "
        "     unnest(p.proargtypes::oid[], p.proargnames[1:p.pronargs]) WITH ORDINALITY AS a (type, name, "
        "ordinal) ON true "
        "WHERE p.pronamespace::regnamespace::text IN ('ledger', 'ledger_data', 'fuzz_call') "
        "ORDER BY p.oid::regprocedure::text, a.ordinal");
    std::vector<Function> functions;
    for (int i = 0; i < rows.rows(); ++i) {
        if (functions.empty() || functions.back().name != rows.text(i, 0))
            functions.push_back({rows.text(i, 0), {}, rows.text(i, 1) == "t"});
        if (!rows.is_null(i, 3))
            functions.back().arguments.push_back({rows.text(i, 2), rows.text(i, 3), rows.text(i, 4) == "t"});
    }
    return functions;
}

// What a statement is run under. Each may be refused; then it is not in force.
const std::vector<std::string> kSettings = {
    "standard_conforming_strings = off",
    "bytea_output = 'escape'",
    "DateStyle = 'German'",
    "DateStyle = 'SQL, DMY'",
    "IntervalStyle = 'iso_8601'",
    "IntervalStyle = 'sql_standard'",
    "extra_float_digits = -15",
    "TimeZone = 'Asia/Kathmandu'",
    "lc_numeric = 'C'",
    "client_encoding = 'LATIN1'",
    "client_encoding = 'SQL_ASCII'",
    "quote_all_identifiers = on",
    "row_security = off",
    "session_replication_role = 'replica'",
    "plan_cache_mode = 'force_generic_plan'",
    "plan_cache_mode = 'force_custom_plan'",
    "force_parallel_mode = on",   // until 15
    "debug_parallel_query = on",  // the same since 16
    "work_mem = '64kB'",
    "search_path = ''",
    "search_path = ledger_data, ledger, fuzz, pg_catalog",
    "search_path = fuzz, public",
    "array_nulls = off",
    "transform_null_equals = on",
    "backslash_quote = off",
    "check_function_bodies = off",
    "max_stack_depth = '100kB'",
    "lock_timeout = '5s'",
    "application_name = 'it''s \"fuzz\"'",
    "synchronous_commit = off",
};

const std::vector<std::string> kBegins = {
    "BEGIN",
    "BEGIN",
    "BEGIN",
    "BEGIN READ ONLY",
    "BEGIN ISOLATION LEVEL REPEATABLE READ",
    "BEGIN ISOLATION LEVEL SERIALIZABLE",
    "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE",
};

const std::vector<std::string> kRoles = {
    "", "", "", "", "", "fuzz_reader", "fuzz_writer", "fuzz_operator", "fuzz_auditor", "fuzz_nobody"};

// Errors that random work may meet: the ledger's own, data and syntax, constraints,
// privileges, states, limits. Not among them: internal errors, an exception
// without a code (P0001), a row that was not there (P0002), memory, crashes.
bool is_expected(const std::string &sqlstate) {
    static const std::set<std::string, std::less<>> kClasses = {
        "LG", "22", "23", "25", "28", "2B", "2F", "39", "3B", "3F", "40", "42", "54", "55", "0A"};
    return kClasses.contains(sqlstate.substr(0, 2));
}

// Internals, called by hand as nobody should: one says that the ledger is damaged when
// told of an account that is not there, since its caller has read its number there; one
// raises what it is told to.
bool is_explained(const std::string &function, const std::string &sqlstate) {
    return (function == "ledger_data.post_reversal" && sqlstate == "XX001") ||
           (function == "ledger_data.refuse" && sqlstate.starts_with("LG"));
}

// A statement's outcome.
struct Outcome {
    std::string sqlstate;  // "" for a success
    std::string complaint;
};

class Session {
  public:
    Session() : connection_(nullptr, &PQfinish) {}

    bool connect() {
        for (int attempt = 0; attempt < 120; ++attempt) {
            connection_.reset(PQconnectdb("application_name=fuzz options='-c statement_timeout=30s'"));
            if (is_alive()) break;
            std::this_thread::sleep_for(500ms);
        }
        PQsetNoticeReceiver(connection_.get(), &note_warning, &warning_);
        return is_alive();
    }

    bool is_alive() const { return PQstatus(connection_.get()) == CONNECTION_OK; }
    bool is_in_transaction() const { return PQtransactionStatus(connection_.get()) != PQTRANS_IDLE; }
    bool is_aborted() const { return PQtransactionStatus(connection_.get()) == PQTRANS_INERROR; }

    Outcome run(const std::string &sql) {
        const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(connection_.get(), sql.c_str()),
                                                                   &PQclear);
        if (!is_alive()) return {"08006", PQerrorMessage(connection_.get())};
        const ExecStatusType status = PQresultStatus(result.get());
        if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) return {};
        return outcome_of(result.get());
    }

    // The last warning since it was asked for, or "".
    std::string take_warning() { return std::exchange(warning_, ""); }

    // The first column of the first row, or "".
    std::string value(const std::string &sql) {
        const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(connection_.get(), sql.c_str()),
                                                                   &PQclear);
        return PQntuples(result.get()) > 0 ? PQgetvalue(result.get(), 0, 0) : "";
    }

  private:
    static void note_warning(void *warning, const PGresult *notice) {
        const char *severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
        if (severity && std::string_view(severity) == "WARNING")
            *static_cast<std::string *>(warning) = PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY);
    }

    static Outcome outcome_of(const PGresult *result) {
        const auto field = [&](int code) -> std::string {
            const char *text = PQresultErrorField(result, code);
            return text ? text : "";
        };
        Outcome outcome = {field(PG_DIAG_SQLSTATE), ""};
        const std::string told = outcome.sqlstate + ": " + field(PG_DIAG_MESSAGE_PRIMARY);
        const bool ours = field(PG_DIAG_SOURCE_FILE).ends_with(".cpp");
        if (!is_expected(outcome.sqlstate)) {
            outcome.complaint = told;
        } else if (ours || outcome.sqlstate.starts_with("LG")) {
            if (field(PG_DIAG_MESSAGE_PRIMARY).empty()) outcome.complaint = told + " (no message)";
            if (field(PG_DIAG_MESSAGE_HINT).empty()) outcome.complaint = told + " (no hint)";
        }
        return outcome;
    }

    std::unique_ptr<PGconn, decltype(&PQfinish)> connection_;
    std::string warning_;
};

// One transaction, or a few statements without one, and what is said of it.
class Program {
  public:
    Program(Session &session, std::vector<Function> &functions, unsigned seed, unsigned number, bool prints)
        : session_(session),
          functions_(functions),
          number_(number),
          values_(seed ^ number * 2654435761U),
          prints_(prints) {}

    // Complaints, each with the statements up to it.
    std::vector<std::pair<std::string, std::string>> run() {
        settle();
        if (values_.chance(85))
            transaction();
        else
            call(false);
        if (session_.is_alive()) leave();
        return std::move(complaints_);
    }

    long calls() const { return calls_; }
    const std::map<std::string, long> &refusals() const { return refusals_; }

  private:
    Outcome send(const std::string &sql) {
        script_ += sql + ";\n";
        if (prints_) std::printf("%s;\n", sql.c_str());
        return session_.run(sql);
    }

    void complain(const std::string &complaint) { complaints_.emplace_back(complaint, script_); }

    // Statements of the program's own, which have no reason to fail.
    void must(const std::string &sql) {
        const Outcome outcome = send(sql);
        if (!outcome.sqlstate.empty() && !is_expected(outcome.sqlstate)) complain(outcome.complaint);
    }

    void settle() {
        for (unsigned i = values_.below(3); i > 0; --i) send("SET " + values_.pick(kSettings));
        role_ = values_.pick(kRoles);
        if (!role_.empty()) send("SET SESSION AUTHORIZATION " + role_);
    }

    void leave() {
        if (session_.is_in_transaction()) send("ROLLBACK");
        send("RESET SESSION AUTHORIZATION");
        send("RESET ALL");
        send("DEALLOCATE ALL");
    }

    void transaction() {
        const std::string begin = values_.pick(kBegins);
        must(begin);
        if (role_.empty() && values_.chance(5)) send("CREATE TEMPORARY TABLE fuzz_temporary (id int)");
        bool keeps = values_.chance(40);
        for (unsigned i = 1 + values_.below(5); i > 0 && session_.is_alive() && !session_.is_aborted(); --i) {
            const bool guarded = values_.chance(60);
            if (guarded) send("SAVEPOINT s");
            keeps = call(true) && keeps;
            if (guarded && session_.is_alive())
                send(values_.chance(60) && !session_.is_aborted() ? "RELEASE s" : "ROLLBACK TO s");
        }
        if (!session_.is_alive()) return;
        if (begin.find("READ ONLY") != std::string::npos && !session_.is_aborted() &&
            session_.value("SELECT pg_current_xact_id_if_assigned()") != "")
            complain("a READ ONLY transaction has written");
        end(keeps);
    }

    void end(bool keeps) {
        if (keeps && role_.empty() && values_.chance(10) && !session_.is_aborted()) {
            if (!send("PREPARE TRANSACTION 'fuzz'").sqlstate.empty()) return;
            must(values_.chance(50) ? "COMMIT PREPARED 'fuzz'" : "ROLLBACK PREPARED 'fuzz'");
        } else {
            must(keeps ? "COMMIT" : "ROLLBACK");
        }
    }

    // Calls a function; false if what it did must not be kept.
    bool call(bool in_transaction) {
        // Each in its turn, so that none is left out.
        Function *function = &functions_[(number_ * 7 + calls_) % functions_.size()];
        while (!in_transaction && function->is_internal)
            function = &functions_[values_.below(static_cast<unsigned>(functions_.size()))];
        ++calls_;
        ++function->calls;
        values_.begin_call();
        const std::string sql = statement(*function);
        session_.take_warning();
        const Outcome outcome = send(sql);
        // Leaks are told in warnings; of ours there are none, but for what internals say.
        const std::string warning = session_.take_warning();
        if (!warning.empty() && !function->is_internal) complain(function->name + " warns: " + warning);
        if (outcome.sqlstate.empty()) {
            ++function->successes;
            if (role_ == "fuzz_nobody" && !swallows_ && function->name.starts_with("ledger"))
                complain("a role without access has called " + function->name);
        } else {
            ++refusals_[outcome.sqlstate];
            const bool is_fine =
                is_explained(function->name, outcome.sqlstate) || (outcome.sqlstate == "57014" && is_large());
            if (!outcome.complaint.empty() && !is_fine) complain(function->name + ": " + outcome.complaint);
        }
        return !function->is_internal;
    }

    // What takes long is not a finding where a million elements were given.
    bool is_large() const { return script_.find("00000") != std::string::npos; }

    std::string statement(const Function &function) {
        swallows_ = false;
        switch (values_.below(10)) {
            case 0:
                return "DO $fuzz$ BEGIN PERFORM " + invocation(function) + "; END $fuzz$";
            case 1:
                swallows_ = true;
                return "DO $fuzz$ BEGIN PERFORM " + invocation(function) +
                       "; EXCEPTION WHEN internal_error THEN RAISE; WHEN OTHERS THEN NULL; END $fuzz$";
            case 2:
                return prepared(function);
            case 3:
                return "SELECT " + invocation(function) + " FROM generate_series(1, 3)";
            case 4:
                return "SELECT " + invocation(function);
            case 5:
                return "SELECT * FROM (VALUES (1), (2)) AS v (i), LATERAL " + invocation(function) + " AS f";
            default:
                return "SELECT * FROM " + invocation(function);
        }
    }

    // Its name with arguments, by position or by name.
    std::string invocation(const Function &function) {
        const std::vector<std::string> values = arguments(function);
        const bool by_name =
            values_.chance(30) && !function.arguments.empty() && !function.arguments[0].name.empty();
        std::string list;
        for (std::size_t i = 0; i < values.size(); ++i) {
            if (function.arguments[i].has_default && values_.chance(30)) {
                if (by_name) continue;
                break;
            }
            list += (list.empty() ? "" : ", ") +
                    (by_name ? quoted(function.arguments[i].name) + " => " : "") + values[i];
        }
        return function.name + "(" + list + ")";
    }

    std::string prepared(const Function &function) {
        std::string types, parameters, values;
        for (const std::string &value : arguments(function)) {
            const std::string number =
                std::to_string(std::count(parameters.begin(), parameters.end(), '$') + 1);
            types += (types.empty() ? "" : ", ") + function.arguments[std::stoul(number) - 1].type;
            parameters += (parameters.empty() ? "$" : ", $") + number;
            values += (values.empty() ? "" : ", ") + value;
        }
        send("DEALLOCATE ALL");
        const auto list = [](const std::string &items) { return items.empty() ? "" : "(" + items + ")"; };
        const std::string prepare =
            "PREPARE p" + list(types) + " AS SELECT * FROM " + function.name + "(" + parameters + ")";
        if (!send(prepare).sqlstate.empty()) return prepare;
        return "EXECUTE p" + list(values);
    }

    // Mostly what makes sense but for one, or all of it, or none.
    std::vector<std::string> arguments(const Function &function) {
        const unsigned odd = values_.below(static_cast<unsigned>(function.arguments.size()) + 1);
        const unsigned percent = values_.pick(std::vector{0U, 0U, 0U, 20U, 50U, 100U});
        const bool one_is_odd = values_.chance(50);
        std::vector<std::string> values;
        for (const Argument &argument : function.arguments) {
            const bool edge = values_.chance(percent) || (one_is_odd && values.size() == odd);
            values.push_back(
                "(" + (edge ? values_.edge(argument.type) : values_.sensible(argument.type, argument.name)) +
                ")::" + argument.type);
        }
        return values;
    }

    static std::string quoted(const std::string &name) { return '"' + name + '"'; }

    Session &session_;
    std::vector<Function> &functions_;
    unsigned number_;
    Values values_;
    bool prints_;
    bool swallows_ = false;
    std::string role_;
    std::string script_;
    unsigned calls_ = 0;
    std::map<std::string, long> refusals_;
    std::vector<std::pair<std::string, std::string>> complaints_;
};

// The same but for the numbers and names in it.
std::string kind_of(const std::string &complaint) {
    std::string kind;
    for (const char c : complaint.substr(0, complaint.find('"')))
        if (c < '0' || c > '9') kind += c;
    return kind;
}

class Fuzzer {
  public:
    explicit Fuzzer(const Options &options) : options_(options) {}

    bool run() {
        std::printf("seed %u\n", options_.seed);
        if (!session_.connect()) throw std::runtime_error("cannot connect");
        pq::Connection database("", "fuzz");
        functions_ = read_functions(database);
        const Clock::time_point end = Clock::now() + std::chrono::seconds(options_.seconds);
        unsigned number = options_.from;
        for (; Clock::now() < end && (options_.programs == 0 || number < options_.from + options_.programs);
             ++number) {
            if (number % 200 == 0) refresh();
            run_program(number);
        }
        check_ledger("the end");
        report(number - options_.from);
        return findings_.empty();
    }

  private:
    void run_program(unsigned number) {
        Program program(session_, functions_, options_.seed, number, options_.prints);
        for (const auto &[complaint, script] : program.run()) tell(number, complaint, script);
        calls_ += program.calls();
        for (const auto &[sqlstate, count] : program.refusals()) refusals_[sqlstate] += count;
        if (!session_.is_alive() && !session_.connect())
            throw std::runtime_error("the server does not come back");
    }

    void tell(unsigned number, const std::string &complaint, const std::string &script) {
        if (++findings_[kind_of(complaint)] > 1) return;
        std::printf("\nFINDING (--seed %u --from %u --programs 1): %s\n%s", options_.seed, number,
                    complaint.c_str(), script.c_str());
    }

    // A new session, and accounts that can be used again.
    void refresh() {
        if (number_of_sessions_++ > 0) check_ledger("a session");
        if (!session_.connect()) throw std::runtime_error("the server does not come back");
        session_.run(
            "SELECT ledger.unfreeze_account(account) FROM ledger.accounts WHERE state = 'frozen' AND account "
            "<> 'frozen'");
        session_.run("SELECT ledger.transfer('world', 'a' || i, 100) FROM generate_series(0, 9) AS i");
        session_.run("SELECT ledger.hold('a' || i, 'world', 1) FROM generate_series(0, 9) AS i");
        session_.run("SELECT ledger.add_stock('s' || i, 100) FROM generate_series(0, 4) AS i");
        session_.run("SELECT ledger.add_client('shop', repeat('s', 32))");
        session_.run("SELECT ledger.rotate_client('shop', repeat('s', 32))");
    }

    void check_ledger(const char *when) {
        for (const char *check : {"SELECT c::text FROM ledger.check_invariants() AS c",
                                  "SELECT v::text FROM ledger.verify() AS v"}) {
            const Outcome outcome = session_.run(check);
            const std::string wrong = session_.value(check);
            if (!outcome.sqlstate.empty())
                tell(0, outcome.complaint.empty() ? outcome.sqlstate : outcome.complaint, check);
            if (!wrong.empty())
                tell(0, "the ledger is not whole after " + std::string(when) + ": " + wrong, check);
        }
    }

    void report(unsigned programs) {
        long called = 0, succeeded = 0;
        std::string never;
        for (const Function &function : functions_) {
            called += function.calls > 0;
            succeeded += function.successes > 0;
            if (function.successes == 0) never += " " + function.name;
        }
        std::printf("\nrefusals:");
        for (const auto &[sqlstate, count] : refusals_) std::printf(" %s %ld", sqlstate.c_str(), count);
        std::printf("\nnever succeeded:%s\n", never.empty() ? " none" : never.c_str());
        std::printf(
            "seed %u: %u programs, %ld calls; of %zu functions %ld called, %ld with success; %zu kinds of "
            "findings\n",
            options_.seed, programs, calls_, functions_.size(), called, succeeded, findings_.size());
    }

    const Options options_;
    Session session_;
    std::vector<Function> functions_;
    std::map<std::string, long> refusals_;
    std::map<std::string, long> findings_;
    long calls_ = 0;
    long number_of_sessions_ = 0;
};

}  // namespace

int main(int argc, char **argv) {
    return run_program("fuzz_arguments", [&] {
        Options options;
        take_options("fuzz_arguments", kHelp, argc, argv,
                     {{"seconds", [&](const char *text) { options.seconds = positive("seconds", text); }},
                      {"seed", [&](const char *text) { options.seed = seed_from(text); }},
                      {"from", [&](const char *text) { options.from = seed_from(text); }},
                      {"programs",
                       [&](const char *text) {
                           options.programs = static_cast<unsigned>(positive("programs", text));
                       }},
                      {"print", [&](const char *) { options.prints = true; }, true}});
        return Fuzzer(options).run();
    });
}
