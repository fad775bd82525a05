/*
 * The bound. A record of declared size d = key + value + 64 takes key + value + 32 bytes, that is d - 32, and one of TABLE_LONG_BYTES and more of
 * value 32 for its hash, that is d, in a cell of the smallest class that holds it. Classes grow by 16 bytes up to 256 and by an eighth of the power
 * of two below them beyond, so a cell is at most 9/8 of its record (small ones: record + 15 < d). Cells are dense: of each class only the newest slab
 * is partly filled, and at most one empty slab is kept back. A slab of 1 MiB loses less than one cell at its end, at most 65,856 bytes or 6.3 %. So
 * content of D declared bytes needs at most
 *
 *     D * (9/8) / (1 - 65856/1048576) = 1.2004 * D   and two slabs per class.
 *
 * arena_slabs_for() rounds 1.2004 up to 1.21 and adds the slabs; test_table fills tables in the worst ways known to us up to their limits.
 */
#include "store/table_arena.h"
#include "merkle/check.h"
#include "store/reserve.h"
#include <string.h>

static uint32_t class_of(size_t bytes) {
    CHECK(bytes > 0 && bytes <= ARENA_CELL_BYTES_MAX);
    if (bytes <= 256) return (uint32_t)((bytes + 15) / 16 - 1);
    /* 2^exponent < bytes <= 2^(exponent + 1) */
    unsigned exponent = 63 - (unsigned)__builtin_clzll((unsigned long long)(bytes - 1));
    size_t step = (size_t)1 << (exponent - 3);
    return (uint32_t)(16 + (exponent - 8) * 8 + (bytes - ((size_t)1 << exponent) + step - 1) / step - 1);
}

static void classes_init(struct arena *arena) {
    uint32_t count = 0;
    for (uint32_t bytes = 16; bytes <= 256; bytes += 16) arena->classes[count++].cell_bytes = bytes;
    for (uint32_t power = 256; power < ARENA_CELL_BYTES_MAX; power *= 2) {
        for (uint32_t step = 1; step <= 8; step++) {
            uint32_t bytes = power + power / 8 * step;
            bool last = bytes >= ARENA_CELL_BYTES_MAX;
            CHECK(count < ARENA_CLASSES_MAX);
            arena->classes[count++].cell_bytes = last ? ARENA_CELL_BYTES_MAX : bytes;
            if (last) break;
        }
    }
    arena->class_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct arena_class *class = &arena->classes[i];
        CHECK(class_of(class->cell_bytes) == i);
        class->cells_per_slab = ARENA_SLAB_BYTES / class->cell_bytes;
        class->slab = 0;
        class->used = 0;
        class->spare = 0;
    }
}

uint64_t arena_slabs_for(uint64_t declared_bytes) {
    CHECK(declared_bytes < UINT64_C(1) << 56);
    return declared_bytes / 100 * 121 / ARENA_SLAB_BYTES + 2 + 2 * ARENA_CLASSES_MAX;
}

bool arena_create(struct arena *arena, uint64_t slabs) {
    memset(arena, 0, sizeof *arena);
    if (slabs == 0 || slabs > ARENA_SLABS_MAX) return false;
    arena->slabs = slabs;
    arena->base = store_reserve(slabs * ARENA_SLAB_BYTES);
    arena->slab_previous = store_reserve(slabs * sizeof *arena->slab_previous);
    if (!arena->base || !arena->slab_previous) {
        arena_destroy(arena);
        return false;
    }
    arena->slab_fresh = 1;
    classes_init(arena);
    return true;
}

void arena_destroy(struct arena *arena) {
    store_unreserve(arena->base, arena->slabs * ARENA_SLAB_BYTES);
    store_unreserve(arena->slab_previous, arena->slabs * sizeof *arena->slab_previous);
    memset(arena, 0, sizeof *arena);
}

void arena_clear(struct arena *arena) {
    store_forget(arena->base, arena->slabs * ARENA_SLAB_BYTES);
    arena->slab_fresh = 1;
    arena->slab_free = 0;
    arena->warm_count = 0;
    classes_init(arena);
}

static uint32_t slab_take(struct arena *arena, struct arena_class *class) {
    uint32_t slab = class->spare;
    if (slab) {
        class->spare = 0;
        return slab;
    }
    if (arena->warm_count > 0) return arena->warm[--arena->warm_count];
    slab = arena->slab_free;
    if (slab) {
        arena->slab_free = arena->slab_previous[slab];
        return slab;
    }
    CHECK(arena->slab_fresh < arena->slabs); /* the bound above */
    return arena->slab_fresh++;
}

static uint32_t cell_reference(const struct arena_class *class, uint32_t slab, uint32_t cell) {
    return slab * (ARENA_SLAB_BYTES / ARENA_UNIT_BYTES) + cell * (class->cell_bytes / ARENA_UNIT_BYTES);
}

uint32_t arena_take(struct arena *arena, size_t bytes) {
    struct arena_class *class = &arena->classes[class_of(bytes)];
    if (class->slab == 0 || class->used == class->cells_per_slab) {
        uint32_t slab = slab_take(arena, class);
        arena->slab_previous[slab] = class->slab;
        class->slab = slab;
        class->used = 0;
    }
    return cell_reference(class, class->slab, class->used++);
}

/* The class's newest slab became empty: the one before it, which is full, takes its place. One empty slab stays with the class, so that a class
 * that swings around a slab's border does not go through the system each time; a second one is given back to all. Its pages stay, to be taken first,
 * unless ARENA_WARM_SLABS_MAX have theirs: a table that is written swings by what a block overwrites, and pages that come back are zeroed anew. */
static void slab_drop_newest(struct arena *arena, struct arena_class *class) {
    uint32_t slab = class->slab;
    class->slab = arena->slab_previous[slab];
    class->used = class->slab ? class->cells_per_slab : 0;
    if (!class->spare) {
        class->spare = slab;
        return;
    }
    if (arena->warm_count < ARENA_WARM_SLABS_MAX) {
        arena->warm[arena->warm_count++] = slab;
        return;
    }
    store_forget(arena->base + (uint64_t)slab * ARENA_SLAB_BYTES, ARENA_SLAB_BYTES);
    arena->slab_previous[slab] = arena->slab_free;
    arena->slab_free = slab;
}

struct arena_move arena_give(struct arena *arena, uint32_t reference, size_t bytes) {
    struct arena_class *class = &arena->classes[class_of(bytes)];
    CHECK(class->slab != 0 && class->used > 0);
    struct arena_move move = {.from = cell_reference(class, class->slab, class->used - 1), .to = 0};
    if (move.from != reference) {
        move.to = reference;
        memcpy(arena_at(arena, move.to), arena_at(arena, move.from), class->cell_bytes);
    }
    class->used--;
    if (class->used == 0) slab_drop_newest(arena, class);
    return move;
}
