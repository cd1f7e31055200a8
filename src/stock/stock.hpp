// Stock's words for the engine.
#pragma once

#include "engine/post.hpp"

namespace ledger {

// An order out of stock: to be sold (kind posted) or reserved (pending). Raises LG002
// for an unknown SKU and LG006 for a quantity below 1; ordinal > 0 names the line of a cart.
Order deduction(Kind kind, Code sku, std::int64_t quantity, int ordinal = 0);

}  // namespace ledger
