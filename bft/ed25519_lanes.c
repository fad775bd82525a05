/*
 * The formulas are those of ed25519_table.c, in its order; limbs of 51 bits too, here of 64-bit lanes.
 *
 * vpmadd52luq and vpmadd52huq add the lower and the upper 52 bits of a product of 52-bit factors. So factors are below 2^52, and since limbs are
 * 51 bits apart, the upper half counts twice in the next column. Bounds: a *carried* element has limbs below 2^51 + 2^14, and is a factor. Of a
 * product, a column has at most five lower and ten upper halves: below 15 * 2^52 < 2^56, with the column five above it times 19 below 2^60.3; its
 * carry is below 2^9.3, and 19 of it below 2^13.6. Sums and differences of carried ones (4p is added) are below 2^54.5, and are carried before they
 * are factors.
 */
#include "bft/ed25519_lanes.h"

#include "merkle/check.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "bft/ed25519_point.h"

#define LANES_TARGET __attribute__((target("avx2,avx512f,avx512vl,avx512ifma")))
#define LANES_INLINE __attribute__((always_inline)) LANES_TARGET

enum { LIMBS = 5, LIMB_BITS = 51, ROWS = ED25519_TABLE_ROWS };

struct lanes {
    __m256i limb[LIMBS];
};

/* As struct completed of ed25519_table.c. */
struct completed {
    struct lanes x, y, z, t;
};

static const struct ed25519_affine neutral = {{{1, 0, 0, 0, 0}}, {{1, 0, 0, 0, 0}}, {{0, 0, 0, 0, 0}}};

static inline LANES_INLINE __m256i times_19(__m256i a) {
    return _mm256_add_epi64(_mm256_add_epi64(_mm256_slli_epi64(a, 4), _mm256_slli_epi64(a, 1)), a);
}

static inline LANES_INLINE struct lanes lanes_carry(const __m256i in[LIMBS]) {
    const __m256i mask = _mm256_set1_epi64x((long long)field_limb_mask);
    struct lanes out;
    out.limb[0] = _mm256_add_epi64(_mm256_and_si256(in[0], mask), times_19(_mm256_srli_epi64(in[4], LIMB_BITS)));
#pragma GCC unroll 4
    for (unsigned i = 1; i < LIMBS; i++)
        out.limb[i] = _mm256_add_epi64(_mm256_and_si256(in[i], mask), _mm256_srli_epi64(in[i - 1], LIMB_BITS));
    return out;
}

/* Not carried: below 2^53.2. */
static inline LANES_INLINE struct lanes lanes_sum(const struct lanes *a, const struct lanes *b) {
    struct lanes out;
#pragma GCC unroll 5
    for (unsigned i = 0; i < LIMBS; i++) out.limb[i] = _mm256_add_epi64(a->limb[i], b->limb[i]);
    return out;
}

static inline LANES_INLINE struct lanes lanes_add(const struct lanes *a, const struct lanes *b) {
    struct lanes sum = lanes_sum(a, b);
    return lanes_carry(sum.limb);
}

/* a is a sum of two carried ones at the most, b carried. */
static inline LANES_INLINE struct lanes lanes_subtract(const struct lanes *a, const struct lanes *b) {
    struct lanes out;
#pragma GCC unroll 5
    for (unsigned i = 0; i < LIMBS; i++) {
        __m256i four_p = _mm256_set1_epi64x((long long)(4 * (field_limb_mask - (i == 0 ? 18 : 0))));
        out.limb[i] = _mm256_sub_epi64(_mm256_add_epi64(a->limb[i], four_p), b->limb[i]);
    }
    return lanes_carry(out.limb);
}

static inline LANES_INLINE struct lanes lanes_multiply(const struct lanes *a, const struct lanes *b) {
    __m256i low[2 * LIMBS], high[2 * LIMBS], column[LIMBS];
#pragma GCC unroll 10
    for (unsigned i = 0; i < 2 * LIMBS; i++) low[i] = high[i] = _mm256_setzero_si256();
#pragma GCC unroll 5
    for (unsigned i = 0; i < LIMBS; i++) {
#pragma GCC unroll 5
        for (unsigned k = 0; k < LIMBS; k++) {
            low[i + k] = _mm256_madd52lo_epu64(low[i + k], a->limb[i], b->limb[k]);
            high[i + k + 1] = _mm256_madd52hi_epu64(high[i + k + 1], a->limb[i], b->limb[k]);
        }
    }
#pragma GCC unroll 5
    for (unsigned i = 0; i < LIMBS; i++) {
        __m256i lower = _mm256_add_epi64(low[i], _mm256_slli_epi64(high[i], 1));
        __m256i upper = _mm256_add_epi64(low[i + LIMBS], _mm256_slli_epi64(high[i + LIMBS], 1));
        column[i] = _mm256_add_epi64(lower, times_19(upper));
    }
    return lanes_carry(column);
}

static LANES_TARGET struct lanes lanes_squares(struct lanes a, unsigned times) {
    while (times-- > 0) a = lanes_multiply(&a, &a);
    return a;
}

/* a^(p - 2), by the chain of field_power_250(). */
static LANES_TARGET struct lanes lanes_invert(const struct lanes *a) {
    struct lanes two = lanes_squares(*a, 1), eight = lanes_squares(two, 2), nine = lanes_multiply(&eight, a), eleven = lanes_multiply(&nine, &two);
    struct lanes t = lanes_squares(eleven, 1), ones5 = lanes_multiply(&t, &nine);
    t = lanes_squares(ones5, 5);
    struct lanes ones10 = lanes_multiply(&t, &ones5);
    t = lanes_squares(ones10, 10);
    struct lanes ones20 = lanes_multiply(&t, &ones10);
    t = lanes_squares(ones20, 20);
    struct lanes ones40 = lanes_multiply(&t, &ones20);
    t = lanes_squares(ones40, 10);
    struct lanes ones50 = lanes_multiply(&t, &ones10);
    t = lanes_squares(ones50, 50);
    struct lanes ones100 = lanes_multiply(&t, &ones50);
    t = lanes_squares(ones100, 100);
    struct lanes ones200 = lanes_multiply(&t, &ones100);
    t = lanes_squares(ones200, 50);
    t = lanes_multiply(&t, &ones50);
    t = lanes_squares(t, 5);
    return lanes_multiply(&t, &eleven);
}

static LANES_TARGET struct completed doubled(const struct completed *c) {
    struct completed out;
    struct lanes x = lanes_multiply(&c->x, &c->t), y = lanes_multiply(&c->y, &c->z), z = lanes_multiply(&c->z, &c->t);
    struct lanes xx = lanes_multiply(&x, &x), yy = lanes_multiply(&y, &y), zz = lanes_multiply(&z, &z), zz2 = lanes_sum(&zz, &zz);
    struct lanes xy = lanes_add(&x, &y), square = lanes_multiply(&xy, &xy);
    out.y = lanes_add(&yy, &xx);
    out.z = lanes_subtract(&yy, &xx);
    out.x = lanes_subtract(&square, &out.y);
    out.t = lanes_subtract(&zz2, &out.z);
    return out;
}

/* One field of a point in each lane. */
static inline LANES_INLINE struct lanes gathered(const struct field *const from[ED25519_LANES]) {
    struct lanes out;
#pragma GCC unroll 5
    for (unsigned i = 0; i < LIMBS; i++)
        out.limb[i] = _mm256_set_epi64x((long long)from[3]->limb[i], (long long)from[2]->limb[i], (long long)from[1]->limb[i],
                                        (long long)from[0]->limb[i]);
    return out;
}

static inline LANES_INLINE struct lanes chosen(__mmask8 second, const struct lanes *a, const struct lanes *b) {
    struct lanes out;
#pragma GCC unroll 5
    for (unsigned i = 0; i < LIMBS; i++) out.limb[i] = _mm256_mask_blend_epi64(second, a->limb[i], b->limb[i]);
    return out;
}

/* A term to each lane, which is a point or its negative. */
static LANES_TARGET struct completed added(const struct completed *c, const struct ed25519_term terms[ED25519_LANES]) {
    const struct field *sums[ED25519_LANES], *differences[ED25519_LANES], *products[ED25519_LANES];
    unsigned minus = 0;
    for (unsigned i = 0; i < ED25519_LANES; i++) {
        const struct ed25519_affine *point = terms[i].point;
        sums[i] = terms[i].minus ? &point->difference : &point->sum;
        differences[i] = terms[i].minus ? &point->sum : &point->difference;
        products[i] = &point->product;
        minus |= (unsigned)terms[i].minus << i;
    }
    struct completed out;
    struct lanes q_sum = gathered(sums), q_difference = gathered(differences), q_product = gathered(products);
    struct lanes x = lanes_multiply(&c->x, &c->t), y = lanes_multiply(&c->y, &c->z), z = lanes_multiply(&c->z, &c->t);
    struct lanes xy = lanes_multiply(&c->x, &c->y);
    struct lanes sum = lanes_add(&y, &x), difference = lanes_subtract(&y, &x), z2 = lanes_sum(&z, &z);
    struct lanes a = lanes_multiply(&sum, &q_sum), b = lanes_multiply(&difference, &q_difference), t = lanes_multiply(&q_product, &xy);
    struct lanes more = lanes_add(&z2, &t), less = lanes_subtract(&z2, &t);
    out.x = lanes_subtract(&a, &b);
    out.y = lanes_add(&a, &b);
    out.z = chosen((__mmask8)minus, &more, &less);
    out.t = chosen((__mmask8)minus, &less, &more);
    return out;
}

static LANES_TARGET struct lanes lanes_of(uint64_t value) {
    struct lanes out;
    for (unsigned i = 0; i < LIMBS; i++) out.limb[i] = _mm256_set1_epi64x(i == 0 ? (long long)value : 0);
    return out;
}

static LANES_TARGET struct field lane_of(const struct lanes *a, unsigned lane) {
    struct field out;
    for (unsigned i = 0; i < LIMBS; i++) {
        uint64_t all[ED25519_LANES];
        _mm256_storeu_si256((__m256i *)(void *)all, a->limb[i]);
        out.limb[i] = all[lane];
    }
    return field_carry(out.limb);
}

static LANES_TARGET struct completed rows_added(const struct ed25519_sum *sums, unsigned count) {
    const struct ed25519_term *next[ED25519_LANES];
    struct lanes zero = lanes_of(0), one = lanes_of(1);
    struct completed sum = {zero, one, one, one};
    for (unsigned i = 0; i < count; i++) next[i] = sums[i].terms;
    for (unsigned row = ROWS; row-- > 0;) {
        if (row + 1 < ROWS) sum = doubled(&sum);
        unsigned steps = 0;
        for (unsigned i = 0; i < count; i++) steps = sums[i].row_terms[row] > steps ? sums[i].row_terms[row] : steps;
        for (unsigned step = 0; step < steps; step++) {
            struct ed25519_term terms[ED25519_LANES];
            for (unsigned i = 0; i < ED25519_LANES; i++)
                terms[i] = i < count && step < sums[i].row_terms[row] ? *next[i]++ : (struct ed25519_term){.point = &neutral};
            sum = added(&sum, terms);
        }
    }
    return sum;
}

LANES_TARGET void ed25519_lanes_combine(const struct ed25519_sum *sums, unsigned count, uint8_t (*out)[32]) {
    CHECK(count >= 1 && count <= ED25519_LANES);
    struct completed sum = rows_added(sums, count);
    struct lanes z = lanes_multiply(&sum.z, &sum.t), inverse = lanes_invert(&z);
    struct lanes x = lanes_multiply(&sum.x, &sum.t), y = lanes_multiply(&sum.y, &sum.z);
    x = lanes_multiply(&x, &inverse);
    y = lanes_multiply(&y, &inverse);
    for (unsigned i = 0; i < count; i++) {
        struct field lane_x = lane_of(&x, i), lane_y = lane_of(&y, i);
        ed25519_point_write(&lane_x, &lane_y, out[i]);
    }
}

bool ed25519_lanes_present(void) {
    return __builtin_cpu_supports("avx512ifma") && __builtin_cpu_supports("avx512vl");
}

#else

bool ed25519_lanes_present(void) {
    return false;
}

void ed25519_lanes_combine(const struct ed25519_sum *sums, unsigned count, uint8_t (*out)[32]) {
    (void)sums;
    (void)count;
    (void)out;
    CHECK(false);
}

#endif
