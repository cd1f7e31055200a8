// The audit log: changes are gathered in memory and appended to ledger_data.audit many
// at a time, in the order in which they were made (causal_order.hpp): at the end of each
// outermost statement, or as soon as they are many, or at commit. Each belongs to the
// subtransaction it was made in, and is forgotten with it.
#pragma once

#include "pg/postgres.hpp"

namespace ledger {

// A change in the making. Its values stand in bytes from start on, as varlenas; key,
// old_row and new_row are where, counted from start, or kAbsent.
struct Draft {
    static constexpr int kAbsent = -1;
    StringInfo bytes;
    int start;
    int key = kAbsent;
    int old_row = kAbsent;
    int new_row = kAbsent;
    // For the order alone:
    int old_key = kAbsent;                 // where it differs from key
    CommandId command = InvalidCommandId;  // that made the change; invalid: the present one
    bool is_command_certain = true;
    Oid storage = InvalidOid;          // the file in which the row's versions are
    ItemPointerData old_version = {};  // where; invalid for none
    ItemPointerData new_version = {};
    bool is_truncate = false;
};

// A draft in the log's own memory; or, where writing it may run code that comes to the log
// itself, apart.
Draft begin_change(bool runs_foreign_code);

int begin_value(Draft &draft);
void end_value(Draft &draft, int value);

// A value that write(StringInfo) writes: where it is.
template <typename Write>
int add_value(Draft &draft, Write write) {
    const int value = begin_value(draft);
    write(draft.bytes);
    end_value(draft, value);
    return value;
}

// Logs the change of that table, whose name is as in SQL. operation is a constant.
void add_change(Oid relation_id, const char *relation, const char *operation, const Draft &draft);

// What a function of the ledger, not a trigger, has gathered is written, unless a statement
// is running around it, or an outer subtransaction has gathered something before: then it
// waits for that.
void end_statement();

void register_log_callbacks();

}  // namespace ledger
