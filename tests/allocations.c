/* Counts what one library takes from the heap. Loaded with LD_PRELOAD, these functions stand before those of the C and
   C++ libraries, and count a call that comes from the range of addresses which `watch` names. For glibc. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

static uintptr_t first, last;
static atomic_long calls;

void watch(uintptr_t begin, uintptr_t end) { first = begin, last = end; }
long allocations(void) { return atomic_load(&calls); }

static void count(void *caller) {
    if (first <= (uintptr_t)caller && (uintptr_t)caller < last) atomic_fetch_add(&calls, 1);
}
#define COUNT count(__builtin_return_address(0))

void *malloc(size_t n) { return COUNT, __libc_malloc(n); }
void *calloc(size_t n, size_t size) { return COUNT, __libc_calloc(n, size); }
void *realloc(void *p, size_t n) { return COUNT, __libc_realloc(p, n); }
void *memalign(size_t alignment, size_t n) { return COUNT, __libc_memalign(alignment, n); }
void *aligned_alloc(size_t alignment, size_t n) { return COUNT, __libc_memalign(alignment, n); }
int posix_memalign(void **p, size_t alignment, size_t n) {
    COUNT;
    *p = __libc_memalign(alignment, n);
    return *p ? 0 : ENOMEM;
}
void *mmap(void *at, size_t n, int protection, int flags, int file, off_t offset) {
    COUNT;
    return (void *)syscall(SYS_mmap, at, n, protection, flags, file, offset);
}

/* operator new and new[], plain, aligned and nothrow. None of them can say that there is no memory. */
static void *taken(void *p) {
    if (!p) abort();
    return p;
}
void *_Znwm(size_t n) { return COUNT, taken(__libc_malloc(n ? n : 1)); }
void *_Znam(size_t n) { return COUNT, taken(__libc_malloc(n ? n : 1)); }
void *_ZnwmSt11align_val_t(size_t n, size_t alignment) { return COUNT, taken(__libc_memalign(alignment, n)); }
void *_ZnamSt11align_val_t(size_t n, size_t alignment) { return COUNT, taken(__libc_memalign(alignment, n)); }
void *_ZnwmRKSt9nothrow_t(size_t n, const void *tag) { return COUNT, (void)tag, __libc_malloc(n ? n : 1); }
void *_ZnamRKSt9nothrow_t(size_t n, const void *tag) { return COUNT, (void)tag, __libc_malloc(n ? n : 1); }
