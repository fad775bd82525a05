/* Blocks of memory for frames that span records, and for frames kept: private to ring/net*. One thread.
 * Blocks come in powers of two from 1 KiB; a few freed ones are kept for the next frame, for a while. Pages are touched only as they are used. */
#ifndef RING_BLOCKS_H
#define RING_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

#define BLOCKS_CACHE_BYTES_MAX (16u << 20) /* freed blocks that are kept */
#define BLOCKS_CLASSES 17                  /* 1 KiB << 16 = 64 MiB: a frame of 32 MiB, its slack and the block's header */
#define BLOCKS_HEADER_BYTES 64

struct blocks {
    void *free[BLOCKS_CLASSES];
    uint64_t cached_bytes, used_bytes;
    uint64_t used_ms; /* when a block was last taken or given; set by the owner's blocks_trim */
    uint64_t changes, changes_seen;
};

/* What lies before a block's bytes; owner and kept_bytes are the caller's. */
struct blocks_header {
    void *next;
    uint32_t class_index;
    uint32_t owner;
    uint64_t kept_bytes;
};

/* At least `bytes`, 64-byte aligned; NULL: no memory, or more than the largest class. */
void *blocks_take(struct blocks *blocks, size_t bytes);
void blocks_give(struct blocks *blocks, void *block);
struct blocks_header *blocks_header_of(const void *block);
/* Gives back to the system what has not been used for keep_ms. */
void blocks_trim(struct blocks *blocks, uint64_t now_ms, uint64_t keep_ms);
/* Frees what nobody holds. */
void blocks_free_cache(struct blocks *blocks);

#endif
