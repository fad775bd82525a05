#include "appliance/base/pool.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"

/* Sizes, head included: 64, 80, 96, 112, 128, 160 and so on: four to each doubling. */
enum { HEAD_BYTES = 16, LEAST = 64, STEP_BITS = 2, CLASSES = 11 << STEP_BITS, LARGE = CLASSES };

struct piece {
    struct piece *next; /* of those that are kept */
    uint32_t class;
};

_Static_assert(sizeof(struct piece) <= HEAD_BYTES, "the head has room");

static struct {
    atomic_flag busy; /* who sets it has all of it */
    struct piece *kept[CLASSES];
    atomic_size_t kept_bytes; /* written by whom set busy */
} pool = {.busy = ATOMIC_FLAG_INIT};

/* To a race detector `busy` would be an order between all threads that use the pool, and hide what they do to one another elsewhere. */
static bool each_from_heap(void) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    return true;
#endif
#endif
    return false;
}

static size_t class_bytes(uint32_t class) {
    size_t octave = (size_t)LEAST << (class >> STEP_BITS);
    return octave + (octave >> STEP_BITS) * (class & ((1u << STEP_BITS) - 1));
}

/* The smallest class with room for so many bytes, LARGE: none. */
static uint32_t class_of(size_t bytes) {
    if (bytes <= LEAST) return 0;
    if (bytes > POOL_BYTES_MAX + HEAD_BYTES) return LARGE;
    unsigned exponent = 63u - (unsigned)__builtin_clzll((unsigned long long)(bytes - 1));
    uint32_t step = (uint32_t)((bytes - 1) >> (exponent - STEP_BITS)) & ((1u << STEP_BITS) - 1);
    return ((exponent - 6u) << STEP_BITS) + step + 1;
}

static bool enter(void) {
    return !atomic_flag_test_and_set_explicit(&pool.busy, memory_order_acquire);
}

static void leave(void) {
    atomic_flag_clear_explicit(&pool.busy, memory_order_release);
}

static void kept_add(size_t bytes, bool more) {
    size_t now = atomic_load_explicit(&pool.kept_bytes, memory_order_relaxed);
    atomic_store_explicit(&pool.kept_bytes, more ? now + bytes : now - bytes, memory_order_relaxed);
}

static struct piece *kept_take(uint32_t class) {
    if (class == LARGE || each_from_heap() || !enter()) return NULL;
    struct piece *piece = pool.kept[class];
    if (piece != NULL) {
        pool.kept[class] = piece->next;
        kept_add(class_bytes(class), false);
    }
    leave();
    return piece;
}

void *pool_take(size_t bytes) {
    CHECK(bytes <= SIZE_MAX - HEAD_BYTES);
    uint32_t class = class_of(bytes + HEAD_BYTES);
    struct piece *piece = kept_take(class);
    if (piece == NULL) {
        piece = malloc(class == LARGE || each_from_heap() ? bytes + HEAD_BYTES : class_bytes(class));
        CHECK(piece != NULL);
        piece->class = class;
    }
    return (uint8_t *)piece + HEAD_BYTES;
}

static bool kept_give(struct piece *piece) {
    if (piece->class == LARGE || each_from_heap() || !enter()) return false;
    CHECK(piece->class < CLASSES);
    bool room = atomic_load_explicit(&pool.kept_bytes, memory_order_relaxed) + class_bytes(piece->class) <= POOL_KEPT_BYTES_MAX;
    if (room) {
        piece->next = pool.kept[piece->class];
        pool.kept[piece->class] = piece;
        kept_add(class_bytes(piece->class), true);
    }
    leave();
    return room;
}

void pool_give(void *memory) {
    if (memory == NULL) return;
    struct piece *piece = (struct piece *)(void *)((uint8_t *)memory - HEAD_BYTES);
    if (!kept_give(piece)) free(piece);
}

void *pool_more(void *memory, size_t used, size_t bytes) {
    uint8_t *more = pool_take(bytes);
    CHECK(used <= bytes && (memory != NULL || used == 0));
    if (used > 0) memcpy(more, memory, used);
    pool_give(memory);
    return more;
}

uint64_t pool_kept_bytes(void) {
    return atomic_load_explicit(&pool.kept_bytes, memory_order_relaxed);
}
