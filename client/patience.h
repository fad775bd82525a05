/* How long to wait for a node that answers other requests: patience.c says why so long. Pure. Zeroed: nothing was seen yet. */
#ifndef CLIENT_PATIENCE_H
#define CLIENT_PATIENCE_H

#include <stdint.h>

enum {
    PATIENCE_WAITS = 128, /* the newest */
    PATIENCE_HUNDRED = 100, /* from so many on the longest wait does not count: one lost packet is not an overload */
    PATIENCE_FORGETS_MS = 30000,
};

struct patience {
    uint32_t count; /* seen so far; it may wrap, since PATIENCE_WAITS divides 2^32: a while after that fewer count */
    struct patience_wait {
        uint64_t at_ms, took_ms;
    } waits[PATIENCE_WAITS];
};

void patience_saw(struct patience *patience, uint64_t took_ms, uint64_t now_ms);
/* Twice what nearly all waits took, between the bounds. */
uint64_t patience_ms(const struct patience *patience, uint64_t least_ms, uint64_t most_ms, uint64_t now_ms);

#endif
