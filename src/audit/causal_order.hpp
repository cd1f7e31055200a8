// The order in which rows were changed, found from the order in which their AFTER triggers
// fired. A trigger fires at the end of its statement, so the statements that triggers and
// functions run within it come before it, though some of its changes were made first.
//
// What is known of each change: the number of its command, where the row's versions before
// and after it are, and their primary keys. What follows from that:
//   - Changes that a command made itself are told in their order.
//   - A version is made before it ends.
//   - Versions of one key follow each other, and they end in the order of commands: a command
//     ends only versions that commands before it made, and where one statement runs within
//     another, the outer one waits. So the one that ends first is followed by the next.
// The number of the command alone does not do: where a BEFORE trigger of an INSERT deletes a
// row under the same key, the DELETE is of a later command, and made first.
//
// These are edges of a graph, which is sorted topologically: A. B. Kahn, Topological sorting
// of large networks, Communications of the ACM 5 (11), 1962. Among changes that are free to
// come next, the earliest command comes first, and of one command the one told first.
// Time n log n, memory about 150 bytes a change.
#pragma once

#include "pg/postgres.hpp"

namespace ledger {

struct RowChange {
    CommandId command;
    Oid relation;
    Oid storage;                  // the relation's file, in which the places are
    bool is_truncate;             // places after it are not those of before
    ItemPointerData old_version;  // invalid: there is none
    ItemPointerData new_version;
    std::string_view old_key;  // empty without a primary key
    std::string_view new_key;
};

struct CausalOrder {
    int *changes;
    int count;
    bool
        is_certain;  // false: it is another if a version that seems to live is ended by a change not told yet
};

constexpr int kAllChanges = -1;

// The order of the changes, or its beginning up to the change last. In the current memory
// context. Where edges make a circle, as keys that are checked at commit only may do, one
// of them is left out.
CausalOrder causal_order(const RowChange *changes, int count, int last);

}  // namespace ledger
