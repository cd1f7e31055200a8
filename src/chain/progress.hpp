// How far verifications have come, for others to see: view ledger.verify_progress.
#pragma once

#include <cstdint>

namespace ledger {

// This session verifies total records from now on, until its transaction ends or it
// says so. Nothing is shown where the ledger is not in use since the start, or
// kVerifications are shown already.
void begin_progress(std::int64_t total);
void end_progress();

// To be called once in a backend: ends it with the transaction.
void register_progress_callback();

// This process, or a parallel worker of the one that began, has done more records.
void add_progress(std::int64_t records);

}  // namespace ledger
