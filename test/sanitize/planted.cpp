// One function a kind of bug, to show that a sanitizer finds what it is run for.
// Each returns something that depends on its bug, so that no compiler drops it.
extern "C" {
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "fmgr.h"
#include "storage/bufmgr.h"

PG_MODULE_MAGIC;
PG_FUNCTION_INFO_V1(planted_nothing);
PG_FUNCTION_INFO_V1(planted_overflow);
PG_FUNCTION_INFO_V1(planted_use_after_free);
PG_FUNCTION_INFO_V1(planted_unpinned_buffer);
PG_FUNCTION_INFO_V1(planted_stack_overflow);
PG_FUNCTION_INFO_V1(planted_signed_overflow);
PG_FUNCTION_INFO_V1(planted_uninitialised);
}

namespace {

constexpr Size kBytes = 13;  // no multiple of anything

volatile char *allocate() {
    return static_cast<volatile char *>(palloc(kBytes));
}

}  // namespace

extern "C" {

Datum planted_nothing(PG_FUNCTION_ARGS) {
    volatile char *bytes = allocate();
    bytes[kBytes - 1] = 1;
    PG_RETURN_INT32(bytes[kBytes - 1] + PG_GETARG_INT32(0));
}

Datum planted_overflow(PG_FUNCTION_ARGS) {
    volatile char *bytes = allocate();
    bytes[kBytes] = 1;
    PG_RETURN_INT32(bytes[kBytes] + PG_GETARG_INT32(0));
}

Datum planted_use_after_free(PG_FUNCTION_ARGS) {
    volatile char *bytes = allocate();
    bytes[0] = 1;
    pfree(const_cast<char *>(bytes));
    PG_RETURN_INT32(bytes[0] + PG_GETARG_INT32(0));
}

Datum planted_unpinned_buffer(PG_FUNCTION_ARGS) {
    Relation relation = table_open(RelationRelationId, AccessShareLock);
    const Buffer buffer = ReadBuffer(relation, 0);
    const volatile char *page = BufferGetPage(buffer);
    ReleaseBuffer(buffer);
    const char first = page[0];
    table_close(relation, AccessShareLock);
    PG_RETURN_INT32(first + PG_GETARG_INT32(0));
}

Datum planted_stack_overflow(PG_FUNCTION_ARGS) {
    volatile char bytes[kBytes];
    bytes[kBytes + static_cast<Size>(PG_GETARG_INT32(0)) - 1] = 1;  // the argument is 1
    PG_RETURN_INT32(bytes[0] == 1);
}

Datum planted_signed_overflow(PG_FUNCTION_ARGS) {
    const int most = PG_INT32_MAX;
    PG_RETURN_INT32(most + PG_GETARG_INT32(0));
}

Datum planted_uninitialised(PG_FUNCTION_ARGS) {
    if (allocate()[0] == 1) elog(NOTICE, "what was never written is 1");
    PG_RETURN_INT32(PG_GETARG_INT32(0));
}
}
