/*
 * Stands in for valgrind's header of this name, so that PostgreSQL built with
 * USE_VALGRIND tells AddressSanitizer what it would tell valgrind: which bytes of
 * a memory context, and which buffers, may be touched. Whether a byte was ever
 * written is not ASan's subject.
 */
#ifndef LEDGER_POISON_MEMCHECK_H
#define LEDGER_POISON_MEMCHECK_H

#include <sanitizer/asan_interface.h>

#define VALGRIND_MAKE_MEM_NOACCESS(at, size) ASAN_POISON_MEMORY_REGION(at, size)
#define VALGRIND_MAKE_MEM_UNDEFINED(at, size) ASAN_UNPOISON_MEMORY_REGION(at, size)
#define VALGRIND_MAKE_MEM_DEFINED(at, size) ASAN_UNPOISON_MEMORY_REGION(at, size)
#define VALGRIND_MEMPOOL_ALLOC(pool, at, size) ASAN_UNPOISON_MEMORY_REGION(at, size)

/* wipe_mem() poisons what is freed; the rest is of no use here. */
#define VALGRIND_MEMPOOL_FREE(pool, at) ((void) 0)
#define VALGRIND_MEMPOOL_CHANGE(pool, from, to, size) ((void) 0)
#define VALGRIND_CREATE_MEMPOOL(pool, redzone, zeroed) ((void) 0)
#define VALGRIND_DESTROY_MEMPOOL(pool) ((void) 0)
#define VALGRIND_CHECK_MEM_IS_DEFINED(at, size) ((void) 0)

#endif
