// What the tables say of the transactions that clients made.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "deed.hpp"
#include "session.hpp"

// A transfer.
struct Row {
    Id id;
    Kind kind;
    std::string source, destination;
    std::int64_t amount;
    Id ref;
    Id txid;
    Microseconds at;
    std::string name;              // of the call under a key, or of the branch, that made it
    std::string transaction = {};  // of the client whose xid it has
};

struct Look {
    std::map<std::string, Id> marks;  // name to txid; they are read once
    std::set<std::string> prepared;
    std::vector<Row> rows;  // of higher ids than asked for, in their order
    long count;             // of all
};

inline Look look_at(Session &database, Id from) {
    Look look;
    const pq::Result marks = database.exec(
        "WITH m AS (DELETE FROM mark RETURNING name, xid) SELECT name, xid + COALESCE((SELECT base FROM "
        "ledger_data.installation), 0) FROM m");
    for (int i = 0; i < marks.rows(); ++i) look.marks[marks.text(i, 0)] = marks.number(i, 1);
    const pq::Result gids =
        database.exec("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()");
    for (int i = 0; i < gids.rows(); ++i) look.prepared.insert(gids.text(i, 0));
    const pq::Result rows = database.exec(
        "SELECT t.id, t.kind, d.code, c.code, t.amount, t.ref, t.txid, (EXTRACT(epoch FROM t.created_at) * "
        "1000000)::bigint, COALESCE(r.key, b.xid || '/' || b.branch) FROM ledger_data.transfer AS t JOIN "
        "ledger_data.account AS d ON d.id = t.debit_account JOIN ledger_data.account AS c ON c.id = "
        "t.credit_account "
        "LEFT JOIN ledger_data.request AS r ON r.transfer = t.id AND r.transfer > $1 LEFT JOIN "
        "ledger_data.tcc_branch AS b ON b.hold = t.id WHERE t.id > $1 ORDER BY t.id",
        {std::to_string(from)});
    for (int i = 0; i < rows.rows(); ++i)
        look.rows.push_back({rows.number(i, 0), static_cast<Kind>(rows.number(i, 1)), rows.text(i, 2),
                             rows.text(i, 3), rows.number(i, 4), rows.number(i, 5), rows.number(i, 6),
                             rows.number(i, 7), rows.text(i, 8)});
    look.count = database.exec("SELECT count(*) FROM ledger_data.transfer").number(0, 0);
    return look;
}
