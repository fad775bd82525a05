/*
 * Counts what a process takes from the heap and maps: LD_PRELOAD it, set ALLOCS_FILE; the file then holds a line of decimal numbers, rewritten twice
 * a second: allocations of the main thread, of all others, and maps and unmaps of all. Below it, with ALLOCS_CALLERS set, a line for each place in
 * the main thread that takes: count, bytes, its address in the program and its caller's (addr2line -e), for frames with frame pointers.
 * What a library maps by its own system call (the heap itself) does not count.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *memory, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);

enum { PLACES = 4096, TEXT_BYTES = 1 << 18 };

static _Atomic uint64_t main_allocs, other_allocs, maps;
static pid_t main_thread;
static bool callers;
static uintptr_t base; /* of the program */
static struct place {
    _Atomic uintptr_t at, from;
    _Atomic uint64_t count, bytes;
} places[PLACES];

static void place_count(uintptr_t at, uintptr_t from, size_t bytes) {
    for (size_t i = (at ^ from * 31) % PLACES, tries = 0; tries < PLACES; i = (i + 1) % PLACES, tries++) {
        uintptr_t none = 0;
        if (places[i].at == 0 && atomic_compare_exchange_strong(&places[i].at, &none, at)) places[i].from = from;
        if (places[i].at != at || places[i].from != from) continue;
        places[i].count++;
        places[i].bytes += bytes;
        return;
    }
}

/* The caller of the function that called us; the product is compiled with frame pointers. */
static uintptr_t caller_of(void *frame) {
    uintptr_t *at = frame, *above = at != NULL ? (uintptr_t *)at[0] : NULL;
    bool near = above > at && (uintptr_t)above - (uintptr_t)at < 65536;
    return near ? above[1] : 0;
}

static void counted(size_t bytes, void *at, void *frame) {
    if (gettid() != main_thread) {
        other_allocs++;
        return;
    }
    main_allocs++;
    if (callers) place_count((uintptr_t)at - base, caller_of(frame) - base, bytes);
}

void *malloc(size_t bytes) {
    counted(bytes, __builtin_return_address(0), __builtin_frame_address(0));
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes) {
    counted(count * bytes, __builtin_return_address(0), __builtin_frame_address(0));
    return __libc_calloc(count, bytes);
}

void *realloc(void *memory, size_t bytes) {
    counted(bytes, __builtin_return_address(0), __builtin_frame_address(0));
    return __libc_realloc(memory, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes) {
    counted(bytes, __builtin_return_address(0), __builtin_frame_address(0));
    return __libc_memalign(alignment, bytes);
}

int posix_memalign(void **memory, size_t alignment, size_t bytes) {
    counted(bytes, __builtin_return_address(0), __builtin_frame_address(0));
    *memory = __libc_memalign(alignment, bytes);
    return *memory != NULL ? 0 : 12;
}

void *mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset) {
    static void *(*next)(void *, size_t, int, int, int, off_t);
    if (next == NULL) next = (void *(*)(void *, size_t, int, int, int, off_t))dlsym(RTLD_NEXT, "mmap");
    maps++;
    return next(at, bytes, protection, flags, fd, offset);
}

int munmap(void *at, size_t bytes) {
    static int (*next)(void *, size_t);
    if (next == NULL) next = (int (*)(void *, size_t))dlsym(RTLD_NEXT, "munmap");
    maps++;
    return next(at, bytes);
}

static void *report(void *path) {
    static char text[TEXT_BYTES];
    for (;;) {
        struct timespec half = {.tv_nsec = 500 * 1000 * 1000};
        size_t used = (size_t)snprintf(text, sizeof text, "%020llu %020llu %020llu\n", (unsigned long long)main_allocs,
                                       (unsigned long long)other_allocs, (unsigned long long)maps);
        for (size_t i = 0; callers && i < PLACES && used + 100 < sizeof text; i++) {
            if (places[i].at == 0) continue;
            used += (size_t)snprintf(text + used, sizeof text - used, "%llu %llu %#lx %#lx\n", (unsigned long long)places[i].count,
                                     (unsigned long long)places[i].bytes, (unsigned long)places[i].at, (unsigned long)places[i].from);
        }
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        if (fd >= 0 && pwrite(fd, text, used, 0) != (ssize_t)used) abort();
        if (fd >= 0) close(fd);
        nanosleep(&half, NULL);
    }
    return NULL;
}

static int base_find(struct dl_phdr_info *info, size_t bytes, void *context) {
    (void)bytes, (void)context;
    base = info->dlpi_addr; /* the program comes first */
    return 1;
}

__attribute__((constructor)) static void begin(void) {
    pthread_t thread;
    char *path = getenv("ALLOCS_FILE");
    main_thread = getpid();
    (void)dl_iterate_phdr(base_find, NULL);
    callers = getenv("ALLOCS_CALLERS") != NULL;
    if (path && pthread_create(&thread, NULL, report, path) == 0) pthread_detach(thread);
}
