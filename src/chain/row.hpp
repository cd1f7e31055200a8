// Rows of the chained tables as records.
#pragma once

#include "engine/chain.hpp"

namespace ledger {

// The record in a row, and its bytes' hash after previous; texts are in the current
// memory context.
Hash hash_of_row(Scope scope, HeapTuple tuple, TupleDesc shape, const Hash &previous);

// The record's bytes.
std::string_view bytes_of_row(Scope scope, HeapTuple tuple, TupleDesc shape);

// What seal.hash has to be.
Hash hash_of(const Seal &seal);

}  // namespace ledger
