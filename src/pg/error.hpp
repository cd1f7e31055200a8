// Raising the ledger's conditions.
#pragma once

#include "core/status.hpp"
#include "pg/postgres.hpp"

namespace ledger {

// The texts are finished strings; detail and hint may be null.
[[noreturn]] void raise(Status status, const char *message, const char *detail, const char *hint);

int sqlstate(Status status);

}  // namespace ledger
