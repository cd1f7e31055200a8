// The settings (GUCs) of the ledger. docs/operations.md describes them.
#pragma once

namespace ledger {

struct Settings {
    int slots;             // ledger.slots: accounts in shared memory at a time
    int databases;         // ledger.databases: databases with a ledger in use
    int node;              // ledger.node: the node part of every id
    int fold_threshold;    // ledger.fold_threshold: transfers past the horizon before an account is folded
    int fold_interval_ms;  // ledger.fold_interval: pause between two passes of the worker
};

inline Settings settings = {};

void define_settings();

}  // namespace ledger
