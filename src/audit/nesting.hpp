// Which statements are running, one within another, whose changes of rows may be told to the
// audit log only later: an AFTER trigger fires when its statement ends, and by then the
// statements of other triggers and functions within it have ended, and were told.
#pragma once

#include "pg/postgres.hpp"

namespace ledger {

// How many statements may still tell of changes that were made before the ones told by now.
// In a row trigger that includes the statement whose change it tells.
int statements_running();

// True if a foreign key has changed rows within the outermost statement: these changes are
// told at the end of that statement, not of the foreign key's own.
bool foreign_key_has_acted();

// ended is called at the end of each outermost statement.
void register_statement_hooks(void (*ended)());

}  // namespace ledger
