/*
 * FIPS 180-4, 6.2.2, as Intel's SHA extensions want it: the eight words of the chain lie in two registers, (a b e f) and (c d g h), the sixteen
 * newest words of the message schedule in four. One instruction does two rounds.
 */
#include "merkle/sha256_lanes.h"

#include <stdbool.h>

#include "merkle/sha256_blocks.h"

static void one_by_one(uint32_t *const chains[SHA256_LANES], const uint8_t *const at[SHA256_LANES], unsigned lanes, size_t blocks) {
    for (unsigned i = 0; i < lanes; i++) sha256_blocks(chains[i], at[i], blocks);
}

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

#include "merkle/sha256_constants.h"

#define LANES_TARGET __attribute__((target("sha,avx")))
#define LANES_INLINE __attribute__((always_inline)) LANES_TARGET

/* One message. */
struct lane {
    __m128i abef, cdgh;
    __m128i abef_before, cdgh_before;
    __m128i words[4]; /* by fours, modulo 16 */
};

static inline LANES_INLINE void lane_load(struct lane *lane, const uint32_t chain[8]) {
    __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)chain), 0xB1);
    __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)(chain + 4)), 0x1B);
    lane->abef = _mm_alignr_epi8(badc, hgfe, 8);
    lane->cdgh = _mm_blend_epi16(hgfe, badc, 0xF0);
}

static inline LANES_INLINE void lane_store(const struct lane *lane, uint32_t chain[8]) {
    __m128i feba = _mm_shuffle_epi32(lane->abef, 0x1B);
    __m128i dchg = _mm_shuffle_epi32(lane->cdgh, 0xB1);
    _mm_storeu_si128((__m128i *)(void *)chain, _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128((__m128i *)(void *)(chain + 4), _mm_alignr_epi8(dchg, feba, 8));
}

static inline LANES_INLINE __m128i words_load(const uint8_t *at) {
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    return _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)at), big_endian);
}

static inline LANES_INLINE void lane_begin(struct lane *lane, const uint8_t *block) {
    lane->abef_before = lane->abef;
    lane->cdgh_before = lane->cdgh;
    lane->words[0] = words_load(block);
    lane->words[1] = words_load(block + 16);
    lane->words[2] = words_load(block + 32);
    lane->words[3] = words_load(block + 48);
}

static inline LANES_INLINE void lane_end(struct lane *lane) {
    lane->abef = _mm_add_epi32(lane->abef, lane->abef_before);
    lane->cdgh = _mm_add_epi32(lane->cdgh, lane->cdgh_before);
}

/* Rounds 4 * four to 4 * four + 3. */
static inline LANES_INLINE void lane_rounds(struct lane *lane, unsigned four) {
    __m128i *words = lane->words;
    if (four >= 4) {
        __m128i sum = _mm_sha256msg1_epu32(words[four % 4], words[(four + 1) % 4]);
        sum = _mm_add_epi32(sum, _mm_alignr_epi8(words[(four + 3) % 4], words[(four + 2) % 4], 4));
        words[four % 4] = _mm_sha256msg2_epu32(sum, words[(four + 3) % 4]);
    }
    __m128i added = _mm_add_epi32(words[four % 4], _mm_load_si128((const __m128i *)(const void *)(sha256_constants + 4 * four)));
    lane->cdgh = _mm_sha256rnds2_epu32(lane->cdgh, lane->abef, added);
    lane->abef = _mm_sha256rnds2_epu32(lane->abef, lane->cdgh, _mm_shuffle_epi32(added, 0x0E));
}

/* Written out, here and below: the compilers keep all lanes in registers then. */
static inline LANES_INLINE void all_rounds(struct lane lane[SHA256_LANES], unsigned lanes, unsigned four) {
    lane_rounds(&lane[0], four);
    lane_rounds(&lane[1], four);
    if (lanes > 2) lane_rounds(&lane[2], four);
    if (lanes > 3) lane_rounds(&lane[3], four);
}

static inline LANES_INLINE void blocks_of(uint32_t *const chains[SHA256_LANES], const uint8_t *const at[SHA256_LANES], unsigned lanes,
                                          size_t blocks) {
    struct lane lane[SHA256_LANES];
    lane_load(&lane[0], chains[0]);
    lane_load(&lane[1], chains[1]);
    if (lanes > 2) lane_load(&lane[2], chains[2]);
    if (lanes > 3) lane_load(&lane[3], chains[3]);
    for (size_t from = 0; from < 64 * blocks; from += 64) {
        lane_begin(&lane[0], at[0] + from);
        lane_begin(&lane[1], at[1] + from);
        if (lanes > 2) lane_begin(&lane[2], at[2] + from);
        if (lanes > 3) lane_begin(&lane[3], at[3] + from);
        all_rounds(lane, lanes, 0);
        all_rounds(lane, lanes, 1);
        all_rounds(lane, lanes, 2);
        all_rounds(lane, lanes, 3);
        all_rounds(lane, lanes, 4);
        all_rounds(lane, lanes, 5);
        all_rounds(lane, lanes, 6);
        all_rounds(lane, lanes, 7);
        all_rounds(lane, lanes, 8);
        all_rounds(lane, lanes, 9);
        all_rounds(lane, lanes, 10);
        all_rounds(lane, lanes, 11);
        all_rounds(lane, lanes, 12);
        all_rounds(lane, lanes, 13);
        all_rounds(lane, lanes, 14);
        all_rounds(lane, lanes, 15);
        lane_end(&lane[0]);
        lane_end(&lane[1]);
        if (lanes > 2) lane_end(&lane[2]);
        if (lanes > 3) lane_end(&lane[3]);
    }
    lane_store(&lane[0], chains[0]);
    lane_store(&lane[1], chains[1]);
    if (lanes > 2) lane_store(&lane[2], chains[2]);
    if (lanes > 3) lane_store(&lane[3], chains[3]);
}

static LANES_TARGET void two(uint32_t *const chains[SHA256_LANES], const uint8_t *const at[SHA256_LANES], size_t blocks) {
    blocks_of(chains, at, 2, blocks);
}

static LANES_TARGET void three(uint32_t *const chains[SHA256_LANES], const uint8_t *const at[SHA256_LANES], size_t blocks) {
    blocks_of(chains, at, 3, blocks);
}

static LANES_TARGET void four(uint32_t *const chains[SHA256_LANES], const uint8_t *const at[SHA256_LANES], size_t blocks) {
    blocks_of(chains, at, 4, blocks);
}

static bool processor_asked(void) {
    enum { LEAF = 7, SHA_BIT = 29 };
    unsigned a, b, c, d;
    return __get_cpuid_count(LEAF, 0, &a, &b, &c, &d) && (b >> SHA_BIT & 1) && __builtin_cpu_supports("avx");
}

/* Asked once: in a virtual machine the question costs more than a hash. Any thread may be the first, and all find the same. */
static bool processor_can(void) {
    enum { UNKNOWN = 0, NO = 1, YES = 2 };
    static int known = UNKNOWN;
    int found = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (found == UNKNOWN) {
        found = processor_asked() ? YES : NO;
        __atomic_store_n(&known, found, __ATOMIC_RELAXED);
    }
    return found == YES;
}

void sha256_lanes_blocks(uint32_t *const chains[SHA256_LANES], const uint8_t *const at[SHA256_LANES], unsigned lanes, size_t blocks) {
    if (lanes == 1 || !processor_can()) {
        one_by_one(chains, at, lanes, blocks);
    } else if (lanes == 2) {
        two(chains, at, blocks);
    } else if (lanes == 3) {
        three(chains, at, blocks);
    } else {
        four(chains, at, blocks);
    }
}

#else

void sha256_lanes_blocks(uint32_t *const chains[SHA256_LANES], const uint8_t *const at[SHA256_LANES], unsigned lanes, size_t blocks) {
    one_by_one(chains, at, lanes, blocks);
}

#endif
