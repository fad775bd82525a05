/* Private to ring/: the check that stays on in release builds, and little-endian words (C-1).
 * ring/ includes no other folder of ours, so it has these few lines of its own. Include from .c files only. */
#ifndef RING_CHECK_H
#define RING_CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* For what only we can do wrong. Stops the node with a message: a crash is a fault that the cluster tolerates. */
#define RING_CHECK(cond) ((cond) ? (void)0 : ring_check_failed(#cond, __FILE__, __LINE__))

_Noreturn static inline void ring_check_failed(const char *condition, const char *file, int line) {
    fprintf(stderr, "event=check_failed where=%s:%d condition=\"%s\"\n", file, line, condition);
    abort();
}

static inline uint16_t ring_load_u16(const uint8_t *p) {
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t ring_load_u32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t ring_load_u64(const uint8_t *p) {
    return (uint64_t)ring_load_u32(p) | (uint64_t)ring_load_u32(p + 4) << 32;
}

static inline void ring_store_u16(uint8_t *p, uint16_t v) {
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static inline void ring_store_u32(uint8_t *p, uint32_t v) {
    ring_store_u16(p, (uint16_t)v);
    ring_store_u16(p + 2, (uint16_t)(v >> 16));
}

static inline void ring_store_u64(uint8_t *p, uint64_t v) {
    ring_store_u32(p, (uint32_t)v);
    ring_store_u32(p + 4, (uint32_t)(v >> 32));
}

#endif
