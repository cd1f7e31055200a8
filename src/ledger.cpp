// The module: what happens when the server loads it.
#include "chain/progress.hpp"
#include "audit/ddl.hpp"
#include "audit/log.hpp"
#include "audit/plan.hpp"
#include "core/sha256.hpp"
#include "engine/database.hpp"
#include "engine/drop.hpp"
#include "engine/settings.hpp"
#include "engine/shared.hpp"
#include "engine/storage.hpp"
#include "engine/transaction.hpp"
#include "pg/postgres.hpp"
#include "worker/worker.hpp"

extern "C" {
PG_MODULE_MAGIC;
PGDLLEXPORT void _PG_init(void);
}

// Loaded later than at server start, only the functions that read work; the
// others say so (LG901).
void _PG_init(void) {
    if (!ledger::prepare_sha256())
        ereport(ERROR, errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION), errmsg("OpenSSL offers no SHA-256"),
                errhint("See which providers openssl.cnf activates."));
    ledger::register_storage_invalidation();
    ledger::register_plan_invalidation();
    if (!process_shared_preload_libraries_in_progress) return;
    ledger::define_settings();
    ledger::request_shared_memory();
    ledger::register_transaction_callbacks();
    ledger::register_creation_hook();
    ledger::register_drop_hook();
    ledger::register_progress_callback();
    ledger::register_log_callbacks();
    ledger::register_ddl_hooks();
    ledger::register_launcher();
}
