// Orders out of SQL arguments: null checks, names to accounts, amounts to minor units.
#pragma once

#include "engine/post.hpp"

namespace ledger {

// The argument, or an error 22004 that names it.
text *text_argument(FunctionCallInfo fcinfo, int number, const char *name);
Numeric numeric_argument(FunctionCallInfo fcinfo, int number, const char *name);
std::int64_t bigint_argument(FunctionCallInfo fcinfo, int number, const char *name);

// How many to do at most: 1 or more, or an error 22023.
std::int32_t max_argument(FunctionCallInfo fcinfo, int number);

// The argument, null if it is NULL or the call has none; LG017 if it is too large. The size of
// its text is checked where that is made (take) or by check_text_size.
Jsonb *metadata_argument(FunctionCallInfo fcinfo, int number);

// An array argument taken apart.
struct Elements {
    Datum *values;
    bool *nulls;
    int count;
};
Elements array_argument(FunctionCallInfo fcinfo, int number, const char *name, Oid type);

// A posted order between two named accounts, or false with the refusal. An
// amount must be positive and exact at the scale of the accounts' asset.
bool make_order(Code source, Code destination, Numeric amount, Order &order, Refusal &refusal);

}  // namespace ledger
