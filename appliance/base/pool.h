/*
 * Memory for what every decision needs and gives back: blobs, messages, lists. What was given is kept, by size, and taken again, so that a node that
 * is loaded for a while takes nothing from the heap (tests/system/hot_path.py).
 *
 * Contract
 *   pool_take() and pool_give() may be called by any thread, on memory of any other. Who finds the pool busy takes from the heap or gives to it, and
 *   never waits. Content is undefined. Under a sanitizer each piece is the heap's own, so that use after it was given is seen,
 *   and so are races.
 *
 * Limits
 *   Pieces up to POOL_BYTES_MAX are kept, POOL_KEPT_BYTES_MAX of all together; the heap has the others. A piece is at most a quarter larger than
 *   what was asked for, and 64 bytes at least.
 */
#ifndef APPLIANCE_POOL_H
#define APPLIANCE_POOL_H

#include <stddef.h>
#include <stdint.h>

enum { POOL_BYTES_MAX = 64 << 10, POOL_KEPT_BYTES_MAX = 8 << 20 };

/* 16-byte aligned. Never NULL: without memory the node stops (CHECK). */
void *pool_take(size_t bytes);
void pool_give(void *memory); /* NULL will do */
/* Instead of `memory` (NULL: nothing), `bytes` that begin with its first `used`. */
void *pool_more(void *memory, size_t used, size_t bytes);
/* Bytes that are kept now. */
uint64_t pool_kept_bytes(void);

#endif
