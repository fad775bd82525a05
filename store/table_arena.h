/*
 * Private: memory for the table's records. Cells of fixed size classes lie densely in slabs: freeing a cell moves the class's last cell into the
 * hole, so that there is no external fragmentation at all, and what the declared limits admit always fits (the bound: table_arena.c).
 */
#ifndef STORE_TABLE_ARENA_H
#define STORE_TABLE_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ARENA_UNIT_BYTES = 16, /* references count units */
    ARENA_SLAB_BYTES = 1 << 20,
    ARENA_CELL_BYTES_MAX = 65856, /* record head 32 + key 256 + value 65536 + its hash 32 */
    ARENA_SLABS_MAX = 1 << 16,    /* 32-bit references, 64 GiB */
    ARENA_CLASSES_MAX = 84,
    ARENA_WARM_SLABS_MAX = 16,
};

struct arena_class {
    uint32_t cell_bytes;
    uint32_t cells_per_slab;
    uint32_t slab;  /* the class's newest slab, 0: none; the only one that is not full */
    uint32_t used;  /* cells in it */
    uint32_t spare; /* one emptied slab kept back, 0: none */
};

struct arena {
    uint8_t *base;
    uint32_t *slab_previous; /* per slab: the class's slab before it, or the next free one */
    uint64_t slabs;          /* slab 0 is never used, so that reference 0 means none */
    uint32_t slab_fresh;     /* first that was never used */
    uint32_t slab_free;      /* list of given-back slabs, 0: none */
    uint32_t warm_count;     /* of warm: given back as well, but with their pages */
    uint32_t warm[ARENA_WARM_SLABS_MAX];
    uint32_t class_count;
    struct arena_class classes[ARENA_CLASSES_MAX];
};

struct arena_move {
    uint32_t from;
    uint32_t to; /* 0: nothing moved */
};

/* Slabs that any content of at most `declared_bytes` (as table.h counts them) needs. */
uint64_t arena_slabs_for(uint64_t declared_bytes);
/* Reserves; false when the system refuses the address space. */
bool arena_create(struct arena *arena, uint64_t slabs);
void arena_destroy(struct arena *arena);
/* Everything is free again and given back to the system. */
void arena_clear(struct arena *arena);

/* A cell of at least `bytes`; never fails within the limits (CHECK). */
uint32_t arena_take(struct arena *arena, size_t bytes);
/* Frees the cell `reference`, taken for `bytes`. If another cell had to move into its place its content has been copied; the caller mends what
 * points to it. */
struct arena_move arena_give(struct arena *arena, uint32_t reference, size_t bytes);

static inline void *arena_at(const struct arena *arena, uint32_t reference) {
    return arena->base + (uint64_t)reference * ARENA_UNIT_BYTES;
}

#endif
