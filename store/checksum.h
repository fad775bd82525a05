/*
 * Private: the short checksum of table entries and stored records. It finds bit flips and misplaced bytes of failing hardware (a change of one
 * 8-byte word always changes the 64-bit state; 32 bits of it are kept); it resists nobody who chooses the bytes. Little-endian, so that files move
 * between machines.
 */
#ifndef STORE_CHECKSUM_H
#define STORE_CHECKSUM_H

#include "merkle/bytes.h"

static inline uint64_t checksum_mix(uint64_t state, uint64_t word) {
    state = (state ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    return state ^ (state >> 32);
}

static inline uint64_t checksum_add(uint64_t state, const uint8_t *bytes, size_t count) {
    state = checksum_mix(state, count);
    while (count >= 8) {
        state = checksum_mix(state, bytes_get_le64(bytes));
        bytes += 8;
        count -= 8;
    }
    if (count == 0) return state;
    uint8_t last[8] = {0};
    memcpy(last, bytes, count);
    return checksum_mix(state, bytes_get_le64(last));
}

/* Words go by turns into four lanes, none of which waits for others. count: a multiple of 32. Written out: gcc makes vectors of a loop over an array,
 * whose multiplication of 64 bits is put together from smaller ones. What lies a page ahead is asked for meanwhile, where there is much: the
 * processor does that by itself as far as the end of a page (5.5 -> 9 GB/s from memory). */
static inline void checksum_lanes(uint64_t lanes[4], const uint8_t *bytes, size_t count) {
    enum { AHEAD = 4096, LINE = 64, STEP = 32 };
    uint64_t a = lanes[0], b = lanes[1], c = lanes[2], d = lanes[3];
    const uint8_t *end = bytes + count;
    for (const uint8_t *far = bytes; bytes < end; bytes += STEP) {
        if (bytes == far && end - bytes > AHEAD) {
            __builtin_prefetch(bytes + AHEAD);
            far += LINE;
        }
        a = checksum_mix(a, bytes_get_le64(bytes));
        b = checksum_mix(b, bytes_get_le64(bytes + 8));
        c = checksum_mix(c, bytes_get_le64(bytes + 16));
        d = checksum_mix(d, bytes_get_le64(bytes + 24));
    }
    lanes[0] = a;
    lanes[1] = b;
    lanes[2] = c;
    lanes[3] = d;
}

/* The same promise for bytes in memory, three times as fast where there are many. Not the same number: what lies on a disk has checksum_add(). */
static inline uint64_t checksum_add_lanes(uint64_t state, const uint8_t *bytes, size_t count) {
    enum { FEW = 128 }; /* so few that the lanes would cost more than they save */
    if (count < FEW) return checksum_add(state, bytes, count);
    state = checksum_mix(state, count);
    uint64_t lanes[4] = {state, checksum_mix(state, 1), checksum_mix(state, 2), checksum_mix(state, 3)};
    size_t whole = count - count % 32;
    checksum_lanes(lanes, bytes, whole);
    state = checksum_mix(checksum_mix(checksum_mix(lanes[0], lanes[1]), lanes[2]), lanes[3]);
    return checksum_add(state, bytes + whole, count - whole);
}

static inline uint32_t checksum_end(uint64_t state) {
    state = checksum_mix(state, UINT64_C(0x243F6A8885A308D3));
    return (uint32_t)(state >> 16);
}

/* The same for long values that come in pieces: four lanes, which a processor follows side by side, and all 64 bits of it. */
struct checksum_stream {
    uint64_t lanes[4];
    uint64_t count;
    uint8_t rest[32];
};

static inline struct checksum_stream checksum_stream_begin(uint64_t seed) {
    struct checksum_stream stream = {.lanes = {seed, ~seed, seed << 1 | seed >> 63, seed ^ UINT64_C(0x243F6A8885A308D3)}};
    return stream;
}

static inline void checksum_stream_add(struct checksum_stream *stream, const uint8_t *bytes, size_t count) {
    size_t held = stream->count % sizeof stream->rest;
    stream->count += count;
    if (held > 0) {
        size_t step = sizeof stream->rest - held < count ? sizeof stream->rest - held : count;
        memcpy(stream->rest + held, bytes, step);
        if (held + step < sizeof stream->rest) return;
        checksum_lanes(stream->lanes, stream->rest, sizeof stream->rest);
        bytes += step;
        count -= step;
    }
    size_t over = count % sizeof stream->rest;
    checksum_lanes(stream->lanes, bytes, count - over);
    if (over > 0) memcpy(stream->rest, bytes + count - over, over);
}

static inline uint64_t checksum_stream_end(const struct checksum_stream *stream) {
    struct checksum_stream last = *stream;
    size_t held = stream->count % sizeof stream->rest;
    memset(last.rest + held, 0, sizeof last.rest - held);
    checksum_lanes(last.lanes, last.rest, sizeof last.rest);
    uint64_t state = stream->count;
    for (int lane = 0; lane < 4; lane++) state = checksum_mix(state, last.lanes[lane]);
    return state;
}

#endif
