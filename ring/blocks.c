/* See blocks.h. */
#include "ring/blocks.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "ring/check.h"

#define CLASS_BYTES_MIN 1024u
#define MAPPED_CLASS_MIN 6u /* 64 KiB and more are mapped on their own */
#define HUGE_CLASS_MIN 12u  /* 2 MiB and more in huge pages: such a frame is gone through by decryption, hashes, store and encryption in turn */

_Static_assert(sizeof(struct blocks_header) <= BLOCKS_HEADER_BYTES, "header fits");

static size_t class_bytes(uint32_t index) {
    return (size_t)CLASS_BYTES_MIN << index;
}

struct blocks_header *blocks_header_of(const void *block) {
    return (struct blocks_header *)((uintptr_t)block - BLOCKS_HEADER_BYTES);
}

static void *class_map(uint32_t index) {
    if (index < MAPPED_CLASS_MIN) {
        return aligned_alloc(BLOCKS_HEADER_BYTES, class_bytes(index));
    }
    void *memory = mmap(NULL, class_bytes(index), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        return NULL;
    }
    if (index >= HUGE_CLASS_MIN) {
        (void)madvise(memory, class_bytes(index) / 2, MADV_HUGEPAGE); /* advice only */
    }
    return memory;
}

static void class_unmap(struct blocks_header *header) {
    uint32_t index = header->class_index;
    if (index < MAPPED_CLASS_MIN) {
        free(header);
    } else {
        RING_CHECK(munmap(header, class_bytes(index)) == 0);
    }
}

void *blocks_take(struct blocks *blocks, size_t bytes) {
    uint32_t index = 0;
    while (index < BLOCKS_CLASSES && class_bytes(index) - BLOCKS_HEADER_BYTES < bytes) {
        index++;
    }
    if (index == BLOCKS_CLASSES) {
        return NULL;
    }
    struct blocks_header *header = blocks->free[index];
    if (header != NULL) {
        blocks->free[index] = header->next;
        blocks->cached_bytes -= class_bytes(index);
    } else {
        header = class_map(index);
        if (header == NULL) {
            return NULL;
        }
    }
    memset(header, 0, sizeof *header);
    header->class_index = index;
    blocks->used_bytes += class_bytes(index);
    blocks->wanted[index] = ++blocks->changes;
    if (blocks->used_bytes > blocks->peak_bytes) {
        blocks->peak_bytes = blocks->used_bytes;
    }
    return (uint8_t *)header + BLOCKS_HEADER_BYTES;
}

/* How many bytes of free blocks may be kept. */
static uint64_t cache_room(const struct blocks *blocks) {
    uint64_t peak = blocks->peak_bytes > blocks->peak_before_bytes ? blocks->peak_bytes : blocks->peak_before_bytes;
    uint64_t room = peak > blocks->used_bytes ? peak - blocks->used_bytes : 0;
    return room > BLOCKS_CACHE_BYTES_MAX ? room : BLOCKS_CACHE_BYTES_MAX;
}

/* Frees free blocks, those of the class that was not wanted for longest first, until no more than `bytes` of them are kept. */
static void cache_cut(struct blocks *blocks, uint64_t bytes) {
    while (blocks->cached_bytes > bytes) {
        uint32_t coldest = BLOCKS_CLASSES;
        for (uint32_t i = 0; i < BLOCKS_CLASSES; i++) {
            if (blocks->free[i] != NULL && (coldest == BLOCKS_CLASSES || blocks->wanted[i] < blocks->wanted[coldest])) {
                coldest = i;
            }
        }
        RING_CHECK(coldest < BLOCKS_CLASSES);
        struct blocks_header *header = blocks->free[coldest];
        blocks->free[coldest] = header->next;
        blocks->cached_bytes -= class_bytes(coldest);
        class_unmap(header);
    }
}

void blocks_give(struct blocks *blocks, void *block) {
    struct blocks_header *header = blocks_header_of(block);
    RING_CHECK(header->class_index < BLOCKS_CLASSES && blocks->used_bytes >= class_bytes(header->class_index));
    blocks->used_bytes -= class_bytes(header->class_index);
    blocks->changes++;
    header->next = blocks->free[header->class_index];
    blocks->free[header->class_index] = header;
    blocks->cached_bytes += class_bytes(header->class_index);
    cache_cut(blocks, cache_room(blocks));
}

void blocks_free_cache(struct blocks *blocks) {
    cache_cut(blocks, 0);
}

void blocks_trim(struct blocks *blocks, uint64_t now_ms, uint64_t keep_ms) {
    if (now_ms - blocks->period_ms >= keep_ms) {
        blocks->period_ms = now_ms;
        blocks->peak_before_bytes = blocks->peak_bytes;
        blocks->peak_bytes = blocks->used_bytes;
        cache_cut(blocks, cache_room(blocks));
    }
    if (blocks->changes != blocks->changes_seen) {
        blocks->changes_seen = blocks->changes;
        blocks->used_ms = now_ms;
    } else if (blocks->cached_bytes > 0 && now_ms - blocks->used_ms >= keep_ms) {
        blocks_free_cache(blocks);
    }
}
