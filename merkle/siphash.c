#include "merkle/siphash.h"

#include <stdbool.h>
#include <string.h>

#include "merkle/bytes.h"

enum { WORD_BYTES = 8 };

static inline uint64_t rotate(uint64_t value, unsigned bits) {
    return value << bits | value >> (64 - bits);
}

static inline void sip_round(uint64_t v[4]) {
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

static inline void sip_absorb(uint64_t v[4], uint64_t word) {
    v[3] ^= word;
    sip_round(v);
    sip_round(v);
    v[0] ^= word;
}

static inline void chain_init(uint64_t v[4], const uint8_t key[SIPHASH_KEY_BYTES]) {
    uint64_t k0 = bytes_get_le64(key), k1 = bytes_get_le64(key + WORD_BYTES);
    v[0] = k0 ^ 0x736f6d6570736575;
    v[1] = k1 ^ 0x646f72616e646f6d;
    v[2] = k0 ^ 0x6c7967656e657261;
    v[3] = k1 ^ 0x7465646279746573;
}

/* What is left behind the whole words, and the length modulo 256. */
static inline uint64_t last_word(const uint8_t *bytes, size_t bytes_count) {
    size_t left = bytes_count % WORD_BYTES;
    uint8_t last[WORD_BYTES] = {0};
    if (left > 0) memcpy(last, bytes + bytes_count - left, left);
    last[WORD_BYTES - 1] = (uint8_t)bytes_count;
    return bytes_get_le64(last);
}

uint64_t siphash_one(const uint8_t key[SIPHASH_KEY_BYTES], const uint8_t *bytes, size_t bytes_count) {
    uint64_t v[4];
    chain_init(v, key);
    for (size_t at = 0; bytes_count - at >= WORD_BYTES; at += WORD_BYTES) sip_absorb(v, bytes_get_le64(bytes + at));
    sip_absorb(v, last_word(bytes, bytes_count));
    v[2] ^= 0xff;
    for (int round = 0; round < 4; round++) sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static void one_by_one(const uint8_t key[SIPHASH_KEY_BYTES], const uint8_t *const at[SIPHASH_LANES], size_t bytes_count,
                       uint64_t out[SIPHASH_LANES]) {
    for (unsigned i = 0; i < SIPHASH_LANES; i++) out[i] = siphash_one(key, at[i], bytes_count);
}

#if defined(__x86_64__)

#include <immintrin.h>

#define LANES_TARGET __attribute__((target("avx512f")))
#define LANES_INLINE __attribute__((always_inline)) LANES_TARGET

/* v[0] to v[3] of all messages: one a lane. */
struct lanes {
    __m512i v[4];
};

static inline LANES_INLINE void lanes_round(struct lanes *l) {
    l->v[0] = _mm512_add_epi64(l->v[0], l->v[1]);
    l->v[1] = _mm512_xor_si512(_mm512_rol_epi64(l->v[1], 13), l->v[0]);
    l->v[0] = _mm512_rol_epi64(l->v[0], 32);
    l->v[2] = _mm512_add_epi64(l->v[2], l->v[3]);
    l->v[3] = _mm512_xor_si512(_mm512_rol_epi64(l->v[3], 16), l->v[2]);
    l->v[0] = _mm512_add_epi64(l->v[0], l->v[3]);
    l->v[3] = _mm512_xor_si512(_mm512_rol_epi64(l->v[3], 21), l->v[0]);
    l->v[2] = _mm512_add_epi64(l->v[2], l->v[1]);
    l->v[1] = _mm512_xor_si512(_mm512_rol_epi64(l->v[1], 17), l->v[2]);
    l->v[2] = _mm512_rol_epi64(l->v[2], 32);
}

static inline LANES_INLINE void lanes_absorb(struct lanes *l, const uint64_t words[SIPHASH_LANES]) {
    __m512i all = _mm512_loadu_si512(words);
    l->v[3] = _mm512_xor_si512(l->v[3], all);
    lanes_round(l);
    lanes_round(l);
    l->v[0] = _mm512_xor_si512(l->v[0], all);
}

static LANES_TARGET void all_at_once(const uint8_t key[SIPHASH_KEY_BYTES], const uint8_t *const at[SIPHASH_LANES], size_t bytes_count,
                                     uint64_t out[SIPHASH_LANES]) {
    uint64_t v[4], words[SIPHASH_LANES];
    struct lanes l;
    chain_init(v, key);
    for (unsigned i = 0; i < 4; i++) l.v[i] = _mm512_set1_epi64((long long)v[i]);
    for (size_t from = 0; bytes_count - from >= WORD_BYTES; from += WORD_BYTES) {
        for (unsigned i = 0; i < SIPHASH_LANES; i++) words[i] = bytes_get_le64(at[i] + from);
        lanes_absorb(&l, words);
    }
    for (unsigned i = 0; i < SIPHASH_LANES; i++) words[i] = last_word(at[i], bytes_count);
    lanes_absorb(&l, words);
    l.v[2] = _mm512_xor_si512(l.v[2], _mm512_set1_epi64(0xff));
    for (int round = 0; round < 4; round++) lanes_round(&l);
    _mm512_storeu_si512(out, _mm512_xor_si512(_mm512_xor_si512(l.v[0], l.v[1]), _mm512_xor_si512(l.v[2], l.v[3])));
}

void siphash_each(const uint8_t key[SIPHASH_KEY_BYTES], const uint8_t *const at[SIPHASH_LANES], size_t bytes_count, uint64_t out[SIPHASH_LANES]) {
    if (__builtin_cpu_supports("avx512f"))
        all_at_once(key, at, bytes_count, out);
    else
        one_by_one(key, at, bytes_count, out);
}

#else

void siphash_each(const uint8_t key[SIPHASH_KEY_BYTES], const uint8_t *const at[SIPHASH_LANES], size_t bytes_count, uint64_t out[SIPHASH_LANES]) {
    one_by_one(key, at, bytes_count, out);
}

#endif
