/* See blocks.h. */
#include "ring/blocks.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "ring/check.h"

#define CLASS_BYTES_MIN 1024u
#define MAPPED_CLASS_MIN 6u /* 64 KiB and more are mapped on their own */

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
    return memory == MAP_FAILED ? NULL : memory;
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
    blocks->changes++;
    return (uint8_t *)header + BLOCKS_HEADER_BYTES;
}

void blocks_give(struct blocks *blocks, void *block) {
    struct blocks_header *header = blocks_header_of(block);
    size_t bytes = class_bytes(header->class_index);
    RING_CHECK(header->class_index < BLOCKS_CLASSES && blocks->used_bytes >= bytes);
    blocks->used_bytes -= bytes;
    blocks->changes++;
    if (blocks->cached_bytes + bytes > BLOCKS_CACHE_BYTES_MAX) {
        class_unmap(header);
        return;
    }
    header->next = blocks->free[header->class_index];
    blocks->free[header->class_index] = header;
    blocks->cached_bytes += bytes;
}

void blocks_free_cache(struct blocks *blocks) {
    for (uint32_t i = 0; i < BLOCKS_CLASSES; i++) {
        while (blocks->free[i] != NULL) {
            struct blocks_header *header = blocks->free[i];
            blocks->free[i] = header->next;
            class_unmap(header);
        }
    }
    blocks->cached_bytes = 0;
}

void blocks_trim(struct blocks *blocks, uint64_t now_ms, uint64_t keep_ms) {
    if (blocks->changes != blocks->changes_seen) {
        blocks->changes_seen = blocks->changes;
        blocks->used_ms = now_ms;
    } else if (blocks->cached_bytes > 0 && now_ms - blocks->used_ms >= keep_ms) {
        blocks_free_cache(blocks);
    }
}
