// Whether the tables, functions and views of the ledger in a database are those that its
// version ships. The server tells that, too: a server that lies in everything is found by a
// digest, and by verifying a physical backup of it elsewhere (docs/ledger_verify.md).
#pragma once

#include <array>
#include <cctype>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

#include "findings.hpp"
#include "pq.hpp"
#include "shipped.hpp"

class Definitions {
  public:
    Definitions(pq::Connection &connection, Findings &findings)
        : connection_(connection), findings_(findings) {}

    // Throws where the version is not known, or the role may not read the tables.
    void check() {
        version_ = installed_version();
        const char *script = Shipped::script_of(version_);
        if (!script)
            throw std::runtime_error("version " + version_ +
                                     " of the extension is not known: use the ledger_verify of that version");
        for (const Table &table : kTables) require_privilege(table.name);
        check_server();
        Shipped shipped(script);
        for (const Table &table : kTables) check_table(table);
        check_indexes();
        check_guards(shipped);
        check_replication_role();
        check_functions(shipped);
        check_views(shipped);
    }

  private:
    // The tables that are read, and their columns in order; later versions may add some.
    struct Table {
        const char *name;
        const char *columns;
    };
    static constexpr std::array<Table, 5> kTables = {{
        {"transfer",
         "id debit_account credit_account amount ref txid created_at seq kind lane hash metadata"},
        {"audit",
         "id seq txid at relation_oid lane hash relation operation actor acting_as application client key "
         "old new"},
        {"seal",
         "number sealed_at transfers audits from_id until_id transfer_root audit_root previous hash heads"},
        {"account", "id asset floor ceiling opened_at state code metadata"},
        {"asset", "id scale code unit description"},
    }};

    void report(const char *problem, std::string detail) {
        findings_.push_back({problem, {.scope = "definition"}, std::move(detail)});
    }

    std::string installed_version() {
        const pq::Result found =
            connection_.exec("SELECT extversion FROM pg_extension WHERE extname = 'ledger'");
        if (found.rows() == 0) throw std::runtime_error("this database has no extension ledger");
        return found.text(0, 0);
    }

    // What the SQL of ledger_verify calls, by which rows are read: shipped ones that were altered in
    // the catalog. Read without an operator or function, and compared here. A replaced body is
    // run only if its language is SQL, which the planner puts into the query: else PostgreSQL
    // goes by the oid.
    void check_server() {
        constexpr long kFirstOfOthers = 16384, kInternal = 12;
        const pq::Result functions = connection_.exec("SELECT oid, proname, prolang FROM pg_proc");
        const std::set<std::string> called(kCalled.begin(), kCalled.end());
        for (int row = 0; row < functions.rows(); ++row)
            if (functions.number(row, 0) < kFirstOfOthers && functions.number(row, 2) != kInternal &&
                called.contains(functions.text(row, 1)))
                report(kAltered,
                       "function pg_catalog." + functions.text(row, 1) + " is not PostgreSQL's own");
        for (const char *query : {"SELECT oid, 'operator ' AS what, oprname, oprcode::oid FROM pg_operator",
                                  "SELECT oid, 'cast ' AS what, oid, castfunc FROM pg_cast",
                                  "SELECT oid, 'type ' AS what, typname, typoutput::oid FROM pg_type"}) {
            const pq::Result found = connection_.exec(query);
            for (int row = 0; row < found.rows(); ++row)
                if (found.number(row, 0) < kFirstOfOthers && found.number(row, 3) >= kFirstOfOthers)
                    report(kAltered, found.text(row, 1) + found.text(row, 2) +
                                         " calls a function that PostgreSQL does not ship");
        }
    }

    static constexpr std::array kCalled = {
        "extract",
        "encode",
        "numeric_mul",
        "int8",
        "numeric",
        "nameeq",
        "namene",
        "oideq",
        "oidge",
        "chareq",
        "charne",
        "int4eq",
        "int8eq",
        "int24gt",
        "texteq",
        "textcat",
        "text",
        "nameregexne",
        "set_config",
        "replace",
        "current_setting",
        "pg_get_viewdef",
        "pg_describe_object",
        "string_agg_transfn",
        "string_agg_finalfn",
        "current_database",
    };

    // What may be wrong with a table, in the order of the columns that check_table() asks for.
    static constexpr std::array kFaults = {
        "is no ordinary table",
        "is no heap",
        "is not logged",
        "has a rule",
        "has row-level security",
        "inherits or is inherited from",
        "has a column of a type that PostgreSQL does not ship",
        "is none of the extension",
    };

    // 16384: the first oid of what is not PostgreSQL's own.
    void check_table(const Table &table) {
        const pq::Result found = connection_.exec(
            "SELECT c.relkind <> 'r' OR c.relispartition, m.amname IS DISTINCT FROM 'heap', "
            "c.relpersistence <> 'p', "
            "EXISTS (SELECT FROM pg_rewrite AS r WHERE r.ev_class = c.oid), "
            "c.relrowsecurity OR EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = c.oid), "
            "EXISTS (SELECT FROM pg_inherits AS i WHERE c.oid IN (i.inhparent, i.inhrelid)), "
            "EXISTS (SELECT FROM pg_attribute AS x WHERE x.attrelid = c.oid AND x.atttypid >= '16384'::oid), "
            "NOT EXISTS (SELECT FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid "
            "WHERE d.classid = 'pg_class'::regclass::oid AND d.objid = c.oid AND d.objsubid = 0 "
            "AND d.refclassid = 'pg_extension'::regclass::oid AND d.deptype = 'e' AND e.extname = 'ledger'), "
            "(SELECT string_agg(x.attname::text || CASE WHEN x.attgenerated <> '' THEN '!'::text "
            "ELSE ''::text END, ' '::text ORDER BY x.attnum) "
            "FROM pg_attribute AS x WHERE x.attrelid = c.oid AND x.attnum > 0) "
            "FROM pg_class AS c LEFT JOIN pg_am AS m ON m.oid = c.relam WHERE c.relname = $1 AND "
            "c.relnamespace = (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = 'ledger_data')",
            {table.name});
        const std::string name = std::string("table ledger_data.") + table.name;
        if (found.rows() == 0) return report(kMissing, name + " does not exist");
        std::string faults;
        for (int fault = 0; fault < static_cast<int>(kFaults.size()); ++fault)
            if (found.text(0, fault) != "f")
                faults += (faults.empty() ? " " : ", ") + std::string(kFaults[static_cast<size_t>(fault)]);
        if (!faults.empty()) report(kAltered, name + faults);
        const std::string columns = found.text(0, kFaults.size());
        if (!(columns + ' ').starts_with(std::string(table.columns) + ' '))
            report(kAltered, name + " has the columns " + columns);
    }

    // Those that REINDEX CONCURRENTLY makes for a while are of another name.
    void check_indexes() {
        const pq::Result found = connection_.exec(
            "SELECT c.relname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid "
            "JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'ledger_data' "
            "AND NOT (i.indisvalid AND i.indisready AND i.indislive) AND c.relname !~ "
            "'_cc(new|old)[0-9]*$'::text "
            "ORDER BY c.relname");
        for (int row = 0; row < found.rows(); ++row)
            report(kAltered, "index ledger_data." + found.text(row, 0) + " is not kept up to date");
    }

    // Read as they are stored: a guard of some columns, with a condition, or of a table that is
    // said to have no triggers does not fire. Internal triggers belong to foreign keys, unless
    // they call something else.
    void check_guards(const Shipped &shipped) {
        std::map<std::string, int> left = shipped.guards;
        const pq::Result found = connection_.exec(
            "SELECT c.relname, t.tgname, t.tgtype, t.tgattr, t.tgqual IS NULL AND NOT t.tgdeferrable "
            "AND NOT t.tginitdeferred AND t.tgenabled IN ('O', 'A') AND c.relhastriggers "
            "AND p.proname = 'guard' AND p.pronamespace = n.oid "
            "FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid "
            "JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_proc AS p ON p.oid = t.tgfoid "
            "WHERE n.nspname = 'ledger_data' AND (NOT t.tgisinternal OR p.oid >= '16384'::oid) ORDER BY 1, "
            "2");
        for (int row = 0; row < found.rows(); ++row) {
            const std::string table = "ledger_data." + found.text(row, 0);
            const auto guard = shipped.guards.find(table);
            if (found.text(row, 1) != "guard" || guard == shipped.guards.end()) {
                report(kInserted, "table " + table + " has a trigger " + found.text(row, 1));
                continue;
            }
            left.erase(table);
            if (found.text(row, 4) != "t" || found.number(row, 2) != guard->second ||
                !found.text(row, 3).empty())
                report(kAltered, "the guard of table " + table + " is disabled or another one");
        }
        for (const auto &[table, type] : left) report(kMissing, "table " + table + " has no guard");
    }

    // With another session_replication_role than origin triggers do not fire. In the server's
    // files it is seen in this session, which begins with it, too.
    void check_replication_role() {
        const pq::Result found = connection_.exec(
            "SELECT s.setconfig, (SELECT a.rolname FROM pg_roles AS a WHERE a.oid = s.setrole) "
            "FROM pg_db_role_setting AS s WHERE s.setdatabase = '0'::oid OR s.setdatabase = "
            "(SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()) "
            "ORDER BY s.setdatabase, s.setrole");
        for (int row = 0; row < found.rows(); ++row) {
            const std::string role = replication_role_in(found.text(row, 0));
            if (!role.empty() && role != "origin")
                report(kInserted,
                       "session_replication_role=" + role + " is set for " +
                           (found.is_null(row, 1) ? "all roles" : "the role " + found.text(row, 1)));
        }
        const std::string now = connection_.exec("SHOW session_replication_role").text(0, 0);
        if (now != "origin") report(kInserted, "session_replication_role is " + now + " in this session");
    }

    // From an array of settings as PostgreSQL writes it; empty where it is not among them.
    static std::string replication_role_in(std::string settings) {
        constexpr std::string_view kName = "session_replication_role=";
        for (char &c : settings) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        const size_t at = settings.find(kName);
        if (at == settings.npos) return "";
        const size_t begin = at + kName.size();
        return settings.substr(begin, settings.find_first_of(",\"}", begin) - begin);
    }

    void check_functions(Shipped &shipped) {
        const pq::Result found = connection_.exec(
            "SELECT n.nspname::text || '.'::text || p.proname::text, "
            "CASE l.lanname WHEN 'c' THEN p.probin || ' '::text || p.prosrc ELSE p.prosrc END "
            "FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace "
            "JOIN pg_language AS l ON l.oid = p.prolang WHERE n.nspname IN ('ledger', 'ledger_data') ORDER "
            "BY 1, 2");
        auto &left = shipped.functions;
        for (int row = 0; row < found.rows(); ++row) {
            const std::string name = found.text(row, 0), body = found.text(row, 1);
            const auto [begin, end] = left.equal_range(name);
            if (begin == end) {
                report(kInserted, "function " + name + " is none of version " + version_);
                continue;
            }
            auto same = begin;
            while (same != end && same->second != body) ++same;
            if (same == end) report(kAltered, "function " + name + " is not that of version " + version_);
            left.erase(same == end ? begin : same);
        }
        for (const auto &[name, body] : left) report(kMissing, "function " + name + " does not exist");
    }

    void check_views(Shipped &shipped) {
        const pq::Result found = connection_.exec(
            "SELECT n.nspname::text || '.'::text || v.relname::text, pg_get_viewdef(v.oid), (SELECT "
            "string_agg(DISTINCT "
            "COALESCE((SELECT x.nspname::text || '.'::text || c.relname::text FROM pg_class AS c JOIN "
            "pg_namespace AS x ON "
            "x.oid = c.relnamespace "
            "WHERE d.refclassid = 'pg_class'::regclass::oid AND c.oid = d.refobjid), "
            "(SELECT x.nspname::text || '.'::text || p.proname::text FROM pg_proc AS p JOIN pg_namespace AS "
            "x ON x.oid = "
            "p.pronamespace "
            "WHERE d.refclassid = 'pg_proc'::regclass::oid AND p.oid = d.refobjid), "
            "replace(pg_describe_object(d.refclassid, d.refobjid, 0), ' '::text, '_'::text)), ' '::text) "
            "FROM pg_rewrite AS r JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass::oid AND d.objid "
            "= "
            "r.oid "
            "WHERE r.ev_class = v.oid AND d.refobjid <> v.oid) "
            "FROM pg_class AS v JOIN pg_namespace AS n ON n.oid = v.relnamespace "
            "WHERE n.nspname IN ('ledger', 'ledger_data') AND v.relkind IN ('v', 'm') ORDER BY 1");
        auto &left = shipped.views;
        for (int row = 0; row < found.rows(); ++row) {
            const std::string name = found.text(row, 0);
            const auto view = left.find(name);
            if (view == left.end()) {
                report(kInserted, "view " + name + " is none of version " + version_);
                continue;
            }
            check_view(name, view->second, found.text(row, 1), found.text(row, 2));
            left.erase(view);
        }
        for (const auto &[name, view] : left) report(kMissing, "view " + name + " does not exist");
    }

    void check_view(const std::string &name, const Shipped::View &shipped, const std::string &query,
                    const std::string &reads) {
        std::set<std::string> names;
        std::istringstream words(reads);
        for (std::string word; words >> word;) names.insert(word);
        if (names != shipped.reads)
            report(kAltered, "view " + name + " reads " + (reads.empty() ? "nothing" : reads));
        else if (const std::string clauses = Shipped::clauses_of(query); clauses != shipped.clauses)
            report(kAltered, "view " + name + " is not that of version " + version_);
    }

    void require_privilege(const std::string &table) {
        const pq::Result found = connection_.exec(
            "SELECT current_user, quote_literal(current_user::text), has_schema_privilege(n.oid, "
            "'USAGE'::text) "
            "AND has_table_privilege(c.oid, 'SELECT'::text) FROM pg_class AS c JOIN pg_namespace AS n ON "
            "n.oid = "
            "c.relnamespace "
            "WHERE n.nspname = 'ledger_data' AND c.relname = $1",
            {table});
        if (found.rows() == 0 || found.text(0, 2) == "t") return;
        throw std::runtime_error("role \"" + found.text(0, 0) + "\" may not read ledger_data." + table +
                                 ". As a superuser, run " +
                                 (version_ < "0.3" ? "ALTER EXTENSION ledger UPDATE; and then " : "") +
                                 "SELECT ledger.grant_access(" + found.text(0, 1) + ", 'auditor');");
    }

    pq::Connection &connection_;
    Findings &findings_;
    std::string version_;
};
