/*
 * Counts the bytes that a process moves by memcpy and memmove, its libraries' (LMDB, BoringSSL) included: LD_PRELOAD it, set COPIES_FILE; the
 * file then holds two decimal numbers, bytes and calls, rewritten twice a second. Copies that the compiler turned into plain moves (a few bytes of
 * fixed size) do not count, nor what the kernel copies.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

void *memcpy(void *restrict to, const void *restrict from, size_t count);
void *memmove(void *to, const void *from, size_t count);
void *__memcpy_chk(void *restrict to, const void *restrict from, size_t count, size_t room);
void *__memmove_chk(void *to, const void *from, size_t count, size_t room);

static _Atomic uint64_t bytes;
static _Atomic uint64_t calls;

static void counted(size_t count) {
    atomic_fetch_add_explicit(&bytes, count, memory_order_relaxed);
    atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
}

/* Plain machine instructions: nothing here may call what it replaces. */
static void *forward(void *to, const void *from, size_t count) {
    void *start = to;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
    return start;
}

static void *backward(void *to, const void *from, size_t count) {
    uint8_t *out = (uint8_t *)to + count;
    const uint8_t *in = (const uint8_t *)from + count;
    while (count-- > 0) {
        *--out = *--in;
        __asm__ volatile("" : : : "memory");
    }
    return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t count) {
    counted(count);
    return forward(to, from, count);
}

void *memmove(void *to, const void *from, size_t count) {
    counted(count);
    if ((uintptr_t)to - (uintptr_t)from < count) return backward(to, from, count);
    return forward(to, from, count);
}

void *__memcpy_chk(void *restrict to, const void *restrict from, size_t count, size_t room) {
    if (count > room) abort();
    return memcpy(to, from, count);
}

void *__memmove_chk(void *to, const void *from, size_t count, size_t room) {
    if (count > room) abort();
    return memmove(to, from, count);
}

static void *report(void *path) {
    for (;;) {
        char text[64];
        struct timespec half = {.tv_nsec = 500 * 1000 * 1000};
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        int used = snprintf(text, sizeof text, "%020llu %020llu\n", (unsigned long long)bytes, (unsigned long long)calls);
        if (fd >= 0 && pwrite(fd, text, (size_t)used, 0) != used) abort();
        if (fd >= 0) close(fd);
        nanosleep(&half, NULL);
    }
    return NULL;
}

__attribute__((constructor)) static void begin(void) {
    pthread_t thread;
    char *path = getenv("COPIES_FILE");
    if (path && pthread_create(&thread, NULL, report, path) == 0) pthread_detach(thread);
}
