// DDL on audited tables: each command on one is a record of the audit log, and one that would weaken
// the audit is refused (LG403) or undone. Hooks see it wherever it runs: in functions, scripts of
// extensions, cascades. No setting switches them off.
#pragma once

namespace ledger {

// To be called once when the server starts, after register_log_callbacks(): what is left to be
// recorded at commit is then recorded before the log is written.
void register_ddl_hooks();

}  // namespace ledger
