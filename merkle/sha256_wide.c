/*
 * FIPS 180-4, 6.2.2, written out: the chain lies in eight registers, the sixteen newest words of the message schedule in sixteen more, and what a
 * round needs in the other eight. A rotation is one instruction, and so is a function of three words (vpternlogd: its constant is the function's
 * table, bit 4a + 2b + c for the words' bits a, b and c).
 *
 * Four instructions go a cycle, a round and a word of the schedule take 28, and each has its result two cycles later: so no more than three may lie
 * between the e of one round and the next. The compilers know that addition is associative; left to themselves they take the sums apart into longer
 * chains that need more registers (gcc 12: 4.8 GB/s in place of 6.7). So sum() keeps the order that is written here.
 */
#include "merkle/sha256_wide.h"

#include "merkle/check.h"
#include "merkle/sha256_inside.h"

void sha256_wide_chain(const struct sha256_wide *wide, unsigned lane, uint32_t chain[8]) {
    for (unsigned i = 0; i < 8; i++) chain[i] = wide->words[i][lane];
}

#if defined(__x86_64__)

#include <immintrin.h>

#include "merkle/sha256_constants.h"

#define WIDE_TARGET __attribute__((target("avx512f,avx512bw")))
#define WIDE_INLINE __attribute__((always_inline)) WIDE_TARGET

enum { ROUNDS = 64, WORDS = 16, BLOCK_BYTES = 64 };

/* The processor asks for the bytes of one message ahead by itself, but not of sixteen. Two blocks of all take as long as memory does to answer;
 * farther on, short messages would end before it helps. */
enum { AHEAD = 2 * BLOCK_BYTES };

/* Of all messages. */
struct state {
    __m512i chain[8];     /* a to h, which each round names anew: its a is chain[-round mod 8] */
    __m512i words[WORDS]; /* of the message schedule, modulo 16 */
};

static inline WIDE_INLINE __m512i sum(__m512i a, __m512i b) {
    __m512i c = _mm512_add_epi32(a, b);
    __asm__("" : "+v"(c));
    return c;
}

static inline WIDE_INLINE __m512i exclusive_or(__m512i a, __m512i b, __m512i c) {
    return _mm512_ternarylogic_epi32(a, b, c, 0x96);
}

static inline WIDE_INLINE __m512i choice(__m512i a, __m512i b, __m512i c) {
    return _mm512_ternarylogic_epi32(a, b, c, 0xCA);
}

static inline WIDE_INLINE __m512i majority(__m512i a, __m512i b, __m512i c) {
    return _mm512_ternarylogic_epi32(a, b, c, 0xE8);
}

/* One round; i and k: the round modulo 16, and the constants from there on. Its h becomes a, and all others move on by one name. */
static inline WIDE_INLINE void round_do(struct state *state, unsigned i, const uint32_t *k) {
    __m512i *c = state->chain;
    __m512i a = c[(0u - i) % 8], b = c[(1u - i) % 8], e = c[(4u - i) % 8], f = c[(5u - i) % 8], g = c[(6u - i) % 8];
    __m512i *d = &c[(3u - i) % 8], *h = &c[(7u - i) % 8];
    *h = sum(*h, sum(state->words[i], _mm512_set1_epi32((int)k[i])));
    __m512i chosen = choice(e, f, g);
    __m512i sigma_e = exclusive_or(_mm512_ror_epi32(e, 6), _mm512_ror_epi32(e, 11), _mm512_ror_epi32(e, 25));
    *d = sum(sum(sum(*d, *h), chosen), sigma_e);
    *h = sum(sum(*h, chosen), sigma_e);
    __m512i sigma_a = exclusive_or(_mm512_ror_epi32(a, 2), _mm512_ror_epi32(a, 13), _mm512_ror_epi32(a, 22));
    *h = sum(*h, sum(sigma_a, majority(a, b, c[(2u - i) % 8])));
}

/* The word for the round sixteen on takes the place of that which the round used. */
static inline WIDE_INLINE void word_next(struct state *state, unsigned i) {
    __m512i *w = state->words, after = w[(i + 1) % WORDS], before = w[(i + 14) % WORDS];
    __m512i sigma_0 = exclusive_or(_mm512_ror_epi32(after, 7), _mm512_ror_epi32(after, 18), _mm512_srli_epi32(after, 3));
    __m512i sigma_1 = exclusive_or(_mm512_ror_epi32(before, 17), _mm512_ror_epi32(before, 19), _mm512_srli_epi32(before, 10));
    w[i] = sum(sum(w[i], w[(i + 9) % WORDS]), sum(sigma_0, sigma_1));
}

/* `more`: rounds follow that want words. */
static inline WIDE_INLINE void round_and_word(struct state *state, unsigned i, const uint32_t *k, bool more) {
    round_do(state, i, k);
    if (more) word_next(state, i);
}

/* Written out: the compilers keep all in registers then. */
static inline WIDE_INLINE void rounds_16(struct state *state, const uint32_t *k, bool more) {
    round_and_word(state, 0, k, more);
    round_and_word(state, 1, k, more);
    round_and_word(state, 2, k, more);
    round_and_word(state, 3, k, more);
    round_and_word(state, 4, k, more);
    round_and_word(state, 5, k, more);
    round_and_word(state, 6, k, more);
    round_and_word(state, 7, k, more);
    round_and_word(state, 8, k, more);
    round_and_word(state, 9, k, more);
    round_and_word(state, 10, k, more);
    round_and_word(state, 11, k, more);
    round_and_word(state, 12, k, more);
    round_and_word(state, 13, k, more);
    round_and_word(state, 14, k, more);
    round_and_word(state, 15, k, more);
}

/* Of four rows, each quarter of a register by itself: words i of the rows to row i. */
static inline WIDE_INLINE void quarters_turn(__m512i rows[4]) {
    __m512i a = _mm512_unpacklo_epi32(rows[0], rows[1]), b = _mm512_unpackhi_epi32(rows[0], rows[1]);
    __m512i c = _mm512_unpacklo_epi32(rows[2], rows[3]), d = _mm512_unpackhi_epi32(rows[2], rows[3]);
    rows[0] = _mm512_unpacklo_epi64(a, c);
    rows[1] = _mm512_unpackhi_epi64(a, c);
    rows[2] = _mm512_unpacklo_epi64(b, d);
    rows[3] = _mm512_unpackhi_epi64(b, d);
}

/* Of rows 0, 4, 8 and 12: quarters i of them to row 4 * i. */
static inline WIDE_INLINE void rows_turn(__m512i *rows) {
    __m512i a = _mm512_shuffle_i32x4(rows[0], rows[4], 0x88), b = _mm512_shuffle_i32x4(rows[0], rows[4], 0xdd);
    __m512i c = _mm512_shuffle_i32x4(rows[8], rows[12], 0x88), d = _mm512_shuffle_i32x4(rows[8], rows[12], 0xdd);
    rows[0] = _mm512_shuffle_i32x4(a, c, 0x88);
    rows[4] = _mm512_shuffle_i32x4(b, d, 0x88);
    rows[8] = _mm512_shuffle_i32x4(a, c, 0xdd);
    rows[12] = _mm512_shuffle_i32x4(b, d, 0xdd);
}

static inline WIDE_INLINE __m512i big_endian(__m512i words) {
    const __m128i order = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    return _mm512_shuffle_epi8(words, _mm512_broadcast_i32x4(order));
}

/* Words i of all blocks to words[i]: a row a block at first. */
static inline WIDE_INLINE void words_load(__m512i words[WORDS], const uint8_t *const at[SHA256_WIDE], size_t from) {
#pragma GCC unroll 16
    for (unsigned i = 0; i < SHA256_WIDE; i++) words[i] = big_endian(_mm512_loadu_si512(at[i] + from));
    quarters_turn(words);
    quarters_turn(words + 4);
    quarters_turn(words + 8);
    quarters_turn(words + 12);
    rows_turn(words);
    rows_turn(words + 1);
    rows_turn(words + 2);
    rows_turn(words + 3);
}

WIDE_TARGET void sha256_wide_blocks(struct sha256_wide *wide, const uint8_t *const at[SHA256_WIDE], size_t blocks) {
    struct state state;
#pragma GCC unroll 8
    for (unsigned i = 0; i < 8; i++) state.chain[i] = _mm512_load_si512(wide->words[i]);
    for (size_t from = 0; from < BLOCK_BYTES * blocks; from += BLOCK_BYTES) {
        words_load(state.words, at, from);
        if (from + AHEAD < BLOCK_BYTES * blocks) {
#pragma GCC unroll 16
            for (unsigned i = 0; i < SHA256_WIDE; i++) __builtin_prefetch(at[i] + from + AHEAD);
        }
        const uint32_t *k = sha256_constants;
        for (; k < sha256_constants + ROUNDS - WORDS; k += WORDS) rounds_16(&state, k, true);
        rounds_16(&state, k, false);
#pragma GCC unroll 8
        for (unsigned i = 0; i < 8; i++) {
            state.chain[i] = _mm512_add_epi32(state.chain[i], _mm512_load_si512(wide->words[i]));
            _mm512_store_si512(wide->words[i], state.chain[i]);
        }
    }
}

/* Of four messages, i, i + 4, i + 8 and i + 12, the four words that begin at `first`. */
static inline WIDE_INLINE void hashes_part(uint8_t out[SHA256_WIDE][32], unsigned i, unsigned first, __m512i row) {
    _mm_storeu_si128((__m128i *)(void *)(out[i] + 4 * first), _mm512_extracti32x4_epi32(row, 0));
    _mm_storeu_si128((__m128i *)(void *)(out[i + 4] + 4 * first), _mm512_extracti32x4_epi32(row, 1));
    _mm_storeu_si128((__m128i *)(void *)(out[i + 8] + 4 * first), _mm512_extracti32x4_epi32(row, 2));
    _mm_storeu_si128((__m128i *)(void *)(out[i + 12] + 4 * first), _mm512_extracti32x4_epi32(row, 3));
}

WIDE_TARGET void sha256_wide_hashes(const struct sha256_wide *wide, uint8_t out[SHA256_WIDE][32]) {
    __m512i rows[8];
#pragma GCC unroll 8
    for (unsigned i = 0; i < 8; i++) rows[i] = big_endian(_mm512_load_si512(wide->words[i]));
    quarters_turn(rows);
    quarters_turn(rows + 4);
#pragma GCC unroll 4
    for (unsigned i = 0; i < 4; i++) {
        hashes_part(out, i, 0, rows[i]);
        hashes_part(out, i, 4, rows[i + 4]);
    }
}

WIDE_TARGET void sha256_wide_begin(struct sha256_wide *wide, unsigned lanes) {
    uint32_t chain[8];
    sha256_chain_init(chain);
#pragma GCC unroll 8
    for (unsigned i = 0; i < 8; i++) _mm512_mask_store_epi32(wide->words[i], (__mmask16)lanes, _mm512_set1_epi32((int)chain[i]));
}

bool sha256_wide_can(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
}

#else

bool sha256_wide_can(void) {
    return false;
}

void sha256_wide_begin(struct sha256_wide *wide, unsigned lanes) {
    (void)wide;
    (void)lanes;
    CHECK(false);
}

void sha256_wide_hashes(const struct sha256_wide *wide, uint8_t out[SHA256_WIDE][32]) {
    (void)wide;
    (void)out;
    CHECK(false);
}

void sha256_wide_blocks(struct sha256_wide *wide, const uint8_t *const at[SHA256_WIDE], size_t blocks) {
    (void)wide;
    (void)at;
    (void)blocks;
    CHECK(false);
}

#endif
