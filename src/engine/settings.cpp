#include "engine/settings.hpp"

#include "core/ids.hpp"
#include "pg/postgres.hpp"

namespace ledger {

namespace {

constexpr int kLargestKilobytes = 1 << 20;  // a value of PostgreSQL has at most 1 GB

}  // namespace

void define_settings() {
    DefineCustomIntVariable(
        "ledger.slots", "Accounts that shared memory has room for at a time.",
        "A slot in use by a transaction is never evicted. Each takes 134 to 138 bytes, and 40 "
        "more where max_prepared_transactions is above 0.",
        &settings.slots, 131072, 16, 1 << 24, PGC_POSTMASTER, 0, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("ledger.databases",
                            "Databases with a ledger in use that shared memory has room for.",
                            "Each takes about 263 kB.", &settings.databases, 16, 1, 1024, PGC_POSTMASTER, 0,
                            nullptr, nullptr, nullptr);
    DefineCustomIntVariable("ledger.node", "The node part of every id this server makes.",
                            "Give servers whose transfers are ever merged different numbers.", &settings.node,
                            0, 0, kNodes - 1, PGC_POSTMASTER, 0, nullptr, nullptr, nullptr);
    DefineCustomBoolVariable(
        "ledger.worker", "Whether background workers run.",
        "Without them nothing is folded, expired, timed out, purged or sealed but by the "
        "functions that do the same.",
        &settings.worker, true, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
    DefineCustomIntVariable(
        "ledger.fold_threshold", "Transfers past an account's horizon before the worker folds it.", nullptr,
        &settings.fold_threshold, 1000, 1, INT_MAX, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("ledger.fold_interval", "Pause between two passes of a worker.",
                            "At most two seconds, so that the worker is gone before DROP DATABASE gives up.",
                            &settings.fold_interval_ms, 1000, 10, 2000, PGC_SIGHUP, GUC_UNIT_MS, nullptr,
                            nullptr, nullptr);
    DefineCustomIntVariable("ledger.sweep_interval",
                            "How often the worker folds the short tails of accounts not in use.", nullptr,
                            &settings.sweep_interval_s, 600, 1, 86400, PGC_SIGHUP, GUC_UNIT_S, nullptr,
                            nullptr, nullptr);
    DefineCustomIntVariable(
        "ledger.max_workers", "Sets the maximum number of ledger workers at a time.",
        "They take background worker slots (max_worker_processes). A database that waits for "
        "one gets it as soon as another database's worker has made a pass.",
        &settings.max_workers, 2, 1, 1024, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("ledger.purge_interval", "How often the worker purges expired requests.", nullptr,
                            &settings.purge_interval_s, 60, 1, 86400, PGC_SIGHUP, GUC_UNIT_S, nullptr,
                            nullptr, nullptr);
    DefineCustomIntVariable(
        "ledger.seal_interval", "How often the worker seals what came since the last seal.",
        "0 switches it off: ledger.seal() does the same. What is in no seal yet is read "
        "again at the first write after a restart.",
        &settings.seal_interval_s, 60, 0, 86400, PGC_SIGHUP, GUC_UNIT_S, nullptr, nullptr, nullptr);
    DefineCustomStringVariable("ledger.signing_key_file", "The private key that digests are signed with.",
                               "An Ed25519 key in PEM form, in a file that the server can read. Empty: "
                               "digests are not signed.",
                               &settings.signing_key_file, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, nullptr,
                               nullptr, nullptr);
    DefineCustomIntVariable("ledger.key_ttl",
                            "How long idempotency keys and inbox messages are remembered at least.",
                            "Applies to keys used from now on.", &settings.key_ttl_s, 7 * 86400, 1, INT_MAX,
                            PGC_SUSET, GUC_UNIT_S, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("ledger.signature_window",
                            "How far the time of a signed request may be from the server's clock.", nullptr,
                            &settings.signature_window_s, 60, 1, 86400, PGC_SUSET, GUC_UNIT_S, nullptr,
                            nullptr, nullptr);
    DefineCustomIntVariable(
        "ledger.database_share",
        "Sets the maximum percentage of ledger.slots that one database may hold while others use a ledger.",
        "At its share a database puts out accounts of its own.", &settings.database_share, 90, 1, 100,
        PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
    DefineCustomIntVariable("ledger.max_metadata", "Sets the maximum size of metadata, as jsonb and as text.",
                            nullptr, &settings.max_metadata_kb, 64, 1, kLargestKilobytes, PGC_SUSET,
                            GUC_UNIT_KB, nullptr, nullptr, nullptr);
    DefineCustomIntVariable(
        "ledger.max_payload",
        "Sets the maximum size of the payload of a request, and of the arguments of a call under a key.",
        nullptr, &settings.max_payload_kb, 1024, 1, kLargestKilobytes, PGC_SUSET, GUC_UNIT_KB, nullptr,
        nullptr, nullptr);
    DefineCustomIntVariable("ledger.max_response",
                            "Sets the maximum size of the response or error of a request.",
                            "It applies to the jsonb and to its text.", &settings.max_response_kb, 1024, 1,
                            kLargestKilobytes, PGC_SUSET, GUC_UNIT_KB, nullptr, nullptr, nullptr);
    DefineCustomBoolVariable("ledger.allow_drop",
                             "Allows to drop a ledger that has transfers or audit records.",
                             "Off: DROP of the extension, of its schema or of its tables is refused (LG402).",
                             &settings.allow_drop, false, PGC_SUSET, 0, nullptr, nullptr, nullptr);
    MarkGUCPrefixReserved("ledger");
}

}  // namespace ledger
