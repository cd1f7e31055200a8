// Tokens and secrets.
#pragma once

#include "pg/postgres.hpp"

namespace ledger {

// 64 hexadecimal digits of 32 bytes from the strong random source, in the
// current memory context.
text *random_token();

}  // namespace ledger
