// Keeps a ledger that has records from being dropped in passing (LG402).
#pragma once

namespace ledger {

// To be called once, at server start.
void register_drop_hook();

}  // namespace ledger
