// Arrays as JSON arrays, composite values as JSON objects.
#include "audit/json_text.hpp"

extern "C" {
#include "utils/typcache.h"
}

namespace ledger {

namespace {

void check_depth(int depth) {
    check_stack_depth();
    if (depth <= kDepthMax) return;
    ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
            errmsg("the row is nested too deeply to be audited"),
            errdetail("Composite types and arrays are audited to a depth of %d.", kDepthMax),
            errhint("Exclude the column with ledger.enable_audit()."));
}

void append_element(StringInfo out, const Style &style, Datum value, bool is_null, int depth) {
    if (is_null)
        appendBinaryStringInfo(out, "null", 4);
    else
        append_value(out, style, value, depth);
}

struct Elements {
    ArrayType *array;
    Style style;
    Datum *values;
    bool *nulls;
    int next;
};

void append_dimension(StringInfo out, Elements &elements, int dimension, int depth) {
    const bool is_last = dimension == ARR_NDIM(elements.array) - 1;
    appendStringInfoCharMacro(out, '[');
    for (int i = 0; i < ARR_DIMS(elements.array)[dimension]; ++i) {
        CHECK_FOR_INTERRUPTS();
        if (i > 0) appendStringInfoCharMacro(out, ',');
        if (is_last) {
            const int element = elements.next++;
            append_element(out, elements.style, elements.values[element], elements.nulls[element], depth + 1);
        } else {
            append_dimension(out, elements, dimension + 1, depth + 1);
        }
    }
    appendStringInfoCharMacro(out, ']');
}

// True if the elements may be JSON arrays themselves.
bool may_be_arrays(Form form) {
    return form == Form::json || form == Form::jsonb || form == Form::array || form == Form::vector;
}

// False if a JSON array would lose something: where the array begins, or which of the dimensions
// are its own, and which those of its elements.
bool fits_json_array(const ArrayType *array, Form element, int usual_bound) {
    const int dimensions = ARR_NDIM(array);
    if (dimensions > 1 && may_be_arrays(element)) return false;
    for (int i = 0; i < dimensions; ++i)
        if (ARR_LBOUND(array)[i] != usual_bound) return false;
    return true;
}

}  // namespace

// What does not fit a JSON array is PostgreSQL's text of the array: "[0:1]={a,b}".
void append_array(StringInfo out, Datum value, int usual_bound, int depth) {
    ArrayType *array = DatumGetArrayTypeP(value);
    check_depth(depth + ARR_NDIM(array));
    Elements elements = {array, style_of(ARR_ELEMTYPE(array)), nullptr, nullptr, 0};
    if (!fits_json_array(array, elements.style.form, usual_bound))
        return with_fixed_names_and_locales(
            [&] { append_string(out, OidOutputFunctionCall(F_ARRAY_OUT, PointerGetDatum(array))); });
    if (ARR_NDIM(array) == 0) return appendBinaryStringInfo(out, "[]", 2);
    std::int16_t length;
    bool is_by_value;
    char alignment;
    int count;
    get_typlenbyvalalign(ARR_ELEMTYPE(array), &length, &is_by_value, &alignment);
    deconstruct_array(array, ARR_ELEMTYPE(array), length, is_by_value, alignment, &elements.values,
                      &elements.nulls, &count);
    append_dimension(out, elements, 0, depth);
}

void append_composite(StringInfo out, Datum value, int depth) {
    check_depth(depth + 1);
    HeapTupleHeader row = DatumGetHeapTupleHeader(value);
    TupleDesc shape = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(row), HeapTupleHeaderGetTypMod(row));
    HeapTupleData tuple = {};
    tuple.t_len = HeapTupleHeaderGetDatumLength(row);
    tuple.t_data = row;
    auto *values = static_cast<Datum *>(palloc(Max(shape->natts, 1) * sizeof(Datum)));
    auto *nulls = static_cast<bool *>(palloc(Max(shape->natts, 1) * sizeof(bool)));
    heap_deform_tuple(&tuple, shape, values, nulls);
    char separator = '{';
    for (int i = 0; i < shape->natts; ++i) {
        Form_pg_attribute attribute = TupleDescAttr(shape, i);
        if (attribute->attisdropped) continue;
        appendStringInfoCharMacro(out, separator);
        separator = ',';
        append_string(out, NameStr(attribute->attname));
        appendStringInfoCharMacro(out, ':');
        append_element(out, style_of(attribute->atttypid), values[i], nulls[i], depth + 1);
    }
    if (separator == '{') appendStringInfoCharMacro(out, '{');
    appendStringInfoCharMacro(out, '}');
    ReleaseTupleDesc(shape);
}

}  // namespace ledger
