/* Blocks of memory for frames that span records, and for frames kept: for ring/net* and the client's engine. One thread.
 * Blocks come in powers of two from 1 KiB. Freed ones are kept for the next frames: as many as were in use at once of late, since pages that go to
 * the system and come back are zeroed anew for every frame. Pages are touched only as they are used. */
#ifndef RING_BLOCKS_H
#define RING_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

#define BLOCKS_CACHE_BYTES_MAX (16u << 20) /* freed blocks that are kept beyond the most that was in use of late */
#define BLOCKS_CLASSES 17                  /* 1 KiB << 16 = 64 MiB: a frame of 32 MiB, its slack and the block's header */
#define BLOCKS_HEADER_BYTES 64

struct blocks {
    void *free[BLOCKS_CLASSES];
    uint64_t cached_bytes, used_bytes;
    uint64_t used_ms; /* when a block was last taken or given; set by the owner's blocks_trim */
    uint64_t changes, changes_seen;
    /* The most that was used at once, in this period (of blocks_trim's keep_ms) and in the one before; used + cached stays below the larger of the
     * two, or used + BLOCKS_CACHE_BYTES_MAX. So what is kept never makes the sum larger than it was by use alone, but for that much. */
    uint64_t peak_bytes, peak_before_bytes, period_ms;
    uint64_t wanted[BLOCKS_CLASSES]; /* `changes` when one of the class was last taken: of free blocks those nobody asks for go first */
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
/* Gives back to the system what the last keep_ms had no need of, and everything when nothing was taken or given for so long. Call it often. */
void blocks_trim(struct blocks *blocks, uint64_t now_ms, uint64_t keep_ms);
/* Frees what nobody holds. */
void blocks_free_cache(struct blocks *blocks);

#endif
