// Finds the order in which rows were changed from the order in which their AFTER triggers
// fired. A trigger fires at the end of its statement. Statements that triggers and functions
// run inside end before, and their triggers fire first, though the outer statement may have
// made its changes earlier.
//
// Each change is known with the number of its command, the places of the row's versions before
// and after the change, and the primary keys of these versions. From that follows:
//   - Changes that one command made itself fire in their order.
//   - A version is made before another change ends it.
//   - Versions of one key follow each other, and end in the order of commands: a command ends
//     only versions that earlier commands made, and an outer statement waits while an inner
//     one runs. So the version that ends first is followed by the next.
// The number of the command alone does not give the order. Where a BEFORE trigger of an INSERT
// deletes a row with the same key, the DELETE has the later command, and was made first.
//
// These rules are the edges of a graph, which is sorted topologically: A. B. Kahn, Topological
// sorting of large networks, Communications of the ACM 5 (11), 1962. Among the changes that
// wait for no other, the one of the earliest command comes next, and among those of one command
// the one that fired first. Time is n log n, memory about 200 bytes a change.
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

// The order of the changes, or its beginning up to the change last, in the current memory
// context. Edges may make a circle where keys are checked at commit: then one is left out.
CausalOrder causal_order(const RowChange *changes, int count, int last);

}  // namespace ledger
