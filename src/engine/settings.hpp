// The settings (GUCs) of the ledger. docs/operations.md describes them.
#pragma once

namespace ledger {

struct Settings {
    int slots;               // ledger.slots: accounts in shared memory at a time
    int databases;           // ledger.databases: databases with a ledger in use
    int node;                // ledger.node: the node part of every id
    bool worker;             // ledger.worker: whether background workers run
    int fold_threshold;      // ledger.fold_threshold: transfers past the horizon before an account is folded
    int fold_interval_ms;    // ledger.fold_interval: pause between two passes of the worker
    int sweep_interval_s;    // ledger.sweep_interval: how often short tails of idle accounts are folded
    int max_workers;         // ledger.max_workers: background workers at a time
    int purge_interval_s;    // ledger.purge_interval: how often the worker purges expired requests
    int seal_interval_s;     // ledger.seal_interval: how often the worker seals; 0: never
    char *signing_key_file;  // ledger.signing_key_file: with which digests are signed; empty: none
    int key_ttl_s;           // ledger.key_ttl: how long keys, messages and their answers are kept at least
    int signature_window_s;  // ledger.signature_window: how far a signed request's time may be off
    int database_share;      // ledger.database_share: percent of the slots that one database may hold
    int max_metadata_kb;     // ledger.max_metadata: largest metadata
    int max_payload_kb;      // ledger.max_payload: largest payload, and arguments of a call under a key
    int max_response_kb;     // ledger.max_response: largest response or error of a request
    bool allow_drop;         // ledger.allow_drop: whether a ledger with records may be dropped
};

inline Settings settings = {};

void define_settings();

}  // namespace ledger
