#include "store/reserve.h"

#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include "merkle/check.h"

static uint64_t page_bytes(void) {
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t whole_pages(uint64_t bytes) {
    return (bytes + page_bytes() - 1) / page_bytes() * page_bytes();
}

void *store_reserve(uint64_t bytes) {
    if (bytes > UINT64_MAX / 2) return NULL;
    uint64_t room = whole_pages(bytes);
    uint8_t *at = mmap(NULL, room + page_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) return NULL;
    if (mprotect(at + room, page_bytes(), PROT_NONE) != 0) {
        (void)munmap(at, room + page_bytes());
        return NULL;
    }
    (void)madvise(at, room, MADV_NOHUGEPAGE); /* an empty table shall not cost 2 MiB per touched word; advice only */
    return at;
}

void store_huge_pages(void *memory, uint64_t bytes) {
    (void)madvise(memory, whole_pages(bytes), MADV_HUGEPAGE); /* advice only */
}

void store_unreserve(void *memory, uint64_t bytes) {
    if (memory != NULL) CHECK(munmap(memory, whole_pages(bytes) + page_bytes()) == 0);
}

void store_forget(void *memory, uint64_t bytes) {
    CHECK(madvise(memory, bytes, MADV_DONTNEED) == 0);
}
