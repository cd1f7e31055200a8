// Results of SQL functions that are rows.
#pragma once

#include "pg/postgres.hpp"

namespace ledger {

// The row type of the function's OUT arguments, fit for a Datum. Where the
// function stands in FROM the caller has worked it out already.
inline TupleDesc result_shape(FunctionCallInfo fcinfo) {
    TupleDesc shape = nullptr;
    if (fcinfo->resultinfo && IsA(fcinfo->resultinfo, ReturnSetInfo))
        shape = reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo)->expectedDesc;
    if (!shape && get_call_result_type(fcinfo, nullptr, &shape) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "return type must be a row");
    return BlessTupleDesc(shape);
}

inline Datum row_result(FunctionCallInfo fcinfo, Datum *values, bool *nulls) {
    return HeapTupleGetDatum(heap_form_tuple(result_shape(fcinfo), values, nulls));
}

}  // namespace ledger
